"""What a difference says: supported, contradicted or inconclusive.

Every test is one-sided at 0.025. Where several attentions are judged, p is adjusted over them as
Holm does, for gains and for shortfalls apart. Printed intervals are not adjusted.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np

from companion.analysis.estimates import ONE_SIDED, Estimate

SMALLEST = 0.01  # CCC: the smallest effect of interest

Outcome = Literal["supported", "contradicted", "inconclusive"]


class Judgement(NamedTuple):
    """What became of a claimed gain.

    Attributes:
        outcome: by the rule of `outcomes`.
        why: of a contradicted one where its interval lies, see `outcomes`; of an inconclusive one
            what would have been found; empty if it is supported.
        p_gain: adjusted p of "there is no gain".
        p_shortfall: adjusted p of "the gain is of interest".
    """

    outcome: Outcome
    why: str
    p_gain: float
    p_shortfall: float

    def __str__(self) -> str:
        return f"{self.outcome} ({self.why})" if self.why else self.outcome


def holm(tests: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p of several tests by Holm's step-down procedure: name -> p.

    The smallest of m is multiplied by m, the next by m − 1 and so on; none may be smaller than the
    one before it. Rejecting where the adjusted p is at most α keeps the probability of any false
    rejection at α, whatever the tests have in common. A test that could not be done (NaN) counts
    as one that rejects nothing.

    >>> holm({"CA": 0.01, "TCA": 0.04, "JCA": 0.03})
    {'CA': 0.03, 'TCA': 0.06, 'JCA': 0.06}
    """
    p = np.nan_to_num(np.array(list(tests.values()), dtype=float), nan=1.0)
    order = p.argsort()
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1.0)
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return dict(zip(tests, adjusted.tolist(), strict=True))


def outcomes(
    differences: Mapping[str, Estimate], smallest: float = SMALLEST
) -> dict[str, Judgement]:
    """Judge a claimed gain on several attentions, adjusted for their number.

    *Supported*: "Δ ≤ 0" is rejected and the estimate is at least ``smallest``. *Contradicted*:
    "Δ ≥ ``smallest``" is rejected: harm if the interval lies below -``smallest``, a loss if it lies
    below 0 and reaches from there, a smaller loss or gain if it lies between 0 and ``smallest`` on
    either side, else no gain of that size. *Inconclusive*: the rest,
    with the smallest effect that would have been found with 80 % power.

    Args:
        differences: attention -> Δ; those on which the claim is judged and no others.
        smallest: effect of interest, in the unit of Δ.
    """
    gains = holm({name: found.p_above(0.0) for name, found in differences.items()})
    shortfalls = holm({name: found.p_below(smallest) for name, found in differences.items()})
    judged = {}
    for name, found in differences.items():
        p = gains[name], shortfalls[name]
        if p[0] <= ONE_SIDED and found.value >= smallest:
            judged[name] = Judgement("supported", "", *p)
        elif p[1] <= ONE_SIDED:
            judged[name] = Judgement("contradicted", _where(found, smallest), *p)
        else:
            judged[name] = Judgement("inconclusive", _detectable(found), *p)
    return judged


def _where(found: Estimate, smallest: float) -> str:
    if found.high < -smallest:
        return "harm"
    if found.high < 0:
        return f"a loss below {smallest:g}" if found.low >= -smallest else "a loss"
    return f"a gain below {smallest:g}" if found.low > 0 else f"no gain of {smallest:g}"


def _detectable(found: Estimate) -> str:
    size = found.detectable
    return f"{size:.3f} was detectable" if np.isfinite(size) else "no interval"


def outcome(difference: Estimate, smallest: float = SMALLEST) -> Judgement:
    """Judge a single difference, by the rule of `outcomes`."""
    return outcomes({"": difference}, smallest)[""]
