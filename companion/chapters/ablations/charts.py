"""Notebook `04_ablations`: the claim's curve as a chart whose reader chooses what is shown."""

import json

import altair as alt
import pandas as pd

from companion.analysis.criteria import AT_ZERO
from companion.chapters.ablations.figures import BAND, SHARE, Curves
from companion.chapters.drawing.arms import DELTA, in_order, looks_of
from companion.chapters.drawing.charts import MARGIN, Layers, dropdown, interval_curves
from companion.chapters.drawing.numbers import with_bounds
from companion.chapters.drawing.style import LABEL
from iaca.runs.arms import ARMS


def dial_chart(curves: Curves) -> Layers:
    """Δ with 95 % intervals against the share of weak clips, one attention at a time.

    Args:
        curves: backbone -> model -> share of weak clips -> Δ, in CCC.

    Raises:
        ValueError: if there are more controls than can be told apart.
    """
    models = looks_of(in_order(curves.values()))
    found = {(backbone,): several for backbone, several in curves.items()}
    reach = (-1.5 * AT_ZERO, 1.5 * AT_ZERO)
    chart = interval_curves(found, ["attention"], models, (SHARE, DELTA), with_bounds, reach)
    if not ARMS.keys() >= models.keys():
        chart = chart.add_params(dropdown("models", ["all", "IACA only"]))
        chart = chart.transform_filter(
            f"models === 'all' || indexof({json.dumps([*ARMS])}, datum.model) >= 0"
        )
    zero = alt.Chart().mark_rule(strokeDash=[5, 3], aria=False).encode(y=alt.datum(0.0))
    has_tolerance = any(0.0 in curve for several in curves.values() for curve in several.values())
    layers = [_tolerance(), zero, chart] if has_tolerance else [zero, chart]
    return alt.layer(*layers)


def _tolerance() -> alt.Chart:
    """What counts as no difference at share 0, as far as its models stand apart."""
    reach = MARGIN - 1.0
    band = {"left": -reach, "right": reach, "low": -AT_ZERO, "high": AT_ZERO, "words": BAND}
    rectangle = alt.Chart(pd.DataFrame([band])).mark_rect(color=LABEL, opacity=0.3)
    return rectangle.encode(x="left", x2="right", y="low", y2="high", tooltip="words")
