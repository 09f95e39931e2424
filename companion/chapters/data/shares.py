"""Shares, correlations and CCC, with intervals from a bootstrap over actors or parts of a film."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from companion.analysis.inference import Interval


def over_groups(
    columns: Mapping[str, pd.Series],
    groups: pd.Series,
    statistic: Callable[..., Any],
    resamples: int,
    seed: int = 0,
) -> Interval:
    """A statistic of sums over rows, with the percentile interval of a bootstrap over groups.

    Groups are drawn with replacement, each with all its rows.

    Args:
        columns: numbers, a row each.
        groups: which rows belong together, by the same index.
        statistic: from the columns' sums, in their order; sums of many draws come as arrays.
        resamples: how many draws.
        seed: of the draws.
    """
    sums = pd.DataFrame(columns).astype(float).groupby(groups).sum().to_numpy()
    count = len(sums)
    chances = np.full(count, 1 / count)
    drawn = np.random.default_rng(seed).multinomial(count, chances, resamples)
    low, high = np.nanquantile(statistic(*(drawn @ sums).T), [0.025, 0.975])
    value = float(statistic(*sums.sum(axis=0)))
    return Interval(value, float(low), float(high), float("nan"), 0, count)


def share(hit: pd.Series, groups: pd.Series, resamples: int, seed: int = 0) -> Interval:
    """The share of rows that are true."""
    columns = {"hit": hit, "one": hit * 0 + 1}
    return over_groups(columns, groups, lambda hits, rows: hits / rows, resamples, seed)


def correlation(x: pd.Series, y: pd.Series, groups: pd.Series, resamples: int) -> Interval:
    """Pearson's r."""

    def r(n: Any, x: Any, y: Any, xx: Any, yy: Any, xy: Any) -> Any:
        return (n * xy - x * y) / np.sqrt((n * xx - x * x) * (n * yy - y * y))

    return over_groups(_moments(x, y), groups, r, resamples)


def concordance(x: pd.Series, y: pd.Series, groups: pd.Series, resamples: int) -> Interval:
    """CCC."""

    def ccc(n: Any, x: Any, y: Any, xx: Any, yy: Any, xy: Any) -> Any:
        return 2 * (n * xy - x * y) / (n * (xx + yy) - 2 * x * y)

    return over_groups(_moments(x, y), groups, ccc, resamples)


def _moments(x: pd.Series, y: pd.Series) -> dict[str, pd.Series]:
    return {"n": x * 0 + 1, "x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}


def percent(value: float, digits: int = 1) -> str:
    """A share in per cent.

    >>> percent(0.4621), percent(1.0, 0)
    ('46.2 %', '100 %')
    """
    return f"{100 * value:.{digits}f} %"


def in_percent(found: Interval) -> str:
    """A share with its interval: ``46.2 % [44.9 %, 47.5 %]``."""
    return f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"


def two_places(found: Interval) -> str:
    """A correlation with its interval: ``−0.07 [−0.10, −0.04]``."""
    return f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]".replace("-", "−")
