"""What the interactive charts share: menus and sliders, looks, and curves with intervals."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import Look, offset

Found = Mapping[Any, Mapping[str, Mapping[float, Interval]]]  # a choice in each menu, model, share
Layers = alt.LayerChart | alt.FacetChart  # what Altair says that a layered chart's methods return

MARGIN = 6.0  # per cent, beside the first and the last share
AS_IS: dict[str, Any] = {"scale": None, "legend": None}  # a field that holds pixels
MAX_STEP = 1.5  # per cent, between models at the same share


def dropdown(name: str, options: Sequence[str]) -> alt.Parameter:
    """A menu below the chart, at its first option; expressions read the choice as ``name``."""
    bind = alt.binding_select(options=list(options), name=f"{name} ")
    return alt.param(name=name, value=options[0], bind=bind)


def slider(
    name: str, value: float, limits: tuple[float, float], step: float, label: str = ""
) -> alt.Parameter:
    """A slider below the chart; expressions read its value as ``name``."""
    low, high = limits
    bind = alt.binding_range(min=low, max=high, step=step, name=f"{label or name} ")
    return alt.param(name=name, value=value, bind=bind)


def looks(field: str, values: Mapping[str, Any], /, **legend: Any) -> dict[str, Any]:
    """A channel's settings: each value of a nominal field has its look, told in a legend on top.

    Args:
        field: of the chart's rows.
        values: value -> colour, dashes or shape, in the legend's order.
        legend: what else its legend is given.
    """
    settings = {"columns": alt.ExprRef("width > 450 ? 2 : 1"), "labelLimit": 0, **legend}
    return {
        "shorthand": f"{field}:N",
        "scale": alt.Scale(domain=list(values), range=list(values.values())),
        "legend": alt.Legend(title=None, orient="top", **settings),
    }


def interval_curves(
    found: Found,
    menus: Sequence[str],
    models: Mapping[str, Look],
    titles: tuple[str, str],
    words: Callable[[Interval], str],
    reach: tuple[float, float],
) -> Layers:
    """Curves over shares with 95 % intervals; menus choose which.

    Models stand a little beside their share, so that no interval hides another. The scale is that
    of all curves: a choice of the reader moves the curves and not the axis.

    Args:
        found: a choice in each menu -> model -> share (0 to 1) -> interval.
        menus: their names, which are fields of the chart's rows.
        models: model -> look, in the legend's order.
        titles: of both axes.
        words: what the tooltip says of an interval.
        reach: which values the y axis covers at least.
    """
    rows = _table(found, menus, models, words)
    ticks = sorted({round(100.0 * share, 3) for share in rows["share"]})
    domain = [ticks[0] - MARGIN, ticks[-1] + MARGIN]
    axis = alt.Axis(values=ticks, labelOverlap="greedy", labelSeparation=6)
    x = alt.X("at", title=titles[0], axis=axis, scale=alt.Scale(domain=domain))
    domain = [min(rows["low"].min(), reach[0]), max(rows["high"].max(), reach[1])]
    y: dict[str, Any] = {"title": titles[1], "scale": alt.Scale(domain=domain, nice=True)}
    colour, dashes, shape = (
        looks("model", {m: getattr(look, part) for m, look in models.items()}, symbolStrokeWidth=0)
        for part in ("colour", "pattern", "shape")
    )
    width, size = alt.StrokeWidth("width", **AS_IS), alt.Size("size", **AS_IS)
    said = alt.Tooltip("words", title=f"{titles[1]}, 95 % interval")
    tooltip = ["model", alt.Tooltip("share", format=".0%"), said]
    base = alt.Chart(rows).encode(x, alt.Y("value", **y), alt.Color(**colour))
    layers = alt.layer(
        base.mark_rule().encode(alt.Y("low", **y), width, y2="high"),
        base.mark_line().encode(alt.StrokeDash(**dashes), width),
        base.mark_point(filled=True, opacity=1).encode(alt.Shape(**shape), size, tooltip=tooltip),
    )
    for menu in menus:
        layers = layers.transform_filter(f"datum.{menu} === {menu}")
        layers = layers.add_params(dropdown(menu, list(rows[menu].unique())))
    return layers


def _table(
    found: Found, menus: Sequence[str], models: Mapping[str, Look], words: Callable[[Interval], str]
) -> pd.DataFrame:
    """A row per interval: what is chosen, its values, and where and how strongly it is drawn."""
    rows = pd.DataFrame(
        {"model": model, "share": share, "words": words(each)}
        | {"value": each.value, "low": each.low, "high": each.high}
        | dict(zip(menus, chosen, strict=True))
        for chosen, curves in found.items()
        for model, curve in curves.items()
        for share, each in sorted(curve.items())
    )
    gaps = 100.0 * np.diff(np.unique(rows["share"]))
    step = min([MAX_STEP, *(0.7 * gaps / len(models))])
    beside = {model: offset(k, len(models), step) for k, model in enumerate(models)}
    rows["at"] = 100.0 * rows["share"] + rows["model"].map(beside)
    rows["width"] = rows["model"].map({model: look.width for model, look in models.items()})
    rows["size"] = 40.0 * rows["width"]
    return rows.round(5)
