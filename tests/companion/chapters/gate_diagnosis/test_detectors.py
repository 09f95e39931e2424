"""What scores a clip: gates in the paper's direction, and detectors written out again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import VISUAL_DIM, tiny_run, toy_info, toy_recording, toy_regressor, toy_store

from companion.analysis.detection import GATE_SCORES, STAGE_1, STAGE_2, gate_scores
from companion.analysis.ridge import MODALITIES, ridge_predictions
from companion.analysis.trained import load_models
from companion.chapters.gate_diagnosis.detectors import (
    CORRELATION,
    EVENNESS,
    NORM,
    RIDGE_DISAGREEMENT,
    attention_evenness,
    disagreement,
    feature_norms,
    lack_of_correlation,
    reported_traces,
    simple_scores,
    smoothed,
)
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import evaluation_windows, gather
from iaca.runs.execution import execute_run
from iaca.sources.writing import write_store

L = 4
SPLIT = Split(train=("r0", "r1"), select=("r2",), report=("r3",))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    folder = tmp_path_factory.mktemp("data")
    return toy_store(folder / "store", (30, 30, 10, 3), dtype=torch.float32)


@pytest.fixture(scope="module")
def coupled(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """The first visual feature follows the first audio feature, except in the last 10 rows."""
    recordings = []
    for number in range(4):
        made = toy_recording(f"r{number}", f"s{number}", 60, number)
        visual = made.visual.clone()
        visual[:50, 0] = made.audio[:50, 0] + 0.3 * visual[:50, 0]
        recordings.append(replace(made, visual=visual))
    path = tmp_path_factory.mktemp("data") / "coupled"
    return write_store(path, recordings, toy_info(), dtype=torch.float32)


def test_gates_are_scored_in_the_papers_direction() -> None:
    gates = {
        "audio": {"r": torch.tensor([[0.2, 0.8], [0.9, 0.1]])},
        "visual": {"r": torch.tensor([[0.4, 0.6], [0.5, 0.5]])},
        "audio_visual": {"r": torch.tensor([[0.7, 0.2, 0.1], [0.0, 0.3, 0.7]])},
    }
    found = gate_scores(gates)
    assert tuple(found) == GATE_SCORES
    expected = {
        STAGE_1["audio"]: [0.2, 0.9],
        STAGE_1["visual"]: [0.4, 0.5],
        STAGE_2["audio"]: [0.3, 1.0],
        STAGE_2["visual"]: [0.8, 0.7],
    }
    for name, values in expected.items():
        assert found[name]["r"].tolist() == pytest.approx(values)


@pytest.mark.parametrize("settled", [18.0, -18.0])
def test_a_gate_that_has_settled_still_orders_clips(settled: float) -> None:
    """Its weight is within 1e-7 of 0 or 1, where float32 knows no steps on one of the two sides."""
    logits = torch.stack([settled + torch.linspace(0.0, 1.0, 9), torch.zeros(9)], dim=1)
    weights = {"r": logits.softmax(dim=1)}
    joint = {"r": torch.cat([logits, torch.zeros(9, 1)], dim=1).softmax(dim=1)}
    found = gate_scores({"audio": weights, "visual": weights, "audio_visual": joint})
    assert (found[STAGE_1["audio"]]["r"].diff() > 0).all()
    assert (found[STAGE_2["audio"]]["r"].diff() < 0).all()


def test_traces_of_runs_are_predicted_again(tmp_path: Path, one_thread: None) -> None:
    config = tiny_run(tmp_path)
    gated = replace(config, model=replace(config.model, fusion="iaca"))
    plain, run = (execute_run(each, tmp_path / "out", "cpu") for each in (config, gated))
    (own,) = reported_traces([run], tmp_path / "out")
    assert set(own.gates) == {"audio", "visual", "audio_visual"}
    for name, predictions in run.predictions.items():
        torch.testing.assert_close(own.predictions[name], predictions)
    (hot,) = reported_traces([run], tmp_path / "out", temperature=1e4)
    for traces in hot.gates.values():
        for weights in traces.values():
            even = torch.full_like(weights, 1 / weights.shape[1])
            torch.testing.assert_close(weights, even, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="'plain' has no gates"):
        reported_traces([plain], tmp_path / "out", temperature=1.0)
    other = plain._replace(config=replace(plain.config, seed=1))
    assert len({id(each.store) for each in load_models([plain, other], tmp_path / "out")}) == 1
    found = reported_traces([other, plain, plain], tmp_path / "out")  # folds are put together
    assert len(found) == 2 and found[0].predictions.keys() == plain.predictions.keys()
    assert found[0].gates == {}


def test_norms_are_about_one_on_what_they_were_fitted_to(store: RecordingStore) -> None:
    found = feature_norms(store, store, SPLIT.train)
    squares = torch.cat([found[NORM["audio"]][name] for name in SPLIT.train]).square()
    assert float(squares.mean()) == pytest.approx(1.0, abs=1e-5)
    x = torch.cat([store[name].visual for name in SPLIT.train]).double().numpy()
    z = (store["r3"].visual.double().numpy() - x.mean(axis=0)) / x.std(axis=0)
    expected = np.linalg.norm(z, axis=1) / np.sqrt(VISUAL_DIM)
    np.testing.assert_allclose(found[NORM["visual"]]["r3"].numpy(), expected, atol=1e-5)


def test_the_correlation_is_canonical(coupled: RecordingStore) -> None:
    """Singular values of the whitened cross-covariance are the canonical correlations."""
    found = lack_of_correlation(coupled, [*SPLIT.train, "r3"], SPLIT.train)
    parts = []
    for modality in MODALITIES:
        x = torch.cat([getattr(coupled[name], modality) for name in SPLIT.train]).double().numpy()
        parts.append(np.linalg.qr(x - x.mean(axis=0))[0])
    canonical = np.linalg.svd(parts[0].T @ parts[1], compute_uv=False)[:2]
    lack = torch.cat([found[name] for name in SPLIT.train])
    assert -float(lack.mean()) == pytest.approx(canonical.mean(), abs=1e-3)
    new = found["r3"]
    assert new[50:].mean() > new[:50].mean() + 0.2  # where the coupling is cut


def test_disagreement_is_a_mean_over_targets() -> None:
    audio, visual = {"r": torch.tensor([[0.1, 0.5]])}, {"r": torch.tensor([[0.3, -0.5]])}
    assert disagreement(audio, visual)["r"].tolist() == pytest.approx([0.6])
    with pytest.raises(ValueError, match="different recordings"):
        disagreement(audio, {})


def test_simple_scores_are_fitted_on_train_and_scored_where_asked(coupled: RecordingStore) -> None:
    found = simple_scores(coupled, SPLIT, ["r2", "r3"])
    assert set(found) == {*NORM.values(), CORRELATION, RIDGE_DISAGREEMENT}
    for scores in found.values():
        assert set(scores) == {"r2", "r3"}
        assert all(values.shape == (60,) and values.isfinite().all() for values in scores.values())
    audio, visual = (ridge_predictions(coupled, SPLIT, [modality])["r3"] for modality in MODALITIES)
    due = ((audio[:, 0] - visual[:, 0]).abs() + (audio[:, 1] - visual[:, 1]).abs()) / 2
    torch.testing.assert_close(found[RIDGE_DISAGREEMENT]["r3"], due)


@pytest.mark.parametrize("attention", ["ca", "tca"])
def test_evenness_is_an_entropy_over_clips(store: RecordingStore, attention: str) -> None:
    model = toy_regressor(attention, "plain").train()
    found = attention_evenness(model, store, ["r2", "r3"])
    assert model.training
    batch = gather(store, evaluation_windows(store, ["r2"], L), L)
    model.eval()
    with torch.no_grad():
        encoded = model.encode(batch.audio, batch.visual)
        maps = model.fusion.attention(*encoded, return_scores=True).scores
    for modality in MODALITIES:
        a = maps[f"a_{modality}"].double().numpy()
        entropy = -(a * np.log(a)).sum(axis=-2 if attention == "ca" else -1) / np.log(L)
        due = entropy if attention == "ca" else entropy.mean(axis=1)
        # Of the 10 clips, the last window reads 6 to 9 and gives 8 and 9; that before gives 6, 7.
        trace = found[EVENNESS[modality]]["r2"]
        np.testing.assert_allclose(trace, np.concatenate([due[0], due[1], due[2, 2:]]), atol=1e-6)
        assert found[EVENNESS[modality]]["r3"].isnan().all()  # shorter than a window


@pytest.mark.parametrize("attention", ["jca", "rjca"])
def test_some_attentions_have_no_maps_over_clips(store: RecordingStore, attention: str) -> None:
    with pytest.raises(ValueError, match="expected ca or tca"):
        attention_evenness(toy_regressor(attention), store, ["r0"])


def test_smoothing_is_a_running_mean() -> None:
    values = {"r": torch.tensor([1.0, 2.0, 6.0, 3.0])}
    assert smoothed(values, 3)["r"].tolist() == pytest.approx([1.5, 3.0, 11 / 3, 4.5])
    assert smoothed(values, 1)["r"].tolist() == [1.0, 2.0, 6.0, 3.0]
    assert smoothed(values, 99)["r"].tolist() == pytest.approx([3.0] * 4)
    for bad in (0, 2):
        with pytest.raises(ValueError, match="odd"):
            smoothed(values, bad)
