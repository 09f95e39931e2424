"""Do gates detect what they are said to detect? Scores of clips against their true states.

A score orders clips; the higher, the weaker. How well it separates a weak state from *strong* is
its AUROC: the probability that, of one weak and one strong clip, the weak one has the higher score
(ties count one half). 0.5 is chance. *Within recordings*, both clips are of the same recording, so
that a score gains nothing by telling people apart; *pooled*, they are any two.

A resample of subjects only changes how often each pair of subjects counts. With U[s, s'] the pairs
that weak clips of s win over strong clips of s', and w how often each subject was drawn, AUROC is
``w' U w / (w . weak)(w . strong)``: a thousand resamples cost a matrix product, and are exact.
Within recordings, AUROC is a ratio of two sums.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr
from torch import Tensor

from companion.analysis.detection import STRONG, ClipScores
from companion.analysis.inference import Interval, Moments, moments, resample, seed_interval
from companion.analysis.ridge import Modality
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES

Predictions = Sequence[Mapping[str, Tensor]]  # a seed each: recording -> (T, n)

WEAK = STATES[1:]


def weak_states(modality: Modality) -> tuple[str, ...]:
    """The weak states whose trouble lies in one modality."""
    return tuple(state for state in WEAK if state.endswith(modality))


def score_table(seeds: Sequence[Mapping[str, ClipScores]], store: RecordingStore) -> pd.DataFrame:
    """One row a clip and seed: ``seed``, ``subject``, ``recording``, ``clip``, ``state``, scores.

    Args:
        seeds: for each seed, detector -> recording -> ``(T,)``; the recordings of the first
            detector. A detector that nothing random went into has one seed, and its own table.
        store: with the states.

    Raises:
        ValueError: if a recording has no known states.
    """
    frames = []
    for seed, detectors in enumerate(seeds):
        names = sorted(next(iter(detectors.values())))
        states = [store[name].known_state.numpy() for name in names]
        rows = [len(state) for state in states]
        columns = {
            "seed": seed,
            "subject": np.repeat([store.entries[name].subject for name in names], rows),
            "recording": np.repeat(names, rows),
            "clip": np.concatenate([np.arange(count) for count in rows]),
            "state": np.array(STATES)[np.concatenate(states)],
        }
        for detector, scores in detectors.items():
            columns[detector] = torch.cat([scores[name] for name in names]).double().numpy()
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


class Separation(NamedTuple):
    """What is needed of a score to resample its AUROC over subjects.

    Attributes:
        wins: ``(S, U, U)``, pairs that weak clips of one subject win over strong ones of another,
            ties counting one half; seeds first.
        weak: ``(S, U)``, how many weak clips each seed and subject has.
        strong: ``(S, U)``, how many strong ones.
        subjects: their names.
    """

    wins: Tensor
    weak: Tensor
    strong: Tensor
    subjects: tuple[str, ...]

    def of(self, times: Tensor) -> Tensor:
        """AUROC of each seed where subjects were drawn ``times (R, U)``: ``(R, S)``."""
        won = torch.einsum("ru,suv,rv->rs", times, self.wins, times)
        return won / ((times @ self.weak.T) * (times @ self.strong.T))


class SeparationWithin(NamedTuple):
    """The same within recordings: pairs of a weak and a strong clip of one recording.

    Attributes:
        wins: ``(S, U)``, pairs won in the recordings of each subject, ties counting one half.
        pairs: ``(S, U)``, pairs that there are.
        subjects: their names.
    """

    wins: Tensor
    pairs: Tensor
    subjects: tuple[str, ...]

    def of(self, times: Tensor) -> Tensor:
        """AUROC of each seed where subjects were drawn ``times (R, U)``: ``(R, S)``."""
        return (times @ self.wins.T) / (times @ self.pairs.T)


def separation(
    table: pd.DataFrame, column: str, weak: str | Collection[str], sign: int = 1
) -> Separation:
    """Count the pairs of a weak and a strong clip that a score tells apart.

    Args:
        table: of `score_table`. Clips without a score (NaN) are left out.
        column: the detector.
        weak: one of `WEAK`, or several to be taken together.
        sign: -1 turns the score round, see `sign_on`.

    Raises:
        ValueError: for a state that is not weak.
    """
    names = [weak] if isinstance(weak, str) else list(weak)
    if not names or not set(names) <= set(WEAK):
        raise ValueError(f"states {names}: expected some of {', '.join(WEAK)}")
    seeds, subjects = sorted(table["seed"].unique()), sorted(table["subject"].unique())
    known = table[table[column].notna()]
    place = np.searchsorted(subjects, known["subject"].to_numpy(dtype=str))
    scores = sign * known[column].to_numpy(dtype=float)
    is_weak, is_strong = known["state"].isin(names), known["state"] == STRONG
    wins, counts = [], []
    for seed in seeds:
        here = known["seed"] == seed
        one, other = (here & is_weak).to_numpy(), (here & is_strong).to_numpy()
        wins.append(_wins(scores[one], place[one], scores[other], place[other], len(subjects)))
        counts.append([np.bincount(place[each], minlength=len(subjects)) for each in (one, other)])
    number = torch.from_numpy(np.array(counts, dtype=float))  # (S, 2, U)
    return Separation(
        torch.from_numpy(np.array(wins)), number[:, 0], number[:, 1], tuple(map(str, subjects))
    )


def separation_within(
    table: pd.DataFrame, column: str, weak: str | Collection[str], sign: int = 1
) -> SeparationWithin:
    """Count pairs as `separation` does, which has the arguments and errors, within recordings.

    A recording without a weak or without a strong clip has no pairs.
    """
    owners = table.groupby("recording")["subject"].first()
    parts = separation(table.assign(subject=table["recording"]), column, weak, sign)
    subjects = sorted(owners.unique())
    belongs = torch.tensor([[owners[r] == who for who in subjects] for r in parts.subjects])
    won = parts.wins.diagonal(dim1=1, dim2=2) @ belongs.double()
    pairs = (parts.weak * parts.strong) @ belongs.double()
    return SeparationWithin(won, pairs, tuple(map(str, subjects)))


def _wins(
    weak: NDArray[np.float64],
    weak_place: NDArray[np.intp],
    strong: NDArray[np.float64],
    strong_place: NDArray[np.intp],
    subjects: int,
) -> NDArray[np.float64]:
    """Pairs won, ``(U, U)``: by weak clips of a row's subject over strong ones of a column's."""
    order = np.argsort(weak)  # looked up in order, they are found several times as fast
    weak, weak_place = weak[order], weak_place[order]
    wins = np.empty((subjects, subjects))
    for subject in range(subjects):
        theirs = np.sort(strong[strong_place == subject])
        below = np.searchsorted(theirs, weak, "left")
        not_above = np.searchsorted(theirs, weak, "right")
        wins[:, subject] = np.bincount(weak_place, (below + not_above) / 2, minlength=subjects)
    return wins


Separated = Separation | SeparationWithin


def auroc(found: Separated, resamples: int = 1000, seed: int = 0) -> Interval:
    """AUROC, mean over seeds; the interval resamples subjects, and seeds within.

    Args:
        found: of `separation` (pooled over clips) or `separation_within`.
        resamples: of the bootstrap. Draws without a weak or without a strong clip are ignored.
        seed: of the draws.

    Returns:
        NaN if there is no weak or no strong clip at all.
    """
    return _interval([(1.0, found)], resamples, seed)


def auroc_difference(
    one: Separated, other: Separated, resamples: int = 1000, seed: int = 0
) -> Interval:
    """AUROC of one score minus that of another, on the same draws of subjects and seeds.

    Args:
        one: say a gate's.
        other: say a simple detector's. Either may have a single seed, which then stands beside
            each seed of the other.
        resamples: of the bootstrap.
        seed: of the draws.

    Raises:
        ValueError: if the subjects differ, or the seeds cannot be paired.
    """
    return _interval([(1.0, one), (-1.0, other)], resamples, seed)


def _interval(terms: Sequence[tuple[float, Separated]], resamples: int, seed: int) -> Interval:
    subjects = terms[0][1].subjects
    numbers = {len(found.wins) for _, found in terms} - {1} or {1}
    if len(numbers) > 1 or any(found.subjects != subjects for _, found in terms):
        raise ValueError("a paired comparison needs the same subjects, and as many seeds or one")
    draws = resample(len(subjects), numbers.pop(), resamples, seed)
    drawn = by_seed = draws.seeds.new_zeros(draws.seeds.shape[1])
    for weight, found in terms:
        drawn = drawn + weight * found.of(draws.subjects)  # (R, S)
        by_seed = by_seed + weight * auroc_by_seed(found)
    return seed_interval(drawn, by_seed, draws)


def auroc_by_seed(found: Separated) -> Tensor:
    """AUROC of each seed on the whole sample, ``(S,)``."""
    return found.of(torch.ones(1, len(found.subjects), dtype=found.wins.dtype))[0]


def sign_on(
    select: pd.DataFrame,
    column: str,
    weak: str | Collection[str],
    count: Callable[..., Separated] = separation,
) -> int:
    """The direction in which a score is higher for weak clips of other people: 1 or -1.

    For detectors without a direction of their own. One that can go either way is allowed another
    one for each weak state, which favours it over the gates.

    Args:
        select: of `score_table`, on the split that models are selected on, never the reported one.
        column: the detector.
        weak: see `separation`.
        count: `separation`, or `separation_within` for a score that is judged within recordings.
    """
    return -1 if float(auroc_by_seed(count(select, column, weak)).mean()) < 0.5 else 1


def moments_in_states(predictions: Predictions, store: RecordingStore) -> dict[str, Moments]:
    """State -> the sums behind CCC of a model's clips in it; states that do not occur are out."""
    occurring = torch.cat([store[name].known_state for name in predictions[0]]).unique().tolist()
    return {STATES[number]: moments(predictions, store, number) for number in occurring}


def rank_correlation(
    gates: Sequence[ClipScores],
    disagreements: Sequence[ClipScores],
    store: RecordingStore,
    resamples: int = 1000,
) -> Interval:
    """Mean over recordings of Spearman's rank correlation between two scores within each.

    For data whose states are not known. A recording in which one of the two is constant counts as
    0 (a gate that never changes follows nothing), one in which both are is left out, as in CCC.

    Args:
        gates: recording -> ``(T,)``, one mapping a seed.
        disagreements: the same; a single mapping stands beside each seed.
        store: tells whose recording it is.
        resamples: of the bootstrap over subjects, and seeds within them.

    Raises:
        ValueError: if the seeds cannot be paired.
    """
    names = sorted(gates[0])
    sums = np.zeros((2, len(gates), len(names)))  # defined or not, rho
    for seed, (gate, other) in enumerate(_paired(gates, disagreements)):
        for number, name in enumerate(names):
            rho = _spearman(gate[name], other[name])
            sums[:, seed, number] = (0.0, 0.0) if np.isnan(rho) else (1.0, rho)
    return _mean_interval(sums, [store.entries[name].subject for name in names], resamples)


def mean_by_disagreement(
    gates: Sequence[ClipScores],
    disagreements: Sequence[ClipScores],
    store: RecordingStore,
    parts: int = 5,
    resamples: int = 1000,
) -> list[Interval]:
    """How far a gate's score is above its recording's mean, on clips with low to high disagreement.

    Taken from the mean because gates of different seeds settle at different weights, and what is
    asked is whether they move.

    Args:
        gates: see `rank_correlation`.
        disagreements: the same; a recording's clips are divided into ``parts`` by their rank in it.
        store: the same.
        parts: 5 for fifths.
        resamples: of the bootstrap.

    Returns:
        One interval a part, from the least disagreement to the most.
    """
    names = sorted(gates[0])
    sums = np.zeros((parts, 2, len(gates), len(names)))
    for seed, (gate, other) in enumerate(_paired(gates, disagreements)):
        for number, name in enumerate(names):
            rank = rankdata(other[name].double())
            part = np.minimum(((rank - 0.5) / len(rank) * parts).astype(int), parts - 1)
            weights = gate[name].double().numpy()
            weights = weights - weights.mean()
            sums[:, 0, seed, number] = np.bincount(part, minlength=parts)
            sums[:, 1, seed, number] = np.bincount(part, weights, minlength=parts)
    subjects = [store.entries[name].subject for name in names]
    return [_mean_interval(each, subjects, resamples) for each in sums]


def _spearman(one: Tensor, other: Tensor) -> float:
    """Spearman's rank correlation of two series ``(T,)``: NaN if both are constant, 0 if one is."""
    moves = [bool((series != series[0]).any()) for series in (one, other)]
    if not all(moves):
        return 0.0 if any(moves) else np.nan
    return float(spearmanr(one.double(), other.double()).statistic)


def _paired(
    one: Sequence[ClipScores], other: Sequence[ClipScores]
) -> Iterable[tuple[ClipScores, ClipScores]]:
    if len(other) not in (1, len(one)):
        raise ValueError(f"{len(one)} seeds beside {len(other)}: expected as many, or one")
    return zip(one, other if len(other) > 1 else [*other] * len(one), strict=True)


def _mean_interval(sums: NDArray[np.float64], subjects: Sequence[str], resamples: int) -> Interval:
    """Mean of what ``sums (2, S, N)`` counts and adds up over N recordings, by subject and seed."""
    everyone = sorted(set(subjects))
    belongs = torch.tensor([[s == who for who in everyone] for s in subjects]).double()  # (N, U)
    count, total = torch.from_numpy(sums) @ belongs  # (S, U) each
    draws = resample(len(everyone), sums.shape[1], resamples)
    drawn = (draws.subjects @ total.T) / (draws.subjects @ count.T)
    return seed_interval(drawn, total.sum(dim=1) / count.sum(dim=1), draws)
