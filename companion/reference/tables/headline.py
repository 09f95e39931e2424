"""The front table: what each arm adds to plain attention at the central share, over 20 worlds."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from itertools import product

from companion.analysis.coverage import HARMED, mark
from companion.analysis.detection import STRONG
from companion.analysis.estimates import Estimate
from companion.analysis.inference import signed
from companion.analysis.judgements import Judgement, outcomes
from companion.analysis.ratios import Proportion, Share, proportion, share_of_gain
from companion.reference.lines import Line, Results
from companion.reference.measures import ALL, GROUPS, WEAK
from companion.reference.plan import ATTENTIONS, CENTRE, COMPARED, LEARNED, Arm
from companion.reference.tables.reading import (
    ByWorld,
    by_world,
    named,
    said,
    score_text,
    scored,
)
from companion.reference.tables.validity import valid
from iaca.models.regressor import AttentionName

COLLAPSED = 0.95  # mean weight of a choice in stage 2: above it, the gate has settled on it
NOT_JUDGED = "not judged"
_SECOND_STAGE = slice(2, 4)  # of audio and of visual, in a line's `measures.gate_means`


@dataclass(frozen=True)
class Front:
    """An arm of an attention at the central share.

    Attributes:
        attention: which one.
        arm: of `COMPARED`, or plain attention with another seed (A/A).
        score: CCC.
        delta: CCC minus that of plain attention in the same world.
        judgement: of Δ, adjusted over the attentions on which the claim is judged; ``None`` on the
            others, for plain itself, and where nothing is there.
        mark: a dagger where intervals of its kind cover less than 94 %.
        collapse: in how many worlds stage 2 gives one modality a mean weight above 0.95 on
            ``report``; ``None`` without stage-2 gates.
        joint: the same of the joint feature: stage 2 then leaves plain fusion as it is.
        harmed: in how many worlds Δ lies below −0.01.
        gained: which share of what told gates gain is collected; ``None`` where told gates gain
            0.01 or less.
        strong: Δ on strong clips.
        weak: Δ on weak clips.
    """

    attention: AttentionName
    arm: Arm
    score: ByWorld
    delta: ByWorld
    judgement: Judgement | None
    mark: str
    collapse: Proportion | None
    joint: Proportion | None
    harmed: Proportion | None
    gained: Share | None
    strong: ByWorld
    weak: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        found = self.delta.estimate
        plain = self.arm is Arm.PLAIN
        return {
            **named(self.attention, self.arm),
            "CCC": score_text(self.score.estimate),
            "Δ": "" if plain else said(found),
            "median": "" if plain or not found else signed(found.median),
            "worst": "" if plain or not found else signed(found.worst),
            "outcome": ""
            if self.arm in UNASKED
            else outcome_text(found, self.judgement, self.mark),
            "collapse": said(self.collapse) if self.collapse else "",
            "joint": said(self.joint) if self.joint else "",
            "Δ < −0.01": "" if plain else said(self.harmed),
            "share of told": said(self.gained) if self.gained else "",
            "Δ strong": "" if plain else said(self.strong.estimate),
            "Δ weak": "" if plain else said(self.weak.estimate),
            "worlds": (self.score if plain else self.delta).there,
        }


UNASKED = (Arm.PLAIN, Arm.AGAIN)  # nobody claims that these gain


def outcome_text(found: Estimate | None, judgement: Judgement | None, dagger: str) -> str:
    """An outcome with its mark; a difference that is there and has none is not judged."""
    if judgement is None:
        return said(found and NOT_JUDGED)
    return f"{judgement}{dagger}"


def headline(results: Results, on: Collection[AttentionName] | None = None) -> list[Front]:
    """The front table: every arm of every attention, and A/A.

    Args:
        results: the reference run.
        on: the attentions that are judged, over which an arm's outcomes are adjusted; those of
            `valid` by default.
    """
    judged = valid(results) if on is None else on
    rows = []
    for arm in (*COMPARED, Arm.AGAIN):
        of_arm = {attention: front_of(results, attention, arm) for attention in ATTENTIONS}
        given: dict[str, Estimate] = {
            a: row.delta.estimate
            for a, row in of_arm.items()
            if a in judged and arm not in UNASKED and row.delta.estimate
        }
        found = outcomes(given)
        rows += [replace(row, judgement=found.get(a)) for a, row in of_arm.items()]
    return sorted(rows, key=lambda row: ATTENTIONS.index(row.attention))


def front_of(results: Results, attention: AttentionName, arm: Arm) -> Front:
    """An arm or control without a judgement, which takes all attentions."""
    delta, told = (difference(results, attention, a) for a in (arm, Arm.TOLD))
    estimate = None if arm is Arm.PLAIN else delta.estimate
    return Front(
        attention,
        arm,
        score=at_centre(results, attention, arm),
        delta=delta,
        judgement=None,
        mark=mark(estimate) if estimate else "",
        collapse=settled(at_centre(results, attention, arm, modality_weight)),
        joint=settled(at_centre(results, attention, arm, joint_weight)),
        harmed=None if arm is Arm.PLAIN else times(delta, lambda x: x < HARMED),
        gained=None if arm not in LEARNED else gained(delta, told),
        strong=difference(results, attention, arm, STRONG),
        weak=difference(results, attention, arm, WEAK),
    )


def at_centre(
    results: Results,
    attention: AttentionName,
    arm: Arm,
    number: Callable[[Line], float | None] | None = None,
) -> ByWorld:
    """A number of each world at the central share, CCC by default; controls from their own part."""
    part = "headline" if arm in COMPARED else "controls"
    return by_world(results, part, attention, arm, CENTRE, number or scored())


def difference(
    results: Results,
    attention: AttentionName,
    arm: Arm,
    group: str = ALL,
    other: Arm = Arm.PLAIN,
) -> ByWorld:
    """CCC of an arm minus that of another, at the central share on a group of clips."""
    one, minus = (at_centre(results, attention, a, scored(group)) for a in (arm, other))
    return one - minus


def modality_weight(line: Line) -> float | None:
    """The larger mean weight of audio and visual in stage 2; ``None`` for a run without gates."""
    return max(line["gates"][ALL][_SECOND_STAGE]) if "gates" in line else None


def joint_weight(line: Line) -> float | None:
    """The mean weight of the joint feature in stage 2; ``None`` for a run without gates."""
    return 1 - sum(line["gates"][ALL][_SECOND_STAGE]) if "gates" in line else None


def settled(weights: ByWorld) -> Proportion | None:
    """In how many worlds a mean weight of stage 2 lies above 0.95."""
    return times(weights, lambda weight: weight > COLLAPSED)


def times(worlds: ByWorld, happened: Callable[[float], bool]) -> Proportion | None:
    """In how many of the worlds that are there something happened; ``None`` if there are none."""
    if not worlds.values:
        return None
    return proportion(sum(map(happened, worlds.values.values())), len(worlds.values))


def gained(delta: ByWorld, told: ByWorld) -> Share | None:
    """Share of the available gain over the worlds that have both, see `share_of_gain`."""
    worlds = [world for world in delta.values if world in told.values]
    if len(worlds) < 2:
        return None
    return share_of_gain([delta.values[w] for w in worlds], [told.values[w] for w in worlds])


@dataclass(frozen=True)
class ByState:
    """How an arm of an attention does on the clips of one state, at the central share.

    Attributes:
        attention: which one.
        arm: of `COMPARED`.
        clips: of `GROUPS`.
        score: CCC on these clips.
        delta: that minus plain attention's.
    """

    attention: AttentionName
    arm: Arm
    clips: str
    score: ByWorld
    delta: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            **named(self.attention, self.arm),
            "clips": self.clips,
            "CCC": score_text(self.score.estimate),
            "Δ": "" if self.arm is Arm.PLAIN else said(self.delta.estimate),
            "worlds": self.score.there,
        }


def by_state(results: Results) -> list[ByState]:
    """Every arm of every attention on all clips, on those of each state, and on weak ones."""
    return [
        ByState(
            attention,
            arm,
            group,
            at_centre(results, attention, arm, scored(group)),
            difference(results, attention, arm, group),
        )
        for attention, arm, group in product(ATTENTIONS, COMPARED, GROUPS)
    ]
