"""Chapter 6's numbers: those of the reference run, and the words that they are put in."""

import math
from typing import Any

import pytest
from made_results import MadeUp, asked, scores, tuned, validity_of

from companion.analysis.estimates import Estimate, over_worlds
from companion.chapters.missing_modality import words
from companion.chapters.missing_modality.found import FLOOR, Found, from_reference
from companion.reference.gates import MISSING, corruptions
from companion.reference.lines import Line
from companion.reference.plan import Arm, Cell
from companion.reference.tables.asked import GATED

LOST = {Arm.PLAIN: 0.4, Arm.TUNED: 0.3, Arm.DROPOUT: 0.1}


def line(cell: Cell) -> Line:
    """Plain loses 0.4, tuned gates 0.3, others 0.35; a modality alone scores 0.3 whatever happens.

    Stage 2 of tuned gates gives missing clips 0.1 less of their modality.
    """
    alone = cell.arm in (Arm.AUDIO, Arm.VISUAL)
    whole, lost = (0.3, 0.0) if alone else (0.6 + 0.01 * cell.world, LOST.get(cell.arm, 0.35))
    made = {"scores": scores(whole), **asked(cell.world, whole, 0.0, 0.5, lost)}
    if cell.arm in GATED:
        weight = 0.02 * cell.world
        made["gates"] = {"all": [0.5, 0.5, weight, 1 - weight]}
        less = [0.5, 0.5, 0.4 - 0.1 * (cell.arm is Arm.TUNED), 0.4, 0.2]
        made["noticing"] = {m: [less, [0.5, 0.5, 0.4, 0.4, 0.2]] for m in ("audio", "visual")}
    return made


@pytest.fixture(scope="module")
def found() -> Found:
    valid = validity_of("ca")
    return from_reference(MadeUp(validity=valid, tuning=tuned, headline=line, missing=line))


def estimate(value: float, half: float = 0.01) -> Estimate:
    return over_worlds([value])._replace(low=value - half, high=value + half)


def test_curves_begin_with_whole_recordings_and_have_their_floor(found: Found) -> None:
    assert list(found.curves) == ["CA", *(f"{a} (not judged)" for a in ("TCA", "JCA", "RJCA"))]
    for lost, modality in (("voice", "audio"), ("face", "visual")):
        curves = found.curves["CA"][lost]
        assert set(curves[FLOOR]) == {0.0, *MISSING[modality]}
        assert all(each.value == pytest.approx(0.3) for each in curves[FLOOR].values())
        assert curves[FLOOR][0.0].n == 10 and curves[Arm.TOLD][0.0].n == 20
        for share in (0.0, 0.8):
            assert curves[Arm.TUNED][share].value == pytest.approx(0.705 - 0.3 * share)


def test_differences_are_those_of_the_criteria(found: Found) -> None:
    tuned_ones = found.differences["RJCA (not judged)"]["face"][Arm.TUNED]
    sizes = {letter: each.value for letter, each in tuned_ones.items()}
    assert sizes == pytest.approx({"0": 0.0, "e": 0.08, "f": 0.05, "g": -0.1}, abs=1e-9)
    assert "g" not in found.differences["CA"]["face"][Arm.DROPOUT]
    gains = {what: by[Arm.DROPOUT].value for what, by in found.gains["CA"].items()}
    assert gains["voice missing"] == pytest.approx(0.15)
    assert gains["voice missing in a block"] == pytest.approx(0.15)
    assert gains["face swapped"] == pytest.approx(0.3)
    missing, wrong = (found.gains_where(missing=which)["CA"] for which in (True, False))
    assert len(missing) == 4 and {**missing, **wrong} == found.gains["CA"]
    assert len(found.gains["CA"]) == len(corruptions())


def test_gates_are_asked_about_the_modality_that_is_gone(found: Found) -> None:
    shifts = {gate: by[Arm.TUNED].value for gate, by in found.noticed["CA"].items()}
    assert shifts == pytest.approx(
        {"stage 1, voice": 0.0, "stage 2, voice": -0.1, "stage 1, face": 0.0, "stage 2, face": 0.0}
    )
    points = found.gone["CA"]["face"][Arm.TUNED]
    assert points[4] == (pytest.approx(0.9), pytest.approx(0.3)) and len(points) == 20


def test_nothing_is_made_up() -> None:
    nothing = from_reference(MadeUp())
    assert not any(nothing)
    assert words.noticing(nothing, GATED) == "Stage 2: not computed yet."
    assert words.explains(nothing, GATED).endswith("not computed yet.")
    assert words.table(nothing, GATED).empty
    only = from_reference(MadeUp(validity=validity_of(), tuning=tuned, headline=line))
    said = words.losses(only, "CA (not judged)", "voice", [Arm.PLAIN, Arm.DROPOUT, FLOOR])
    assert said.endswith("80 % missing: plain 0.320.")


def test_losses_say_from_where_on_one_modality_alone_is_better(found: Found) -> None:
    shown = [Arm.PLAIN, Arm.TUNED, Arm.DROPOUT, FLOOR]
    said = words.losses(found, "CA", "voice", shown)
    lost = "plain 0.320; IACA, tuned 0.240; plain, modality dropout 0.080"
    assert f"CCC lost from 0 to 80 % missing: {lost}." in said
    assert "Below a model of the face alone: plain never" in said
    floor = {share: estimate(0.3) for share in (0.0, 0.5, 1.0)}
    for values, start in (((0.2, 0.2, 0.2), 0.0), ((0.4, 0.2, 0.2), 0.5), ((0.2, 0.2, 0.4), None)):
        curve = dict(zip(floor, map(estimate, values), strict=True))
        assert words.below(curve, floor) == start
    found.curves["CA"]["voice"][FLOOR] = {share: estimate(0.5) for share in (0.0, 0.4, 0.8, 1.0)}
    assert "alone: plain from 80 % on; IACA, tuned from 80 % on" in words.losses(
        found, "CA", "voice", shown
    )


@pytest.mark.parametrize(
    ("value", "wording"),
    [(0.02, "less than"), (-0.02, "more than"), (0.005, "neither clearly less nor clearly more")],
)
def test_an_arm_loses_less_or_more_by_its_interval(value: float, wording: str) -> None:
    assert f"told loses {wording}" in words.spares(estimate(value), "told")
    alone = words.spares(over_worlds([0.3]), "told")
    assert alone.startswith("one seed cannot tell whether told loses less than plain (+0.300")
    assert words.spares(None, "told") == "whether told loses less than plain is not computed yet"


def test_what_gates_notice_is_counted(found: Found) -> None:
    said = words.noticing(found, [Arm.TUNED, Arm.TOLD])
    assert said.startswith("Stage 2: less weight in 4 of 16 cases, more in 0")
    assert said.endswith("−0.100 [−0.100, −0.100] (CA, IACA, tuned, voice).")
    alone = {"CA": {"stage 2, face": {Arm.TUNED: over_worlds([0.1])}}}
    said = words.noticing(found._replace(noticed=alone), [Arm.TUNED])
    assert "1 cases, without intervals: these need ten seeds" in said


def test_weight_and_loss_are_ranked_for_each_modality(found: Found) -> None:
    gone: Any = {
        "CA": {
            "voice": {Arm.TUNED: [(0.1, 0.1), (0.2, 0.3)], Arm.TOLD: [(0.9, 0.4)]},
            "face": {Arm.TUNED: [(0.1, 0.1)]},
        }
    }
    said = words.explains(found._replace(gone=gone), [Arm.TUNED, Arm.TOLD])
    assert said.endswith("CA, voice 1.000 (3 dots); CA, face – (1 dots).")


def test_a_finding_says_the_losses_and_whether_less_is_lost(found: Found) -> None:
    said = words.finding(found, "CA", "face", [Arm.PLAIN], [Arm.TUNED, Arm.SIBLING])
    assert said.startswith(words.losses(found, "CA", "face", [Arm.PLAIN]))
    assert "Up to 80 % missing, IACA, tuned loses less than plain (+0.080" in said
    assert ", and sibling's gates loses less than plain (+0.040" in said


def test_one_recording_is_said_with_its_schedules() -> None:
    valence = {"plain": {0.0: [0.5, 0.5], 0.8: [0.1, 0.3]}}
    arousal = {"plain": {0.0: [0.7, 0.7], 0.8: [0.5, 0.5]}}
    said = words.on_one({"valence": valence, "arousal": arousal})
    assert said.endswith("missing: plain 0.250 (schedules from 0.200 to 0.300).")


def test_a_table_has_a_row_for_each_arm_and_modality(found: Found) -> None:
    table = words.table(found, [Arm.TUNED, Arm.DROPOUT])
    assert len(table) == 4 * 2 * 2
    first = table.iloc[0]
    assert (first["missing"], first["(g)"]) == ("voice", "−0.100 [−0.100, −0.100]")
    assert [*words.table(found, [Arm.DROPOUT], "0e").columns[3:]] == ["nothing missing", "(e)"]
    assert not math.isnan(found.differences["CA"]["voice"][Arm.TUNED]["e"].low)
