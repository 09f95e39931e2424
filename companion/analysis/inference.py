"""How far a score can be trusted: bootstrap over subjects, paired between models and over seeds.

Pooled CCC depends on its pairs only through six sums, which add up over recordings. A resample of
subjects is therefore a weighted sum, and a thousand of them cost a matrix product.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from iaca.data.recordings import RecordingStore
from iaca.learning.metrics import concordance

MISSING = "–"
NOT_AVAILABLE = "not available here"  # where the data could not be had, or do not have it


def signed(value: float) -> str:
    """Three decimals and a sign; a fourth decimal for what would round to 0; a dash for NaN.

    >>> signed(0.0312), signed(-0.0312), signed(-0.0004), signed(-0.00004), signed(math.nan)
    ('+0.031', '−0.031', '−0.0004', '0.0000', '–')
    """
    if math.isnan(value):
        return MISSING
    if 0 < abs(value) < 0.00005:
        return "0.0000"
    places = 4 if 0 < abs(value) < 0.0005 else 3
    return f"{value:+.{places}f}".replace("-", "−")


class Interval(NamedTuple):
    """A value with its 95 % bootstrap interval.

    ``value`` is the mean over seeds on the whole sample, ``deviation`` its sample standard
    deviation over seeds (NaN for a single one), ``seeds`` and ``subjects`` are the two n.
    """

    value: float
    low: float
    high: float
    deviation: float
    seeds: int
    subjects: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return NOT_AVAILABLE
        bounds = "" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{bounds}".replace("-", "−")


class Moments(NamedTuple):
    """The six sums behind CCC: ``sums (S, U, 6, n)`` over seeds, subjects and targets.

    In order: count, x, y, x², y², x y, with x the prediction and y the label.
    """

    sums: Tensor
    subjects: tuple[str, ...]


class Resamples(NamedTuple):
    """How often each subject ``(R, U)`` and each seed ``(R, S)`` was drawn, R times over."""

    subjects: Tensor
    seeds: Tensor


def moments(
    predictions: Sequence[Mapping[str, Tensor]], store: RecordingStore, state: int | None = None
) -> Moments:
    """Sum up the predictions of one model, one mapping ``recording -> (T, n)`` a seed.

    Args:
        predictions: of the model.
        store: with the labels.
        state: counts only clips in this complementarity state, an index into
            `iaca.data.states.STATES`. Subjects without such a clip keep their place, with
            sums of 0, so that models stay paired subject by subject.

    Raises:
        ValueError: if the seeds do not cover the same recordings, a recording has no known states,
            or no clip is in the state.
    """
    names = sorted(predictions[0])
    if any(sorted(seed) != names for seed in predictions):
        raise ValueError("the seeds' predictions cover different recordings")
    labels = {name: _labels(store, name, state) for name in names}
    if state is not None and all(label.isnan().all() for label in labels.values()):
        raise ValueError(f"{store.path}: no labelled clip in state {state}")
    subjects = tuple(store.subjects(names))
    place = {subject: number for number, subject in enumerate(subjects)}
    targets = len(store.info.labels)
    sums = torch.zeros(len(predictions), len(subjects), 6, targets, dtype=torch.float64)
    for seed, traces in enumerate(predictions):
        for name in names:
            sums[seed, place[store.entries[name].subject]] += six_sums(traces[name], labels[name])
    return Moments(sums, subjects)


def _labels(store: RecordingStore, name: str, state: int | None) -> Tensor:
    """Labels of a recording, NaN where a clip is in another state than the one asked for."""
    recording = store[name]
    if state is None:
        return recording.labels
    in_it = (recording.known_state == state).unsqueeze(1)
    return torch.where(in_it, recording.labels, torch.nan)


def six_sums(prediction: Tensor, label: Tensor) -> Tensor:
    """The six sums behind CCC, in the order of `Moments`, in float64: ``(T, n)`` to ``(6, n)``.

    Pairs whose label is NaN are left out, target by target.
    """
    valid = ~label.isnan()
    x = torch.where(valid, prediction.double(), 0.0)
    y = torch.where(valid, label.double(), 0.0)
    return torch.stack([valid.double(), x, y, x * x, y * y, x * y]).sum(dim=1)  # (6, n)


def ccc_of_sums(sums: Tensor) -> Tensor:
    """CCC from the six sums in the second to last axis: ``(..., 6, n) -> (..., n)``."""
    count, x, y, xx, yy, xy = sums.unbind(dim=-2)
    mean_x, mean_y = x / count, y / count
    var_x = xx / count - mean_x.square()
    var_y = yy / count - mean_y.square()
    covariance = xy / count - mean_x * mean_y
    return concordance(covariance, var_x + var_y, mean_x - mean_y)


@functools.lru_cache(maxsize=8)
def resample(subjects: int, seeds: int, count: int = 1000, seed: int = 0) -> Resamples:
    """Draw subjects, and within each draw seeds, with replacement, ``count`` times.

    The same arguments give the same draws, so that two models are compared on the same ones.
    """
    generator = torch.Generator().manual_seed(seed)

    def counts(n: int) -> Tensor:
        drawn = torch.randint(n, (count, n), generator=generator)
        return torch.nn.functional.one_hot(drawn, n).sum(dim=1).double()

    return Resamples(counts(subjects), counts(seeds))


def seed_interval(drawn: Tensor, by_seed: Tensor, draws: Resamples) -> Interval:
    """The interval of any number that each seed has on each draw of subjects.

    Args:
        drawn: ``(R, S)``; NaN where a draw of subjects has no such number, which is then ignored.
        by_seed: ``(S,)``, the number on the whole sample.
        draws: of :func:`resample`.
    """
    return _intervals(drawn.unsqueeze(-1), by_seed.unsqueeze(-1), draws)[0]


def target_intervals(drawn: Tensor, by_seed: Tensor, draws: Resamples) -> list[Interval]:
    """As :func:`seed_interval`, for a number of each target: ``(R, S, n)`` and ``(S, n)``.

    Returns:
        An interval a target, and last that of the targets' mean.
    """
    drawn, by_seed = (torch.cat([x, x.mean(dim=-1, keepdim=True)], -1) for x in (drawn, by_seed))
    return _intervals(drawn, by_seed, draws)


def _intervals(drawn: Tensor, by_seed: Tensor, draws: Resamples) -> list[Interval]:
    weights = draws.seeds / draws.seeds.sum(dim=1, keepdim=True)
    means = (drawn * weights.unsqueeze(-1)).sum(dim=1)  # (R, n)
    bounds = means.nanquantile(means.new_tensor([0.025, 0.975]), dim=0)
    n = len(by_seed), draws.subjects.shape[1]
    spreads = by_seed.std(dim=0) if len(by_seed) > 1 else torch.full_like(by_seed[0], math.nan)
    columns = torch.stack([by_seed.mean(dim=0), *bounds, spreads], dim=1).tolist()
    return [Interval(value, low, high, spread, *n) for value, low, high, spread in columns]


def ccc_intervals(model: Moments, resamples: int = 1000, seed: int = 0) -> list[Interval]:
    """Pooled CCC of one model: an interval a target, and last that of the targets' mean."""
    return contrast([(1.0, model)], resamples, seed)


def contrast(
    terms: Sequence[tuple[float, Moments]], resamples: int = 1000, seed: int = 0
) -> list[Interval]:
    """A weighted sum of the CCCs of several models, paired by subject and by seed.

    With weights 1 and -1 it is a difference, with 1, -1, -1, 1 a difference of differences. The
    models may have been scored on different recordings, as long as these are of the same subjects.

    Args:
        terms: weight and model.
        resamples: how many draws of subjects and seeds; every model is scored on each.
        seed: of the draws.

    Returns:
        An interval a target, and last that of the targets' mean.

    Raises:
        ValueError: if the models do not have the same subjects and number of seeds.
    """
    return target_intervals(*drawn_contrast(terms, resamples, seed))


def drawn_contrast(
    terms: Sequence[tuple[float, Moments]], resamples: int = 1000, seed: int = 0
) -> tuple[Tensor, Tensor, Resamples]:
    """The numbers behind `contrast`, which has the arguments and errors.

    Returns:
        The sum for each draw of subjects, seed and target ``(R, S, n)``, that on the whole sample
        ``(S, n)``, and the draws.
    """
    _, first = terms[0]
    for _, other in terms[1:]:
        if other.subjects != first.subjects or len(other.sums) != len(first.sums):
            raise ValueError("a paired comparison needs the same subjects and seeds in each model")
    seeds, subjects = first.sums.shape[:2]
    draws = resample(subjects, seeds, resamples, seed)
    drawn, by_seed = torch.zeros(()), torch.zeros(())
    for weight, model in terms:
        sums = torch.einsum("ru,sukn->rskn", draws.subjects, model.sums)
        drawn = drawn + weight * ccc_of_sums(sums)
        by_seed = by_seed + weight * ccc_of_sums(model.sums.sum(dim=1))
    return drawn, by_seed, draws
