"""Interventions on a gated model: what is put in place of its gates, and what that does."""

from collections import Counter

import pytest
import torch
from torch import Tensor
from toys import toy_regressor, toy_store

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

NAMES = ["r0", "r1", "r2"]
OWN_GATES = [("ca", "iaca"), ("jca", "iaca"), ("tca", "iaca"), ("ca", "told"), ("ca", "told_rule")]
ONE_GATE = [(gate,) for gate in GATES]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """One recording that windows tile, one whose last window overlaps, one shorter than one."""
    return toy_store(tmp_path_factory.mktemp("data") / "store", (12, 10, 3), states=True)


def assert_same(one: Traces, other: Traces, names: list[str]) -> None:
    for name in names:
        torch.testing.assert_close(one.predictions[name], other.predictions[name])


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


@pytest.mark.parametrize("named", OWN_GATES, ids=str)
@pytest.mark.parametrize("which", [GATES, ("audio",), ("audio_visual",)], ids=str)
def test_a_models_own_gates_change_nothing(
    store: RecordingStore, named: tuple[str, str], which: tuple[str, ...]
) -> None:
    model = toy_regressor(*named)
    clean = predict(model, store, NAMES)
    replayed = predict_with_gates(model, store, NAMES, {gate: clean.gates[gate] for gate in which})
    for name in NAMES:
        assert torch.equal(replayed.predictions[name], clean.predictions[name])
        for gate in GATES:
            assert torch.equal(replayed.gates[gate][name], clean.gates[gate][name])


def test_rjcas_own_gates_change_nothing_where_windows_do_not_overlap(store: RecordingStore) -> None:
    model = toy_regressor("rjca")
    clean = predict(model, store, NAMES)
    replayed = predict_with_gates(model, store, NAMES, clean.gates)
    for name, rows in (("r0", 12), ("r1", 8), ("r2", 3)):
        torch.testing.assert_close(
            replayed.predictions[name][:rows], clean.predictions[name][:rows]
        )


@pytest.mark.parametrize("attention", ["ca", "rjca"])
@pytest.mark.parametrize("which", [GATES, *ONE_GATE], ids=str)
def test_frozen_gates_are_a_model_with_constant_gates(
    store: RecordingStore, attention: str, which: tuple[str, ...]
) -> None:
    model, names = toy_regressor(attention), ["r0", "r1"]
    clean = predict(model, store, names)
    means = {gate: mean for gate, mean in mean_gates(clean.gates).items() if gate in which}
    frozen = predict_with_gates(model, store, names, freeze_gates(clean.gates, means))
    assert not torch.equal(frozen.predictions["r0"], clean.predictions["r0"])
    for gate in GATES:
        expected = means[gate].expand(10, -1) if gate in which else clean.gates[gate]["r1"]
        if gate in which or gate != "audio_visual":  # stage 1 reads nothing that was changed
            assert torch.equal(frozen.gates[gate]["r1"], expected)
    for gate, mean in means.items():
        setattr(model.fusion, f"gate_{gate}", FixedGate(mean))
    assert_same(frozen, predict(model, store, names), names)


def test_a_permuted_model_uses_the_gates_of_other_clips(store: RecordingStore) -> None:
    model = toy_regressor()
    clean = predict(model, store, NAMES)
    expected = permute_gates(clean.gates, 2)
    permuted = predict_with_gates(model, store, NAMES, expected)
    for gate in GATES:
        assert all(torch.equal(permuted.gates[gate][n], expected[gate][n]) for n in NAMES)
    for batch_size in (1, 2, 5):  # gates are handed out in order whatever the batches
        assert_same(predict_with_gates(model, store, NAMES, expected, batch_size), permuted, NAMES)
    # By hand at one clip: CA's fusion is clip by clip once the attention is done.
    batch = gather(store, training_windows(store, ["r0"], hop=4, length=4), 4)
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
    assert not torch.equal(permuted.predictions["r0"], clean.predictions["r0"])


def test_within_a_recording_its_clips_are_permuted_uniformly() -> None:
    gates, places = toy_gates(a=3, b=9), Counter[tuple[int, int]]()
    for seed in range(600):
        permuted = permute_gates(gates, seed)
        for gate, traces in gates.items():
            for name, trace in traces.items():
                assert torch.equal(permuted[gate][name].sort(dim=0).values, trace)
        for name in ("a", "b"):  # all gates of a clip move together
            assert torch.equal(permuted["audio"][name][:, 0], permuted["audio_visual"][name][:, 2])
        places.update(enumerate(permuted["audio"]["a"][:, 0].int().tolist()))
    assert len(places) == 9 and all(abs(count / 600 - 1 / 3) < 0.08 for count in places.values())
    again = permute_gates(gates, 599)  # whatever was drawn before does not matter
    assert torch.equal(again["audio"]["b"], permuted["audio"]["b"])


def test_taking_the_choice_away(store: RecordingStore) -> None:
    """Each intervention is what its name says, with means of what is not reported."""
    model, split = toy_regressor(), Split(train=(), select=("r0",), report=("r1", "r2"))
    found = take_choice_away(model, store, split, seed=3)
    assert [*found] == ["own", *INTERVENTIONS]
    own = predict(model, store, split.report)
    means = mean_gates(predict(model, store, ["r0"]).gates)
    frozen = freeze_gates(own.gates, means)
    given = {
        "own": {},
        "stage 1 frozen": {gate: frozen[gate] for gate in ("audio", "visual")},
        "stage 2 frozen": {"audio_visual": frozen["audio_visual"]},
        "all frozen": frozen,
        "all permuted": permute_gates(own.gates, 3),
    }
    for name, gates in given.items():
        traces = predict_with_gates(model, store, split.report, gates)
        for recording in split.report:
            assert torch.equal(found[name][recording], traces.predictions[recording]), name


def test_the_model_is_left_as_it_was(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy_regressor().train()
    keys, own = list(model.state_dict()), model.fusion.gate_audio
    gates = predict(model, store, NAMES).gates
    predict_with_gates(model, store, NAMES, gates)
    assert model.training and own.training
    assert model.fusion.gate_audio is own and list(model.state_dict()) == keys

    def fail(*arguments: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("iaca.data.batches.WindowBatches.take", fail)
    with pytest.raises(RuntimeError, match="broken"):
        predict_with_gates(model, store, NAMES, gates)
    assert model.fusion.gate_audio is own


def test_what_cannot_be_done_is_named(store: RecordingStore) -> None:
    model = toy_regressor()
    gates = predict(model, store, NAMES).gates
    with pytest.raises(ValueError, match="fusion 'plain' has no gates"):
        predict_with_gates(toy_regressor(fusion="plain"), store, NAMES, gates)
    with pytest.raises(ValueError, match="gates joint: expected some of audio, visual, audio_vis"):
        predict_with_gates(model, store, NAMES, {"joint": gates["audio"]})
    with pytest.raises(ValueError, match="gates joint: expected some of"):
        freeze_gates(toy_gates(a=3), {"joint": torch.ones(1)})
