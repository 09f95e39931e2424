"""The criteria, each against cases decided by hand."""

import pytest

from companion.analysis.criteria import (
    Evidence,
    Outcome,
    above,
    beats_controls,
    chooses_on_the_fly,
    every,
    grows_with_weakness,
    judge,
    keeps_its_sign,
    overall,
    top_share,
)
from companion.analysis.inference import Interval

OUTCOMES: dict[str, Outcome] = {"s": "stands", "r": "refuted", "u": "undecided"}


def interval(value: float, half: float = 0.001) -> Interval:
    return Interval(value, value - half, value + half, 0.0, 3, 24)


@pytest.mark.parametrize(
    ("at_zero", "rise", "expected"),
    [
        (interval(0.002), interval(0.02), "stands"),
        (interval(-0.0099), interval(0.02), "stands"),
        (interval(0.011), interval(0.02), "refuted"),  # helps where there is nothing to help with
        (interval(-0.011), interval(0.02), "refuted"),
        (interval(0.0), interval(0.02, half=0.03), "refuted"),  # the interval includes 0
        (interval(0.0), interval(-0.02), "refuted"),
        (None, interval(-0.02), "refuted"),
        (None, interval(0.02), "undecided"),
        (interval(0.0), None, "undecided"),
    ],
)
def test_the_gain_must_come_with_weakness(
    at_zero: Interval | None, rise: Interval | None, expected: Outcome
) -> None:
    assert grows_with_weakness(at_zero, rise) == expected


WON = {"mlp": interval(0.01), "wide": interval(0.002), "gates": interval(0.03)}
LOST, TIED = WON | {"wide": interval(-0.002)}, WON | {"wide": interval(0.0)}
SOME = {"mlp": interval(0.01)}


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ({0.0: LOST, 0.46: WON, 0.8: WON}, "stands"),
        ({0.0: WON, 0.4: LOST, 0.8: WON}, "refuted"),
        ({0.46: WON, 0.8: TIED}, "refuted"),
        ({0.46: WON, 0.8: SOME}, "undecided"),
        ({0.46: LOST, 0.8: SOME}, "refuted"),
        ({0.0: WON, 0.2: WON}, "undecided"),
        ({}, "undecided"),
    ],
)
def test_every_control_must_be_beaten_at_every_weak_share(
    differences: dict[float, dict[str, Interval]], expected: Outcome
) -> None:
    assert beats_controls(differences, 3) == expected


@pytest.mark.parametrize(
    ("frozen", "permuted", "expected"),
    [
        (0.006, 0.005, "stands"),
        (0.0049, 0.02, "refuted"),
        (0.02, 0.0049, "refuted"),
        (-0.02, None, "refuted"),  # better without its own choices
        (None, 0.02, "undecided"),
    ],
)
def test_gates_that_act_as_constants_refute(
    frozen: float | None, permuted: float | None, expected: Outcome
) -> None:
    given = [None if cost is None else interval(cost) for cost in (frozen, permuted)]
    assert chooses_on_the_fly(*given) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.01, 0.2, 0.001), "stands"),
        ((-0.01, -0.2, -0.001), "stands"),  # a loss everywhere is no flip
        ((0.01, 0.2), "undecided"),
        ((0.01, -0.001), "refuted"),
    ],
)
def test_a_sign_that_flips_refutes(values: tuple[float, ...], expected: Outcome) -> None:
    versions = dict(zip("abc", map(interval, values), strict=False))
    assert keeps_its_sign(versions, "abc") == expected


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


def test_each_criterion_sees_its_own_evidence() -> None:
    sound = Evidence(
        at_zero=interval(0.0),
        rise=interval(0.02),
        over_controls={0.46: {"mlp": interval(0.01)}},
        frozen=interval(0.01),
        permuted=interval(0.01),
        versions={"as it is": interval(0.01)},
    )
    backbones = ("CA", "TCA", "JCA", "RJCA")

    def outcomes(evidence: Evidence, versions: tuple[str, ...] = ("as it is",)) -> str:
        verdicts = judge(dict.fromkeys(backbones, evidence), 1, versions)
        assert list(verdicts) == ["a", "b", "c", "d"]
        assert all(list(verdict.backbones) == list(backbones) for verdict in verdicts.values())
        return "".join(verdict.outcome[0] for verdict in verdicts.values())

    assert outcomes(sound) == "ssss"
    assert outcomes(sound._replace(at_zero=interval(0.02))) == "rsss"
    assert outcomes(sound._replace(over_controls={0.46: {"mlp": interval(-0.01)}})) == "srss"
    assert outcomes(sound._replace(permuted=interval(0.001))) == "ssrs"
    flipped = {"as it is": interval(0.01), "other": interval(-0.01)}
    assert outcomes(sound._replace(versions=flipped)) == "sssr"
    assert outcomes(sound, ("as it is", "other")) == "sssu"
    assert outcomes(Evidence()) == "uuuu"
    some = {"CA": sound, "TCA": sound, "JCA": sound._replace(frozen=None), "RJCA": Evidence()}
    found = judge(some, 1, ["as it is"])
    assert (found["a"].outcome, found["c"].outcome) == ("stands", "undecided")


def test_the_rise_is_looked_for_at_the_share_that_was_named() -> None:
    assert top_share((0.0, 0.2, 0.4, 0.46, 0.6, 0.8)) == 0.6
    assert top_share((0.0, 0.46, 0.8)) == 0.8


def test_what_must_lie_above_a_threshold_does_so_interval_and_all() -> None:
    assert above(interval(0.002)) == "stands"
    assert above(interval(0.001)) == above(interval(-0.1)) == above(interval(0.5), 0.5) == "refuted"
    assert above(None) == "undecided"


@pytest.mark.parametrize(
    ("outcomes", "expected"), [("ss", "s"), ("sur", "r"), ("su", "u"), ("", "u")]
)
def test_every_demand_must_stand(outcomes: str, expected: str) -> None:
    assert every([OUTCOMES[letter] for letter in outcomes]) == OUTCOMES[expected]
