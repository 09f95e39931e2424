"""The criteria, each against cases decided by hand."""

import pytest

from companion.analysis.criteria import Outcome, above, every, overall
from companion.analysis.inference import Interval

OUTCOMES: dict[str, Outcome] = {"s": "stands", "r": "refuted", "u": "undecided"}


def interval(value: float, half: float = 0.001) -> Interval:
    return Interval(value, value - half, value + half, 0.0, 3, 24)


@pytest.mark.parametrize(
    ("backbones", "expected"),
    [
        *(("ssss", "s"), ("sssr", "s"), ("sss", "s"), ("ssrr", "r"), ("rr", "r"), ("rruu", "r")),
        *(("ssur", "u"), ("r", "u"), ("", "u"), ("ss", "u")),  # the other two were not computed
    ],
)
def test_three_of_four_backbones_must_stand(backbones: str, expected: str) -> None:
    found = {str(number): OUTCOMES[letter] for number, letter in enumerate(backbones)}
    assert overall(found) == (found, OUTCOMES[expected])


def test_what_must_lie_above_a_threshold_does_so_interval_and_all() -> None:
    assert above(interval(0.002)) == "stands"
    assert above(interval(0.001)) == above(interval(-0.1)) == above(interval(0.5), 0.5) == "refuted"
    assert above(None) == "undecided"


@pytest.mark.parametrize(
    ("outcomes", "expected"), [("ss", "s"), ("sur", "r"), ("su", "u"), ("", "u")]
)
def test_every_demand_must_stand(outcomes: str, expected: str) -> None:
    assert every([OUTCOMES[letter] for letter in outcomes]) == OUTCOMES[expected]
