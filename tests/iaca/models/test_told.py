"""Gates that are told the true state: tables, the paper's rule, and what they must not change."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import AUDIO_DIM, VISUAL_DIM, toy_regressor, toy_split, toy_store

from iaca.base.files import DataError
from iaca.data.states import STATES
from iaca.learning.config import TrainingConfig, TrainingError
from iaca.learning.evaluation import predict
from iaca.learning.training import Training
from iaca.models.attention import Attended
from iaca.models.gating import InconsistencyAware, Stages
from iaca.models.regressor import AffectRegressor, ModelConfig, count_parameters

B, L, D = 3, 7, 8
ATTENTIONS = ("ca", "jca", "rjca", "tca")
STATE = torch.stack([torch.arange(7), torch.zeros(7, dtype=torch.int64), torch.arange(7).flip(0)])


class Shifted(nn.Module):
    """An attention whose four outputs all differ, without parameters."""

    def forward(self, audio: Tensor, visual: Tensor) -> Attended:
        return Attended(audio + visual.roll(1, 1), visual * audio, audio - 0.5, 2.0 * visual)


def features() -> tuple[Tensor, Tensor]:
    torch.manual_seed(4)
    return torch.randn(B, L, AUDIO_DIM), torch.randn(B, L, VISUAL_DIM)


def built(attention: str, fusion: str, **options: object) -> AffectRegressor:
    torch.manual_seed(3)
    config = ModelConfig(attention, fusion, dim=D, window=L, dropout=0.0, **options)  # type: ignore[arg-type]
    return AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2).eval()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_table_that_says_attended_and_joint_is_plain_exactly(attention: str) -> None:
    plain, told = built(attention, "plain"), built(attention, "told")
    for name, weight in plain.state_dict().items():  # one seed, the same start
        assert torch.equal(told.state_dict()[name], weight)
    assert count_parameters(told) - count_parameters(plain) == 7 * (2 + 2 + 3)
    tables = [told.get_parameter(f"fusion.gate_{g}.linear.weight") for g in ("audio", "visual")]
    tables.append(told.get_parameter("fusion.gate_audio_visual.linear.weight"))
    with torch.no_grad():
        for table in tables:
            assert not table.any()
            table[-1] = 20.0  # 200 once divided by T
    mask = torch.arange(L) < torch.tensor([[L], [4], [L]])
    expected = plain(*features(), mask).values
    found = told(*features(), mask, STATE * mask)
    # A recurrent layer may round its last bit differently from one call to the next.
    tolerance = 1e-6 if attention == "rjca" else 0.0
    torch.testing.assert_close(found.values, expected, atol=tolerance, rtol=0)
    with torch.no_grad():
        tables[0][0, 3] = 40.0
    changed = told(*features(), mask, STATE * mask).values - expected
    assert changed[0].abs().max() > 1e-5  # the second window never is in state 3
    assert changed[1].abs().max() <= tolerance


def test_learned_tables_against_numpy() -> None:
    model = built("ca", "told", temperature=0.5)
    tables = {}
    for gate in ("audio", "visual", "audio_visual"):
        table = model.get_parameter(f"fusion.gate_{gate}.linear.weight")
        nn.init.normal_(table)
        tables[gate] = table.detach().numpy()
    gates = model(*features(), None, STATE).gates
    for gate, table in tables.items():
        powers = np.exp(table.T[STATE.numpy()] / 0.5)
        expected = powers / powers.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(getattr(gates, gate).detach().numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("stages", ["both", "first", "second"])
def test_the_papers_rule_against_its_transcription(stages: Stages) -> None:
    torch.manual_seed(1)
    model = InconsistencyAware(Shifted(), D, stages=stages, told="rule").double()
    nn.init.normal_(model.joint.linear.bias)
    audio, visual = torch.randn(2, B, L, D, dtype=torch.float64)
    weight, bias = (p.detach().numpy() for p in model.joint.parameters())
    attended = [x.numpy() for x in Shifted()(audio, visual)[:4]]
    expected = np.zeros((B, L, D))
    for b in range(B):
        for t in range(L):
            att_a, att_v, self_a, self_v = (np.maximum(x[b, t], 0.0) for x in attended)
            state = STATES[STATE[b, t]]
            if state != "strong" and stages != "second":
                att_a, att_v = self_a, self_v
            joint = weight @ np.concatenate([att_a, att_v]) + bias
            if state == "strong" or stages == "first":
                expected[b, t] = np.maximum(joint, 0.0)
            else:
                expected[b, t] = att_v if state.endswith("audio") else att_a
    fused, gates = model(audio, visual, STATE)
    np.testing.assert_allclose(fused.detach().numpy(), expected, atol=1e-12)
    assert {value for gate in gates for value in gate.unique().tolist()} == {0.0, 1.0}
    parameters = [name for name, _ in model.named_parameters()]
    assert parameters == ["joint.linear.weight", "joint.linear.bias"]


@pytest.mark.parametrize("stages", ["first", "second"])
def test_a_stage_that_is_left_out_is_not_told(stages: Stages) -> None:
    model = built("ca", "told", stages=stages)
    for parameter in model.fusion.parameters():
        nn.init.normal_(parameter)
    one, other = (model(*features(), None, state).gates for state in (STATE, STATE.flip(0)))
    for gate, value in one._asdict().items():
        closed = (stages == "first") == (gate == "audio_visual")
        assert torch.equal(value, getattr(other, gate)) == closed


def test_data_without_states_are_refused(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (20, 20, 20, 20))
    for fusion in ("told", "told_rule"):
        with pytest.raises(DataError, match="true state were given none: expected data with known"):
            built("ca", fusion)(*features())
        with pytest.raises(TrainingError, match=f"'{fusion}' reads the true .* recording 'r0' has"):
            Training(ModelConfig(fusion=fusion, dim=D), TrainingConfig(), store, toy_split(), 0)
        with pytest.raises(DataError, match="expected data with known states"):
            predict(toy_regressor(fusion=fusion), store, ["r0"])


def test_a_rule_has_no_temperature_and_a_table_has(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (20, 20, 20, 20), states=True)
    config = TrainingConfig(epochs=1, temperature_start=1.0)
    with pytest.raises(TrainingError, match="temperature_start: fusion 'told_rule' has no gates"):
        Training(ModelConfig(fusion="told_rule", dim=D), config, store, toy_split(), 0)
    soft, hard = (
        predict(toy_regressor(fusion="told"), store, ["r0"], temperature=t).gates["audio"]["r0"]
        for t in (100.0, 1e-3)
    )
    assert (soft - 0.5).abs().max() < 0.01 and (hard.max(dim=1).values > 0.99).all()
    state = store["r0"].known_state
    for each in range(7):  # a gate says the same wherever the state is the same
        assert (hard[state == each] == hard[state == each][:1]).all()
