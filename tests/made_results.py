"""Made-up lines of results, and the numbers in them known."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from companion.reference.lines import Line, Results
from companion.reference.plan import PARTS, Arm, Cell, Chosen, choose
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
