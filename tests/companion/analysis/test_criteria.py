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


def test_every_control_must_be_beaten_at_every_weak_share() -> None:
    won = {"mlp": interval(0.01), "wide": interval(0.002), "gates": interval(0.03)}
    lost = {**won, "wide": interval(-0.002)}
    tied = {**won, "wide": interval(0.0)}
    some = {"mlp": interval(0.01)}
    assert beats_controls({0.0: lost, 0.46: won, 0.8: won}, 3) == "stands"
    assert beats_controls({0.0: won, 0.4: lost, 0.8: won}, 3) == "refuted"
    assert beats_controls({0.46: won, 0.8: tied}, 3) == "refuted"
    assert beats_controls({0.46: won, 0.8: some}, 3) == "undecided"
    assert beats_controls({0.46: lost, 0.8: some}, 3) == "refuted"
    assert beats_controls({0.0: won, 0.2: won}, 3) == "undecided"
    assert beats_controls({}, 3) == "undecided"


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


def test_a_sign_that_flips_refutes() -> None:
    versions = {"benchmark": interval(0.01), "norm: none": interval(0.2), "seed 1": interval(0.001)}
    assert keeps_its_sign(versions, [*versions]) == "stands"
    assert keeps_its_sign(versions, [*versions, "seed 2"]) == "undecided"
    flipped = {**versions, "seed 1": interval(-0.001)}
    assert keeps_its_sign(flipped, [*flipped, "seed 2"]) == "refuted"
    losses = {name: interval(-found.value) for name, found in versions.items()}
    assert keeps_its_sign(losses, [*losses]) == "stands"  # a loss everywhere is no flip


@pytest.mark.parametrize(
    ("backbones", "expected"),
    [
        ("ssss", "stands"),
        ("sssr", "stands"),
        ("ssrr", "refuted"),
        ("rr", "refuted"),
        ("rruu", "refuted"),
        ("ssur", "undecided"),
        ("ss", "undecided"),  # the other two were not computed
        ("sss", "stands"),
        ("r", "undecided"),
        ("", "undecided"),
    ],
)
def test_three_of_four_backbones_must_stand(backbones: str, expected: Outcome) -> None:
    names: dict[str, Outcome] = {"s": "stands", "r": "refuted", "u": "undecided"}
    found = {str(number): names[letter] for number, letter in enumerate(backbones)}
    verdict = overall(found)
    assert verdict.outcome == expected
    assert verdict.backbones == found


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
    assert judge(some, 1, ["as it is"])["a"].outcome == "stands"
    assert judge(some, 1, ["as it is"])["c"].outcome == "undecided"


def test_the_rise_is_looked_for_at_the_share_that_was_named() -> None:
    assert top_share((0.0, 0.2, 0.4, 0.46, 0.6, 0.8)) == 0.6
    assert top_share((0.0, 0.46, 0.8)) == 0.8


@pytest.mark.parametrize(
    ("low", "threshold", "expected"),
    [(0.001, 0.0, "stands"), (0.0, 0.0, "refuted"), (-0.1, 0.0, "refuted"), (0.5, 0.5, "refuted")],
)
def test_what_must_lie_above_a_threshold(low: float, threshold: float, expected: Outcome) -> None:
    found = Interval(low + 0.1, low, low + 0.2, 0.0, 3, 24)
    assert above(found, threshold) == expected
    assert above(None, threshold) == "undecided"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [("ss", "stands"), ("sur", "refuted"), ("su", "undecided"), ("", "undecided")],
)
def test_every_demand_must_stand(outcomes: str, expected: Outcome) -> None:
    names: dict[str, Outcome] = {"s": "stands", "r": "refuted", "u": "undecided"}
    assert every([names[letter] for letter in outcomes]) == expected
