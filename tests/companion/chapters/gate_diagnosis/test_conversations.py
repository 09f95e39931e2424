"""Rank correlation against SciPy, on subjects that are literally drawn; gates of folds together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from toys import tiny_run, toy_info, toy_recording

from companion.analysis.detection import GATE_SCORES, gate_scores
from companion.analysis.estimates import combined
from companion.analysis.inference import resample
from companion.chapters.gate_diagnosis.conversations import declining, rank_correlation
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import predict
from iaca.runs.execution import execute_run
from iaca.sources.loading import open_data
from iaca.sources.writing import write_store

RESAMPLES = 40
ROWS = 24


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """Six subjects with one or two recordings."""
    recordings = []
    for subject in range(6):
        for take in range(1 + subject % 2):
            number = 10 * subject + take
            recordings.append(toy_recording(f"r{number:02}", f"s{subject}", ROWS, number))
    return write_store(tmp_path_factory.mktemp("data") / "store", recordings, toy_info())


def series(store: RecordingStore, seeds: int) -> tuple[list[dict], dict]:
    """A disagreement, and gates that follow it more or less."""
    generator = torch.Generator().manual_seed(7)
    other = {name: torch.rand(ROWS, generator=generator) for name in store}
    gates = [{n: 0.7 * x + torch.rand(ROWS, generator=generator) for n, x in other.items()}
             for _ in range(seeds)]  # fmt: skip
    return gates, other


def test_rank_correlation_is_scipys_averaged(store: RecordingStore) -> None:
    gates, other = series(store, 3)
    found = rank_correlation(gates, other, store, RESAMPLES)
    each = np.array(
        [[spearmanr(gate[n], other[n]).statistic for n in sorted(store)] for gate in gates]
    )
    assert found.value == pytest.approx(each.mean())
    owner = [int(store.entries[name].subject[1:]) for name in sorted(store)]
    drawn = resample(6, 3, RESAMPLES).subjects.numpy()
    means = [np.average(each.mean(axis=0), weights=times[owner]) for times in drawn]
    seeds = each.mean(axis=1).var(ddof=1) / 3
    error, freedom = combined(seeds, 3, np.var(means) * 6 / 5, 6)
    assert (found.error, found.freedom) == (pytest.approx(error), pytest.approx(freedom))
    assert (found.n, found.subjects) == (3, 6)


def test_a_recording_in_which_nothing_moves_is_left_out(store: RecordingStore) -> None:
    (gate,), other = series(store, 1)
    still = torch.full((ROWS,), 0.1)  # a number that is not exact
    gate["r00"] = other["r00"] = still
    other["r10"] = still  # where one of the two moves it follows nothing: 0
    found = rank_correlation([gate], other, store, RESAMPLES)
    rest = [spearmanr(gate[n], other[n]).statistic for n in store if n not in ("r00", "r10")]
    assert found.value == pytest.approx(np.mean([*rest, 0.0]))
    assert np.isnan(found.low)  # of one seed there is no interval


def test_declining_is_that_of_the_reported_recordings(tmp_path: Path, one_thread: None) -> None:
    config = tiny_run(tmp_path)
    gated = replace(config, model=replace(config.model, fusion="iaca"))
    run = execute_run(gated, tmp_path / "out", "cpu")
    (found,) = declining([gated, gated], tmp_path / "out", "cpu")
    store, split = open_data(gated.data, tmp_path / "out" / "data")
    gates = gate_scores(predict(run.model(store), store, split.report).gates)
    assert tuple(found) == GATE_SCORES
    for gate, scores in gates.items():
        for name, values in scores.items():
            torch.testing.assert_close(found[gate][name], values)
