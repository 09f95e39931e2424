"""Bootstrap intervals against a naive loop over the same draws."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import toy_info, toy_recording

from companion.analysis.inference import (
    Interval,
    Moments,
    ccc_intervals,
    ccc_of_sums,
    contrast,
    moments,
    resample,
    seed_interval,
)
from iaca.data.recordings import RecordingStore
from iaca.learning.metrics import ccc
from iaca.sources.writing import write_store

RESAMPLES = 60
Traces = dict[str, Tensor]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """Five subjects with one to three recordings of different lengths, some rows unlabelled."""
    recordings = []
    for subject in range(5):
        for take in range(1 + subject % 3):
            number, rows = 10 * subject + take, 8 + 5 * take + subject
            recordings.append(
                toy_recording(f"r{number}", f"s{subject}", rows, number, invalid=[0, take + 2])
            )
    return write_store(tmp_path_factory.mktemp("data") / "store", recordings, toy_info())


def predictions(store: RecordingStore, noise: float, seeds: int, start: int = 0) -> list[Traces]:
    """Labels with noise; at rows without a label anything, NaN included."""
    made = []
    for seed in range(start, start + seeds):
        generator = torch.Generator().manual_seed(seed)
        traces = {}
        for name, recording in store.items():
            error = torch.randn(recording.labels.shape, generator=generator)
            traces[name] = recording.labels + (noise + 0.05 * seed) * error
        made.append(traces)
    return made


def pooled(store: RecordingStore, traces: Traces, subjects: Sequence[str]) -> np.ndarray:
    """CCC over the recordings of subjects, those named twice counted twice."""
    names = [n for s in subjects for n in store if store.entries[n].subject == s]
    labels = torch.cat([store[name].labels for name in names])
    return ccc(torch.cat([traces[name] for name in names]), labels).numpy()


def by_seed(store: RecordingStore, model: list[Traces]) -> np.ndarray:
    """``(S, n + 1)`` on the whole sample, the mean over targets last."""
    values = np.array([pooled(store, traces, store.subjects()) for traces in model])
    return np.column_stack([values, values.mean(axis=1)])


def naive_samples(store: RecordingStore, model: list[Traces], seed: int) -> np.ndarray:
    """The bootstrap as one would write it down, ``(R, n + 1)``, the mean over targets last."""
    subjects = store.subjects()
    draws = resample(len(subjects), len(model), RESAMPLES, seed)
    samples = []
    for who, which in zip(draws.subjects.int().tolist(), draws.seeds.int().tolist(), strict=True):
        drawn = np.repeat(subjects, who).tolist()
        seeds = [traces for traces, n in zip(model, which, strict=True) for _ in range(n)]
        value = np.mean([pooled(store, traces, drawn) for traces in seeds], axis=0)
        samples.append([*value, value.mean()])
    return np.array(samples)


def test_sums_give_the_ccc_of_everybody_and_of_each_subject(store: RecordingStore) -> None:
    model = predictions(store, 0.2, 3)
    found = moments(model, store)
    assert found.sums.shape == (3, 5, 6, 2)
    assert found.subjects == tuple(f"s{n}" for n in range(5))
    whole, each = ccc_of_sums(found.sums.sum(dim=1)), ccc_of_sums(found.sums)
    for seed, traces in enumerate(model):
        np.testing.assert_allclose(whole[seed], pooled(store, traces, store.subjects()), atol=1e-9)
        for place, subject in enumerate(found.subjects):
            expected = pooled(store, traces, [subject])
            np.testing.assert_allclose(each[seed, place], expected, atol=1e-9)


def test_sums_are_exact_enough_far_from_zero() -> None:
    x = torch.linspace(0.990, 0.991, 50, dtype=torch.float64)[:, None]
    y = x.flip(0)
    sums = torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y]).sum(dim=1)
    assert float(ccc_of_sums(sums)) == pytest.approx(float(ccc(x, y)), abs=1e-6)


@pytest.mark.parametrize(
    "weights", [(1.0,), (1.0, -1.0), (1.0, -1.0, -1.0, 1.0)], ids=["score", "Δ", "Δ of Δ"]
)
def test_intervals_are_a_naive_bootstraps_on_the_same_draws(
    store: RecordingStore, weights: tuple[float, ...]
) -> None:
    models = [
        predictions(store, noise, 3, start)
        for noise, start in ((0.2, 0), (0.4, 10), (0.3, 20), (0.6, 30))
    ][: len(weights)]
    terms = list(zip(weights, models, strict=True))
    found = contrast([(w, moments(m, store)) for w, m in terms], RESAMPLES, seed=4)
    samples = sum(w * naive_samples(store, m, 4) for w, m in terms)
    low, high = np.quantile(samples, [0.025, 0.975], axis=0)
    values = sum(w * by_seed(store, m) for w, m in terms)
    expected = np.stack([values.mean(axis=0), low, high, values.std(axis=0, ddof=1)], axis=1)
    np.testing.assert_allclose([interval[:4] for interval in found], expected, atol=1e-9)
    assert {interval[4:] for interval in found} == {(3, 5)}
    assert len(found) == 3  # valence, arousal, their mean
    if len(weights) == 1:
        assert found == ccc_intervals(moments(models[0], store), RESAMPLES, seed=4)
        assert found != ccc_intervals(moments(models[0], store), RESAMPLES, seed=5)
    if len(weights) == 2:
        assert all(interval.low > 0.0 for interval in found)  # less noise is better


def test_moments_in_a_state_are_those_of_its_clips(tmp_path: Path) -> None:
    """The third subject has no clip in state 1, and keeps a place with nothing in it."""
    recordings = [
        replace(toy_recording(f"r{n}", f"s{n}", 30, n, invalid=[4]), state=torch.arange(30) % 3)
        for n in range(3)
    ]
    recordings[2] = replace(recordings[2], state=torch.zeros(30, dtype=torch.int64))
    store = write_store(tmp_path / "states", recordings, toy_info())
    model = predictions(store, 0.3, 2)
    found = moments(model, store, 1)
    assert found.subjects == ("s0", "s1", "s2") and not found.sums[:, 2].any()
    here = torch.arange(30) % 3 == 1
    for seed, traces in enumerate(model):
        expected = ccc(
            torch.cat([traces[name][here] for name in ("r0", "r1")]),
            torch.cat([store[name].labels[here] for name in ("r0", "r1")]),
        )
        torch.testing.assert_close(ccc_of_sums(found.sums.sum(dim=1))[seed], expected)
    assert math.isfinite(ccc_intervals(found, 200)[-1].low)  # some draws hold the third alone
    with pytest.raises(ValueError, match="state 6"):
        moments(model, store, 6)


def test_a_seed_interval_weighs_seeds_as_drawn() -> None:
    draws = resample(4, 2, 200, seed=1)
    by_seed = torch.tensor([1.0, 3.0], dtype=torch.float64)
    drawn = by_seed.repeat(200, 1)
    drawn[7] = torch.nan  # a draw of subjects that has no such number
    found = seed_interval(drawn, by_seed, draws)
    assert found == Interval(2.0, 1.0, 3.0, pytest.approx(math.sqrt(2.0)), 2, 4)
    assert str(found) == "2.000 [1.000, 3.000]"
    alone = seed_interval(drawn[:, :1], by_seed[:1], resample(4, 1, 200))
    assert alone[:3] == (1.0, 1.0, 1.0) and math.isnan(alone.deviation)


def test_pairing_cancels_what_the_models_share(store: RecordingStore) -> None:
    base = predictions(store, 0.4, 2)
    better = [{n: x - 0.1 * (x - store[n].labels) for n, x in seed.items()} for seed in base]
    one, other = moments(better, store), moments(base, store)
    paired = contrast([(1, one), (-1, other)], 400)[-1]
    apart = [ccc_intervals(model, 400)[-1] for model in (one, other)]
    assert paired.high - paired.low < 0.5 * min(i.high - i.low for i in apart)
    same = contrast([(1, one), (-1, one)], RESAMPLES)
    assert all(interval[:4] == (0.0, 0.0, 0.0, 0.0) for interval in same)


def synthetic_moments(subjects: int, seeds: int, spread: float = 0.0) -> Moments:
    """Subjects of 30 clips; seed k's predictions are scaled by ``1 - k spread``."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(subjects, 30, 1, generator=generator, dtype=torch.float64)
    error = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    rows = []
    for seed in range(seeds):
        x = (1.0 - seed * spread) * (y + error)
        rows.append(torch.stack([torch.ones_like(x), x, y, x * x, y * y, x * y], dim=1).sum(dim=2))
    return Moments(torch.stack(rows), tuple(str(n) for n in range(subjects)))


def test_more_subjects_narrow_the_interval_and_seeds_that_differ_widen_it() -> None:
    def width(*made: float) -> float:
        found = ccc_intervals(synthetic_moments(*made), 400)[0]  # type: ignore[arg-type]
        return found.high - found.low

    # The error falls with the root of the number: a factor of about 2.8 each time.
    few, more, many = (width(subjects, 1) for subjects in (5, 40, 320))
    assert few > 1.7 * more > 1.7 * 1.7 * many > 0.0
    assert width(1, 4) == pytest.approx(0.0, abs=1e-12)  # one subject, equal seeds
    assert width(1, 4, 0.2) > 0.05


def test_a_resample_draws_as_many_with_replacement() -> None:
    draws = resample(7, 3, 500, seed=2)
    assert (draws.subjects.shape, draws.seeds.shape) == ((500, 7), (500, 3))
    assert (draws.subjects.sum(dim=1) == 7).all() and (draws.seeds.sum(dim=1) == 3).all()
    np.testing.assert_allclose(draws.subjects.mean(dim=0), 1.0, atol=0.2)
    again, other = resample(7, 3, 500, seed=2), resample(7, 3, 500, seed=3)
    assert all(torch.equal(*pair) for pair in zip(draws, again, strict=True))
    assert not torch.equal(other.subjects, draws.subjects)


def test_constant_traces_are_degenerate_as_in_the_metric(tmp_path: Path) -> None:
    """Both constant is not a number, one constant is 0: whatever rounding does to the sums."""
    still = replace(toy_recording(rows=7), labels=torch.full((7, 2), 0.1))
    lively = toy_recording("two", "bob", rows=9)
    store = write_store(tmp_path / "store", [still, lively], toy_info())
    constant = {name: torch.full((store.entries[name].rows, 2), 0.1) for name in store}
    found = ccc_of_sums(moments([constant], store).sums)[0]  # (subjects, targets)
    for subject, name in ((0, "one"), (1, "two")):
        due = ccc(constant[name], store[name].labels)
        torch.testing.assert_close(found[subject], due, atol=1e-6, rtol=0, equal_nan=True)


def test_a_subject_without_labels_does_not_void_the_interval(tmp_path: Path) -> None:
    recordings = [toy_recording(f"r{n}", f"s{n}", seed=n) for n in range(2)]
    recordings.append(toy_recording("r2", "s2", invalid=range(20)))
    store = write_store(tmp_path / "store", recordings, toy_info())
    for interval in ccc_intervals(moments(predictions(store, 0.2, 1), store), 200):
        assert math.isfinite(interval.low) and math.isfinite(interval.high)


def test_what_cannot_be_compared_is_refused(store: RecordingStore) -> None:
    one, two = predictions(store, 0.2, 2)
    with pytest.raises(ValueError, match="different recordings"):
        moments([one, {name: two[name] for name in list(two)[1:]}], store)
    model = moments([one, two], store)
    fewer_seeds = Moments(model.sums[:1], model.subjects)
    other_people = Moments(model.sums, tuple(f"x{name}" for name in model.subjects))
    for other in (fewer_seeds, other_people):
        with pytest.raises(ValueError, match="the same subjects and seeds"):
            contrast([(1.0, model), (0.5, model), (-1.0, other)], RESAMPLES)
