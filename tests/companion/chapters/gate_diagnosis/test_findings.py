"""Every sentence of chapter 7 says what its numbers say."""

import math
from collections.abc import Callable

import pytest
from made_results import MadeUp, scores, tuned

from companion.analysis.detection import GATE_SCORES
from companion.analysis.estimates import over_worlds
from companion.chapters.gate_diagnosis import findings
from companion.reference.gates import asked_of
from companion.reference.lines import Line
from companion.reference.plan import LEARNED, Arm, Cell
from companion.reference.tables.asked import detects
from companion.reference.tables.obeying import obeyed
from iaca.data.states import STATES

Auroc = Callable[[Cell, str, str], float]


def results(auroc: Auroc, cost: float = 0.0) -> MadeUp:
    """A headline whose gates have these AUROCs within recordings, and 0.1 less pooled."""

    def line(cell: Cell) -> Line:
        within = {g: [auroc(cell, g, weak) for weak in asked_of(g)] for g in GATE_SCORES}
        detection = {
            gate: {"within": each, "pooled": [x - 0.1 for x in each]}
            for gate, each in within.items()
        }
        taken = dict.fromkeys(
            ("stage 1 frozen", "stage 2 frozen", "all permuted"), scores(0.5 - cost)["all"]
        )
        return {"detection": detection, "interventions": {"own": scores(0.5)["all"], **taken}}

    def probes(cell: Cell) -> Line:
        seen = dict.fromkeys(STATES[1:], 0.9)
        return {"probes": {"audio": seen, "visual": seen, "joint": seen}}

    return MadeUp(tuning=tuned, headline=line, validity=probes)


def flat(value: float, told: float = 1.0) -> MadeUp:
    return results(lambda cell, *_: told if cell.arm is Arm.TOLD else value)


@pytest.mark.parametrize(("value", "how"), [(0.45, "hardly"), (0.3, "partly tell"), (0.8, "tell")])
def test_the_opening_says_how_well_learned_gates_tell(value: float, how: str) -> None:
    made = flat(value)
    said = findings.opening(obeyed(made), detects(made))
    assert (
        said.startswith(f"**Learned gates {how}")
        and f"turn, is {max(value, 1 - value):.2f} in the median" in said
    )
    above, below = (288, 0) if value > 0.5 else (0, 288)
    assert f"Of 288 AUROCs of learned gates, {above} lie above 0.5 and {below} below" in said


def test_the_opening_names_the_highest_and_the_lowest() -> None:
    def auroc(cell: Cell, gate: str, weak: str) -> float:
        high = (cell.attention, cell.arm, gate, weak) == (
            "jca", Arm.TUNED, "stage 1, visual", "dominating visual",
        )  # fmt: skip
        return 0.7 if high else 0.5

    made = results(auroc)
    said = findings.opening(obeyed(made), detects(made))
    assert "highest is 0.70 (JCA, IACA, tuned, stage 1, visual: dominating visual)" in said
    assert "the lowest 0.50 (" in said


@pytest.mark.parametrize(
    ("own", "other", "does", "and_does"),
    [(0.9, 0.1, "declines", "keeps"), (0.0, 1.0, "keeps", "declines"), (0.5, 0.5, "some", "some")],
)
def test_told_gates_say_which_direction_pays(
    own: float, other: float, does: str, and_does: str
) -> None:
    def auroc(cell: Cell, gate: str, weak: str) -> float:
        value = own if gate.split(", ")[1] == weak.split()[-1] else other
        return value if cell.arm is Arm.TOLD else 0.6

    first, second, learned = findings.direction(detects(results(auroc)))
    before, after = first.split(", and ")
    assert does in before and f"(AUROC {own:.2f} to {own:.2f})" in before
    assert and_does in after and "where the *other* modality is" in after
    assert does in second
    # On 12 of an arm's 18 the told gates have `own`, on 6 `other`.
    same = 4 * (12 * (own > 0.5) + 6 * (other > 0.5))
    assert "Of 72 AUROCs" in learned and f", {same} lie on the side" in learned


def test_pooling_is_told_by_its_distance() -> None:
    assert "differ by 0.100 in the median of 360" in findings.pooling(detects(flat(0.5)))


def test_the_prediction_is_met_where_all_four_values_are_inside() -> None:
    def auroc(cell: Cell, gate: str, weak: str) -> float:
        out = cell.arm is Arm.TUNED and (gate, weak) == ("stage 1, audio", "conflicting visual")
        return 1.0 if cell.arm is Arm.TOLD else 0.56 if out else 0.52

    found = findings.prediction(detects(results(auroc)))
    assert found[Arm.SIBLING] == ("0.52 to 0.52", "met")
    assert found[Arm.TUNED] == ("0.52 to 0.56", "not met")
    assert found[Arm.TOLD][1] == "not met" and len(found) == len(LEARNED) + 1


def test_probes_stand_beside_the_gates_that_would_read_them() -> None:
    made = flat(0.55)
    found = findings.seen_by(made, detects(made), "ca")
    gate = found["stage 2, visual"]
    assert len(gate) == 6 and {tuple(states) for states in gate.values()} == {
        ("corrupted visual", "conflicting visual", "dominating visual")
    }
    assert gate["linear probe"]["corrupted visual"].value == pytest.approx(0.9)
    assert gate[Arm.TUNED]["dominating visual"].value == pytest.approx(0.55)
    lines = findings.seen(found)
    assert len(lines) == 6
    assert lines[0] == ("- *corrupted*, stage 1: probe 0.90 to 0.90, learned gates 0.55 to 0.55.")


def test_regions_are_counted_for_learned_and_told_gates() -> None:
    lines = findings.regions(obeyed(results(lambda cell, *_: 1.0 * (cell.arm is Arm.TOLD))))
    assert len(lines) == 3
    assert "learned gates – knows, does not act 16; told gates – knows, does not act 4" in lines[0]
    half = flat(0.5)
    assert (
        "learned gates – neither 16; told gates – knows, does not act 4"
        in (findings.regions(obeyed(half))[1])
    )


def test_before_anything_is_computed_that_is_said() -> None:
    nothing = MadeUp()
    rows = detects(nothing)
    seen = findings.seen(findings.seen_by(nothing, rows, "ca"))
    said = [findings.opening(obeyed(nothing), rows), findings.pooling(rows)]
    for lines in (said, findings.direction(rows), findings.regions(obeyed(nothing)), seen):
        assert {*lines} == {findings.NOT_YET}
    assert findings.prediction(rows) == {}


def test_what_gates_follow_is_counted_with_what_could_have_been_shown() -> None:
    up, down, none = ([0.3, 0.31, 0.32], [-0.2, -0.21, -0.22], [-0.3, 0.0, 0.3])
    found = [over_worlds(values) for values in (up, down, none)]
    said = findings.followed(found)
    assert "Of 3 gates, 1 decline more" in said and "and 1 decline less" in said
    assert "between −0.210 and +0.310" in said
    assert f"{min(x.detectable for x in found):.2f} to" in said
    assert "no intervals" in findings.followed([over_worlds([0.1])])
    assert math.isnan(over_worlds([0.1]).low)


def test_a_simple_detector_wins_where_it_beats_every_learned_gate() -> None:
    base = dict.fromkeys(STATES[1:], 0.6)
    found = {
        "norm": base | {"corrupted audio": 0.9},
        Arm.TUNED: dict.fromkeys(STATES[1:], 0.7),
        Arm.TOLD: dict.fromkeys(STATES[1:], 1.0),
    }
    said = findings.simpler(found, ["norm"])
    assert said.endswith("in 1 of 6 weak states: corrupted audio.")
    assert findings.simpler(found | {"norm": base}, ["norm"]).endswith("in 0 of 6 weak states.")
