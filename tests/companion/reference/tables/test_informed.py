"""What told gates gain is taken apart into knowing and gating, world by world."""

import pytest
from made_results import MadeUp, scores, tuned

from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, INFORMED, Arm, Cell
from companion.reference.tables.informed import informed

GAINS = {Arm.TOLD: 0.05, Arm.ZERO_STARTED: 0.06, Arm.TUNED: 0.03}


def headline(cell: Cell) -> Line:
    return {"scores": scores(0.7 + 0.01 * cell.world + GAINS.get(cell.arm, 0.0))}


def shown(cell: Cell) -> Line:
    """Plain attention that knows gains 0.04; what gates add to that differs from world to world."""
    assert cell.version == INFORMED
    gain = 0.04 + (GAINS[cell.arm] - 0.05 if cell.arm is not Arm.PLAIN else 0.0)
    return {"scores": scores(0.7 + 0.01 * cell.world + gain)}


def test_differences_are_of_the_models_that_they_name() -> None:
    rows = informed(MadeUp(tuning=tuned, headline=headline, informed=shown))
    assert [row.attention for row in rows] == [*ATTENTIONS]
    for row in rows:
        for worlds, value, n in (
            (row.told, 0.05, 20),
            (row.knowing, 0.04, 20),
            (row.gating, 0.01, 20),
            (row.zero_started, 0.01, 10),
            (row.tuned, -0.02, 10),
        ):
            found = worlds.estimate
            assert found is not None and found.value == pytest.approx(value) and found.n == n
        assert row.texts()["worlds"] == "20; 10"


def test_what_is_not_computed_is_a_dash() -> None:
    row = informed(MadeUp(tuning=tuned, headline=headline))[0]
    assert row.texts()["told − plain that knows"] == "–" and row.texts()["told − plain"] != "–"
