"""What a reader sees of a figure, and an interval to draw."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.analysis.inference import Interval


def interval(value: float, half: float = 0.01, deviation: float = 0.005) -> Interval:
    return Interval(value, value - half, value + half, deviation, 3, 24)


class Seen(NamedTuple):
    """Titles of the panels, names of the first panel's rows, and names in the legend."""

    titles: list[str]
    rows: list[str]
    legend: list[str]


def seen(figure: Figure) -> Seen:
    figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    legend = figure.legends[0].get_texts() if figure.legends else []
    return Seen(
        [axes.get_title(loc="left") for axes in panels],
        [label.get_text() for label in panels[0].get_yticklabels()],
        [text.get_text() for text in legend],
    )


def marks(axes: Axes) -> list[tuple[float, float]]:
    """Where the dots of a panel stand, rounded."""
    return sorted(
        (round(float(x), 6), round(float(y), 6))
        for drawn in axes.collections
        if type(drawn).__name__ == "PathCollection"
        for x, y in drawn.get_offsets()
    )
