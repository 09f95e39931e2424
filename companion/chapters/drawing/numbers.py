"""Numbers as text: signs, decimals, per cent."""

from collections.abc import Iterable

import numpy as np

from companion.analysis.estimates import Estimate
from companion.analysis.inference import MISSING, NOT_AVAILABLE, Interval, signed


def decimals(value: float) -> str:
    """Three decimals; a dash where there is no number.

    >>> decimals(0.51249), decimals(float("nan")), decimals(-0.0004)
    ('0.512', '–', '−0.000')
    """
    return MISSING if np.isnan(value) else f"{value:.3f}".replace("-", "−")


def percent(difference: float, baseline: float) -> str:
    """A difference as a share of the baseline; a dash unless the baseline is above 0.

    >>> percent(0.091, 0.541), percent(-0.02, 0.5), percent(0.1, -0.01), percent(-0.0001, 0.5)
    ('+16.8 %', '−4.0 %', '–', '0.0 %')
    """
    if not baseline > 0 or np.isnan(difference):
        return MISSING
    share = f"{100 * difference / baseline:+.1f} %".replace("-", "−")
    return share if share[1:] != "0.0 %" else "0.0 %"


def with_spread(score: Interval) -> str:
    """``value ± standard deviation over seeds``, the latter where there are seeds."""
    value = decimals(score.value)
    return value if np.isnan(score.deviation) else f"{value} ± {decimals(score.deviation)}"


def with_bounds(difference: Interval | Estimate) -> str:
    """``Δ [low, high]``, signed; without bounds where they are not known."""
    if np.isnan(difference.value):
        return NOT_AVAILABLE
    if np.isnan(difference.low):
        return signed(difference.value)
    return f"{signed(difference.value)} [{signed(difference.low)}, {signed(difference.high)}]"


def over_seeds(values: Iterable[float], digits: int = 3) -> str:
    """Mean ± standard deviation, the latter where there are several values.

    >>> over_seeds([0.5, 0.7], 2), over_seeds([0.5])
    ('0.60 ± 0.14', '0.500')
    """
    each = np.array([float(value) for value in values])
    spread = f" ± {each.std(ddof=1):.{digits}f}" if len(each) > 1 else ""
    return f"{each.mean():.{digits}f}{spread}"
