"""Knowing is counted whichever way gates turn, and acting by what it costs."""

import pytest
from made_results import MadeUp, scores, tuned

from companion.analysis.detection import GATE_SCORES
from companion.reference.gates import asked_of
from companion.reference.lines import Line
from companion.reference.plan import Arm, Cell
from companion.reference.tables.obeying import REGIONS, TAKEN, obeyed, told_apart
from iaca.data.states import STATES


def line(cell: Cell) -> Line:
    """Stage 1 of told gates is wrong in every pair, stage 2 right; others tell 0.6."""
    told = cell.arm is Arm.TOLD
    detection = {}
    for gate in GATE_SCORES:
        auroc = 0.6 if not told else 0.0 if gate.startswith("stage 1") else 1.0
        within = [auroc if weak in STATES else 0.5 for weak in asked_of(gate)]
        detection[gate] = {"within": within}
    cost = {"stage 1 frozen": 0.01, "stage 2 frozen": 0.001, "all permuted": 0.02}
    taken = {name: scores(0.8 - lost)["all"] for name, lost in cost.items()}
    return {"detection": detection, "interventions": {"own": scores(0.8)["all"], **taken}}


def test_knowing_and_acting_make_four_regions() -> None:
    rows = {(r.arm, r.intervention): r for r in obeyed(MadeUp(tuning=tuned, headline=line))}
    found = {key: row.region for key, row in rows.items()}
    assert found[Arm.TOLD, "stage 1 frozen"] == REGIONS[True, True]
    assert found[Arm.TOLD, "stage 2 frozen"] == REGIONS[True, False]
    assert found[Arm.TUNED, "all permuted"] == REGIONS[False, True]
    assert found[Arm.TUNED, "stage 2 frozen"] == REGIONS[False, False]
    told = rows[Arm.TOLD, "all permuted"]
    assert told.knows.estimate is not None and told.knows.estimate.value == 1.0
    assert told.texts()["worlds"] == "20" and told.texts()["cost"].startswith("+0.020")


def test_several_states_together_do_not_count() -> None:
    """They may cancel each other: 0.5 for gates that know every single state."""
    known = told_apart(TAKEN["stage 1 frozen"])(line(Cell("ca", Arm.TOLD, 0.46, 1, 1)))
    assert known == pytest.approx(1.0)


def test_what_was_not_asked_has_no_region() -> None:
    assert {row.region for row in obeyed(MadeUp())} == {""}
    some = {"detection": {gate: {"within": [0.5]} for gate in GATE_SCORES}}
    assert told_apart(GATE_SCORES)(some) is None
