"""Families of fusion beside the attentions at the central share, all with one setting."""

from dataclasses import dataclass

from companion.reference.lines import Results
from companion.reference.plan import (
    ATTENTIONS,
    CENTRE,
    COMPARED,
    FAMILIES,
    VALIDITY_WORLDS,
    Arm,
    ArmName,
)
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import ByWorld, by_world, said, score_text, scored
from iaca.models.regressor import AttentionName

PART = "families"
BASELINE = Arm.CONCATENATION
ARMS_BESIDE = (Arm.UNIFORM, Arm.PLAIN, Arm.SIBLING, Arm.ZERO_STARTED, Arm.TOLD)


@dataclass(frozen=True)
class Beside:
    """A model that nobody tuned, beside the others.

    Attributes:
        attention: which one; ``none`` for a family.
        arm: what is done with the attention, or the family's own name.
        score: CCC.
        delta: that minus concatenation's in the same world.
        tuned: the same arm's CCC with what the tuning chose for it, over the headline's worlds;
            ``None`` for what was never tuned.
    """

    attention: AttentionName
    arm: ArmName
    score: ByWorld
    delta: ByWorld
    tuned: ByWorld | None

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            "model": str(self.arm) if self.is_family else f"{self.attention.upper()}, {self.arm}",
            "CCC": score_text(self.score.estimate),
            "Δ": "" if self.arm is BASELINE else said(self.delta.estimate),
            "worlds": self.score.there,
            "CCC, tuned": "" if self.tuned is None else score_text(self.tuned.estimate),
        }

    @property
    def is_family(self) -> bool:
        """Whether it fuses by itself, without one of the four attentions."""
        return self.attention == "none"


def families(results: Results) -> list[Beside]:
    """Concatenation, every family, and the four attentions in the arms that need no tuning."""
    baseline = untuned(results, "none", BASELINE)
    alone: list[tuple[AttentionName, ArmName]] = [("none", BASELINE)]
    alone += [("none", family) for family in FAMILIES]
    rows = []
    for attention, arm in [*alone, *((a, arm) for a in ATTENTIONS for arm in ARMS_BESIDE)]:
        score = untuned(results, attention, arm)
        tuned = None
        if isinstance(arm, Arm) and arm in COMPARED:
            tuned = at_centre(results, attention, arm)
        rows.append(Beside(attention, arm, score, score - baseline, tuned))
    return rows


def untuned(results: Results, attention: AttentionName, arm: ArmName) -> ByWorld:
    """CCC at the central share with the plan's own settings, by world."""
    part = PART if arm in (*FAMILIES, Arm.SIBLING, Arm.ZERO_STARTED) else "validity"
    found = by_world(results, part, attention, arm, CENTRE, scored())
    return found.within(VALIDITY_WORLDS)
