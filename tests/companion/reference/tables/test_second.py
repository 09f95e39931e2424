"""The arms on `synthetic` stand beside plain attention in the same worlds."""

import pytest
from made_results import MadeUp, scores, tuned

from companion.reference.lines import Line
from companion.reference.plan import SECOND, WORLDS, Arm, Cell
from companion.reference.tables.second import second


def line(cell: Cell) -> Line:
    assert cell.version == SECOND
    gain = {Arm.SIBLING: -0.05, Arm.TOLD: 0.04}.get(cell.arm, 0.0)
    noise = 0.001 * (-1) ** cell.world * (cell.arm is not Arm.PLAIN)
    found: Line = {"scores": scores(0.7 + 0.01 * cell.world + gain + noise)}
    if cell.arm is Arm.SIBLING:
        found["gates"] = {"all": [0.5, 0.5, 0.99 if cell.world <= 5 else 0.5, 0.0]}
    return found


def test_arms_are_paired_with_plain_and_judged_one_by_one() -> None:
    rows = {row.arm: row for row in second(MadeUp(tuning=tuned, synthetic=line))}
    assert rows[Arm.PLAIN].judgement is None and rows[Arm.PLAIN].texts()["Δ"] == ""
    found = rows[Arm.SIBLING].delta.estimate
    assert found is not None and (found.value, found.n) == (pytest.approx(-0.05), len(WORLDS))
    outcomes = {arm: row.texts()["outcome"] for arm, row in rows.items()}
    assert outcomes[Arm.TOLD] == "supported"
    assert outcomes[Arm.UNIFORM] == "contradicted (no gain of 0.01)"
    assert outcomes[Arm.SIBLING].startswith("contradicted (harm)")
    collapse = rows[Arm.SIBLING].collapse
    assert collapse is not None and (collapse.times, collapse.n) == (5, 20)


def test_nothing_is_made_up() -> None:
    for row in second(MadeUp(tuning=tuned)):
        assert row.texts()["CCC"] == "–" and row.texts()["worlds"] == "0 of 20"
