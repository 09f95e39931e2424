"""Interventions on a gated model: what is put in place of its gates, and what that does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import AUDIO_DIM, VISUAL_DIM, toy_store

from companion.analysis.interventions import (
    GATES,
    INTERVENTIONS,
    freeze_gates,
    mean_gates,
    permute_gates,
    predict_with_gates,
    take_choice_away,
)
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import gather, training_windows
from iaca.learning.evaluation import Traces, predict
from iaca.models.gating import FixedGate
from iaca.models.regressor import AffectRegressor, ModelConfig

L = 4
NAMES = ["r0", "r1", "r2"]


def regressor(attention: str = "ca", fusion: str = "iaca", **options: Any) -> AffectRegressor:
    torch.manual_seed(1)
    config = ModelConfig(attention, fusion, dim=8, window=L, encoder_norm="none", **options)
    model = AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2)
    for name, parameter in model.named_parameters():
        if "gate_" in name:  # so that the gates differ clearly from clip to clip
            nn.init.normal_(parameter, std=0.3)
    return model.eval()


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    """One recording that windows tile, one whose last window overlaps, one shorter than one."""
    return toy_store(tmp_path / "store", (12, 10, 3))


def same(one: Traces, other: Traces) -> bool:
    return all(torch.equal(one.predictions[n], other.predictions[n]) for n in one.predictions)


def predict_frozen(
    model: AffectRegressor, store: RecordingStore, names: Sequence[str], means: dict[str, Tensor]
) -> Traces:
    frozen = freeze_gates(predict(model, store, names).gates, means)
    return predict_with_gates(model, store, names, frozen)


def predict_permuted(
    model: AffectRegressor,
    store: RecordingStore,
    names: Sequence[str],
    seed: int,
    which: Sequence[str] = GATES,
) -> Traces:
    permuted = permute_gates(predict(model, store, names).gates, seed)
    return predict_with_gates(model, store, names, {gate: permuted[gate] for gate in which})


def toy_gates(**lengths: int) -> dict[str, dict[str, Tensor]]:
    """Gates whose numbers say where they come from: recording i, row t -> 100 i + t."""
    rows = {n: 100.0 * i + torch.arange(t) for i, (n, t) in enumerate(lengths.items())}
    return {
        gate: {n: torch.stack([row] * choices, dim=1) for n, row in rows.items()}
        for gate, choices in (("audio", 2), ("audio_visual", 3))
    }


def test_means_are_over_all_clips_not_over_recordings() -> None:
    gates = {"audio": {"a": torch.tensor([[1.0, 0.0]]), "b": torch.tensor([[0.0, 1.0]] * 3)}}
    assert mean_gates(gates)["audio"].tolist() == [0.25, 0.75]


def test_means_of_a_models_gates(store: RecordingStore) -> None:
    model = regressor()
    means = mean_gates(predict(model, store, ["r0"]).gates)
    windows = training_windows(store, ["r0"], hop=L, length=L)  # r0 is tiled by three of them
    assert len(windows) == 3
    batch = gather(store, windows, L)
    with torch.no_grad():
        gates = model(batch.audio, batch.visual, batch.mask).gates
    assert gates is not None
    for gate, weights in gates._asdict().items():
        torch.testing.assert_close(means[gate], weights.mean(dim=(0, 1)))
        assert means[gate].sum().item() == pytest.approx(1.0)


@pytest.mark.parametrize("attention", ["ca", "jca", "tca"])
@pytest.mark.parametrize("which", [GATES, ("audio",), ("audio_visual",)], ids=str)
def test_a_models_own_gates_change_nothing(
    store: RecordingStore, attention: str, which: tuple[str, ...]
) -> None:
    model = regressor(attention)
    clean = predict(model, store, NAMES)
    given = {gate: clean.gates[gate] for gate in which}
    replayed = predict_with_gates(model, store, NAMES, given)
    assert same(clean, replayed)
    for gate in GATES:
        assert all(torch.equal(replayed.gates[gate][n], clean.gates[gate][n]) for n in NAMES)


def test_gates_are_handed_out_in_order_whatever_the_batches(store: RecordingStore) -> None:
    model = regressor()
    gates = permute_gates(predict(model, store, NAMES).gates, 0)
    whole = predict_with_gates(model, store, NAMES, gates)
    for batch_size in (1, 2, 5):
        parts = predict_with_gates(model, store, NAMES, gates, batch_size)
        for name in NAMES:
            torch.testing.assert_close(parts.predictions[name], whole.predictions[name])


def test_rjcas_own_gates_change_nothing_where_windows_do_not_overlap(
    store: RecordingStore,
) -> None:
    model = regressor("rjca")
    clean = predict(model, store, NAMES)
    replayed = predict_with_gates(model, store, NAMES, clean.gates)
    assert torch.equal(replayed.predictions["r0"], clean.predictions["r0"])
    assert torch.equal(replayed.predictions["r2"], clean.predictions["r2"])
    torch.testing.assert_close(replayed.predictions["r1"][:8], clean.predictions["r1"][:8])


@pytest.mark.parametrize("attention", ["ca", "rjca"])
def test_frozen_gates_are_a_model_with_constant_gates(
    store: RecordingStore, attention: str
) -> None:
    model = regressor(attention)
    means = mean_gates(predict(model, store, NAMES).gates)
    frozen = predict_frozen(model, store, ["r0", "r1"], means)
    clean = predict(model, store, ["r0", "r1"])
    assert not same(clean, frozen)
    for gate, mean in means.items():
        assert torch.equal(frozen.gates[gate]["r1"], mean.expand(10, -1))
        setattr(model.fusion, f"gate_{gate}", FixedGate(mean))
    constant = predict(model, store, ["r0", "r1"])
    for name in ("r0", "r1"):
        torch.testing.assert_close(frozen.predictions[name], constant.predictions[name])


def test_each_gate_can_be_frozen_alone(store: RecordingStore) -> None:
    model = regressor()
    clean = predict(model, store, NAMES)
    means = mean_gates(clean.gates)
    for gate in GATES:
        frozen = predict_frozen(model, store, NAMES, {gate: means[gate]})
        assert not same(clean, frozen)
        assert torch.equal(frozen.gates[gate]["r0"], means[gate].expand(12, -1))
        for other in {"audio", "visual"} - {gate}:  # stage 1 reads nothing that was changed
            assert torch.equal(frozen.gates[other]["r0"], clean.gates[other]["r0"])


@pytest.mark.parametrize("seed", range(5))
def test_within_a_recording_its_clips_are_permuted(seed: int) -> None:
    gates = toy_gates(a=6, b=9)
    permuted = permute_gates(gates, seed)
    for gate, traces in gates.items():
        for name, trace in traces.items():
            found = permuted[gate][name]
            assert found.shape == trace.shape
            assert not torch.equal(found, trace)
            assert torch.equal(found.sort(dim=0).values, trace)
    for name in ("a", "b"):  # all gates of a clip move together
        assert torch.equal(permuted["audio"][name][:, 0], permuted["audio_visual"][name][:, 2])


def test_a_permutation_follows_its_seed() -> None:
    def order(seed: int) -> list[float]:
        torch.rand(3)  # whatever was drawn before does not matter
        return permute_gates(toy_gates(a=6, b=9), seed)["audio"]["b"][:, 0].tolist()

    assert order(3) == order(3) != order(4)


def test_permutations_are_uniform() -> None:
    """Each of three clips' gates ends up at each place as often as at any other."""
    counts = torch.zeros(3, 3)
    for seed in range(600):
        permuted = permute_gates(toy_gates(a=3), seed)["audio"]["a"][:, 0]
        counts[torch.arange(3), permuted.long()] += 1
    assert ((counts / 600 - 1 / 3).abs() < 0.08).all()


def test_a_permuted_model_uses_the_gates_of_other_clips(store: RecordingStore) -> None:
    model = regressor()
    clean = predict(model, store, NAMES)
    permuted = predict_permuted(model, store, NAMES, seed=2)
    expected = permute_gates(clean.gates, 2)
    for gate in GATES:
        assert all(torch.equal(permuted.gates[gate][n], expected[gate][n]) for n in NAMES)
    assert not same(clean, permuted)
    # By hand at one clip: CA's fusion is clip by clip once the attention is done.
    batch = gather(store, training_windows(store, ["r0"], hop=L, length=L), L)
    with torch.no_grad():
        attended = model.fusion.attention(*model.encode(batch.audio, batch.visual))
        g_a, g_v, g_av = (expected[gate]["r0"][5] for gate in GATES)
        at = (1, 1)  # clip 5 of r0: second window, second clip
        x_ga = (g_a[0] * attended.self_audio[at] + g_a[1] * attended.audio[at]).relu()
        x_gv = (g_v[0] * attended.self_visual[at] + g_v[1] * attended.visual[at]).relu()
        x_gav = model.fusion.joint(x_ga, x_gv)
        x_g = (g_av[0] * x_ga + g_av[1] * x_gv + g_av[2] * x_gav).relu()
        by_hand = torch.cat([head(x_g) for head in model.heads])
    torch.testing.assert_close(permuted.predictions["r0"][5], by_hand)


def test_only_the_gates_that_are_named_are_permuted(store: RecordingStore) -> None:
    model = regressor()
    clean = predict(model, store, NAMES)
    permuted = predict_permuted(model, store, NAMES, seed=2, which=["visual"])
    assert torch.equal(permuted.gates["audio"]["r0"], clean.gates["audio"]["r0"])
    assert not torch.equal(permuted.gates["visual"]["r0"], clean.gates["visual"]["r0"])


def test_constant_gates_lose_nothing_by_either(store: RecordingStore) -> None:
    """What criterion (c) asks: gates that do not act on the fly cannot be told from frozen ones."""
    model = regressor()
    with torch.no_grad():
        for gate in GATES:
            getattr(model.fusion, f"gate_{gate}").linear.weight.zero_()
    clean = predict(model, store, NAMES)
    frozen = predict_frozen(model, store, NAMES, mean_gates(clean.gates))
    permuted = predict_permuted(model, store, NAMES, seed=0)
    for name in NAMES:
        torch.testing.assert_close(frozen.predictions[name], clean.predictions[name])
        torch.testing.assert_close(permuted.predictions[name], clean.predictions[name])


def test_taking_the_choice_away(store: RecordingStore) -> None:
    """Each intervention is what its name says, with means of what is not reported."""
    model, split = regressor(), Split(train=(), select=("r0",), report=("r1", "r2"))
    found = take_choice_away(model, store, split, seed=3)
    assert [*found] == ["own", *INTERVENTIONS]
    means = mean_gates(predict(model, store, ["r0"]).gates)
    stage_1 = {gate: means[gate] for gate in ("audio", "visual")}
    stage_2 = {"audio_visual": means["audio_visual"]}
    expected = {
        "own": predict(model, store, split.report),
        "stage 1 frozen": predict_frozen(model, store, split.report, stage_1),
        "stage 2 frozen": predict_frozen(model, store, split.report, stage_2),
        "all frozen": predict_frozen(model, store, split.report, means),
        "all permuted": predict_permuted(model, store, split.report, seed=3),
    }
    for name, traces in expected.items():
        for recording in split.report:
            assert torch.equal(found[name][recording], traces.predictions[recording]), name


def test_the_model_is_left_as_it_was(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = regressor().train()
    keys, own = list(model.state_dict()), model.fusion.gate_audio
    predict_permuted(model, store, NAMES, seed=0)
    assert model.training and own.training
    assert model.fusion.gate_audio is own and list(model.state_dict()) == keys

    def fail(*arguments: object) -> None:
        raise RuntimeError("broken")

    gates = predict(model, store, NAMES).gates
    monkeypatch.setattr("iaca.learning.evaluation.gather", fail)
    with pytest.raises(RuntimeError, match="broken"):
        predict_with_gates(model, store, NAMES, gates)
    assert model.fusion.gate_audio is own


def test_what_cannot_be_done_is_named(store: RecordingStore) -> None:
    model = regressor()
    gates = predict(model, store, NAMES).gates
    with pytest.raises(ValueError, match="fusion 'plain' has no gates"):
        predict_with_gates(regressor(fusion="plain"), store, NAMES, gates)
    with pytest.raises(ValueError, match="gates joint: expected some of audio, visual, audio_vis"):
        predict_with_gates(model, store, NAMES, {"joint": gates["audio"]})
    with pytest.raises(ValueError, match="gates joint: expected some of"):
        freeze_gates(toy_gates(a=3), {"joint": torch.ones(1)})
