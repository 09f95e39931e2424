"""Notebook `04_ablations`: the paper's claim as a curve, Δ against the share of weak clips.

Models stand a little beside their share, so that no interval hides another.
"""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from companion.analysis.criteria import AT_ZERO
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    DELTA,
    NARROW,
    ZERO_LINE,
    Look,
    handle,
    in_order,
    looks_of,
    name_models,
    offset,
)
from companion.chapters.drawing.style import style
from iaca.runs.arms import ARMS

Curves = Mapping[str, Mapping[str, Mapping[float, Interval]]]  # backbone -> model -> share -> Δ

SHARE = "share of weak clips, per cent"
BAND = f"±{AT_ZERO:g} at share 0, criterion (a)"
MARGIN = 6.0  # per cent, beside the first and the last share
_SHADE: dict[str, Any] = {"facecolor": "#888888", "alpha": 0.3, "edgecolor": "none"}


def dial_curve(curves: Curves) -> Figure:
    """Δ with 95 % intervals, the two arms of IACA strongly and controls thinly: a panel a backbone.

    Args:
        curves: backbone -> model -> share of weak clips -> Δ, in CCC points.

    Raises:
        ValueError: if there are more controls than can be told apart.
    """
    looks = looks_of(in_order(curves.values()))
    offsets = _offsets(curves)
    columns = min(2, len(curves))
    lines = -(-len(curves) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(NARROW, 0.6 + 2.5 * lines + 0.1 * len(looks)),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (backbone, rows) in zip(grid.flat, curves.items(), strict=False):
            axes.axhline(0.0, **ZERO_LINE)
            if _has_tolerance(curves):
                left, right = _band(offsets)
                corner, width = (left, -AT_ZERO), right - left
                axes.add_patch(Rectangle(corner, width, 2 * AT_ZERO, zorder=0, **_SHADE))
            for model in sorted(rows, key=lambda model: model in ARMS):  # the arms on top
                _curve(axes, rows[model], offsets[model], looks[model], model in ARMS)
            axes.set_title(backbone)
            axes.tick_params(labelbottom=True)
            axes.tick_params(axis="x", labelsize=8)  # 40 and 46 stand beside each other
        for axes in grid.flat[len(curves) :]:
            axes.remove()
        percents = [100.0 * share for share in _shares(curves)]
        grid[0, 0].set_xticks(percents, [f"{percent:.0f}" for percent in percents])
        grid[0, 0].set_xlim(percents[0] - MARGIN, percents[-1] + MARGIN)
        figure.supxlabel(SHARE, fontsize=10)
        figure.supylabel(DELTA, fontsize=10)
        handles: dict[str, Any] = {
            model: handle(look, line=True, strong=model in ARMS) for model, look in looks.items()
        }
        if _has_tolerance(curves):
            handles[BAND] = Patch(**_SHADE)
        name_models(figure, handles)
    return figure


def _curve(
    axes: Axes, found: Mapping[float, Interval], beside: float, look: Look, strong: bool
) -> None:
    shares = sorted(found)
    places = [100.0 * share + beside for share in shares]
    width = 2.2 if strong else 1.1
    axes.plot(
        places,
        [found[share].value for share in shares],
        color=look.colour,
        linestyle=look.dashes,
        linewidth=width,
        marker=look.marker,
        markersize=6.5 if strong else 4.5,
    )
    lows, highs = [found[share].low for share in shares], [found[share].high for share in shares]
    axes.vlines(places, lows, highs, color=look.colour, linewidth=width)


def _shares(curves: Curves) -> list[float]:
    return sorted({s for rows in curves.values() for found in rows.values() for s in found})


def _offsets(curves: Curves) -> dict[str, float]:
    """How far beside its share each model stands, in per cent: less where shares are close.

    Controls, which are drawn thinly, stand between the two arms.
    """
    models = in_order(curves.values())
    arms = [model for model in models if model in ARMS]
    ordered = [*arms[:1], *(model for model in models if model not in ARMS), *arms[1:]]
    gaps = [100.0 * gap for gap in np.diff(_shares(curves))]
    step = min([1.5, *(0.7 * gap / len(models) for gap in gaps)])
    return {model: offset(number, len(models), step) for number, model in enumerate(ordered)}


def _has_tolerance(curves: Curves) -> bool:
    return any(0.0 in found for rows in curves.values() for found in rows.values())


def _band(offsets: Mapping[str, float]) -> tuple[float, float]:
    """From where to where the tolerance at share 0 is shown: as far as its models stand apart."""
    reach = max(offsets.values()) + 2.0
    return -reach, reach
