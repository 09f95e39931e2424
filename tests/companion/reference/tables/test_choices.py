"""Mean weights of gates by group of clips, from made-up lines."""

import pytest
from made_results import MadeUp, scores, tuned

from companion.reference.lines import Line
from companion.reference.plan import ATTENTIONS, Arm, Cell
from companion.reference.tables.asked import GATED
from companion.reference.tables.choices import Choice, choices
from iaca.data.states import KINDS


def line(cell: Cell) -> Line:
    """Told gates take 0.3, 0.6 and 0.9 from a modality by the kind of its weakness; others none."""
    taken = cell.arm is Arm.TOLD
    shift = 0.01 * (-1) ** cell.world
    gates = {"strong": [1.0, 0.5, 0.4 + shift, 0.3 + shift]}
    for number, kind in enumerate(KINDS, 1):
        off = 0.1 * number * taken
        gates[f"{kind} audio"] = [0.0, 0.5, 0.4 - off, 0.3]
        gates[f"{kind} visual"] = [1.0, 0.2 * number, 0.4, 0.3 - off]
    return {"scores": scores(0.5), "gates": gates} if cell.arm in GATED else {"scores": scores(0.5)}


def row_of(rows: list[Choice], arm: Arm, clips: str) -> Choice:
    (row,) = (r for r in rows if (r.attention, r.arm, r.clips) == ("ca", arm, clips))
    return row


def test_weights_are_means_over_kinds_of_weakness_and_worlds() -> None:
    rows = choices(MadeUp(tuning=tuned, headline=line))
    assert len(rows) == len(ATTENTIONS) * len(GATED) * 3
    strong, audio, visual = (
        row_of(rows, Arm.TOLD, clips) for clips in ("strong", "audio weak", "visual weak")
    )
    assert (strong.weak, audio.weak, visual.weak) == ("", "audio", "visual")
    assert [*strong.texts().values()][3:] == ["1.00", "0.50", "0.40", "0.30", "0.30", "", "20"]
    assert [*audio.texts().values()][3:8] == ["0.00", "0.50", "0.20", "0.30", "0.50"]
    assert visual.texts()["visual: cross-attended"] == "0.40"


def test_what_stage_2_takes_is_paired_within_worlds() -> None:
    rows = choices(MadeUp(tuning=tuned, headline=line))
    for clips in ("audio weak", "visual weak"):
        taken = row_of(rows, Arm.TOLD, clips).taken
        assert taken is not None and taken.estimate is not None
        assert (taken.estimate.value, taken.estimate.n) == (pytest.approx(0.2), 20)
        assert taken.values[1] == pytest.approx(0.19)
        none = row_of(rows, Arm.TUNED, clips).taken
        assert none is not None and none.estimate is not None
        assert none.estimate.value == pytest.approx(0.0, abs=1e-12)


def test_a_kind_without_clips_is_not_averaged_away() -> None:
    def short(cell: Cell) -> Line:
        made = line(cell)
        made.get("gates", {}).pop("conflicting audio", None)
        return made

    rows = choices(MadeUp(tuning=tuned, headline=short))
    assert row_of(rows, Arm.TOLD, "audio weak").texts()["stage 2: audio"] == "–"
    assert row_of(rows, Arm.TOLD, "visual weak").texts()["stage 2: audio"] == "0.40"
