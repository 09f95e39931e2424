"""The arms and controls at the central share, target by target."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, COMPARED, Arm
from companion.reference.tables.dial import CONTROLS
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import ByWorld, named, said, score_text, scored
from iaca.models.regressor import AttentionName

TARGETS = ("valence", "arousal")  # in the order of a line's scores


@dataclass(frozen=True)
class ByTarget:
    """An arm or control of an attention.

    Attributes:
        attention: which one.
        arm: which one.
        scores: target -> CCC.
        deltas: target -> that minus plain attention's in the same world.
    """

    attention: AttentionName
    arm: Arm
    scores: Mapping[str, ByWorld]
    deltas: Mapping[str, ByWorld]

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        columns = {}
        for target in TARGETS:
            columns[target] = score_text(self.scores[target].estimate)
            delta = self.deltas[target].estimate
            columns[f"Δ {target}"] = "" if self.arm is Arm.PLAIN else said(delta)
        worlds = self.scores[TARGETS[0]].there
        return {**named(self.attention, self.arm), **columns, "worlds": worlds}


def by_target(results: Results) -> list[ByTarget]:
    """Every arm and control of every attention, A/A after the arms."""
    arms = (*COMPARED, Arm.AGAIN, *CONTROLS)
    return [_by_target(results, attention, arm) for attention, arm in product(ATTENTIONS, arms)]


def _by_target(results: Results, attention: AttentionName, arm: Arm) -> ByTarget:
    def each(arm: Arm) -> dict[str, ByWorld]:
        return {
            target: at_centre(results, attention, arm, scored(target=place))
            for place, target in enumerate(TARGETS)
        }

    scores, plain = each(arm), each(Arm.PLAIN)
    return ByTarget(attention, arm, scores, {t: scores[t] - plain[t] for t in TARGETS})
