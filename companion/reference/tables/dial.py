"""Around the front table: more and less weakness, controls, and where Δ's variance comes from."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from companion.analysis.coverage import mark
from companion.analysis.estimates import Components, variance_components
from companion.analysis.judgements import Judgement, outcomes
from companion.analysis.ratios import Share
from companion.reference.lines import Results
from companion.reference.plan import (
    ATTENTIONS,
    CENTRE,
    COMPONENT_SEEDS,
    DIAL_WORLDS,
    VALIDITY_WORLDS,
    WORLDS,
    Arm,
    Cell,
)
from companion.reference.tables.headline import at_centre, difference, gained, outcome_text
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

SHARES = (0.0, 0.2, CENTRE, 0.8)  # of weak clips; the central one is in the headline
CONTROLS = (Arm.UNIFORM, Arm.WITHOUT, Arm.LARGER)


@dataclass(frozen=True)
class Dial:
    """What an arm adds to plain attention at one share of weak clips, over the dial's worlds.

    Attributes:
        attention: which one.
        arm: tuned or told gates.
        share: of weak clips.
        plain: CCC of plain attention.
        delta: CCC of the arm minus that.
        gained: share of what told gates gain there, as in the front table.
    """

    attention: AttentionName
    arm: Arm
    share: float
    plain: ByWorld
    delta: ByWorld
    gained: Share | None

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            **named(self.attention, self.arm),
            "share": f"{self.share:g}",
            "CCC of plain": score_text(self.plain.estimate),
            "Δ": said(self.delta.estimate),
            "share of told": said(self.gained) if self.gained else "",
            "worlds": self.delta.there,
        }


def on_dial(results: Results, attention: AttentionName, arm: Arm, share: float) -> ByWorld:
    """CCC of an arm at a share, in the dial's worlds; the central share is the headline's."""
    if share == CENTRE:
        return at_centre(results, attention, arm).within(DIAL_WORLDS)
    return by_world(results, "dial", attention, arm, share, scored())


def delta_on_dial(results: Results, attention: AttentionName, arm: Arm, share: float) -> ByWorld:
    """CCC of an arm minus that of plain attention, at a share."""
    one, plain = (on_dial(results, attention, a, share) for a in (arm, Arm.PLAIN))
    return one - plain


def dial(results: Results) -> list[Dial]:
    """Tuned and told gates at each share."""
    rows = []
    for attention, arm, share in product(ATTENTIONS, (Arm.TUNED, Arm.TOLD), SHARES):
        delta, told = (delta_on_dial(results, attention, a, share) for a in (arm, Arm.TOLD))
        plain = on_dial(results, attention, Arm.PLAIN, share)
        part = None if arm is Arm.TOLD else gained(delta, told)
        rows.append(Dial(attention, arm, share, plain, delta, part))
    return rows


@dataclass(frozen=True)
class Control:
    """What `IACA, tuned` adds to a control at the central share, and that to plain attention.

    Attributes:
        attention: which one.
        control: that tuned gates are held against.
        over: CCC of tuned gates minus the control's.
        judgement: of that, adjusted over the attentions on which the claim is judged.
        mark: a dagger where intervals of its kind cover less than 94 %.
        delta: CCC of the control minus that of plain attention.
    """

    attention: AttentionName
    control: Arm
    over: ByWorld
    judgement: Judgement | None
    mark: str
    delta: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        found = self.over.estimate
        return {
            "attention": self.attention.upper(),
            "control": str(self.control),
            "tuned − control": said(found),
            "outcome": outcome_text(found, self.judgement, self.mark),
            "control − plain": said(self.delta.estimate),
            "worlds": self.over.there,
        }


def controls(results: Results, on: Collection[AttentionName] | None = None) -> list[Control]:
    """Tuned gates against each control, and against the placebo of told gates.

    Args:
        results: the reference run.
        on: the attentions that are judged; those of `valid` by default.
    """
    judged = valid(results) if on is None else on
    rows = []
    for control in (*CONTROLS, Arm.PLACEBO):
        over = {a: difference(results, a, Arm.TUNED, other=control) for a in ATTENTIONS}
        estimates = {a: worlds.estimate for a, worlds in over.items()}
        found = outcomes({str(a): e for a, e in estimates.items() if e and a in judged})
        for a, worlds in over.items():
            estimate, delta = estimates[a], difference(results, a, control)
            dagger = mark(estimate) if estimate else ""
            rows.append(Control(a, control, worlds, found.get(a), dagger, delta))
    return sorted(rows, key=lambda row: ATTENTIONS.index(row.attention))


@dataclass(frozen=True)
class Variance:
    """Where the variance of tuned − plain comes from: worlds, or seeds within a world.

    Attributes:
        attention: which one.
        deltas: Δ of each seed, the world's own first.
        components: ``None`` unless two worlds have all their seeds.
        worlds: how many have.
    """

    attention: AttentionName
    deltas: tuple[ByWorld, ...]
    components: Components | None
    worlds: int

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        found = self.components
        seeds = len(self.deltas)
        due = len(self.deltas[0].due)
        columns = ("SD, worlds", "SD, seeds", "worlds' part", f"SE at {len(WORLDS)} worlds")
        numbers = (
            [found.between**0.5, found.within**0.5, found.share_between()] if found else [None] * 3
        )
        numbers.append(found.of_mean(len(WORLDS)) ** 0.5 if found else None)
        texts = [said(None if x is None else f"{x:.4f}") for x in numbers]
        return {
            "attention": self.attention.upper(),
            **dict(zip(columns, texts, strict=True)),
            "worlds × seeds": f"{self.worlds} of {due} × {seeds}",
        }


def components(results: Results) -> list[Variance]:
    """Variance components of Δ of tuned gates, from five worlds with four seeds each."""
    return [_variance(results, attention) for attention in ATTENTIONS]


def _variance(results: Results, attention: AttentionName) -> Variance:
    def delta(more: int) -> ByWorld:
        def other(cell: Cell) -> Cell:
            return replace(cell, seed=cell.seed + more)

        one, plain = (
            by_world(results, "components", attention, arm, CENTRE, scored(), other)
            for arm in (Arm.TUNED, Arm.PLAIN)
        )
        return one - plain

    own = difference(results, attention, Arm.TUNED).within(VALIDITY_WORLDS)
    deltas = (own, *map(delta, COMPONENT_SEEDS))
    worlds = [w for w in own.due if all(w in each.values for each in deltas)]
    found = None
    if len(worlds) >= 2:
        found = variance_components(np.array([[d.values[w] for d in deltas] for w in worlds]))
    return Variance(attention, deltas, found, len(worlds))
