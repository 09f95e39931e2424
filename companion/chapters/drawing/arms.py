"""How models are drawn that stand beside each other: an arm looks the same in every figure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion.analysis.inference import Interval
from companion.chapters.drawing.style import LABEL, PLAIN, WEAK
from companion.chapters.training.figures import ARM_COLOURS, ARM_DASHES, ARM_MARKERS
from iaca.runs.arms import ARMS

NARROW = 6.2  # inches; less than a page's column, so that text stays large on a telephone
DELTA = "Δ CCC (model minus plain)"
ZERO_LINE: dict[str, Any] = {"color": LABEL, "linewidth": 1.0, "linestyle": "--", "zorder": 0}


class Look(NamedTuple):
    """How a model is drawn; ``shape`` and ``pattern`` are Vega-Lite's marker and dashes."""

    colour: str
    marker: str
    dashes: Any
    shape: str
    pattern: tuple[int, ...]


_SHAPES = {"o": "circle", "s": "square", "D": "diamond"}
_PATTERNS = {"-": (1, 0), "--": (7, 3), "-.": (8, 3, 2, 3)}
ARM_LOOKS: dict[str, Look] = {
    arm: Look(colour, marker, dashes, _SHAPES[marker], _PATTERNS[dashes])
    for arm, colour, marker, dashes in zip(ARMS, ARM_COLOURS, ARM_MARKERS, ARM_DASHES, strict=True)
}
CONTROL_LOOKS = (
    Look(WEAK, "^", (0, (1, 1.5)), "triangle-up", (1, 2)),
    Look("#8A8A8A", "v", (0, (5, 2)), "triangle-down", (5, 2)),
    Look(PLAIN, "P", (0, (4, 1.5, 1, 1.5)), "cross", (4, 2, 1, 2)),
    Look("#8C6D31", "X", (0, (1, 3)), "triangle-right", (1, 4)),
    Look("#332288", "<", (0, (6, 1.5, 1, 1.5, 1, 1.5)), "triangle-left", (6, 2, 1, 2, 1, 2)),
)


def looks_of(models: Sequence[str]) -> dict[str, Look]:
    """Model -> look: an arm's own, and the controls' in the order in which they come.

    Raises:
        ValueError: if there are more controls than can be told apart.
    """
    controls = [model for model in models if model not in ARMS]
    if len(controls) > len(CONTROL_LOOKS):
        raise ValueError(f"{len(controls)} controls, expected at most {len(CONTROL_LOOKS)}")
    arms = {model: ARM_LOOKS[model] for model in models if model in ARMS}
    return arms | dict(zip(controls, CONTROL_LOOKS, strict=False))


def in_order(several: Iterable[Iterable[str]]) -> list[str]:
    """All names of several mappings, each once, in the order in which they first come."""
    return list(dict.fromkeys(name for names in several for name in names))


def offset(number: int, count: int, step: float) -> float:
    """How far from their common place the ``number``-th of ``count`` things stands."""
    return step * (number - (count - 1) / 2)


def draw_interval(axes: Axes, found: Interval, place: float, look: Look) -> None:
    """Draw a value with its interval lying at a height."""
    axes.plot([found.low, found.high], [place, place], color=look.colour, linewidth=2.4)
    axes.plot([found.value], [place], look.marker, color=look.colour, markersize=6.5)


def name_rows(axes: Axes, names: Sequence[str], places: Sequence[float] | None = None) -> None:
    """Name rows from the top down; one unit apart unless ``places`` says where they are."""
    at = range(len(names)) if places is None else places
    axes.set_yticks(at, names)
    axes.set_ylim(max(at, default=0) + 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def handle(look: Look, line: bool = False, strong: bool = True) -> Line2D:
    """A model's mark for a legend, with its dashes where it is drawn as a curve."""
    return Line2D(
        [],
        [],
        color=look.colour,
        marker=look.marker,
        linestyle=look.dashes if line else "-",
        linewidth=2.2 if strong else 1.1,
        markersize=6.5 if strong else 4.5,
    )


def name_models(figure: Figure, handles: Mapping[str, Any]) -> None:
    """A legend above the panels, two names a row."""
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=min(2, len(handles)),
        handlelength=3.2,
    )
