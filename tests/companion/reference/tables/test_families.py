"""Families and untuned attentions stand beside concatenation in the same worlds."""

import pytest
from made_results import MadeUp, scores, tuned

from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, FAMILIES, VALIDITY_WORLDS, Arm, Cell
from companion.reference.tables.families import ARMS_BESIDE, Beside, families


def line(cell: Cell) -> Line:
    """Concatenation is at 0.7 at the central share, everything else above it."""
    if cell.share != 0.46:
        return {"scores": scores(0.1)}
    gain = 0.0 if cell.arm is Arm.CONCATENATION else 0.01 * len(cell.arm)
    return {"scores": scores(0.7 + 0.01 * cell.world + gain)}


def rows(**parts) -> dict[tuple[str, str], Beside]:  # type: ignore[no-untyped-def]
    return {(row.attention, row.arm): row for row in families(MadeUp(**parts))}


def test_every_family_and_every_arm_is_paired_with_concatenation() -> None:
    headline = {"scores": scores(0.9)}
    found = rows(validity=line, families=line, tuning=tuned, headline=lambda _: headline)
    alone = [("none", Arm.CONCATENATION), *(("none", family) for family in FAMILIES)]
    assert list(found) == [*alone, *((a, arm) for a in ATTENTIONS for arm in ARMS_BESIDE)]
    for (_, arm), row in found.items():
        assert row.score.complete and row.score.due == VALIDITY_WORLDS
        delta = row.delta.estimate
        gain = 0.0 if arm is Arm.CONCATENATION else 0.01 * len(arm)
        assert delta is not None and delta.value == pytest.approx(gain)
    assert found["none", "lstm"].texts() == {
        "model": "lstm", "CCC": "0.770 [0.750, 0.790]", "Δ": "+0.040 [+0.040, +0.040]",
        "worlds": "5", "CCC, tuned": "",
    }  # fmt: skip
    told = found["rjca", Arm.TOLD].texts()
    assert (told["model"], told["CCC, tuned"]) == ("RJCA, told", "0.900 [0.900, 0.900]")
    assert found["ca", Arm.UNIFORM].tuned is None  # a control has no choice of its own


def test_nothing_is_made_up() -> None:
    in_validity = (Arm.CONCATENATION, Arm.UNIFORM, Arm.PLAIN, Arm.TOLD)
    for row in rows(validity=line).values():
        assert (row.score.there == "5") == (row.arm in in_validity)
        assert row.texts()["CCC, tuned"] in ("", "–")
    for row in rows(families=line).values():
        assert (row.texts()["CCC"] == "–") == (row.arm in in_validity)
        assert row.texts()["Δ"] == ("" if row.arm is Arm.CONCATENATION else "–")
