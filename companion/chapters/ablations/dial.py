"""Notebook `04_ablations`: the paper's claim as a curve, Δ against the share of weak clips.

Models stand a little beside their share, so that no interval hides another.
"""

from collections.abc import Iterable, Mapping, Sequence
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
from companion.chapters.drawing.numbers import signed
from companion.chapters.drawing.style import by_value, style
from iaca.runs.arms import ARMS

Curves = Mapping[str, Mapping[str, Mapping[float, Interval]]]  # backbone -> model -> share -> Δ

SHARE = "share of weak clips, per cent"
BAND = f"±{AT_ZERO:g} at share 0, criterion (a)"
HEIGHT = 280  # pixels
MARGIN = 6.0  # per cent, beside the first and the last share
_ZERO_RULE: dict[str, Any] = {
    "mark": {"type": "rule", "strokeDash": [5, 3], "aria": False},  # it says nothing by itself
    "encoding": {"y": {"datum": 0.0}},
}
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


def dial_chart(curves: Curves, description: str) -> dict[str, Any]:
    """The same as a Vega-Lite specification, whose reader chooses the backbone and the models.

    Args:
        curves: backbone -> model -> share of weak clips -> Δ, in CCC points.
        description: what the chart shows, for readers who cannot see it.

    Raises:
        ValueError: if there are more controls than can be told apart.
    """
    looks = looks_of(in_order(curves.values()))
    offsets = _offsets(curves)
    rows = _rows(curves, offsets)
    layers = [_ZERO_RULE, *_layers(rows, looks, _shares(curves))]
    if _has_tolerance(curves):
        layers.insert(0, _tolerance(*_band(offsets)))
    choices = [_dropdown("backbone", "attention ", list(curves))]
    shown = "datum.backbone === backbone"
    if not ARMS.keys() >= looks.keys():
        choices.append(_dropdown("models", "models ", ["all", "IACA only"]))
        shown += " && (models === 'all' || datum.arm)"
    return {
        "description": description,
        "width": "container",
        "height": HEIGHT,
        "params": choices,
        "data": {"values": rows},
        "transform": [{"filter": shown}],
        "layer": layers,
    }


def _rows(curves: Curves, offsets: Mapping[str, float]) -> list[dict[str, Any]]:
    return [
        {
            "backbone": backbone,
            "model": model,
            "arm": model in ARMS,
            "share": share,
            "at": round(100.0 * share + offsets[model], 3),
            "delta": round(found.value, 5),
            "low": round(found.low, 5),
            "high": round(found.high, 5),
            "words": f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]",
        }
        for backbone, models in curves.items()
        for model, by_share in models.items()
        for share, found in sorted(by_share.items())
    ]


def _layers(
    rows: Sequence[Mapping[str, Any]], looks: Mapping[str, Look], shares: Sequence[float]
) -> list[dict[str, Any]]:
    """Intervals, curves, and points that say their numbers."""
    x = {
        "field": "at",
        "type": "quantitative",
        "title": SHARE,
        "axis": {"values": [round(100.0 * share, 3) for share in shares]},
        "scale": {
            "domain": [100.0 * shares[0] - MARGIN, 100.0 * shares[-1] + MARGIN],
            "nice": False,
            "zero": False,
        },
    }
    y = {"field": "delta", "type": "quantitative", "title": DELTA, "scale": _domain(rows)}
    colour = by_value("model", {m: look.colour for m, look in looks.items()}, symbolStrokeWidth=0)
    dashes = by_value("model", {m: look.pattern for m, look in looks.items()}, symbolStrokeWidth=0)
    shape = by_value("model", {m: look.shape for m, look in looks.items()}, symbolStrokeWidth=0)
    common = {"x": x, "y": y, "color": colour}
    width = {"condition": {"test": "datum.arm", "value": 2.6}, "value": 1.3}
    size = {"condition": {"test": "datum.arm", "value": 90}, "value": 50}
    ends = {"y": y | {"field": "low"}, "y2": {"field": "high"}}
    tooltip = [
        {"field": "backbone", "title": "attention"},
        {"field": "model"},
        {"field": "share", "type": "quantitative", "format": ".0%", "title": "weak clips"},
        {"field": "words", "title": "Δ [95 % interval]"},
    ]
    return [
        {"mark": "rule", "encoding": common | ends | {"strokeWidth": width}},
        {
            "mark": "line",
            "encoding": common | {"strokeDash": dashes, "strokeWidth": width},
        },
        {
            "mark": {"type": "point", "filled": True, "opacity": 1},
            "encoding": common | {"shape": shape, "size": size, "tooltip": tooltip},
        },
    ]


def _domain(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """One scale for all backbones: a choice of the reader moves the curves and not the axis."""
    bounds = [1.5 * AT_ZERO, -1.5 * AT_ZERO]
    bounds += [value for row in rows for value in (row["low"], row["high"])]
    return {"domain": [min(bounds), max(bounds)], "nice": True}


def _tolerance(left: float, right: float) -> dict[str, Any]:
    band = {"left": left, "right": right, "low": -AT_ZERO, "high": AT_ZERO, "words": BAND}
    return {
        "data": {"values": [band]},
        "mark": {"type": "rect", "color": "#888888", "opacity": 0.3},
        "encoding": {
            "x": {"field": "left", "type": "quantitative"},
            "x2": {"field": "right"},
            "y": {"field": "low", "type": "quantitative"},
            "y2": {"field": "high"},
            "tooltip": {"field": "words"},
        },
    }


def _dropdown(name: str, label: str, options: Sequence[str]) -> dict[str, Any]:
    bind = {"input": "select", "options": list(options), "name": label}
    return {"name": name, "value": options[0], "bind": bind}
