"""What gates choose: their mean weights on strong clips, and where a modality is weak."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

from companion.analysis.detection import STRONG
from companion.reference.lines import Line, Results
from companion.reference.plan import ATTENTIONS, Arm
from companion.reference.tables.asked import GATED
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import NOT_THERE, ByWorld, mean_of, named, said
from iaca.data.states import KINDS, MODALITIES
from iaca.models.regressor import AttentionName

CLIPS = {
    STRONG: (STRONG,),
    **{f"{name} weak": tuple(f"{kind} {name}" for kind in KINDS) for name in MODALITIES},
}
# What is in a line's `measures.gate_means`, and the joint feature's weight, the rest to 1.
STAGE_2 = {"audio": "stage 2: audio", "visual": "stage 2: visual"}
WEIGHTS = ("audio: cross-attended", "visual: cross-attended", *STAGE_2.values(), "stage 2: joint")


@dataclass(frozen=True)
class Choice:
    """The gates of an arm on a group of clips, at the central share.

    Attributes:
        attention: which one.
        arm: with gates.
        clips: of `CLIPS`; where a modality is weak, the mean over the three kinds of weakness.
        weights: of `WEIGHTS` -> mean weight, by world.
        taken: where a modality is weak, what stage 2 takes from it there: its weight on strong
            clips minus that on these.
    """

    attention: AttentionName
    arm: Arm
    clips: str
    weights: Mapping[str, ByWorld]
    taken: ByWorld | None

    @property
    def weak(self) -> str:
        """The modality that is weak on these clips; empty on strong ones."""
        return self.clips.removesuffix(" weak") if self.taken else ""

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        means = {name: worlds.estimate for name, worlds in self.weights.items()}
        return {
            **named(self.attention, self.arm),
            "clips": self.clips,
            **{name: f"{m.value:.2f}" if m else NOT_THERE for name, m in means.items()},
            "taken from it": said(self.taken.estimate) if self.taken else "",
            "worlds": self.weights[WEIGHTS[0]].there,
        }


def choices(results: Results) -> list[Choice]:
    """Every arm with gates on each group of clips."""
    return [_choice(results, *each) for each in product(ATTENTIONS, GATED, CLIPS)]


def _choice(results: Results, attention: AttentionName, arm: Arm, clips: str) -> Choice:
    def mean(name: str, group: str) -> ByWorld:
        return at_centre(results, attention, arm, weight_of(name, group))

    weights = {name: mean(name, clips) for name in WEIGHTS}
    own = STAGE_2.get(clips.removesuffix(" weak"))
    return Choice(attention, arm, clips, weights, mean(own, STRONG) - weights[own] if own else None)


def weight_of(name: str, clips: str) -> Callable[[Line], float | None]:
    """Reads one of `WEIGHTS` on a group of `CLIPS`; ``None`` unless all of its states are there."""
    place = WEIGHTS.index(name)

    def read(line: Line) -> float | None:
        means: Mapping[str, list[float]] = line.get("gates", {})
        if not set(CLIPS[clips]) <= set(means):
            return None
        rows = [means[state] for state in CLIPS[clips]]
        return mean_of([[*row, 1.0 - row[2] - row[3]][place] for row in rows])

    return read
