"""How models look that stand beside each other: an arm looks the same in every figure and chart."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion.chapters.drawing.style import LABEL, OTHERS, PLAIN, SIBLING, ZERO
from companion.reference.plan import Arm
from iaca.runs.arms import ARMS

DELTA = "Δ CCC (model minus plain)"
ZERO_LINE: dict[str, Any] = {"color": LABEL, "linewidth": 1.0, "linestyle": "--", "zorder": 0}


class Look(NamedTuple):
    """How a model is drawn.

    Attributes:
        colour: hexadecimal.
        marker: of matplotlib; empty for none.
        pattern: dashes and gaps in pixels of a line 2 pixels wide, on and off in turn.
        width: of its line, in points.
    """

    colour: str
    marker: str = "o"
    pattern: tuple[int, ...] = (1, 0)
    width: float = 2.2

    @property
    def dashes(self) -> Any:
        """The pattern as matplotlib takes it, in multiples of a line's width."""
        return "-" if self.pattern == (1, 0) else (0, tuple(length / 2 for length in self.pattern))


ARM_LOOKS: dict[str, Look] = dict(
    zip(
        ARMS,
        (Look(PLAIN, "o"), Look(SIBLING, "s", (7, 3)), Look(ZERO, "D", (8, 3, 2, 3))),
        strict=True,
    )
)
COMPARED_LOOKS: dict[str, Look] = {
    **ARM_LOOKS,
    Arm.TUNED: Look(OTHERS[0], "v"),
    Arm.TOLD: Look(OTHERS[2], "^", (7, 3)),
}
CONTROL_LOOKS = tuple(
    Look(colour, marker, pattern, 1.1)
    for colour, marker, pattern in zip(
        OTHERS, "^vPX<", ((2, 3), (10, 4), (8, 3, 2, 3, 2, 3), (2, 6), (12, 3, 2, 3)), strict=True
    )
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


def handle(look: Look, line: bool = False) -> Line2D:
    """A model's mark for a legend, with its dashes where it is drawn as a curve."""
    return Line2D(
        [],
        [],
        color=look.colour,
        marker=look.marker,
        linestyle=look.dashes if line else "-",
        linewidth=look.width,
        markersize=4 + look.width,
    )


def legend_columns(names: Iterable[str], width: float) -> int:
    """Two names in a row of a figure of ``width`` inches, unless there is one or they are long."""
    lengths = [len(name) for name in names]
    return 2 if len(lengths) > 1 and max(lengths) <= 5.2 * width else 1


def name_models(figure: Figure, handles: Mapping[str, Any]) -> None:
    """A legend above the panels."""
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=legend_columns(handles, figure.get_figwidth()),
        handlelength=3.2,
    )
