"""AUROC against scikit-learn on literally resampled clips; rank correlation against SciPy."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch import Tensor
from toys import toy_info, toy_recording

from companion.analysis.inference import Interval, ccc_of_sums, resample
from companion.chapters.gate_diagnosis.auroc import (
    WEAK,
    auroc,
    auroc_by_seed,
    auroc_difference,
    mean_by_disagreement,
    moments_in_states,
    rank_correlation,
    score_table,
    separation,
    separation_within,
    sign_on,
    weak_states,
)
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.learning.metrics import ccc
from iaca.sources.writing import write_store

RESAMPLES = 40
HALVES = "corrupted audio"
ROWS = 24


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """Six subjects with one or two recordings; the last has no weak clip at all."""
    recordings = []
    for subject in range(6):
        for take in range(1 + subject % 2):
            number = 10 * subject + take
            generator = torch.Generator().manual_seed(number)
            state = torch.randint(0, 3 if subject < 5 else 1, (ROWS,), generator=generator)
            made = toy_recording(f"r{number:02}", f"s{subject}", ROWS, number)
            recordings.append(replace(made, state=state))
    return write_store(tmp_path_factory.mktemp("data") / "store", recordings, toy_info())


def scores(store: RecordingStore, signal: float, seeds: int, start: int = 0) -> list[dict]:
    """Higher where audio is corrupted, in steps of a quarter: there are many ties."""
    made = []
    for seed in range(start, start + seeds):
        generator = torch.Generator().manual_seed(seed)
        made.append(
            {
                name: ((signal + 0.2 * seed) * (recording.state == 1) * 4).round() / 4
                + torch.randint(0, 6, (ROWS,), generator=generator) / 4
                for name, recording in store.items()
            }
        )
    return made


def table_of(store: RecordingStore, *detectors: list[dict]) -> pd.DataFrame:
    """Detectors of some seeds each, as columns ``one`` and ``other``."""
    seeds = zip(*detectors, strict=True)
    return score_table([dict(zip(("one", "other"), seed, strict=False)) for seed in seeds], store)


def naive(table: pd.DataFrame, column: str, weak: str, seeds: int) -> np.ndarray:
    """AUROC on each draw, on clips that are literally repeated, ``(R,)``."""
    subjects = sorted(table["subject"].unique())
    draws = resample(len(subjects), seeds, RESAMPLES, seed=3)
    found = []
    for number in range(RESAMPLES):
        values = []
        for seed, times in enumerate(draws.seeds[number].int().tolist()):
            clips = table[(table["seed"] == seed) & table["state"].isin(["strong", weak])]
            repeats = clips["subject"].map(
                dict(zip(subjects, draws.subjects[number].int().tolist(), strict=True))
            )
            drawn = clips.loc[clips.index.repeat(repeats)]
            alone = drawn["state"].nunique() < 2
            value = math.nan if alone else roc_auc_score(drawn["state"] == weak, drawn[column])
            values += [value] * times
        found.append(np.mean(values))
    return np.array(found)


def bounds(samples: np.ndarray) -> tuple[float, ...]:
    return tuple(pytest.approx(limit) for limit in np.nanquantile(samples, [0.025, 0.975]))


def test_auroc_is_scikit_learns_on_resampled_clips(store: RecordingStore) -> None:
    table = table_of(store, scores(store, 0.3, 3))
    found = auroc(separation(table, "one", HALVES), RESAMPLES, seed=3)
    each = []
    for seed in range(3):
        clips = table[(table["seed"] == seed) & table["state"].isin(["strong", HALVES])]
        each.append(roc_auc_score(clips["state"] == HALVES, clips["one"]))
    assert found.value == pytest.approx(np.mean(each), abs=1e-12)
    assert found.deviation == pytest.approx(np.std(each, ddof=1), abs=1e-12)
    assert (found.low, found.high) == bounds(naive(table, "one", HALVES, 3))
    assert (found.seeds, found.subjects) == (3, 6)
    assert 0.5 < found.low < found.value < found.high < 1.0


def test_draws_without_a_weak_clip_are_ignored(store: RecordingStore) -> None:
    table = table_of(store, scores(store, 0.3, 2))
    few = table[table["subject"].isin(["s1", "s5"])]  # s5 has no weak clip
    samples = naive(few, "one", HALVES, 2)
    assert np.isnan(samples).any()
    found = auroc(separation(few, "one", HALVES), RESAMPLES, seed=3)
    assert (found.low, found.high) == bounds(samples)


def test_a_difference_is_of_the_same_draws(store: RecordingStore) -> None:
    table = table_of(store, scores(store, 0.5, 3), scores(store, 0.2, 3, start=9))
    one, other = (separation(table, column, HALVES) for column in ("one", "other"))
    found = auroc_difference(one, other, RESAMPLES, seed=3)
    samples = naive(table, "one", HALVES, 3) - naive(table, "other", HALVES, 3)
    assert (found.low, found.high) == bounds(samples)
    assert found.value == pytest.approx(auroc(one).value - auroc(other).value)
    assert auroc_difference(one, one)[:4] == (0.0, 0.0, 0.0, 0.0)


def test_a_detector_without_seeds_stands_beside_each(store: RecordingStore) -> None:
    gates, simple = scores(store, 0.5, 3), scores(store, 0.2, 1, start=9)
    one, single, pair, repeated = (
        separation(table_of(store, seeds), "one", HALVES)
        for seeds in (gates, simple, simple * 2, simple * 3)
    )
    found = auroc_difference(one, single, RESAMPLES)
    assert found == auroc_difference(one, repeated, RESAMPLES) and found.seeds == 3
    back = auroc_difference(single, one, RESAMPLES)
    assert (back.value, back.low) == (pytest.approx(-found.value), pytest.approx(-found.high))
    with pytest.raises(ValueError, match="as many seeds or one"):
        auroc_difference(one, pair)
    fewer = table_of(store, gates).query("subject != 's0'")
    with pytest.raises(ValueError, match="same subjects"):
        auroc_difference(one, separation(fewer, "one", HALVES))


def test_what_auroc_means(store: RecordingStore) -> None:
    def of(seeds: list[dict], weak: str = HALVES, sign: int = 1) -> Interval:
        return auroc(separation(table_of(store, seeds), "one", weak, sign))

    told = [{name: (store[name].state == 1).double() for name in store}]
    flat = [{name: torch.zeros(ROWS) for name in store}]
    assert of(told)[:3] == (1.0, 1.0, 1.0) and of(told, sign=-1).value == 0.0
    assert of(told, "corrupted visual").value == 0.5
    assert of(flat)[:3] == (0.5, 0.5, 0.5)
    # A score moved or squeezed in an increasing way orders clips as before.
    gates = scores(store, 0.3, 2)
    squeezed = [{n: torch.sigmoid(3 * x.double()) for n, x in seed.items()} for seed in gates]
    assert of(gates) == of(squeezed)


def test_which_clips_are_told_apart(store: RecordingStore) -> None:
    gates = scores(store, 0.3, 1)
    table = table_of(store, gates)
    together = ["corrupted audio", "corrupted visual"]
    found = auroc(separation(table, "one", together)).value
    assert found == pytest.approx(roc_auc_score(table["state"] != "strong", table["one"]))
    assert weak_states("audio") == ("corrupted audio", "conflicting audio", "dominating audio")
    assert set(weak_states("audio")) | set(weak_states("visual")) == set(WEAK)
    for bad in ("strong", "tired", []):
        with pytest.raises(ValueError, match="expected some of corrupted audio"):
            separation(table, "one", bad)
    absent = auroc(separation(table, "one", "conflicting audio"))
    assert all(math.isnan(number) for number in absent[:3])
    gates[0]["r00"] = torch.full((ROWS,), torch.nan)  # clips without a score are left out
    some = separation(table_of(store, gates), "one", HALVES)
    known = separation(table[table["recording"] != "r00"], "one", HALVES)
    assert auroc(some).value == pytest.approx(auroc(known).value)
    assert len(some.subjects) == 6  # the subject keeps its place


def pairs_won(clips: pd.DataFrame, column: str) -> tuple[float, int]:
    """Pairs that weak clips win over strong ones, and all pairs, one after the other."""
    weak, strong = (clips.loc[clips["state"] == s, column] for s in (HALVES, "strong"))
    results = [0.5 * ((w >= s) + 0.0 + (w > s)) for w in weak for s in strong]
    return sum(results), len(results)


def test_within_recordings_only_pairs_of_one_recording_count(store: RecordingStore) -> None:
    table = table_of(store, scores(store, 0.3, 3))
    # A recording's own level says nothing within it, and a great deal when clips are pooled.
    table["one"] += table["recording"].str[1:].astype(float)
    found = separation_within(table, "one", HALVES)
    assert found.subjects == tuple(f"s{n}" for n in range(6))
    draws = resample(6, 3, RESAMPLES, seed=3)
    won, pairs = np.zeros((2, 3, 6))
    for (seed, subject, _), clips in table.groupby(["seed", "subject", "recording"]):
        counts = pairs_won(clips, "one")
        won[seed, int(subject[1:])] += counts[0]
        pairs[seed, int(subject[1:])] += counts[1]
    assert (pairs[:, 5] == 0).all() and (pairs[:, :5] > 0).all()  # the last is never weak
    each = won.sum(axis=1) / pairs.sum(axis=1)
    np.testing.assert_allclose(auroc_by_seed(found), each, atol=1e-12)
    samples = [
        np.average((won @ times) / (pairs @ times), weights=seeds)
        for times, seeds in zip(draws.subjects.numpy(), draws.seeds.numpy(), strict=True)
    ]
    interval = auroc(found, RESAMPLES, seed=3)
    assert (interval.value, interval.seeds) == (pytest.approx(each.mean()), 3)
    assert (interval.low, interval.high) == bounds(np.array(samples))
    pooled = separation(table, "one", HALVES)
    assert interval.low > 0.5 > auroc(pooled).low
    gap = auroc_difference(found, pooled, RESAMPLES)
    assert gap.value == pytest.approx(interval.value - auroc(pooled).value)


def test_within_a_single_recording_is_scikit_learns(store: RecordingStore) -> None:
    table = table_of(store, scores(store, 0.3, 1)).query("recording == 'r11'")
    clips = table[table["state"].isin(["strong", HALVES])]
    expected = roc_auc_score(clips["state"] == HALVES, clips["one"])
    assert float(auroc_by_seed(separation_within(table, "one", HALVES))) == pytest.approx(expected)
    turned = separation_within(table, "one", HALVES, sign=-1)
    assert float(auroc_by_seed(turned)) == pytest.approx(1.0 - expected)
    absent = separation_within(table, "one", "conflicting audio")
    assert math.isnan(auroc(absent).value)


def test_the_sign_is_the_one_that_separates(store: RecordingStore) -> None:
    up = table_of(store, scores(store, 0.4, 2))
    down = up.assign(one=-up["one"])
    assert (sign_on(up, "one", HALVES), sign_on(down, "one", HALVES)) == (1, -1)
    assert auroc(separation(down, "one", HALVES, sign=-1)) == auroc(separation(up, "one", HALVES))
    # Whoever is often weak scores low, and yet each scores higher when weak.
    weak = up["state"] == HALVES
    often = weak.groupby(up["recording"]).transform("mean")
    apart = up.assign(one=weak - 100 * often)
    assert sign_on(apart, "one", HALVES) == -1
    assert sign_on(apart, "one", HALVES, separation_within) == 1


def test_the_table_has_a_row_a_clip_and_seed(store: RecordingStore, tmp_path: Path) -> None:
    gates = scores(store, 0.3, 2)
    table = table_of(store, gates)
    assert len(table) == 2 * ROWS * len(store)
    row = table[(table["seed"] == 1) & (table["recording"] == "r11") & (table["clip"] == 5)]
    assert row["one"].item() == gates[1]["r11"][5]
    assert row["subject"].item() == "s1"
    assert row["state"].item() == STATES[store["r11"].state[5]]
    stateless = write_store(tmp_path / "store", [toy_recording("r00", rows=ROWS)], toy_info())
    with pytest.raises(ValueError, match="no known states"):
        score_table([{"one": {"r00": torch.zeros(ROWS)}}], stateless)


def test_sums_in_states_are_those_of_their_clips(store: RecordingStore) -> None:
    generator = torch.Generator().manual_seed(0)
    said = {n: r.labels + 0.3 * torch.randn(ROWS, 2, generator=generator) for n, r in store.items()}
    found = moments_in_states([said], store)
    assert list(found) == ["strong", "corrupted audio", "corrupted visual"]
    for number, sums in enumerate(found.values()):
        here = torch.cat([store[name].state == number for name in store])
        values = torch.cat([said[name] for name in store])[here]
        labels = torch.cat([store[name].labels for name in store])[here]
        torch.testing.assert_close(ccc_of_sums(sums.sums.sum(dim=1))[0], ccc(values, labels))


def series(store: RecordingStore, slope: float, seeds: int) -> tuple[list[dict], list[dict]]:
    """Disagreement, and a gate that follows it more or less."""
    gates, others = [], []
    for seed in range(seeds):
        generator = torch.Generator().manual_seed(seed)
        other = {name: torch.rand(ROWS, generator=generator) for name in store}
        noise = {name: torch.rand(ROWS, generator=generator) for name in store}
        others.append(other)
        gates.append({name: slope * other[name] + noise[name] for name in store})
    return gates, others


def test_rank_correlation_is_scipys_averaged(store: RecordingStore) -> None:
    gates, others = series(store, 0.7, 2)
    found = rank_correlation(gates, others, store, RESAMPLES)
    each = np.array(
        [
            [spearmanr(gate[name], other[name]).statistic for name in sorted(store)]
            for gate, other in zip(gates, others, strict=True)
        ]
    )
    assert found.value == pytest.approx(each.mean())
    draws = resample(6, 2, RESAMPLES)
    owner = [int(store.entries[name].subject[1:]) for name in sorted(store)]
    samples = [
        np.average([np.average(row, weights=w[owner]) for row in each], weights=seeds)
        for w, seeds in zip(draws.subjects.numpy(), draws.seeds.numpy(), strict=True)
    ]
    low, high = np.quantile(samples, [0.025, 0.975])
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    single = rank_correlation(gates, others[:1], store, RESAMPLES)
    assert single == rank_correlation(gates, [others[0]] * 2, store, RESAMPLES)
    with pytest.raises(ValueError, match="2 seeds beside 3"):
        rank_correlation(gates, others[:1] * 3, store)


def test_a_recording_in_which_nothing_moves_is_left_out(store: RecordingStore) -> None:
    gates, others = series(store, 0.7, 1)
    still = torch.full((ROWS,), 0.1)  # a number that is not exact
    for each in (gates, others):
        each[0]["r00"] = still
    others[0]["r10"] = still  # where one of the two moves it follows nothing: 0
    found = rank_correlation(gates, others, store, RESAMPLES)
    rest = [
        spearmanr(gates[0][n], others[0][n]).statistic for n in store if n not in ("r00", "r10")
    ]
    assert found.value == pytest.approx(np.mean([*rest, 0.0]))


def test_means_by_disagreement(store: RecordingStore) -> None:
    gates, others = series(store, 1.0, 2)
    found = mean_by_disagreement(gates, others, store, parts=4, resamples=RESAMPLES)
    expected: list[list[float]] = []
    for gate, other in zip(gates, others, strict=True):
        quarters: list[list[Tensor]] = [[], [], [], []]
        for name in store:
            for number, clips in enumerate(other[name].argsort().split(ROWS // 4)):
                quarters[number].append(gate[name][clips] - gate[name].mean())
        expected.append([float(torch.cat(quarter).mean()) for quarter in quarters])
    values = [interval.value for interval in found]
    assert values == pytest.approx(np.mean(expected, axis=0).tolist())
    assert values == sorted(values) and found[0].high < found[-1].low
    assert all(isinstance(interval, Interval) and interval.seeds == 2 for interval in found)
