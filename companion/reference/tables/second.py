"""The arms on `synthetic`, the world in which there is nothing to attend to."""

from dataclasses import dataclass, replace

from companion.analysis.coverage import mark
from companion.analysis.judgements import Judgement, outcome
from companion.analysis.ratios import Proportion
from companion.reference.lines import Results
from companion.reference.plan import CENTRE, LEARNED, SECOND, Arm, Cell
from companion.reference.tables.headline import modality_weight, outcome_text, settled
from companion.reference.tables.reading import ByWorld, by_world, said, score_text, scored


@dataclass(frozen=True)
class Second:
    """An arm of CA on `synthetic`, with what was chosen for it on `episodes`.

    Attributes:
        arm: which one; uniform attention stands beside them.
        score: CCC.
        delta: that minus plain attention's in the same world.
        judgement: of Δ by the rule of criterion (0), which is about `episodes` and not about this;
            ``None`` for plain itself and where nothing is there.
        collapse: as in the front table.
    """

    arm: Arm
    score: ByWorld
    delta: ByWorld
    judgement: Judgement | None
    collapse: Proportion | None

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        found, plain = self.delta.estimate, self.arm is Arm.PLAIN
        verdict = outcome_text(found, self.judgement, mark(found)) if found else said(None)
        return {
            "arm": str(self.arm),
            "CCC": score_text(self.score.estimate),
            "Δ": "" if plain else said(found),
            "outcome": "" if plain else verdict,
            "collapse": said(self.collapse) if self.collapse else "",
            "worlds": self.score.there,
        }


def second(results: Results) -> list[Second]:
    """The arms of CA, and uniform attention, at the central share of `synthetic`."""

    def like(cell: Cell) -> Cell:
        return replace(cell, version=SECOND)

    rows = []
    plain = by_world(results, SECOND, "ca", Arm.PLAIN, CENTRE, scored(), like)
    for arm in (Arm.PLAIN, Arm.UNIFORM, *LEARNED, Arm.TOLD):
        score = by_world(results, SECOND, "ca", arm, CENTRE, scored(), like)
        delta = score - plain
        found = None if arm is Arm.PLAIN else delta.estimate
        collapse = by_world(results, SECOND, "ca", arm, CENTRE, modality_weight, like)
        judged = outcome(found) if found else None
        rows.append(Second(arm, score, delta, judged, settled(collapse)))
    return rows
