"""What is knowing the state worth, and what do gates add where it can be read?

*Told* gates know the true state and plain attention does not, so that what they add to it is both
the worth of knowing and the worth of gating. Here plain attention knows, too: the state stands in
its features. And learned gates meet a state that can be read without error.
"""

from dataclasses import dataclass, replace

from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, CENTRE, INFORMED, Arm, Cell
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import ByWorld, by_world, said, scored
from iaca.models.regressor import AttentionName

PART = "informed"


@dataclass(frozen=True)
class Informed:
    """CCC differences of an attention at the central share, paired by world.

    Attributes:
        attention: which one.
        told: told gates minus plain attention: both together.
        knowing: plain attention whose features tell the state, minus plain attention.
        gating: told gates minus plain attention whose features tell the state.
        zero_started: gates that start at zero minus plain, both with features that tell the state.
        tuned: the same of `IACA, tuned`.
    """

    attention: AttentionName
    told: ByWorld
    knowing: ByWorld
    gating: ByWorld
    zero_started: ByWorld
    tuned: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            "attention": self.attention.upper(),
            "told − plain": said(self.told.estimate),
            "plain that knows − plain": said(self.knowing.estimate),
            "told − plain that knows": said(self.gating.estimate),
            "zero-started, state shown": said(self.zero_started.estimate),
            "tuned, state shown": said(self.tuned.estimate),
            "worlds": f"{self.knowing.there}; {self.tuned.there}",
        }


def informed(results: Results) -> list[Informed]:
    """Attention by attention, what told gates gain taken apart."""
    return [_informed(results, attention) for attention in ATTENTIONS]


def _informed(results: Results, attention: AttentionName) -> Informed:
    def shown(cell: Cell) -> Cell:
        return replace(cell, version=INFORMED)

    knows, zero_started, tuned = (
        by_world(results, PART, attention, arm, CENTRE, scored(), shown)
        for arm in (Arm.PLAIN, Arm.ZERO_STARTED, Arm.TUNED)
    )
    plain, told = (at_centre(results, attention, arm) for arm in (Arm.PLAIN, Arm.TOLD))
    return Informed(
        attention,
        told=told - plain,
        knowing=knows - plain,
        gating=told - knows,
        zero_started=zero_started - knows,
        tuned=tuned - knows,
    )
