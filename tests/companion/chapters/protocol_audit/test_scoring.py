"""Choices of an evaluation against plain loops over the very same draws, and against NumPy."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from toys import tiny_run, toy_info, toy_recording

from companion.analysis.inference import Resamples, contrast, moments, resample
from companion.chapters.protocol_audit import scoring as audit
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import score
from iaca.learning.protocol import STRICT, Protocol
from iaca.runs.execution import execute_run
from iaca.runs.runs import Run, RunConfig
from iaca.sources.writing import write_store

Array = NDArray[np.float64]
Traces = dict[str, Tensor]
SEEDS, SUBJECTS, DRAWS, ROWS = 3, 5, 40, 6
SMOOTH = Protocol(smooth_valence=3, smooth_arousal=4, smoothing_padding="zero")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """Five subjects with two recordings of 12 rows, some without labels."""
    recordings = [
        toy_recording(f"s{s}_{take}", f"s{s}", 12, 10 * s + take, invalid=[take, s + 4])
        for s in range(SUBJECTS)
        for take in range(2)
    ]
    return write_store(tmp_path_factory.mktemp("data") / "store", recordings, toy_info())


def predictions(store: RecordingStore, noise: float = 0.3) -> list[Traces]:
    """Labels with noise, on another scale, moved; where there is no label, anything finite."""
    made = []
    for seed in range(SEEDS):
        generator = torch.Generator().manual_seed(seed)
        made.append(
            {
                name: 1.6 * recording.labels.nan_to_num(0.7)
                + 0.1
                + noise * torch.randn(recording.labels.shape, generator=generator)
                for name, recording in store.items()
            }
        )
    return made


@pytest.fixture(scope="module")
def draws() -> Resamples:
    return resample(SUBJECTS, SEEDS, DRAWS)


def drawn_subjects(draws: Resamples, number: int) -> list[str]:
    return [f"s{s}" for s, n in enumerate(draws.subjects[number]) for _ in range(int(n))]


def pairs_of(store: RecordingStore, traces: Traces, subject: str) -> list[tuple[Array, Array]]:
    """Predictions and labels of a subject's recordings."""
    names = [f"{subject}_{take}" for take in range(2)]
    return [(traces[n].double().numpy(), store[n].labels.double().numpy()) for n in names]


def ccc(x: Array, y: Array) -> Array:
    found = []
    for a, b in zip(x.T, y.T, strict=True):
        a, b = a[~np.isnan(b)], b[~np.isnan(b)]
        both = np.cov(a, b, bias=True)
        found.append(2 * both[0, 1] / (both[0, 0] + both[1, 1] + (a.mean() - b.mean()) ** 2))
    return np.array(found)


def scaled(x: Array, y: Array) -> tuple[Array, Array]:
    valid = ~np.isnan(y)
    x = np.where(valid, x, np.nan)
    return tuple(  # type: ignore[return-value]
        (v - np.nanmin(v, axis=0)) / (np.nanmax(v, axis=0) - np.nanmin(v, axis=0)) for v in (x, y)
    )


@pytest.mark.parametrize(
    "protocol",
    [STRICT, SMOOTH, Protocol(invalid_frames="zero_pairs"), Protocol(clip=True)],
    ids=["strict", "smoothing", "zero pairs", "clipping"],
)
def test_the_pooled_score_is_the_protocols(
    store: RecordingStore, draws: Resamples, protocol: Protocol
) -> None:
    said = predictions(store)
    for rows in (None, ROWS):  # however the recordings are cut
        found = audit.pooled(audit.cut(said, store, protocol, rows), draws)
        for seed, traces in enumerate(said):
            expected = list(score(traces, store, protocol).pooled.values())
            np.testing.assert_allclose(found.whole[seed], expected, rtol=1e-9)


def test_differences_are_those_of_the_paired_bootstrap(store: RecordingStore) -> None:
    said, other = predictions(store), predictions(store, noise=0.6)
    draws = resample(SUBJECTS, SEEDS, DRAWS, seed=0)
    both = (audit.pooled(audit.cut(each, store), draws) for each in (said, other))
    expected = contrast([(1, moments(said, store)), (-1, moments(other, store))], DRAWS)
    for mine, theirs in zip(audit.gains(*both, draws), expected, strict=True):
        assert mine == pytest.approx(theirs)


def test_min_max_takes_the_extremes_of_who_was_drawn(
    store: RecordingStore, draws: Resamples
) -> None:
    said = predictions(store)
    found = audit.min_max(audit.cut(said, store), draws)
    for seed, traces in enumerate(said):
        expected = list(score(traces, store, Protocol(min_max=True)).pooled.values())
        np.testing.assert_allclose(found.whole[seed], expected, rtol=1e-9)
        for number in range(DRAWS):
            pairs = [p for s in drawn_subjects(draws, number) for p in pairs_of(store, traces, s)]
            x, y = (np.concatenate(values) for values in zip(*pairs, strict=True))
            np.testing.assert_allclose(found.draws[number, seed], ccc(*scaled(x, y)), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("shuffled", [None, 7])
def test_batches_are_filled_with_who_was_drawn_one_behind_the_other(
    store: RecordingStore, draws: Resamples, size: int, shuffled: int | None
) -> None:
    said = predictions(store)
    found = audit.in_batches(audit.cut(said, store, rows=ROWS), size, draws, shuffled)
    order = list(range(SUBJECTS * 4))
    if shuffled is not None:
        generator = torch.Generator().manual_seed(shuffled)
        order = torch.randperm(len(order), generator=generator).tolist()

    def batched(traces: Traces, subjects: list[str]) -> Array:
        pieces = [
            (x[r : r + ROWS], y[r : r + ROWS])
            for s in subjects
            for x, y in pairs_of(store, traces, s)
            for r in range(0, 12, ROWS)
        ]
        pieces = [pieces[i] for i in order]
        values = []
        for start in range(0, len(pieces), size):
            x, y = (np.concatenate(v) for v in zip(*pieces[start : start + size], strict=True))
            values.append(ccc(x, y))
        return np.mean(values, axis=0)

    for seed, traces in enumerate(said):
        everybody = [f"s{s}" for s in range(SUBJECTS)]
        np.testing.assert_allclose(found.whole[seed], batched(traces, everybody), rtol=1e-9)
        for number in range(0, DRAWS, 7):
            expected = batched(traces, drawn_subjects(draws, number))
            np.testing.assert_allclose(found.draws[number, seed], expected, rtol=1e-9)


def test_one_batch_of_everything_is_pooled_and_one_recording_a_batch_their_mean(
    store: RecordingStore, draws: Resamples
) -> None:
    said = predictions(store)
    pieces = audit.cut(said, store)
    everything = audit.in_batches(pieces, 2 * SUBJECTS, draws)
    torch.testing.assert_close(everything.draws, audit.pooled(pieces, draws).draws)
    expected = [score(traces, store).per_recording.mean().to_numpy() for traces in said]
    np.testing.assert_allclose(audit.in_batches(pieces, 1, draws).whole, expected, rtol=1e-9)


def test_subjects_with_other_numbers_of_pieces_are_refused(tmp_path: Path) -> None:
    recordings = [toy_recording("a", "anna", 12), toy_recording("b", "bert", 18)]
    store = write_store(tmp_path / "store", recordings, toy_info())
    said = [{name: torch.zeros(len(store[name]), 2) for name in store}]
    with pytest.raises(ValueError, match=r"anna.: 2, .bert.: 3"):
        audit.cut(said, store, rows=6)


def test_labels_are_altered_as_asked(store: RecordingStore) -> None:
    shift = torch.tensor([0.5, -0.2])
    altered = audit.Altered(store, 0.25, shift, seed=3)
    for name, recording in store.items():
        labels = altered[name].labels
        gone = labels.isnan().all(dim=1) & ~recording.labels.isnan().all(dim=1)
        hit = labels.isnan().all(dim=1)
        assert 0 < int(gone.sum()) <= 3 and int(hit.sum()) <= 3 + 2
        kept = ~labels.isnan()
        torch.testing.assert_close(labels[kept], (recording.labels + shift)[kept])
        again = audit.Altered(store, 0.25, shift, seed=3)[name].labels
        assert torch.equal(again.isnan(), labels.isnan())
    moved = altered.moved({"s0_0": torch.zeros(2, 2)})
    torch.testing.assert_close(moved["s0_0"], shift.expand(2, 2))


def test_moving_predictions_and_labels_changes_no_strict_score(
    store: RecordingStore, draws: Resamples
) -> None:
    said = predictions(store)
    plain, there = audit.Altered(store, 0.25), audit.Altered(store, 0.25, torch.tensor([0.5, -0.2]))
    one = audit.cut(said, plain)
    other = audit.cut([there.moved(seed) for seed in said], there)
    torch.testing.assert_close(
        audit.pooled(one, draws).draws, audit.pooled(other, draws).draws, atol=1e-6, rtol=0
    )
    moved = audit.moved_sums(one.sums, there.shift, there.shift)
    torch.testing.assert_close(moved, other.sums, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("x_mean", "y_mean"), [(0.4, 0.3), (0.4, -0.3), (0.0, 0.3)])
def test_the_closed_form_is_what_pairs_of_zeros_do(x_mean: float, y_mean: float) -> None:
    rng = np.random.default_rng(0)
    y = rng.standard_normal((80, 1))
    x = 0.6 * y + 0.5 * rng.standard_normal((80, 1))
    x, y = x - x.mean() + x_mean, y - y.mean() + y_mean
    parts = [np.ones_like(x), x, y, x * x, y * y, x * y]
    sums = torch.tensor(np.array([part.sum(axis=0) for part in parts]))
    zeros = np.zeros((20, 1))
    expected = ccc(np.concatenate([x, zeros]), np.concatenate([y, zeros]))
    np.testing.assert_allclose(audit.with_zero_pairs(sums, 0.2), expected, rtol=1e-12)
    change = float(expected[0] - ccc(x, y)[0])
    assert np.sign(round(change, 12)) == np.sign(x_mean * y_mean)


def run_with(folder: Path, seed: int, losses: list[float], scores: list[list[float]]) -> Run:
    folder.mkdir()
    columns = ["select_mean", "select_valence", "select_arousal"]
    history = pd.DataFrame(scores, columns=columns).assign(loss=losses)
    history.to_csv(folder / "history.csv", index=False)
    return Run(RunConfig(seed=seed), folder, {})


def test_epochs_are_chosen_on_one_set_and_scored_on_the_other(tmp_path: Path) -> None:
    on_select = run_with(
        tmp_path / "select",
        4,
        [3.0, 2.0, 1.0],
        [[0.2, 0.9, 0.1], [np.nan, 0.1, np.nan], [0.3, 0.2, 0.4]],
    )
    on_report = run_with(
        tmp_path / "report",
        4,
        [3.0, 2.5, 1.0],
        [[0.35, 0.10, 0.62], [0.45, 0.60, 0.32], [0.4, 0.50, 0.31]],
    )
    found = audit.choose_epochs([on_select], [on_report], ["valence", "arousal"])
    assert found.select_one.tolist() == [[0.50, 0.31]]
    assert found.select_each.tolist() == [[0.10, 0.31]]
    assert found.report_one.tolist() == [[0.60, 0.32]]
    assert found.report_each.tolist() == [[0.60, 0.62]]
    assert found.apart == 0.5
    other = on_report._replace(config=RunConfig(seed=5))
    with pytest.raises(ValueError, match="different seeds"):
        audit.choose_epochs([on_select], [other], ["valence", "arousal"])


@pytest.mark.usefixtures("one_thread")
def test_selecting_on_report_is_the_same_training_and_never_reports_less(tmp_path: Path) -> None:
    config = tiny_run(tmp_path)
    config = replace(config, training=replace(config.training, epochs=6, learning_rate=2e-2))
    strict = execute_run(config, tmp_path / "out", "cpu")
    chosen = replace(config, protocol=Protocol(selection="report"))
    report = execute_run(chosen, tmp_path / "out", "cpu")
    found = audit.choose_epochs([strict], [report], ["valence", "arousal"])
    assert found.apart == 0.0
    np.testing.assert_allclose(found.select_one[0], [*strict.metrics["report"].values()])
    np.testing.assert_allclose(found.report_one[0], [*report.metrics["report"].values()])
    assert found.report_each.mean() >= found.report_one.mean() >= found.select_one.mean()


def test_what_is_known_by_seed_alone_has_no_bounds() -> None:
    valence, arousal, mean = audit.over_seeds(torch.tensor([[0.1, 0.3], [0.3, 0.5]]))
    assert (valence.value, arousal.value, mean.value) == pytest.approx((0.2, 0.4, 0.3))
    assert mean.deviation == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert np.isnan([mean.low, mean.high]).all() and mean.seeds == 2
    assert np.isnan(audit.over_seeds(torch.tensor([[0.1, 0.3]]))[0].deviation)
