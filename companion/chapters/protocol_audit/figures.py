"""Notebook `08_protocol_audit`: what choices of an evaluation do to a score."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    NARROW,
    ZERO_LINE,
    Look,
    draw_interval,
    name_models,
    name_rows,
)
from companion.chapters.drawing.numbers import MISSING, signed
from companion.chapters.drawing.style import AUDIO, JOINT, LABEL, PLAIN, PUBLISHED, VISUAL, style

GAIN = "Δ CCC"
SLIM = 5.4  # inches
_SHARES = (("#B3CDE3", "o"), ("#6BAED6", "s"), ("#2171B5", "D"), ("#08306B", "^"))
_PADDINGS = {"nearest": (AUDIO, "o", "-"), "zero": (VISUAL, "s", "--")}
_ORDERS = {"in order": (AUDIO, "o", "-"), "shuffled": (VISUAL, "s", "--")}
_CHOICE = Look("#332288", "o", "-", "circle", (1, 0))
_SEEDS_ONLY = Look("#8C6D31", "D", "-", "diamond", (1, 0))
LINEAR = 0.01  # the range around 0 in which the axis of `worth` is not logarithmic
DASHED: dict[str, Any] = {"color": LABEL, "linewidth": 1.0, "linestyle": ":", "zorder": 0}


class ZeroPairs(NamedTuple):
    """What 0/0 pairs add, mean of the labels -> Δ CCC: in closed form, and measured."""

    formula: Mapping[float, float]
    measured: Mapping[float, float]


def zero_pairs(panels: Mapping[str, Mapping[float, ZeroPairs]]) -> Figure:
    """Δ CCC of 0/0 pairs to masking, against the mean of the labels: a panel a target.

    Lines are the closed form, marks are scores.

    Args:
        panels: target -> share of invalid rows -> Δ.
    """
    with style():
        figure, grid = plt.subplots(
            1, len(panels), figsize=(NARROW, 3.3), sharey=True, squeeze=False
        )
        for axes, (target, shares) in zip(grid[0], panels.items(), strict=True):
            for (_, found), (colour, marker) in zip(shares.items(), _SHARES, strict=False):
                axes.plot(list(found.formula), list(found.formula.values()), color=colour)
                axes.plot(
                    list(found.measured), list(found.measured.values()), marker, color=colour, ms=5
                )
            axes.set(title=target, xlabel="mean of labels")
            axes.axhline(0.0, **ZERO_LINE)
        grid[0][0].set_ylabel(GAIN)
        name_models(
            figure,
            {
                f"{100 * share:.0f} % invalid": Line2D([], [], color=c, marker=m, markersize=5)
                for share, (c, m) in zip(next(iter(panels.values())), _SHARES, strict=False)
            },
        )
    return figure


def smoothing(
    panels: Mapping[str, Mapping[str, Mapping[int, Interval]]],
    released: Mapping[str, Mapping[str, int]],
) -> Figure:
    """Δ CCC of a moving average to none, against its window, with 95 % bands: a panel a target.

    Args:
        panels: target -> padding -> rows of the window -> Δ.
        released: target -> what it is called -> rows, drawn as dotted lines.
    """
    with style():
        figure, grid = plt.subplots(
            1, len(panels), figsize=(NARROW, 3.5), sharey=True, squeeze=False
        )
        for axes, (target, paddings) in zip(grid[0], panels.items(), strict=True):
            for padding, found in paddings.items():
                colour, marker, dashes = _PADDINGS[padding]
                axes.fill_between(
                    list(found),
                    [i.low for i in found.values()],
                    [i.high for i in found.values()],
                    color=colour,
                    alpha=0.2,
                    linewidth=0,
                )
                values = [i.value for i in found.values()]
                axes.plot(list(found), values, color=colour, marker=marker, ls=dashes, markersize=4)
            _mark(axes, released[target])
            _log_of_counts(axes, [1, 2, 5, 10, 20, 50])
            axes.set(title=target, xlabel="window, clips")
            axes.axhline(0.0, **ZERO_LINE)
        grid[0][0].set_ylabel(GAIN)
        name_models(
            figure,
            {
                f"padding: {padding}": Line2D([], [], color=c, marker=m, ls=d, markersize=4)
                for padding, (c, m, d) in _PADDINGS.items()
            },
        )
    return figure


def _mark(axes: Axes, marks: Mapping[str, int]) -> None:
    """Dashed lines that carry their names upright."""
    for name, place in marks.items():
        axes.axvline(place, **DASHED)
        axes.annotate(
            name,
            (place, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
            color=LABEL,
            rotation=90,
            va="bottom",
        )


def _log_of_counts(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


class Trajectory(NamedTuple):
    """One seed's scores by epoch ``(E,)``, and the epochs that were chosen, by how."""

    scores: NDArray[np.float64]
    chosen: Mapping[str, int]


def epochs(panels: Mapping[str, Sequence[Trajectory]]) -> Figure:
    """CCC on `report` after each epoch, a line a seed, and which epoch is reported.

    What is lower than anything in the last three quarters is cut off: the first epochs would leave
    no room for the others.

    Args:
        panels: target -> a trajectory a seed; all with the same ways of choosing, three at most.
    """
    looks = list(zip((JOINT, PUBLISHED, VISUAL), ("o", "s", "^"), (11.0, 7.5, 5.0), strict=True))
    with style():
        figure, grid = plt.subplots(1, len(panels), figsize=(NARROW, 3.4), squeeze=False)
        for axes, (target, seeds) in zip(grid[0], panels.items(), strict=True):
            for seed in seeds:
                axes.plot(np.arange(len(seed.scores)), seed.scores, color=PLAIN, linewidth=1.1)
                for epoch, (colour, marker, size) in zip(seed.chosen.values(), looks, strict=False):
                    axes.plot(
                        [epoch],
                        [seed.scores[epoch]],
                        marker,
                        color=colour,
                        markersize=size,
                        markerfacecolor="none",
                        markeredgewidth=1.6,
                    )
            shown = np.concatenate([seed.scores[len(seed.scores) // 4 :] for seed in seeds])
            room = 0.1 * np.ptp(shown) + 1e-3
            axes.set(title=target, xlabel="epoch", ylim=(shown.min() - room, shown.max() + room))
            axes.xaxis.get_major_locator().set_params(integer=True)
        grid[0][0].set_ylabel("CCC on report")
        name_models(
            figure,
            {
                way: Line2D(
                    [],
                    [],
                    color=colour,
                    marker=marker,
                    ls="none",
                    markersize=size,
                    markerfacecolor="none",
                    markeredgewidth=1.6,
                )
                for way, (colour, marker, size) in zip(
                    next(iter(panels.values()))[0].chosen, looks, strict=False
                )
            },
        )
    return figure


def batches(
    curves: Mapping[str, Mapping[int, Sequence[float]]], pooled: float, marks: Mapping[str, int]
) -> Figure:
    """Mean CCC of batches against their size, mean of targets: a thin line a seed, and their mean.

    Args:
        curves: ``in order`` or ``shuffled`` -> windows of a batch -> CCC of each seed.
        pooled: CCC over all pairs, mean over seeds; the dashed line.
        marks: what some sizes are called.
    """
    with style():
        figure, axes = plt.subplots(figsize=(SLIM, 3.8))
        for order, found in curves.items():
            colour, marker, dashes = _ORDERS[order]
            each = np.array(list(found.values()))  # (sizes, seeds)
            axes.plot(list(found), each, color=colour, linewidth=0.6, alpha=0.6)
            axes.plot(list(found), each.mean(axis=1), color=colour, marker=marker, ls=dashes, ms=5)
        axes.axhline(pooled, **ZERO_LINE)
        _mark(axes, marks)
        _log_of_counts(axes, list(next(iter(curves.values()))))
        axes.set(xlabel="windows of a batch", ylabel="CCC, mean over batches and targets")
        name_models(
            figure,
            {
                order: Line2D([], [], color=c, marker=m, ls=d, markersize=5)
                for order, (c, m, d) in _ORDERS.items()
            }
            | {"pooled": Line2D([], [], **ZERO_LINE)},
        )
    return figure


def worth(gains: Mapping[str, Interval]) -> Figure:
    """Δ CCC of every choice with its 95 % interval, a row each, and the number beside it.

    The axis is logarithmic beyond ±0.01, as choices differ by a factor of a thousand. A choice
    without bounds is a diamond with its standard deviation over seeds.
    """
    with style():
        figure, axes = plt.subplots(figsize=(NARROW, 1.1 + 0.36 * len(gains)))
        for row, found in enumerate(gains.values()):
            if np.isnan(found.low):
                reach = 0.0 if np.isnan(found.deviation) else found.deviation
                bounded = found._replace(low=found.value - reach, high=found.value + reach)
                draw_interval(axes, bounded, row, _SEEDS_ONLY)
            else:
                draw_interval(axes, found, row, _CHOICE)
            axes.annotate(
                signed(found.value),
                (1.02, row),
                xycoords=("axes fraction", "data"),
                fontsize=9,
                va="center",
            )
        axes.axvline(0.0, **ZERO_LINE)
        axes.set_xscale("symlog", linthresh=LINEAR, linscale=0.8)
        axes.margins(x=0.08)
        axes.xaxis.set_major_locator(FixedLocator([-0.1, -0.01, 0.0, 0.01, 0.1]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}".replace("-", "−")))
        name_rows(axes, list(gains))
        axes.set_xlabel("Δ CCC to the strict protocol, mean of targets")
    return figure


def worth_table(gains: Mapping[str, Sequence[Interval]], targets: Sequence[str]) -> pd.DataFrame:
    """A row a choice: Δ of each target, and of their mean with its interval and spread over seeds.

    Args:
        gains: choice -> an interval a target, and last that of the mean; bounds of NaN are left
            out.
        targets: their names.
    """
    return pd.DataFrame(
        [
            {"Choice": choice}
            | {target: signed(i.value) for target, i in zip(targets, found, strict=False)}
            | {
                "Mean": _with_bounds(found[-1]),
                "± over seeds": MISSING
                if np.isnan(found[-1].deviation)
                else f"{found[-1].deviation:.4f}",
            }
            for choice, found in gains.items()
        ]
    )


def _with_bounds(found: Interval) -> str:
    if np.isnan(found.low):
        return signed(found.value)
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]"
