"""The criteria, each against cases decided by hand."""

import pytest

from iaca.refutation import (
    Outcome,
    beats_controls,
    chooses_on_the_fly,
    grows_with_weakness,
    keeps_its_sign,
    overall,
)
from iaca.statistics import Interval


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
