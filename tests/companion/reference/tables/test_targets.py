"""Scores of single targets, from made-up lines."""

import pytest
from made_results import MadeUp, scores, tuned

from companion.reference.lines import Line
from companion.reference.plan import Arm, Cell
from companion.reference.tables.targets import by_target


def line(cell: Cell) -> Line:
    """Valence lies 0.125 below the mean and arousal above; tuned gates lift valence alone."""
    found = scores(0.5 + 0.01 * cell.world)
    found["all"][0] += 0.03 * (cell.arm is Arm.TUNED)
    return {"scores": found}


def test_targets_are_paired_with_plain_in_the_same_world() -> None:
    results = MadeUp(tuning=tuned, headline=line, controls=line)
    rows = {row.arm: row for row in by_target(results) if row.attention == "ca"}
    texts = rows[Arm.TUNED].texts()
    assert texts["valence"].split()[0] == "0.510"
    assert texts["Δ valence"].split()[0] == "+0.030"
    assert texts["arousal"].split()[0] == "0.730" and texts["Δ arousal"].split()[0] == "+0.000"
    assert rows[Arm.PLAIN].texts()["Δ valence"] == ""
    assert rows[Arm.UNIFORM].deltas["arousal"].values[20] == pytest.approx(0.0)
    assert Arm.AGAIN in rows and Arm.WITHOUT in rows


def test_a_training_that_failed_has_no_target() -> None:
    failed = MadeUp(tuning=tuned, headline=lambda cell: {"failed": "loss", "select": None})
    assert {row.texts()["valence"] for row in by_target(failed)} == {"–"}
