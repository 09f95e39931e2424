"""Intervals as rows and as curves, and maps of them: the statistical figures of all chapters.

All take nested mappings that end in an `Interval` or an `Estimate`, with the names of their levels
from the outside: ``panel`` (may be missing; two are joined by a comma), ``series``, and ``row`` or
``x``. What is not in a mapping is not drawn; panels, rows and series stand in the order in which
they first come.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from companion.analysis.estimates import Estimate
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    ZERO_LINE,
    Look,
    handle,
    legend_columns,
    name_models,
    offset,
)
from companion.chapters.drawing.style import DIVERGING, SMALL, WIDTH, style


def interval_table(found: Mapping[Any, Any], levels: Sequence[str]) -> pd.DataFrame:
    """A line for each interval: a column for each level, then ``value``, ``low`` and ``high``.

    Args:
        found: nested mappings that end in an `Interval`.
        levels: names of the keys, from the outside.
    """
    lines = []
    for keys, interval in _leaves(found):
        line: dict[str, Any] = {"panel": ""}
        for level, key in zip(levels, keys, strict=True):
            key = str(key) if isinstance(key, str) else key  # seaborn takes no StrEnum
            line[level] = f"{line['panel']}, {key}" if level == "panel" and line["panel"] else key
        lines.append(line | {"value": interval.value, "low": interval.low, "high": interval.high})
    return pd.DataFrame(lines)


def _leaves(
    found: Any, keys: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], Interval | Estimate]]:
    if not isinstance(found, Mapping):
        yield keys, found
    else:
        for key, inner in found.items():
            yield from _leaves(inner, (*keys, key))


def interval_rows(
    found: Mapping[Any, Any],
    levels: Sequence[str],
    looks: Mapping[str, Look],
    axis: str,
    *,
    reference: float | None = 0.0,
    columns: int = 2,
    width: float = WIDTH,
    more: Mapping[str, Any] | None = None,
) -> Figure:
    """Panels of rows; in each, the intervals of the row's series lie below each other.

    Args:
        found: nested mappings that end in an `Interval`.
        levels: names of its keys: ``panel``, ``row`` and ``series`` in any order.
        looks: series -> look; there may be more than are drawn.
        axis: what the values are.
        reference: a value that is marked by a dashed line, if any.
        columns: panels beside each other, at most.
        width: of the figure, in inches.
        more: name -> handle, what else the legend tells.
    """
    table = interval_table(found, levels)
    rows = list(table["row"].unique())
    most = table.groupby(["panel", "row"]).size().max()
    height = 0.45 + (0.16 + 0.1 * most) * len(rows)
    with style():
        beside = so.Dodge(by=["color"], empty="drop")
        plot = so.Plot(table, x="value", y="row", color="series", marker="series")
        plot = plot.add(so.Range(linewidth=2.4), beside, xmin="low", xmax="high", legend=False)
        plot = plot.add(so.Dot(pointsize=6.5, edgewidth=0), beside, legend=False)
        plot = plot.scale(y=so.Nominal(order=rows))
        figure = _panels(plot, table, looks, (axis, ""), (width, height), columns, more)
        for axes in figure.axes:
            if reference is not None:
                axes.axvline(reference, **ZERO_LINE)
            axes.tick_params(axis="y", length=0)
    return figure


def interval_curves(
    found: Mapping[Any, Any],
    levels: Sequence[str],
    looks: Mapping[str, Look],
    labels: tuple[str, str],
    *,
    reference: float | None = 0.0,
    columns: int = 2,
    height: float = 2.0,
    percent: bool = False,
    log: bool = False,
    band: bool = False,
    ticks: Sequence[float] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Figure:
    """Panels of curves with an upright interval at each point, a little beside each other.

    Args:
        found: nested mappings that end in an `Interval`.
        levels: names of its keys: ``panel``, ``series`` and ``x`` in any order.
        looks: series -> look; there may be more than are drawn.
        labels: of x and of y.
        reference: a value that is marked by a dashed line, if any.
        columns: panels beside each other, at most.
        height: of a panel, in inches.
        percent: whether x is a share, to be shown in per cent.
        log: whether x is logarithmic.
        band: draw bands in place of upright intervals; curves then stand on each other.
        ticks: of x; by default one at each place that is not too near to another.
        more: name -> handle, what else the legend tells.
    """
    table = interval_table(found, levels)
    if percent:
        table["x"] = (100 * table["x"]).round(6)
    table["at"] = _beside_each_other(table, 0.0 if band else 0.015, log)
    with style():
        plot = so.Plot(table, x="at", y="value", color="series", linewidth="series")
        interval = so.Band(alpha=0.15) if band else so.Range()
        plot = plot.add(interval, ymin="low", ymax="high", legend=False)
        line = so.Line(pointsize=5.5, edgewidth=0)
        plot = plot.add(line, marker="series", linestyle="series", legend=False)
        plot = plot.scale(x=place_scale(ticks or _apart(table["x"]), log))
        figure = _panels(plot, table, looks, labels, (WIDTH, height), columns, more, line=True)
        for axes in figure.axes:
            axes.minorticks_off()
            if reference is not None:
                axes.axhline(reference, **ZERO_LINE)
    return figure


def _apart(values: pd.Series) -> list[float]:
    """The places, without those that are too near to the last one for a name of their own."""
    kept: list[float] = []
    for place in np.unique(values).tolist():
        if not kept or place - kept[-1] >= 0.08 * np.ptp(values):
            kept.append(place)
    return kept


def _beside_each_other(table: pd.DataFrame, share: float, log: bool) -> pd.Series:
    """Where points stand: neighbours are a share of the axis apart, or less where it is full."""
    names = table["series"].unique()
    places = np.unique(np.log(table["x"]) if log else table["x"])
    step = min(share * np.ptp(places), *(0.7 * np.diff(places) / len(names)), np.inf)
    beside = {name: offset(number, len(names), step) for number, name in enumerate(names)}
    shift = table["series"].map(beside)
    return table["x"] * np.exp(shift) if log else table["x"] + shift


def _panels(
    plot: so.Plot,
    table: pd.DataFrame,
    looks: Mapping[str, Look],
    labels: tuple[str, str],
    size: tuple[float, float],
    columns: int,
    more: Mapping[str, Any] | None,
    line: bool = False,
) -> Figure:
    """Draw a panel for each value of ``panel``, with a legend of the series above them.

    ``size`` is the figure's width and a panel's height; ``line`` tells dashes in the legend.
    """
    panels, names = list(table["panel"].unique()), list(table["series"].unique())
    shown = {name: look for name, look in looks.items() if name in names}
    columns = min(columns, len(panels))
    lines = -(-len(panels) // columns)
    handles: dict[str, Any] = {name: handle(look, line) for name, look in shown.items()}
    handles |= more or {}
    legend = -(-len(handles) // legend_columns(handles, size[0]))
    figure = plt.figure(figsize=(size[0], 0.6 + size[1] * lines + 0.2 * legend))
    draw(plot.facet("panel", order=panels, wrap=columns), figure, shown, handles, labels)
    return figure


def place_scale(ticks: Sequence[float], log: bool) -> so.Continuous:
    """An axis with ticks at these places alone."""
    return so.Continuous(trans="log" if log else None).tick(at=ticks).label(like="{x:g}")


def draw(
    plot: so.Plot,
    figure: Figure,
    looks: Mapping[str, Look],
    handles: Mapping[str, Any],
    labels: tuple[str, str],
) -> None:
    """Draw into the figure with the book's look.

    Args:
        plot: whose colours, markers, lines and widths are named by the keys of ``looks``.
        figure: to draw into.
        looks: name -> look.
        handles: name -> handle of the legend.
        labels: of x, below all panels, and of y, left of them.
    """
    known = {str(name): look for name, look in looks.items()}
    plot = plot.scale(
        color={name: look.colour for name, look in known.items()},
        marker={name: look.marker for name, look in known.items()},
        linestyle={name: look.dashes for name, look in known.items()},
        linewidth={name: look.width for name, look in known.items()},
    )
    plot.label(x="", y="").theme(dict(mpl.rcParams)).on(figure).plot()
    size = mpl.rcParams["axes.labelsize"]
    figure.supxlabel(labels[0], fontsize=size)
    if labels[1]:
        figure.supylabel(labels[1], fontsize=size)
    if len(handles) > 1:
        name_models(figure, handles)


def number_map(
    axes: Axes,
    cells: Mapping[str, Mapping[str, Interval | Estimate]],
    columns: Sequence[str],
    span: float,
    words: Callable[[Any], str],
    centre: float = 0.0,
    size: float = SMALL,
) -> None:
    """Values as colours with words on them, bold where the 95 % interval leaves out the centre.

    seaborn's heatmap would draw the whole figure each time, to see whether labels overlap.

    Args:
        axes: to draw into.
        cells: row -> column -> interval. What is not there stays blank.
        columns: their order.
        span: how far from the centre the colours reach.
        words: what is written into a cell.
        centre: the value without colour.
        size: of the words, in points.
    """
    values = np.array(
        [[each[c].value if c in each else np.nan for c in columns] for each in cells.values()]
    )
    look: dict[str, Any] = {"cmap": DIVERGING, "linewidths": 0.6, "edgecolors": "white"}
    colours = axes.pcolormesh(values, vmin=centre - span, vmax=centre + span, **look)
    luminance = colours.to_rgba(values)[..., :3] ** 2.2 @ np.array([0.2126, 0.7152, 0.0722])
    for row, each in enumerate(cells.values()):
        for column, name in enumerate(columns):
            if (found := each.get(name)) is None:
                continue
            bold = found.low > centre or found.high < centre
            axes.text(
                column + 0.5, row + 0.5, words(found), ha="center", va="center", fontsize=size,
                color="0.15" if luminance[row, column] > 0.4 else "white",
                fontweight="bold" if bold else "normal",
            )  # fmt: skip
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns)
    axes.set_yticks(np.arange(len(cells)) + 0.5, list(cells))
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
