"""What scores a clip: gates in the paper's direction, and detectors written out again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toys import AUDIO_DIM, VISUAL_DIM, tiny_run, toy_info, toy_recording, toy_store

from companion.analysis.ridge import MODALITIES, ridge_predictions
from companion.chapters.gate_diagnosis.detectors import (
    CORRELATION,
    EVENNESS,
    GATE_SCORES,
    NORM,
    RIDGE_DISAGREEMENT,
    STAGE_1,
    STAGE_2,
    attention_evenness,
    disagreement,
    feature_norms,
    fit_correlation,
    gate_scores,
    reported_traces,
    simple_scores,
    smoothed,
)
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import evaluation_windows, feature_statistics, gather
from iaca.learning.evaluation import predict
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.runs import execute_run
from iaca.sources.loading import open_data
from iaca.sources.writing import write_store

L = 4
SPLIT = Split(train=("r0", "r1"), select=("r2",), report=("r3",))


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return toy_store(tmp_path / "store", (30, 30, 10, 3), dtype=torch.float32)


def regressor(attention: str, fusion: str = "plain", **options: Any) -> AffectRegressor:
    torch.manual_seed(1)
    config = ModelConfig(attention, fusion, dim=8, window=L, encoder_norm="none", **options)
    return AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2).eval()


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
            torch.testing.assert_close(
                weights, torch.full_like(weights, 1 / weights.shape[1]), atol=1e-3, rtol=0
            )
    # Stage 1's two weights are squeezed, but clips keep their order at every temperature.
    for gate in (STAGE_1["audio"], STAGE_1["visual"]):
        for name in own.predictions:
            order = [gate_scores(each.gates)[gate][name].argsort() for each in (own, hot)]
            agree = (order[0] == order[1]).float().mean()
            assert agree > 0.5  # neighbours within rounding may change places
    with pytest.raises(ValueError, match="no gates"):
        reported_traces([plain], tmp_path / "out", temperature=1.0)


def test_folds_of_a_seed_are_put_together(tmp_path: Path, one_thread: None) -> None:
    run = execute_run(tiny_run(tmp_path), tmp_path / "out", "cpu")
    other = run._replace(config=replace(run.config, seed=1))
    found = reported_traces([other, run, run], tmp_path / "out")
    _, split = open_data(run.config.data, tmp_path / "out" / "data")
    assert len(found) == 2 and [*found[0].predictions] == [*split.report]
    assert found[0].gates == {}


def test_norms_are_about_one_on_what_they_were_fitted_to(store: RecordingStore) -> None:
    statistics = dict(zip(MODALITIES, feature_statistics(store, SPLIT.train), strict=True))
    found = feature_norms(store, store, statistics)
    squares = torch.cat([found[NORM["audio"]][name] for name in SPLIT.train]).square()
    assert float(squares.mean()) == pytest.approx(1.0, abs=1e-5)
    x = torch.cat([store[name].visual for name in SPLIT.train]).double().numpy()
    z = (store["r3"].visual.double().numpy() - x.mean(axis=0)) / x.std(axis=0)
    expected = np.linalg.norm(z, axis=1) / np.sqrt(VISUAL_DIM)
    np.testing.assert_allclose(found[NORM["visual"]]["r3"].numpy(), expected, atol=1e-5)


def coupled(path: Path) -> RecordingStore:
    """The first visual feature follows the first audio feature, except in the last 10 rows."""
    recordings = []
    for number in range(4):
        made = toy_recording(f"r{number}", f"s{number}", 60, number)
        visual = made.visual.clone()
        visual[:50, 0] = made.audio[:50, 0] + 0.3 * visual[:50, 0]
        recordings.append(replace(made, visual=visual))
    return write_store(path, recordings, toy_info(), dtype=torch.float32)


def test_the_correlation_is_canonical(tmp_path: Path) -> None:
    """Singular values of the whitened cross-covariance are the canonical correlations."""
    store = coupled(tmp_path / "store")
    fitted = fit_correlation(store, SPLIT.train)
    parts = []
    for modality in MODALITIES:
        x = torch.cat([getattr(store[name], modality) for name in SPLIT.train]).double().numpy()
        parts.append(np.linalg.qr(x - x.mean(axis=0))[0])
    canonical = np.linalg.svd(parts[0].T @ parts[1], compute_uv=False)[:2]
    lack = torch.cat([fitted.lack(store[name]) for name in SPLIT.train])
    assert -float(lack.mean()) == pytest.approx(canonical.mean(), abs=1e-3)
    audio, visual = fitted.variates(store["r0"])
    assert audio.shape == visual.shape == (60, 2)
    new = fitted.lack(store["r3"])
    assert new[50:].mean() > new[:50].mean() + 0.2  # where the coupling is cut


def test_disagreement_is_a_mean_over_targets() -> None:
    audio, visual = {"r": torch.tensor([[0.1, 0.5]])}, {"r": torch.tensor([[0.3, -0.5]])}
    assert disagreement(audio, visual)["r"].tolist() == pytest.approx([0.6])
    with pytest.raises(ValueError, match="different recordings"):
        disagreement(audio, {})


def test_simple_scores_are_fitted_on_train_and_scored_where_asked(tmp_path: Path) -> None:
    store = coupled(tmp_path / "store")
    found = simple_scores(store, SPLIT, ["r2", "r3"])
    assert set(found) == {*NORM.values(), CORRELATION, RIDGE_DISAGREEMENT}
    for scores in found.values():
        assert set(scores) == {"r2", "r3"}
        assert all(values.shape == (60,) and values.isfinite().all() for values in scores.values())
    audio, visual = (ridge_predictions(store, SPLIT, [modality])["r3"] for modality in MODALITIES)
    due = ((audio[:, 0] - visual[:, 0]).abs() + (audio[:, 1] - visual[:, 1]).abs()) / 2
    torch.testing.assert_close(found[RIDGE_DISAGREEMENT]["r3"], due)


@pytest.mark.parametrize("attention", ["ca", "tca"])
def test_evenness_is_an_entropy_over_clips(store: RecordingStore, attention: str) -> None:
    model = regressor(attention)
    found = attention_evenness(model, store, ["r2", "r3"])
    window = evaluation_windows(store, ["r2"], L)[1]
    batch = gather(store, [window], L)
    with torch.no_grad():
        encoded = model.encode(batch.audio, batch.visual)
        maps = model.fusion.attention(*encoded, return_scores=True).scores
    for modality in MODALITIES:
        a = maps[f"a_{modality}"][0].double().numpy()
        entropy = -(a * np.log(a)).sum(axis=-2 if attention == "ca" else -1) / np.log(L)
        due = entropy if attention == "ca" else entropy.mean(axis=0)
        trace = found[EVENNESS[modality]]["r2"]
        np.testing.assert_allclose(trace[4:8].numpy(), due, atol=1e-6)
        assert trace.isfinite().all() and len(trace) == 10
        assert found[EVENNESS[modality]]["r3"].isnan().all()  # shorter than a window


def test_an_overlapping_window_scores_new_clips_only(store: RecordingStore) -> None:
    """Of the 10 clips, the last window reads 6 to 9 and gives 8 and 9; that before gives 6, 7."""
    model = regressor("ca")
    trace = attention_evenness(model, store, ["r2"])[EVENNESS["audio"]]["r2"]
    batch = gather(store, evaluation_windows(store, ["r2"], L), L)
    with torch.no_grad():
        a = model.fusion.attention(*model.encode(batch.audio, batch.visual), True).scores["a_audio"]
    even = torch.special.entr(a.double()).sum(dim=1) / np.log(L)
    torch.testing.assert_close(trace, torch.cat([even[0], even[1], even[2, 2:]]))


def test_some_attentions_have_no_maps_over_clips(store: RecordingStore) -> None:
    for attention in ("jca", "rjca"):
        with pytest.raises(ValueError, match="expected ca or tca"):
            attention_evenness(regressor(attention), store, ["r0"])


def test_evenness_leaves_the_model_as_it_was(store: RecordingStore) -> None:
    model = regressor("ca").train()
    first = attention_evenness(model, store, ["r0"])[EVENNESS["audio"]]["r0"]
    assert model.training
    assert torch.equal(first, attention_evenness(model, store, ["r0"])[EVENNESS["audio"]]["r0"])


def test_gates_of_a_model_are_scored(store: RecordingStore) -> None:
    model = regressor("ca", "iaca", temperature=1.0)
    for parameter in model.fusion.gate_audio_visual.parameters():
        nn.init.zeros_(parameter)
    found = gate_scores(predict(model, store, ["r2"]).gates)
    torch.testing.assert_close(
        found[STAGE_2["visual"]]["r2"], torch.full((10,), 2 / 3, dtype=torch.float64)
    )


def test_smoothing_is_a_running_mean() -> None:
    values = {"r": torch.tensor([1.0, 2.0, 6.0, 3.0])}
    assert smoothed(values, 3)["r"].tolist() == pytest.approx([1.5, 3.0, 11 / 3, 4.5])
    assert smoothed(values, 1)["r"].tolist() == [1.0, 2.0, 6.0, 3.0]
    assert smoothed(values, 99)["r"].tolist() == pytest.approx([3.0] * 4)
    for bad in (0, 2):
        with pytest.raises(ValueError, match="odd"):
            smoothed(values, bad)
