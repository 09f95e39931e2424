"""Notebook `08_protocol_audit`: what choices of an evaluation do to a score."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn.objects as so
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ZERO_LINE, Look, handle, name_models
from companion.chapters.drawing.intervals import draw, interval_curves, interval_rows, place_scale
from companion.chapters.drawing.numbers import MISSING, signed, with_bounds
from companion.chapters.drawing.style import HALO, LABEL, OTHERS, SHADES, SLIM, SMALL, WIDTH, style

GAIN = "Δ CCC"
BOUNDED = "95 % interval over people and seeds"
SEEDS_ONLY = "standard deviation over seeds"
LINEAR = 0.01  # the range around 0 in which the axis of `worth` is not logarithmic
_OPTIONS = (Look(OTHERS[0], "o"), Look(OTHERS[1], "s", (7, 3)))  # two choices of one kind
_DOTTED: dict[str, Any] = {"color": LABEL, "linewidth": 1.0, "linestyle": ":", "zorder": 0}


class ZeroPairs(NamedTuple):
    """What 0/0 pairs add, mean of the labels -> Δ CCC: in closed form, and measured."""

    formula: Mapping[float, float]
    measured: Mapping[float, float]


def zero_pairs(panels: Mapping[str, Mapping[float, ZeroPairs]]) -> Figure:
    """Δ CCC of 0/0 pairs to masking, against the mean of the labels: a panel for each target.

    Lines are the closed form, marks are scores.

    Args:
        panels: target -> share of invalid rows -> Δ.
    """
    table = pd.DataFrame(
        [
            (target, f"{100 * share:.0f} % invalid", kind, mean, gain)
            for target, shares in panels.items()
            for share, found in shares.items()
            for kind, gains in found._asdict().items()
            for mean, gain in gains.items()
        ],
        columns=["panel", "share", "kind", "mean", "gain"],
    )
    marks = zip(SHADES, "osD^", strict=True)
    looks = {name: Look(*mark) for name, mark in zip(table["share"].unique(), marks, strict=False)}
    formula, measured = (table[table["kind"] == kind] for kind in ("formula", "measured"))
    with style():
        figure = plt.figure(figsize=(WIDTH, 3.3))
        plot = so.Plot(table).facet("panel", order=list(panels))
        drawn: dict[str, Any] = {"x": "mean", "y": "gain", "color": "share", "legend": False}
        plot = plot.add(so.Line(linewidth=1.4), data=formula, **drawn)
        dots = so.Dot(pointsize=5, edgewidth=0)
        plot = plot.add(dots, data=measured, marker="share", **drawn)
        handles = {name: handle(look) for name, look in looks.items()}
        draw(plot, figure, looks, handles, ("mean of labels", GAIN))
        for axes in figure.axes:
            axes.axhline(0.0, **ZERO_LINE)
    return figure


def smoothing(
    panels: Mapping[str, Mapping[str, Mapping[int, Interval]]],
    released: Mapping[str, Mapping[str, int]],
) -> Figure:
    """Δ CCC of a moving average to none, with 95 % bands: a panel for each target.

    Args:
        panels: target -> padding -> rows of the window -> Δ.
        released: target -> what it is called -> rows, drawn as dotted lines.
    """
    found = {
        target: {f"padding: {padding}": gains for padding, gains in paddings.items()}
        for target, paddings in panels.items()
    }
    figure = interval_curves(
        found,
        ("panel", "series", "x"),
        dict(zip(next(iter(found.values())), _OPTIONS, strict=False)),
        ("window, clips", GAIN),
        height=2.8,
        log=True,
        band=True,
        ticks=[1, 2, 5, 10, 20, 50],
    )
    for axes, marks in zip(figure.axes, released.values(), strict=True):
        _mark(axes, marks)
    return figure


def _mark(axes: Axes, marks: Mapping[str, int]) -> None:
    """Dotted lines that carry their names upright."""
    for name, place in marks.items():
        axes.axvline(place, **_DOTTED)
        axes.annotate(
            name,
            (place, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=SMALL,
            color=LABEL,
            rotation=90,
            va="bottom",
            path_effects=HALO,
        )


class Trajectory(NamedTuple):
    """One seed's scores by epoch ``(E,)``, and the epochs that were chosen, by how."""

    scores: NDArray[np.float64]
    chosen: Mapping[str, int]


def epochs(panels: Mapping[str, Sequence[Trajectory]]) -> Figure:
    """CCC on `report` after each epoch, a line for each seed, and which epoch is reported.

    What is lower than anything in the last three quarters is cut off: the first epochs would leave
    no room for the others.

    Args:
        panels: target -> a trajectory for each seed; all with the same ways of choosing, three at
            most.
    """
    ways = next(iter(panels.values()))[0].chosen
    looks = dict(zip(ways, zip(OTHERS, "os^", (11.0, 7.5, 5.0), strict=False), strict=False))
    ring: dict[str, Any] = {"ls": "none", "mfc": "none", "mew": 1.6}
    with style():
        figure, grid = plt.subplots(1, len(panels), figsize=(WIDTH, 3.4), squeeze=False)
        for axes, (target, seeds) in zip(grid[0], panels.items(), strict=True):
            for scores, chosen in seeds:
                axes.plot(scores, color=LABEL, linewidth=1.1, alpha=0.6)
                for way, (colour, marker, size) in looks.items():
                    epoch = chosen[way]
                    axes.plot(epoch, scores[epoch], marker, color=colour, ms=size, **ring)
            shown = np.concatenate([scores[len(scores) // 4 :] for scores, _ in seeds])
            room = 0.1 * np.ptp(shown) + 1e-3
            axes.set(title=target, xlabel="epoch", ylim=(shown.min() - room, shown.max() + room))
            axes.xaxis.get_major_locator().set_params(integer=True)
        grid[0][0].set_ylabel("CCC on report")
        name_models(
            figure,
            {
                way: Line2D([], [], color=colour, marker=marker, ms=size, **ring)
                for way, (colour, marker, size) in looks.items()
            },
        )
    return figure


def batches(
    curves: Mapping[str, Mapping[int, Sequence[float]]], pooled: float, marks: Mapping[str, int]
) -> Figure:
    """Mean CCC of batches against their size: a thin line for each seed, and their mean.

    Args:
        curves: ``in order`` or ``shuffled`` -> windows of a batch -> CCC of each seed.
        pooled: CCC over all pairs, mean over seeds; the dashed line.
        marks: what some sizes are called.
    """
    table = pd.DataFrame(
        [
            (order, size, seed, score)
            for order, sizes in curves.items()
            for size, scores in sizes.items()
            for seed, score in enumerate(scores)
        ],
        columns=["order", "size", "seed", "score"],
    )
    looks = dict(zip(curves, _OPTIONS, strict=False))
    with style():
        figure = plt.figure(figsize=(SLIM, 4.0))
        plot = so.Plot(table, x="size", y="score", color="order")
        plot = plot.add(so.Lines(linewidth=0.6, alpha=0.6), group="seed", legend=False)
        mean = so.Line(pointsize=5, edgewidth=0)
        plot = plot.add(mean, so.Agg(), marker="order", linestyle="order", legend=False)
        handles: dict[str, Any] = {name: handle(look, line=True) for name, look in looks.items()}
        handles["pooled"] = Line2D([], [], **ZERO_LINE)
        labels = ("windows of a batch", "CCC, mean over batches and targets")
        plot = plot.scale(x=place_scale(sorted(table["size"].unique()), log=True))
        draw(plot, figure, looks, handles, labels)
        (axes,) = figure.axes
        axes.minorticks_off()
        axes.axhline(pooled, **ZERO_LINE)
        _mark(axes, marks)
    return figure


def worth(gains: Mapping[str, Interval]) -> Figure:
    """Δ CCC of every choice with its 95 % interval, a row each, and the number beside it.

    The axis is logarithmic beyond ±0.01, as choices differ by a factor of a thousand. A choice
    without bounds is a diamond with its standard deviation over seeds.
    """
    looks = {BOUNDED: Look("black"), SEEDS_ONLY: Look(OTHERS[2], "D")}
    axis = "Δ CCC to the strict protocol, mean of targets"
    rows = {name: _bounded(found) for name, found in gains.items()}
    figure = interval_rows(rows, ("row", "series"), looks, axis)
    (axes,) = figure.axes
    for row, found in enumerate(gains.values()):
        place = ("axes fraction", "data")
        axes.annotate(signed(found.value), (1.02, row), None, place, fontsize=SMALL, va="center")
    axes.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(FixedLocator([-0.1, -0.01, 0.0, 0.01, 0.1]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
    return figure


def _bounded(found: Interval) -> dict[str, Interval]:
    if not np.isnan(found.low):
        return {BOUNDED: found}
    reach = np.nan_to_num(found.deviation)
    return {SEEDS_ONLY: found._replace(low=found.value - reach, high=found.value + reach)}


def worth_table(gains: Mapping[str, Sequence[Interval]], targets: Sequence[str]) -> pd.DataFrame:
    """A row for each choice: Δ of each target, and of their mean with interval and spread.

    Args:
        gains: choice -> an interval for each target, last that of the mean; NaN is left out.
        targets: their names.
    """
    return pd.DataFrame(
        [
            {"Choice": choice}
            | {target: signed(i.value) for target, i in zip(targets, found, strict=False)}
            | {
                "Mean": with_bounds(found[-1]),
                "± over seeds": MISSING
                if np.isnan(found[-1].deviation)
                else f"{found[-1].deviation:.4f}",
            }
            for choice, found in gains.items()
        ]
    )
