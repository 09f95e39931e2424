"""What the interactive charts share: menus, sliders and looks."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

Layers = alt.LayerChart | alt.FacetChart  # what Altair says that a layered chart's methods return


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
