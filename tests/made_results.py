"""Made-up lines of results, and the numbers in them known."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from companion.analysis.detection import GATE_SCORES
from companion.analysis.interventions import INTERVENTIONS
from companion.reference.choosing import choose
from companion.reference.gates import ANY, EITHER, asked_of, corruptions
from companion.reference.lines import Line, Results
from companion.reference.plan import PARTS, Arm, Cell, Chosen
from iaca.models.regressor import AttentionName

CHOSEN = choose(lambda cell: float(cell.draw == 3))
Make = Callable[[Cell], Line | None]  # a run's line, or None for one that is not there


class MadeUp(Results):
    """Results whose lines are made by a function for each part; parts without one are empty."""

    def __init__(self, **parts: Make) -> None:
        super().__init__(Path("made-up"))
        self._parts = {name: {} for name in PARTS}
        for name, make in parts.items():
            made = {cell.name: make(cell) for cell in PARTS[name].cells}
            self._parts[name] = {run: line for run, line in made.items() if line is not None}

    @property
    def chosen(self) -> Chosen:
        return CHOSEN


def tuned(cell: Cell) -> Line:
    """A line of a finished tuning."""
    return {"select": 0.5}


def scores(value: float, **groups: float) -> dict[str, Any]:
    """Scores whose mean over both targets is ``value`` on all clips, and others on groups."""
    means: Iterable[tuple[str, float]] = {"all": value, **groups}.items()
    return {name: [mean - 0.125, mean + 0.125] for name, mean in means}


def validity_of(*attentions: AttentionName) -> Make:
    """Lines of `validity` in which V1 and V3 hold on some attentions, and no others."""

    def line(cell: Cell) -> Line:
        gain = {Arm.TOLD: 0.02 + 0.1 * cell.share, Arm.UNIFORM: -0.05}.get(cell.arm, 0.0)
        size = 0.8 + gain * (cell.attention in attentions)
        return {"scores": scores(size + 0.0001 * cell.world), "evenness": 0.8}

    return line


def asked(world: int, whole: float, cost: float, auroc: float, lost: float) -> dict[str, Any]:
    """What headline runs are asked besides their scores.

    Args:
        world: shifts AUROC by plus or minus 0.001, in turn.
        whole: CCC without corruption.
        cost: in CCC, of every intervention.
        auroc: of every gate for all weak states together, and 0.001 per place for the others.
        lost: in CCC, where all clips are hit; in proportion for smaller shares.
    """
    taken = {name: scores(whole - cost)["all"] for name in INTERVENTIONS}
    detection = {}
    for gate in GATE_SCORES:
        together = auroc + 0.001 * (-1) ** world
        each = [together if weak in (ANY, EITHER) else 0.001 * i
                for i, weak in enumerate(asked_of(gate))]  # fmt: skip
        detection[gate] = {"within": each, "pooled": [x + 0.01 for x in each]}
    hit = {
        what: {share: scores(whole - lost * float(share))["all"] for share in shares}
        for what, shares in corruptions().items()
    }
    return {
        "interventions": {"own": scores(whole)["all"], **taken},
        "detection": detection,
        "missing": hit,
    }
