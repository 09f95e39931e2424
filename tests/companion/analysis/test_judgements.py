"""Outcomes decided by hand; Holm's procedure against the closed tests that it is short for."""

import math
from itertools import combinations

import numpy as np
import pytest

from companion.analysis.estimates import Estimate, half_width, over_worlds
from companion.analysis.judgements import holm, outcome, outcomes


def estimate(value: float, half: float = 0.002, n: int = 20) -> Estimate:
    """An estimate over n worlds whose interval reaches ``half`` to either side."""
    error = half / float(half_width(1.0, n - 1))
    return Estimate(value, value - half, value + half, error, n - 1.0, n, value, value - half)


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [
        (0.020, 0.019, "supported"),
        (0.010, 0.002, "supported"),
        (0.020, 0.021, "inconclusive"),  # the interval reaches 0
        (0.009, 0.002, "inconclusive"),  # a gain, below 0.01, which is not excluded
        (0.007, 0.002, "contradicted (a gain below 0.01)"),
        (0.000, 0.009, "contradicted (no gain of 0.01)"),
        (-0.001, 0.012, "inconclusive"),
        (-0.020, 0.021, "contradicted (no gain of 0.01)"),
        (-0.001, 0.0005, "contradicted (a loss below 0.01)"),
        (-0.020, 0.011, "contradicted (a loss)"),  # the interval reaches -0.01
        (-0.020, 0.009, "contradicted (harm)"),
    ],
)
def test_an_outcome_is_as_defined(value: float, half: float, expected: str) -> None:
    assert str(outcome(estimate(value, half))).startswith(expected)


def test_what_could_have_been_found_stands_beside_what_was_not() -> None:
    found = outcome(estimate(0.003, 0.0209))
    assert str(found) == "inconclusive (0.029 was detectable)"  # 0.0209 (2.093 + 0.861) / 2.093
    assert str(outcome(over_worlds([0.2]))) == "inconclusive (no interval)"
    assert outcome(estimate(0.006), 0.005).outcome == "supported"
    assert str(outcome(estimate(0.001), 0.005)) == "contradicted (no gain of 0.005)"


def test_worlds_without_spread_are_decided() -> None:
    assert outcome(over_worlds([0.0] * 5)).why == "no gain of 0.01"
    assert outcome(over_worlds([0.25] * 5)).outcome == "supported"


def closed(tests: dict[str, float]) -> dict[str, float]:
    """The largest p among all sets of hypotheses with this one, each tested by Bonferroni."""
    sets = [s for size in range(1, len(tests) + 1) for s in combinations(tests, size)]
    bonferroni = {s: min(1.0, len(s) * min(tests[name] for name in s)) for s in sets}
    return {name: max(p for s, p in bonferroni.items() if name in s) for name in tests}


def test_holms_procedure_is_the_closed_test() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        tests = dict(zip("abcd", generator.random(4).round(2) ** 3, strict=True))
        assert holm(tests) == pytest.approx(closed(tests))
    assert holm({}) == {} and holm({"a": 0.02}) == {"a": 0.02}
    assert holm({"a": 0.02, "b": math.nan}) == {"a": 0.04, "b": 1.0}


def test_several_attentions_are_adjusted_for_their_number() -> None:
    alone = estimate(0.02, 0.0195)  # p just below 0.025
    assert outcome(alone).outcome == "supported"
    found = outcomes({"CA": alone, "TCA": estimate(0.0), "JCA": estimate(0.0)})
    assert found["CA"].outcome == "inconclusive"
    assert found["CA"].p_gain == pytest.approx(3 * alone.p_above())
    assert found["TCA"].outcome == "contradicted"
    # Attentions that gain clearly leave the whole level to the last.
    found = outcomes({"CA": alone, "TCA": estimate(0.02), "JCA": estimate(0.02)})
    assert {each.outcome for each in found.values()} == {"supported"}
