"""Intervals of a probability (Clopper and Pearson) and of a ratio of two means (Fieller)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest

from companion.analysis.estimates import Numbers, half_width, standard_error
from companion.analysis.judgements import SMALLEST


class Proportion(NamedTuple):
    """How often something happened among n, with the 95 % interval of its probability."""

    times: int
    n: int
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.times} of {self.n} [{self.low:.2f}, {self.high:.2f}]"


def proportion(count: int, n: int) -> Proportion:
    """A probability from a count, with Clopper and Pearson's interval, which covers 95 % or more.

    Args:
        count: of worlds in which it happened, say a collapse.
        n: of worlds.

    Raises:
        ValueError: unless 0 <= count <= n and n > 0.
    """
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"{count} of {n}: expected a count from 0 to n, and n above 0")
    bounds = binomtest(count, n).proportion_ci(0.95, method="exact")
    return Proportion(count, n, float(bounds.low), float(bounds.high))


class Share(NamedTuple):
    """Which share of the available gain an arm collects: a ratio of two means over n worlds.

    ``bounded`` is false where the worlds cannot tell the available gain from 0. The ratios that
    they do not exclude then reach to infinity, and the bounds are infinite.
    """

    value: float
    low: float
    high: float
    bounded: bool
    n: int

    def __str__(self) -> str:
        bounds = f"[{self.low:.2f}, {self.high:.2f}]" if self.bounded else "(not bounded)"
        return f"{self.value:.2f} {bounds}".replace("-", "−")


def share_of_gain(arm: ArrayLike, told: ArrayLike, smallest: float = SMALLEST) -> Share | None:
    """Mean of ``arm`` over mean of ``told``, with Fieller's interval.

    Args:
        arm: ``(n,)``, score of the arm minus that of plain attention, in each world.
        told: ``(n,)``, score of told gates minus that of plain attention, in the same worlds.
        smallest: available gain from which on a share of it means something.

    Returns:
        ``None`` unless the mean of ``told`` is above ``smallest``.

    Raises:
        ValueError: unless there are as many of both, two or more, all finite.
    """
    x, y = np.asarray(arm, dtype=float), np.asarray(told, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 2 or not np.isfinite([x, y]).all():
        raise ValueError(
            f"shapes {x.shape} and {y.shape}: expected one finite number a world in both, "
            "two worlds or more"
        )
    if not y.mean() > smallest:
        return None
    low, high, bounded = fieller(x, y)
    return Share(float(x.mean() / y.mean()), float(low), float(high), bool(bounded), len(x))


def fieller(x: Numbers, y: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Fieller's 95 % interval of mean x / mean y from pairs in the last axis, ``(..., n)``.

    It holds the ratios θ that a t test of x − θ y against 0 does not reject:
    (x̄ − θ ȳ)² <= t² · SE²(x − θ y), which is a θ² + b θ + c <= 0 with a = ȳ² − t² SE²(y). They lie
    between two bounds if a > 0, which is when ȳ differs from 0. Otherwise they are all ratios, or
    all but those between two numbers.

    Returns:
        Lower and upper bound ``(...)``, infinite where there is none, and where both exist.
    """
    n = x.shape[-1]
    mean_x, mean_y = x.mean(axis=-1), y.mean(axis=-1)
    apart = ((x - mean_x[..., None]) * (y - mean_y[..., None])).sum(axis=-1) / (n * (n - 1))
    square = half_width(1.0, n - 1) ** 2
    a = mean_y**2 - square * standard_error(y) ** 2
    half_b = square * apart - mean_x * mean_y
    c = mean_x**2 - square * standard_error(x) ** 2
    bounded = a > 0
    root = np.sqrt(np.maximum(half_b**2 - a * c, 0.0))
    divisor = np.where(bounded, a, 1.0)
    low = np.where(bounded, (-half_b - root) / divisor, -math.inf)
    high = np.where(bounded, (-half_b + root) / divisor, math.inf)
    return low, high, bounded
