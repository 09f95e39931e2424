"""Intervals as rows and as curves, and maps of them: the statistical figures of all chapters.

All take nested mappings that end in an `Interval`. What is not in a mapping is not drawn.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ZERO_LINE, Look, handle, in_order, name_models, offset
from companion.chapters.drawing.style import DIVERGING, SMALL, WIDTH, style

Rows = Mapping[str, Mapping[str, Interval]]  # row -> series -> interval
Curves = Mapping[str, Mapping[float, Interval]]  # series -> x -> interval
_GAP = " "  # the name of an empty row


def interval_table(found: Mapping[str, Mapping[Any, Mapping[Any, Interval]]]) -> pd.DataFrame:
    """A line for each interval: ``panel``, the two inner keys, ``value``, ``low`` and ``high``."""
    return pd.DataFrame(
        [
            (panel, _plain(outer), _plain(inner), interval.value, interval.low, interval.high)
            for panel, several in found.items()
            for outer, each in several.items()
            for inner, interval in each.items()
        ],
        columns=["panel", "outer", "inner", "value", "low", "high"],
    )


def _plain(key: Any) -> Any:
    return str(key) if isinstance(key, str) else key  # seaborn takes no members of a StrEnum


def interval_rows(
    found: Mapping[str, Rows],
    looks: Mapping[str, Look],
    axis: str,
    *,
    reference: float | None = 0.0,
    columns: int = 2,
    width: float = WIDTH,
    apart_from: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> Figure:
    """Panels of rows; in each, the intervals of the row's series lie below each other.

    Args:
        found: panel -> row -> series -> interval. A single panel may be called ``""``.
        looks: series -> look, in the legend's order; no legend for a single series.
        axis: what the values are.
        reference: a value that is marked by a dashed line, if any.
        columns: panels beside each other, at most.
        width: of the figure, in inches.
        apart_from: the first row of a second group, which is set apart.
        more: name -> handle, what else the legend tells.
    """
    rows = [str(row) for row in in_order(found.values())]
    if apart_from in rows:
        rows.insert(rows.index(str(apart_from)), _GAP)
    most = max((len(each) for panel in found.values() for each in panel.values()), default=1)
    columns = min(columns, len(found))
    lines = -(-len(found) // columns)
    with style():
        figure = plt.figure(figsize=(width, 0.8 + lines * (0.45 + (0.16 + 0.1 * most) * len(rows))))
        beside = so.Dodge(by=["color"], empty="drop")
        plot = so.Plot(interval_table(found), x="value", y="outer", color="inner", marker="inner")
        plot = plot.facet("panel", order=list(found), wrap=columns)
        plot = plot.add(so.Range(linewidth=2.4), beside, xmin="low", xmax="high", legend=False)
        plot = plot.add(so.Dot(pointsize=6.5, edgewidth=0), beside, legend=False)
        handles: dict[str, Any] = {name: handle(look) for name, look in looks.items()}
        handles |= more or {}
        draw(plot, figure, looks, handles, (axis, ""), y=so.Nominal(order=rows))
        for axes in figure.axes:
            if reference is not None:
                axes.axvline(reference, **ZERO_LINE)
            axes.tick_params(axis="y", length=0)
    return figure


def interval_curves(
    found: Mapping[str, Curves],
    looks: Mapping[str, Look],
    x: str,
    y: str,
    *,
    reference: float | None = 0.0,
    columns: int = 2,
    height: float = 2.0,
    log: bool = False,
    band: bool = False,
    ticks: Sequence[float] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Figure:
    """Panels of curves with an upright interval at each point.

    Curves stand a little beside each other, so that no interval hides another, and less where
    points are close.

    Args:
        found: panel -> series -> x -> interval.
        looks: series -> look, in the legend's order.
        x: what the places are.
        y: what the values are.
        reference: a value that is marked by a dashed line, if any.
        columns: panels beside each other, at most.
        height: of a panel, in inches.
        log: whether x is logarithmic.
        band: draw bands in place of upright intervals; curves then stand on each other.
        ticks: of x; by default one at each place.
        more: name -> handle, what else the legend tells.
    """
    table = interval_table(found)
    table["at"] = _beside_each_other(table, list(map(str, looks)), 0.0 if band else 0.015, log)
    columns = min(columns, len(found))
    lines = -(-len(found) // columns)
    with style():
        figure = plt.figure(figsize=(WIDTH, 0.7 + height * lines + 0.1 * len(looks)))
        plot = so.Plot(table, x="at", y="value", color="outer", linewidth="outer")
        plot = plot.facet("panel", order=list(found), wrap=columns)
        interval = so.Band(alpha=0.15) if band else so.Range()
        plot = plot.add(interval, ymin="low", ymax="high", legend=False)
        plot = plot.add(
            so.Line(pointsize=5.5, edgewidth=0), marker="outer", linestyle="outer", legend=False
        )
        at = sorted(table["inner"].unique()) if ticks is None else ticks
        scale = so.Continuous(trans="log" if log else None).tick(at=at).label(like="{x:g}")
        handles: dict[str, Any] = {name: handle(look, line=True) for name, look in looks.items()}
        handles |= more or {}
        draw(plot, figure, looks, handles, (x, y), x=scale)
        for axes in figure.axes:
            axes.minorticks_off()
            if reference is not None:
                axes.axhline(reference, **ZERO_LINE)
    return figure


def _beside_each_other(table: pd.DataFrame, names: list[str], share: float, log: bool) -> pd.Series:
    """Where the points stand: neighbours are a share of the axis apart, or less if it is full."""
    places = np.array(sorted(table["inner"].unique()))
    places = np.log(places) if log else places
    gaps = np.diff(places)
    step = min(share * np.ptp(places), *(0.7 * gaps / len(names))) if len(gaps) else 0.0
    shift = table["outer"].map(
        {name: offset(number, len(names), step) for number, name in enumerate(names)}
    )
    return table["inner"] * np.exp(shift) if log else table["inner"] + shift


def draw(
    plot: so.Plot,
    figure: Figure,
    looks: Mapping[str, Look],
    handles: Mapping[str, Any],
    labels: tuple[str, str],
    **scales: Any,
) -> None:
    """Draw into the figure with the book's look.

    Args:
        plot: whose colours, markers, lines and widths are named by the keys of ``looks``.
        figure: to draw into.
        looks: name -> look.
        handles: name -> handle of the legend.
        labels: of x, below all panels, and of y, left of them.
        scales: of other variables.
    """
    known = {str(name): look for name, look in looks.items()}
    properties = {
        "color": {name: look.colour for name, look in known.items()},
        "marker": {name: look.marker for name, look in known.items()},
        "linestyle": {name: look.dashes for name, look in known.items()},
        "linewidth": {name: look.width for name, look in known.items()},
    }
    plot = plot.scale(**properties, **scales).label(x="", y="")
    plot.theme(dict(mpl.rcParams)).on(figure).plot()
    size = mpl.rcParams["axes.labelsize"]
    figure.supxlabel(labels[0], fontsize=size)
    if labels[1]:
        figure.supylabel(labels[1], fontsize=size)
    if len(handles) > 1:
        name_models(figure, handles)


def number_map(
    axes: Axes,
    cells: Rows,
    columns: Sequence[str],
    span: float,
    words: Callable[[Interval], str],
    centre: float = 0.0,
) -> None:
    """Values as colours with words on them, bold where the 95 % interval leaves out the centre.

    Args:
        axes: to draw into.
        cells: row -> column -> interval. What is not there stays blank.
        columns: their order.
        span: how far from the centre the colours reach.
        words: what is written into a cell.
        centre: the value without colour.
    """
    values = [[each[c].value if c in each else np.nan for c in columns] for each in cells.values()]
    texts = [[words(each[c]) if c in each else "" for c in columns] for each in cells.values()]
    sns.heatmap(
        pd.DataFrame(values, list(cells), list(columns)),
        ax=axes,
        annot=np.array(texts),
        fmt="",
        annot_kws={"fontsize": SMALL},
        cmap=DIVERGING,
        vmin=centre - span,
        vmax=centre + span,
        cbar=False,
        linewidths=0.6,
    )
    known = [each[c] for each in cells.values() for c in columns if c in each]
    for text, interval in zip(axes.texts, known, strict=True):
        if interval.low > centre or interval.high < centre:
            text.set_fontweight("bold")
    axes.tick_params(length=0, labelrotation=0)
