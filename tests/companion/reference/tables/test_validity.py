"""The validity table says of made-up runs what they were made to show."""

from typing import Any

import pytest
from made_results import MadeUp, scores

from companion.analysis.detection import STRONG
from companion.reference.lines import Line
from companion.reference.measures import WEAK
from companion.reference.plan import ATTENTIONS, CENTRE, Arm, Cell
from companion.reference.tables.reading import ByWorld
from companion.reference.tables.validity import Check, Demand, levels, valid, validity, wide, worth

GAINS = {Arm.TOLD: 0.05, Arm.TOLD_FIRST: 0.02, Arm.TOLD_SECOND: 0.04, Arm.RULE: -0.01}
RISES = {0.2: 0.01, CENTRE: 0.05, 0.8: 0.09}  # what told gates gain


def score(cell: Cell) -> float:
    """A world in which everything holds, with a little noise that both arms of a pair share."""
    noise = 0.002 * (-1) ** cell.world * (cell.arm is Arm.PLAIN)
    single = {Arm.AUDIO: 0.7, Arm.VISUAL: 0.8, Arm.UNIFORM: 0.85, Arm.CONCATENATION: 0.86}
    if cell.arm in single:
        return single[cell.arm]
    if cell.arm is Arm.TOLD:
        return 0.9 + RISES[cell.share]
    return 0.9 + noise + GAINS.get(cell.arm, 0.0)


def line(cell: Cell) -> Line:
    value = score(cell)
    states = {"corrupted audio": 0.8, "conflicting audio": 0.6}
    more: dict[str, Any] = {"evenness": 0.8, "probes": {"audio": states, "joint": states}}
    return {"scores": scores(value, strong=value + 0.02, weak=value - 0.05), **more}


def of(checks: list[Check], what: str, attention: str = "ca") -> Check:
    (found,) = [c for c in checks if c.what == what and c.attention == attention]
    return found


def value(check: Check) -> float:
    found = check.worlds.estimate
    assert found is not None
    return found.value


def test_each_quantity_is_the_difference_that_it_is_called() -> None:
    checks = validity(MadeUp(validity=line))
    noise = -0.0004  # of the plain arm, mean of five worlds
    expected = {
        "plain − uniform, share 0": 0.05 + noise,
        "plain − best single, share 0": 0.1 + noise,
        "told − plain": 0.05 - noise,
        "told − plain: share 0.8 − share 0.2": 0.08,
        "told, stage 1 alone − plain": 0.02 - noise,
        "told, stage 2 alone − plain": 0.04 - noise,
        "the paper's rule, told − plain": -0.01 - noise,
        "told another recording's states − plain": -noise,
        "evenness of plain, share 0": 0.8,
        "AUROC in audio: corrupted audio": 0.8,
        "AUROC in joint: conflicting audio": 0.6,
    }
    for what, size in expected.items():
        assert value(of(checks, what)) == pytest.approx(size), what
    assert of(checks, "plain − best single, share 0").note == "(face alone)"
    placebo = of(checks, "told another recording's states − plain")
    assert placebo.met and placebo.demanded == "within ±0.01"
    assert {c.attention for c in checks if c.what.startswith("evenness")} == {"ca", "tca"}
    assert valid(MadeUp(validity=line)) == ATTENTIONS


@pytest.mark.parametrize(
    ("arm", "share", "attention"),
    [(Arm.UNIFORM, 0.0, "tca"), (Arm.PLAIN, CENTRE, "jca"), (Arm.PLAIN, 0.8, "rjca")],
)
def test_an_attention_that_fails_is_not_judged(arm: Arm, share: float, attention: str) -> None:
    """Its control is as good; told gates gain nothing; they gain no more where more is weak."""

    def failing(cell: Cell) -> Line:
        better = (cell.arm, cell.share, cell.attention) == (arm, share, attention)
        return {**line(cell), "scores": scores(score(cell) + 0.09 * better)}

    assert set(valid(MadeUp(validity=failing))) == set(ATTENTIONS) - {attention}


def test_what_attending_is_worth_can_be_asked_of_some_clips() -> None:
    def make(cell: Cell) -> Line:
        attends = cell.arm is Arm.PLAIN and cell.attention == "ca"
        return {"scores": scores(0.8 + 0.05 * attends, strong=0.9, weak=0.7 - 0.02 * attends)}

    results = MadeUp(validity=make)
    found = {group: worth(results, "ca", group=group).values for group in ("all", STRONG, WEAK)}
    assert found["all"] == pytest.approx(dict.fromkeys(range(1, 6), 0.05))
    assert [found[STRONG][1], found[WEAK][1]] == pytest.approx([0.0, -0.02])
    assert worth(results, "ca", 0.0).estimate is not None
    assert set(worth(results, "jca", 0.0).values.values()) == {0.0}
    assert not worth(results, "ca", 0.2).due  # no control there


def test_an_even_map_is_not_used() -> None:
    even = MadeUp(validity=lambda c: {**line(c), "evenness": 0.95 if c.attention == "ca" else 0.8})
    assert valid(even) == ("tca", "jca", "rjca")


def test_what_is_reported_beside_it_decides_nothing() -> None:
    """V2, the placebo and the probes."""

    def make(cell: Cell) -> Line:
        better = 0.1 * (cell.arm in (Arm.AUDIO, Arm.PLACEBO))
        return {"scores": scores(score(cell) + better), "evenness": 0.8}

    results = MadeUp(validity=make)
    checks = validity(results)
    assert not of(checks, "told another recording's states − plain").met
    assert of(checks, "AUROC in audio: corrupted audio").met is None
    assert valid(results) == ATTENTIONS


def test_a_part_that_is_not_finished_shows_what_is_there() -> None:
    some = MadeUp(validity=lambda cell: line(cell) if cell.world <= 3 else None)
    check = of(validity(some), "told − plain")
    assert check.met and not check.holds
    assert "met (3 of 5 worlds)" in check.text()
    assert valid(some) == ()
    nothing = MadeUp()
    assert valid(nothing) == ()
    assert {c.text() for c in validity(nothing)} == {"– (0 of 5 worlds)"}
    assert len(levels(nothing)) == 4 * 17


@pytest.mark.parametrize(
    ("values", "demand", "threshold", "met"),
    [
        ([0.03, 0.031, 0.032], "at least", 0.03, True),
        ([0.029, 0.03, 0.03], "at least", 0.03, False),
        ([0.2, 0.01, 0.01], "at least", 0.03, False),  # the mean reaches it, the interval 0
        ([0.01, 0.011, 0.012], "above", 0.0, True),
        ([0.1, -0.1, 0.1], "above", 0.0, False),
        ([0.89, 0.9, 0.88], "below", 0.9, True),
        ([0.001, -0.001, 0.0], "within", 0.01, True),
        ([0.02, -0.02, 0.0], "within", 0.01, False),  # about 0, but nobody knows
        ([0.03], "at least", 0.03, False),  # no interval
        ([], "at least", 0.03, None),
        ([0.5, 0.5], "", float("nan"), None),
    ],
)
def test_a_demand_is_met_as_it_says(
    values: list[float], demand: Demand, threshold: float, met: bool | None
) -> None:
    worlds = ByWorld(dict(enumerate(values)), tuple(range(len(values))))
    assert Check("ca", "V1", "it", worlds, demand, threshold).met is met


def test_the_wide_table_has_a_column_an_attention() -> None:
    rows = wide(validity(MadeUp(validity=line)))
    first = rows[0]
    assert list(first) == ["test", "what", "demanded", "CA", "TCA", "JCA", "RJCA"]
    assert first["demanded"] == "at least 0.02" and first["RJCA"].endswith(" met")
    (even,) = [row for row in rows if row["what"].startswith("evenness")]
    assert even["CA"].startswith("0.800") and even["JCA"] == ""


def test_levels_are_scores_of_all_strong_and_weak_clips() -> None:
    (row,) = [
        row
        for row in levels(MadeUp(validity=line))
        if (row.attention, row.share, row.arm) == ("tca", CENTRE, Arm.TOLD)
    ]
    means = [g.estimate.value for g in (row.all, row.strong, row.weak) if g.estimate]
    assert means == pytest.approx([0.95, 0.97, 0.9])
    assert row.texts()["weak"].startswith("0.900")
