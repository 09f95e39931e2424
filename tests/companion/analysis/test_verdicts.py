"""The criteria, each against cases decided by hand; every outcome of every one is reached."""

import math
from collections.abc import Sequence

import pytest

from companion.analysis.estimates import Estimate, half_width, over_worlds
from companion.analysis.judgements import Outcome
from companion.analysis.verdicts import (
    Evidence,
    above,
    beats_controls,
    chooses_on_the_fly,
    every,
    gains,
    grows_with_weakness,
    judge,
    keeps_its_sign,
    overall,
)

OUTCOMES: dict[str, Outcome] = {"s": "supported", "c": "contradicted", "i": "inconclusive"}
ATTENTIONS = ("CA", "TCA", "JCA", "RJCA")


def estimate(value: float, half: float = 0.001) -> Estimate:
    """An estimate over 20 worlds whose interval reaches ``half`` to either side."""
    error = half / float(half_width(1.0, 19))
    return Estimate(value, value - half, value + half, error, 19.0, 20, value, value)


GAIN, NONE, HARM, OPEN = estimate(0.03), estimate(0.0), estimate(-0.03), estimate(0.0, 0.05)


def letters(found: dict[str, Outcome]) -> str:
    return "".join(found[name][0] for name in found)


def named(estimates: Sequence[Estimate | None]) -> dict[str, Estimate | None]:
    return dict(zip(ATTENTIONS, estimates, strict=False))


@pytest.mark.parametrize(
    ("attentions", "expected"),
    [
        *(("ssss", "s"), ("sssc", "s"), ("sss", "s"), ("sssi", "s")),
        *(("sscc", "c"), ("cccc", "c"), ("ciic", "c"), ("cci", "c")),
        *(("ssci", "i"), ("ssii", "i"), ("iiii", "i"), ("siic", "i")),
        *(("ss", "i"), ("cc", "i"), ("s", "i"), ("", "i")),  # fewer than three are valid
    ],
)
def test_three_support_and_two_contradict(attentions: str, expected: str) -> None:
    found = {str(number): OUTCOMES[letter] for number, letter in enumerate(attentions)}
    assert overall(found) == (found, OUTCOMES[expected])


@pytest.mark.parametrize(
    ("demands", "expected"), [("ss", "s"), ("sc", "c"), ("cis", "c"), ("si", "i"), ("", "i")]
)
def test_every_demand_must_be_supported(demands: str, expected: str) -> None:
    assert every(OUTCOMES[letter] for letter in demands) == OUTCOMES[expected]


@pytest.mark.parametrize(
    ("differences", "each", "altogether"),
    [
        ((GAIN, GAIN, GAIN, HARM), "sssc", "supported"),
        ((GAIN, GAIN, NONE, HARM), "sscc", "contradicted"),
        ((GAIN, GAIN, OPEN, HARM), "ssic", "inconclusive"),
        ((GAIN, GAIN, GAIN, None), "sssi", "supported"),
        ((HARM, HARM), "cc", "inconclusive"),  # the benchmark is valid for two only
    ],
)
def test_criterion_0_is_a_gain_on_three_attentions(
    differences: Sequence[Estimate | None], each: str, altogether: Outcome
) -> None:
    found = gains(named(differences))
    assert letters(found) == each
    assert overall(found).outcome == altogether


@pytest.mark.parametrize(
    ("at_zero", "rise", "expected"),
    [
        (estimate(0.002), GAIN, "s"),
        (estimate(-0.0085), GAIN, "s"),
        (estimate(0.0095), GAIN, "i"),  # within 0.01, but perhaps not
        (estimate(0.0105), GAIN, "i"),
        (estimate(0.012), GAIN, "c"),  # helps where there is nothing to help with
        (estimate(-0.012), GAIN, "c"),
        (NONE, OPEN, "i"),
        (NONE, estimate(0.0015), "s"),
        (NONE, estimate(-0.0015), "c"),
        (OPEN, HARM, "c"),
        (None, GAIN, "i"),
        (NONE, None, "i"),
        (None, HARM, "c"),
    ],
)
def test_criterion_a_is_a_gain_that_comes_with_weakness(
    at_zero: Estimate | None, rise: Estimate | None, expected: str
) -> None:
    assert letters(grows_with_weakness({"CA": at_zero}, {"CA": rise})) == expected


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ((GAIN, GAIN), "s"),
        ((GAIN, estimate(0.005, 0.004)), "c"),  # beaten, by less than 0.01
        ((GAIN, HARM), "c"),
        ((OPEN, HARM), "c"),
        ((GAIN, OPEN), "i"),
        ((GAIN, None), "i"),
        ((), ""),
    ],
)
def test_criterion_b_asks_for_more_than_every_control(
    controls: Sequence[Estimate | None], expected: str
) -> None:
    over = {str(number): {"CA": found} for number, found in enumerate(controls)}
    assert letters(beats_controls(over)) == expected


@pytest.mark.parametrize(
    ("frozen", "permuted", "expected"),
    [
        (estimate(0.006), estimate(0.005), "s"),
        (estimate(0.003), estimate(0.02), "c"),
        (estimate(0.02), estimate(0.003), "c"),
        (HARM, None, "c"),  # better without its own choices
        (estimate(0.0045), estimate(0.02), "i"),
        (None, estimate(0.02), "i"),
    ],
)
def test_criterion_c_is_about_gates_that_act_as_constants(
    frozen: Estimate | None, permuted: Estimate | None, expected: str
) -> None:
    assert letters(chooses_on_the_fly({"CA": frozen}, {"CA": permuted})) == expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ((GAIN, GAIN, estimate(0.002)), "s"),
        ((HARM, HARM, HARM), "s"),  # a loss everywhere is no flip
        ((GAIN, HARM), "c"),
        ((GAIN, HARM, OPEN), "c"),
        ((GAIN, GAIN, OPEN), "i"),
        ((GAIN, GAIN), "i"),  # the third was not computed
        ((), "i"),
    ],
)
def test_criterion_d_is_about_a_sign_that_flips(
    versions: Sequence[Estimate], expected: str
) -> None:
    given = dict(zip("xyz", versions, strict=False))
    assert keeps_its_sign(given, "xyz") == OUTCOMES[expected]


def test_what_must_lie_above_a_threshold_does_so_interval_and_all() -> None:
    assert above(estimate(0.002)) == above(estimate(0.52), 0.5) == "supported"
    assert above(estimate(-0.002)) == above(estimate(0.48), 0.5) == "contradicted"
    assert above(over_worlds([0.0, 0.0])) == "contradicted"  # wholly at 0
    assert above(OPEN) == above(estimate(0.5005), 0.5) == above(None) == "inconclusive"
    assert above(over_worlds([0.3])) == "inconclusive" and math.isnan(over_worlds([0.3]).low)


def test_tests_are_adjusted_over_attentions_in_every_criterion_that_tests() -> None:
    """Each of these is just enough alone, and not enough among four of which three are open."""
    close = estimate(0.02, 0.0195)
    flat = estimate(0.0, 0.0098)
    others = dict.fromkeys(ATTENTIONS[1:], OPEN)
    assert gains({"CA": close})["CA"] == "supported"
    assert gains({"CA": close} | others)["CA"] == "inconclusive"
    rising = dict.fromkeys(ATTENTIONS, GAIN)
    assert grows_with_weakness({"CA": flat}, rising)["CA"] == "supported"
    assert grows_with_weakness({"CA": flat} | others, rising)["CA"] == "inconclusive"


def test_each_criterion_sees_its_own_evidence() -> None:
    sound = Evidence(
        gain=GAIN,
        at_zero=NONE,
        rise=GAIN,
        over_controls={"mlp": GAIN},
        frozen=GAIN,
        permuted=GAIN,
        versions={"as it is": GAIN},
    )

    def verdicts(evidence: Evidence, versions: Sequence[str] = ("as it is",)) -> str:
        found = judge(dict.fromkeys(ATTENTIONS, evidence), ["mlp"], versions)
        assert list(found) == ["0", "a", "b", "c", "d"]
        assert all(tuple(verdict.attentions) == ATTENTIONS for verdict in found.values())
        return "".join(verdict.outcome[0] for verdict in found.values())

    assert verdicts(sound) == "sssss"
    assert verdicts(sound._replace(gain=HARM)) == "cssss"
    assert verdicts(sound._replace(at_zero=GAIN)) == verdicts(sound._replace(rise=HARM)) == "scsss"
    assert verdicts(sound._replace(over_controls={"mlp": NONE})) == "sscss"
    assert verdicts(sound._replace(over_controls={"other": NONE})) == "ssiss"
    assert verdicts(sound._replace(frozen=NONE)) == verdicts(sound._replace(permuted=NONE))
    assert verdicts(sound._replace(permuted=NONE)) == "ssscs"
    flipped = {"as it is": GAIN, "other": HARM}
    assert verdicts(sound._replace(versions=flipped)) == "ssssc"
    assert verdicts(sound, ("as it is", "other")) == "ssssi"
    assert verdicts(Evidence()) == "iiiii"
    found = judge({"CA": sound, "TCA": sound, "JCA": sound, "RJCA": Evidence()}, ["mlp"], [])
    assert [verdict.outcome for verdict in found.values()] == ["supported"] * 5
    assert str(found["0"]) == (
        "**supported** (CA supported, TCA supported, JCA supported, RJCA inconclusive)"
    )
