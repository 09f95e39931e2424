"""What runs were asked besides their scores: choice taken away, detection, missing modalities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise, product

from companion.analysis.detection import GATE_SCORES
from companion.analysis.interventions import INTERVENTIONS
from companion.reference.gates import asked_of, corruptions
from companion.reference.lines import Line, Results
from companion.reference.measures import ALL
from companion.reference.plan import ATTENTIONS, CENTRE, COMPARED, LEARNED, Arm
from companion.reference.tables.headline import at_centre
from companion.reference.tables.reading import (
    ByWorld,
    by_world,
    mean_of,
    named,
    said,
    score_text,
    scored,
)
from iaca.data.states import MODALITIES
from iaca.models.regressor import AttentionName

GATED = (*LEARNED, Arm.TOLD)
WITH_MISSING = (*COMPARED, Arm.DROPOUT, Arm.AUDIO, Arm.VISUAL)
AREA = "area"  # the mean CCC over all shares from 0 to 1, in place of a share
WHOLE = "0"  # the share of recordings to which nothing happened
STAGES = ("stage 1", "stage 2")
Number = Callable[[Line], float | None]


def cost_of(intervention: str) -> Number:
    """Reads what it costs to take the gates' choice away: CCC as it is minus CCC without."""

    def read(line: Line) -> float | None:
        found: Mapping[str, list[float]] = line.get("interventions", {})
        own, without = mean_of(found.get("own")), mean_of(found.get(intervention))
        return None if own is None or without is None else own - without

    return read


def auroc_of(gate: str, weak: str, how: str = "within") -> Number:
    """Reads how well a gate's declining tells weak clips from strong ones.

    Args:
        gate: of `GATE_SCORES`.
        weak: of `asked_of`.
        how: ``within`` recordings, or ``pooled``.
    """
    place = [*asked_of(gate)].index(weak)

    def read(line: Line) -> float | None:
        values: list[float | None] = line.get("detection", {}).get(gate, {}).get(how, [])
        return values[place] if place < len(values) else None

    return read


def left_under(what: str, share: str) -> Number:
    """Reads CCC under a corruption: ``what`` and ``share`` of `corruptions`, `WHOLE` or `AREA`."""
    if share == AREA:
        due = len(corruptions()[what]) + 1
        return lambda line: area(curve(line, what), due)
    return lambda line: curve(line, what).get(float(share))


def curve(line: Line, what: str) -> dict[float, float | None]:
    """Share of clips that are hit -> CCC, from the whole recordings on."""
    hit: Mapping[str, list[float]] = line.get("missing", {}).get(what, {})
    return {0.0: scored()(line), **{float(share): mean_of(x) for share, x in hit.items()}}


def area(points: Mapping[float, float | None], due: int) -> float | None:
    """The mean over all shares of a curve of straight lines; ``None`` unless ``due`` are there."""
    there = {share: value for share, value in sorted(points.items()) if value is not None}
    if len(there) < due:
        return None
    total = sum((b - a) * (there[a] + there[b]) / 2 for a, b in pairwise(there))
    return total / (max(there) - min(there))


def shift_of(modality: str, stage: str) -> Number:
    """Reads what a gate gives clips that are missing, minus what it gives the others.

    Args:
        modality: that is missing.
        stage: of `STAGES`. Of stage 1 it is the weight of the modality's attended feature, of
            stage 2 that of the modality itself.
    """
    place = 2 * STAGES.index(stage) + MODALITIES.index(modality)

    def read(line: Line) -> float | None:
        rows: list[list[float | None]] = line.get("noticing", {}).get(modality, [])
        missing, others = (row[place] for row in rows) if rows else (None, None)
        return None if missing is None or others is None else missing - others

    return read


def weight_of(modality: str) -> Number:
    """Reads the mean weight that stage 2 gives a modality on whole recordings."""
    place = 2 + MODALITIES.index(modality)
    return lambda line: line["gates"][ALL][place] if "gates" in line else None


def missing(results: Results, attention: AttentionName, arm: Arm, what: str, share: str) -> ByWorld:
    """CCC of an arm under a corruption, by world."""
    read = left_under(what, share)
    if arm in COMPARED:
        return at_centre(results, attention, arm, read)
    return by_world(results, "missing", attention, arm, CENTRE, read)


@dataclass(frozen=True)
class Cost:
    """What it costs an arm to have the choice of its gates taken away."""

    attention: AttentionName
    arm: Arm
    intervention: str
    cost: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            **named(self.attention, self.arm),
            "gates": self.intervention,
            "cost": said(self.cost.estimate),
            "worlds": self.cost.there,
        }


def costs(results: Results) -> list[Cost]:
    """Every intervention on every gated arm."""
    return [
        Cost(attention, arm, name, at_centre(results, attention, arm, cost_of(name)))
        for attention, arm, name in product(ATTENTIONS, GATED, INTERVENTIONS)
    ]


@dataclass(frozen=True)
class Detects:
    """How well a gate's declining tells weak clips from strong ones: AUROC, 0.5 is chance."""

    attention: AttentionName
    arm: Arm
    gate: str
    weak: str
    within: ByWorld
    pooled: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            **named(self.attention, self.arm),
            "gate": self.gate,
            "weak": self.weak,
            "within recordings": score_text(self.within.estimate),
            "pooled": score_text(self.pooled.estimate),
            "worlds": self.within.there,
        }


def detects(results: Results) -> list[Detects]:
    """Every gate of every gated arm against each weak state, and several together."""
    rows = []
    for attention, arm, gate in product(ATTENTIONS, GATED, GATE_SCORES):
        for weak in asked_of(gate):
            within, pooled = (
                at_centre(results, attention, arm, auroc_of(gate, weak, how))
                for how in ("within", "pooled")
            )
            rows.append(Detects(attention, arm, gate, weak, within, pooled))
    return rows


@dataclass(frozen=True)
class Missing:
    """How an arm does under a corruption; with `AREA` the mean over shares.

    Attributes:
        attention: which one.
        arm: of `COMPARED`, plain attention trained with modality dropout, or a modality alone.
        what: happens.
        share: of clips that it happens to.
        score: CCC.
        delta: that minus plain attention's under the same corruption.
    """

    attention: AttentionName
    arm: Arm
    what: str
    share: str
    score: ByWorld
    delta: ByWorld

    def texts(self) -> dict[str, str]:
        """Column -> text."""
        return {
            **named(self.attention, self.arm),
            "what": self.what,
            "share": self.share,
            "CCC": score_text(self.score.estimate),
            "Δ": "" if self.arm is Arm.PLAIN else said(self.delta.estimate),
            "worlds": self.score.there,
        }


def under_corruption(results: Results) -> list[Missing]:
    """Every arm under every corruption, with the areas where a modality goes missing."""
    areas = {f"{modality} missing": AREA for modality in MODALITIES}
    rows = []
    for attention, arm in product(ATTENTIONS, WITH_MISSING):
        for what, shares in corruptions().items():
            more = (WHOLE, areas[what]) if what in areas else ()
            for share in (*shares, *more):
                score, plain = (
                    missing(results, attention, a, what, share) for a in (arm, Arm.PLAIN)
                )
                rows.append(Missing(attention, arm, what, share, score, score - plain))
    return rows


def settled(
    results: Results, attention: AttentionName, arm: Arm, modality: str
) -> list[tuple[float, float]]:
    """World by world: stage 2's mean weight of a modality, and CCC lost where all of it is gone."""
    what = f"{modality} missing"
    whole, gone = (missing(results, attention, arm, what, share) for share in (WHOLE, "1"))
    lost = (whole - gone).values
    weights = at_centre(results, attention, arm, weight_of(modality)).values
    return [(weights[world], lost[world]) for world in weights if world in lost]
