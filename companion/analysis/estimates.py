"""How far a mean can be trusted: Student's t over worlds, or over seeds and people.

A world is a benchmark made from one data seed, with one training seed. Models are paired within a
world, so that n differences carry worlds, people and training at once. On real data there is one
world: seeds are repeated there, and people are drawn with the bootstrap.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student
from torch import Tensor

from companion.analysis.inference import Moments, drawn_contrast, signed

ONE_SIDED = 0.025  # level of every test; an interval leaves out as much on either side
POWER = 0.80  # with which the smallest detectable effect would have been found
FEWEST_SEEDS = 10  # on one world; fewer are shown one by one, without an interval

Numbers = NDArray[np.float64]


class Estimate(NamedTuple):
    """A mean with its 95 % interval.

    Attributes:
        value: the mean.
        low: lower bound; NaN where there is no interval, as for a single value.
        high: upper bound.
        error: standard error of the mean.
        freedom: degrees of freedom of the error.
        n: values that were averaged: worlds or seeds.
        median: of these values.
        worst: the lowest of them.
        subjects: that were resampled on top of it; 0 where worlds bring their own.
    """

    value: float
    low: float
    high: float
    error: float
    freedom: float
    n: int
    median: float
    worst: float
    subjects: int = 0

    def __str__(self) -> str:
        bounds = "" if math.isnan(self.low) else f" [{signed(self.low)}, {signed(self.high)}]"
        return f"{signed(self.value)}{bounds}"

    def score(self) -> str:
        """As text without a sign, for a score rather than a difference."""
        bounds = "" if math.isnan(self.low) else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{bounds}".replace("-", "−")

    @property
    def detectable(self) -> float:
        """The smallest effect that would have been found with 80 % power: (t.975 + t.80) · SE."""
        found = student.ppf(1 - ONE_SIDED, self.freedom) + student.ppf(POWER, self.freedom)
        return float(found * self.error)

    def p_above(self, threshold: float = 0.0) -> float:
        """p of "the mean is ``threshold`` or less", which is small where it lies above."""
        return _tail(self.value - threshold, self.error, self.freedom)

    def p_below(self, threshold: float = 0.0) -> float:
        """p of "the mean is ``threshold`` or more", which is small where it lies below."""
        return _tail(threshold - self.value, self.error, self.freedom)

    def p_within(self, margin: float) -> float:
        """p of "the mean is ``margin`` or more away from 0": the larger of two one-sided tests."""
        return max(self.p_above(-margin), self.p_below(margin))


def _tail(distance: float, error: float, freedom: float) -> float:
    """Student's upper tail; values that do not differ at all are certain, and NaN stays NaN."""
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(student.sf(distance / error, freedom))


def half_width(error: ArrayLike, freedom: ArrayLike) -> Numbers:
    """Half the width of a 95 % interval by Student's t, element by element."""
    return np.asarray(student.ppf(1 - ONE_SIDED, freedom) * np.asarray(error))


def standard_error(values: ArrayLike) -> Numbers:
    """Standard error of the mean over the last axis: ``(..., n) -> (...)``."""
    values = np.asarray(values, dtype=float)
    return np.asarray(values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1]))


def combined(first: ArrayLike, n: int, second: ArrayLike, m: int) -> tuple[Numbers, Numbers]:
    """Standard error and degrees of freedom of a mean whose variance is a sum of two estimates.

    Satterthwaite's approximation. An estimate v of a variance with ν degrees of freedom varies with
    2 v² / ν, so that the sum of two independent ones varies with 2 (v₁² / ν₁ + v₂² / ν₂). It is
    taken for one estimate with as many degrees of freedom as vary as much:
    ν = (v₁ + v₂)² / (v₁² / ν₁ + v₂² / ν₂).

    Args:
        first: v₁, the variance of the mean that the first source brings.
        n: values that it was estimated from; ν₁ = n − 1.
        second: v₂, of the second source.
        m: likewise; ν₂ = m − 1.
    """
    one, other = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    spread = one**2 / (n - 1) + other**2 / (m - 1)
    certain = spread == 0
    freedom = (one + other) ** 2 / np.where(certain, 1.0, spread)
    return np.sqrt(one + other), np.where(certain, n + m - 2, freedom)


def over_worlds(values: Iterable[float]) -> Estimate:
    """The mean of one number a world: say the paired difference of two arms.

    Raises:
        ValueError: if there are none, or one is not a finite number.
    """
    return _student(values, 2)


def over_seeds(values: Iterable[float]) -> Estimate:
    """The mean of one number a seed on a single world; no interval for fewer than 10 seeds.

    Raises:
        ValueError: see `over_worlds`.
    """
    return _student(values, FEWEST_SEEDS)


def _student(values: Iterable[float], fewest: int) -> Estimate:
    each = _finite(values)
    error, freedom = math.nan, math.nan
    if len(each) >= fewest:
        error, freedom = float(standard_error(each)), len(each) - 1.0
    return _estimate(each, error, freedom)


def _finite(values: Iterable[float]) -> Numbers:
    each = np.array([float(value) for value in values])
    if not len(each):
        raise ValueError("no values: expected one a world or seed")
    if not np.isfinite(each).all():
        place = int(np.flatnonzero(~np.isfinite(each))[0])
        raise ValueError(f"value {place} of {len(each)} is {each[place]}: expected finite numbers")
    return each


def _estimate(each: Numbers, error: float, freedom: float, subjects: int = 0) -> Estimate:
    value, half = float(each.mean()), float(half_width(error, freedom))
    rest = (len(each), float(np.median(each)), float(each.min()), subjects)
    return Estimate(value, value - half, value + half, error, freedom, *rest)


def over_seeds_and_subjects(drawn: Tensor, by_seed: Tensor, subjects: int) -> Estimate:
    """The mean over seeds of a number on real data, whose error carries seeds and people.

    SE² = variance over seeds / S + (bootstrap standard error over subjects of the seeds' mean)²,
    with the degrees of freedom of :func:`combined`. The bootstrap draws from the sample, whose
    variance is too small by (U − 1) / U, and is corrected for it. What seeds and people share (a
    seed that suits some people) is counted in both, which makes the interval wider, never narrower.

    Args:
        drawn: ``(R, S)``, the number of each seed on each draw of subjects; draws that have none
            are ignored.
        by_seed: ``(S,)``, the number on the whole sample. A seed's folds are put together before,
            by `iaca.runs.arms.by_seed`: folds are parts of one sample, not repetitions.
        subjects: U.

    Returns:
        Without an interval if there is a single seed or subject.

    Raises:
        ValueError: see `over_worlds`.
    """
    each = _finite(by_seed.tolist())
    if len(each) < 2 or subjects < 2:
        return _estimate(each, math.nan, math.nan, subjects)
    means = drawn.double().mean(dim=1)
    people = float(means[~means.isnan()].var(correction=0)) * subjects / (subjects - 1)
    error, freedom = combined(standard_error(each) ** 2, len(each), people, subjects)
    return _estimate(each, float(error), float(freedom), subjects)


def contrast_estimates(
    terms: Sequence[tuple[float, Moments]], resamples: int = 1000, seed: int = 0
) -> list[Estimate]:
    """A weighted sum of the CCCs of several models on real data, paired by subject and seed.

    Args:
        terms: weight and model, as in `companion.analysis.inference.contrast`.
        resamples: of the bootstrap over subjects.
        seed: of the draws.

    Returns:
        An estimate a target, and last that of the targets' mean.

    Raises:
        ValueError: if the models do not have the same subjects and number of seeds, or a score is
            not a number.
    """
    drawn, by_seed, draws = drawn_contrast(terms, resamples, seed)
    drawn, by_seed = (torch.cat([x, x.mean(dim=-1, keepdim=True)], -1) for x in (drawn, by_seed))
    subjects = draws.subjects.shape[1]
    columns = zip(drawn.unbind(dim=-1), by_seed.unbind(dim=-1), strict=True)
    return [over_seeds_and_subjects(*column, subjects) for column in columns]


class Components(NamedTuple):
    """Variance between worlds, and within a world from seed to seed."""

    between: float
    within: float

    def of_mean(self, worlds: int, seeds: int = 1) -> float:
        """Variance of a mean over worlds with some seeds each."""
        return self.between / worlds + self.within / (worlds * seeds)

    def share_between(self, seeds: int = 1) -> float:
        """Share of that variance that worlds have, however many there are; the rest is seeds'.

        NaN if nothing varies.
        """
        total = self.of_mean(1, seeds)
        return self.between / total if total else math.nan


def variance_components(table: ArrayLike) -> Components:
    """Variance between worlds and between seeds, by analysis of variance.

    Balanced one-way random effects: within = mean of the worlds' variances, between = (variance of
    the worlds' means) − within / S, and 0 where that is negative.

    Args:
        table: ``(W, S)``, a number for each world and seed.

    Raises:
        ValueError: unless there are two worlds and two seeds or more, all finite.
    """
    values = np.asarray(table, dtype=float)
    if values.ndim != 2 or min(values.shape) < 2:
        raise ValueError(f"shape {values.shape}: expected (worlds, seeds), two or more of each")
    _finite(values.ravel())
    within = float(values.var(axis=1, ddof=1).mean())
    between = float(values.mean(axis=1).var(ddof=1)) - within / values.shape[1]
    return Components(max(0.0, between), within)
