"""How often the book's 95 % intervals hold the true value, by simulation at the n used.

Two kinds of worlds are drawn. *Normal*: every world's Δ comes from one normal distribution.
*Collapse*: in 15 % of the worlds the gates collapse, and Δ is lower by far. Its figures are those
of a trial of the first edition's arm with 17 seeds, which had a median of −0.001, a mean of −0.008
with a standard error of 0.004, and 3 seeds below −0.011: worlds lie at −0.001 with a deviation of
0.004, collapsed ones at −0.05 with 0.01. At n = 17 that makes a mean of −0.008 with a standard
error of 0.0044.
"""

import functools
import math
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import binom

from companion.analysis.estimates import Estimate, Numbers, combined, half_width, standard_error
from companion.analysis.judgements import SMALLEST
from companion.analysis.ratios import fieller, proportion

DRAWS = 10_000
FLOOR = 0.94  # an outcome is marked where its interval covers less often
MARK = "†"

COLLAPSE = 0.15  # probability that a world's gates collapse
USUAL, USUAL_SPREAD = -0.001, 0.004  # CCC: Δ of a world whose gates do not
COLLAPSED, COLLAPSED_SPREAD = -0.05, 0.01  # CCC: Δ of a world whose gates do
HARMED = -SMALLEST  # CCC: a world below it counts as one that may have collapsed
TOLD, TOLD_SPREAD = 0.05, 0.01  # CCC: what told gates gain, and its deviation over worlds
SUBJECTS = 24  # people in the real data that seeds are simulated with

Worlds = Literal["normal", "15 % collapse"]
Bounds = tuple[Numbers, Numbers, float]  # lower and upper of each draw, and the true value


class Coverage(NamedTuple):
    """How often an interval held the true value, and how often that lay below or above it.

    Attributes:
        interval: its kind.
        n: worlds or seeds that it is made from.
        worlds: how they were drawn.
        covered: share of the draws.
        below: share of the draws whose interval lies above the true value.
        above: share of the draws whose interval lies below it.
    """

    interval: str
    n: int
    worlds: str
    covered: float
    below: float
    above: float

    @property
    def mark(self) -> str:
        """A dagger where less than 94 % are covered."""
        return MARK if self.covered < FLOOR else ""


def draw_differences(
    n: int, worlds: Worlds, generator: np.random.Generator
) -> tuple[Numbers, float, float]:
    """Draw Δ of n worlds, 10,000 times over: ``(10000, n)``, its true mean and deviation."""
    usual = generator.normal(USUAL, USUAL_SPREAD, (DRAWS, n))
    if worlds == "normal":
        return usual, USUAL, USUAL_SPREAD
    low = generator.normal(COLLAPSED, COLLAPSED_SPREAD, usual.shape)
    drawn = np.where(generator.random(usual.shape) < COLLAPSE, low, usual)
    weights = np.array([COLLAPSE, 1 - COLLAPSE])
    means, spreads = np.array([COLLAPSED, USUAL]), np.array([COLLAPSED_SPREAD, USUAL_SPREAD])
    mean = float(weights @ means)
    return drawn, mean, math.sqrt(float(weights @ (means**2 + spreads**2)) - mean**2)


def _over_worlds(n: int, worlds: Worlds, generator: np.random.Generator) -> Bounds:
    drawn, true, _ = draw_differences(n, worlds, generator)
    middle, half = drawn.mean(axis=-1), half_width(standard_error(drawn), n - 1)
    return middle - half, middle + half, true


def _with_subjects(
    n: int, worlds: Worlds, generator: np.random.Generator, seeds_part: float
) -> Bounds:
    """Seeds beside normal subjects, of which seeds make a given part of the mean's variance.

    The bootstrap of a mean over subjects needs no draws: its corrected variance is s² / U.
    """
    seeds, true, deviation = draw_differences(n, worlds, generator)
    spread = deviation * math.sqrt(SUBJECTS / n * (1 - seeds_part) / seeds_part)
    people = generator.normal(0.0, spread, (DRAWS, SUBJECTS))
    variances = standard_error(seeds) ** 2, standard_error(people) ** 2
    error, freedom = combined(variances[0], n, variances[1], SUBJECTS)
    middle, half = seeds.mean(axis=-1) + people.mean(axis=-1), half_width(error, freedom)
    return middle - half, middle + half, true


def _share(n: int, worlds: Worlds, generator: np.random.Generator) -> Bounds:
    """The arm's and the told gates' difference to the same plain model, whose luck both share."""
    arm, mean, _ = draw_differences(n, worlds, generator)
    told = generator.normal(TOLD, TOLD_SPREAD, arm.shape)
    plain = generator.normal(0.0, USUAL_SPREAD, arm.shape)
    low, high, _ = fieller(arm - plain, told - plain)
    return low, high, mean / TOLD


INTERVALS: dict[str, Callable[[int, Worlds, np.random.Generator], Bounds]] = {
    "mean over worlds (t)": _over_worlds,
    "mean over seeds and 24 subjects": functools.partial(_with_subjects, seeds_part=0.5),
    "the same, seeds 90 % of the variance": functools.partial(_with_subjects, seeds_part=0.9),
    "share of the available gain (Fieller)": _share,
}
OVER_WORLDS, OVER_SEEDS, MOSTLY_SEEDS, SHARE = INTERVALS
PROBABILITY = "probability (Clopper–Pearson)"
USED = {OVER_WORLDS: (20, 10, 5), OVER_SEEDS: (5, 3), MOSTLY_SEEDS: (5, 3), SHARE: (20, 10)}
WORLDS: tuple[Worlds, ...] = ("normal", "15 % collapse")


@functools.lru_cache(maxsize=64)
def simulate(interval: str, n: int, worlds: Worlds, seed: int = 0) -> Coverage:
    """Make one kind of interval from 10,000 draws.

    Args:
        interval: one of `INTERVALS`.
        n: worlds or seeds in each draw, two or more.
        worlds: how they are drawn.
        seed: of the draws; the same arguments give the same ones.
    """
    low, high, true = INTERVALS[interval](n, worlds, np.random.default_rng(seed))
    below, above = float((true < low).mean()), float((true > high).mean())
    return Coverage(interval, n, worlds, 1.0 - below - above, below, above)


def probability_coverage(n: int, probabilities: Iterable[float]) -> list[Coverage]:
    """Coverage of `proportion` at some true probabilities: the exact sum over all counts of n."""
    low, high = np.array([proportion(count, n)[2:] for count in range(n + 1)]).T
    found = []
    for true in probabilities:
        weights = binom.pmf(np.arange(n + 1), n, true)
        below, above = float(weights @ (true < low)), float(weights @ (true > high))
        name = PROBABILITY, n, f"probability {true:.2f}"
        found.append(Coverage(*name, 1.0 - below - above, below, above))
    return found


def least_probability_coverage(n: int) -> Coverage:
    """The lowest coverage of `proportion` over all true probabilities.

    It is reached just beside a bound: between two bounds the same counts cover the probability, and
    their sum has one maximum and no minimum.
    """
    bounds = {bound for count in range(n + 1) for bound in proportion(count, n)[2:]} - {0.0, 1.0}
    beside = [bound + step for bound in sorted(bounds) for step in (-1e-9, 1e-9)]
    found = min(probability_coverage(n, beside), key=lambda each: each.covered)
    return found._replace(worlds=f"{found.worlds}, the worst")


def coverage_table(seed: int = 0) -> pd.DataFrame:
    """Every kind of interval at the n that the book uses: a row each, with its mark."""
    found = [
        simulate(interval, n, worlds, seed)
        for interval, numbers in USED.items()
        for n in numbers
        for worlds in WORLDS
    ]
    found += [*probability_coverage(20, [COLLAPSE]), least_probability_coverage(20)]
    return pd.DataFrame(found).assign(mark=[each.mark for each in found])


def mark(found: Estimate) -> str:
    """The mark of an estimate's outcome: a dagger where such intervals cover less than 94 %.

    Worlds or seeds of which the worst is below −0.01 count as drawn with 15 % collapse, others as
    normal. Of seeds and subjects nobody knows whose share of the variance is which, so that the
    lower of both simulations counts. Without an interval there is no mark.
    """
    if math.isnan(found.low):
        return ""
    worlds: Worlds = "15 % collapse" if found.worst < HARMED else "normal"
    kinds = (OVER_SEEDS, MOSTLY_SEEDS) if found.subjects else (OVER_WORLDS,)
    return MARK if any(simulate(kind, found.n, worlds).mark for kind in kinds) else ""
