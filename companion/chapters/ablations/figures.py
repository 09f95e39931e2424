"""Notebook `04_ablations`: the arms as a forest, the dial, and what a model costs.

Δ is always a model minus plain in CCC: above 0, the model is better. What is not in the
given rows is not drawn.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from companion.analysis.judgements import SMALLEST
from companion.analysis.verdicts import AT_ZERO
from companion.chapters.drawing.arms import COMPARED_LOOKS, DELTA, ZERO_LINE, Look, name_models
from companion.chapters.drawing.intervals import interval_curves
from companion.chapters.drawing.style import LABEL, OTHERS, WIDTH, style
from companion.reference.plan import Arm
from companion.reference.tables.dial import Dial
from companion.reference.tables.headline import NOT_JUDGED, Front

SHARE = "share of weak clips, per cent"
BAND = f"±{AT_ZERO:g} at share 0, criterion (a)"
REACH = 3.0  # per cent, of the band to both sides of share 0
OUTCOME_LOOKS = {
    "supported": Look(OTHERS[0], "^"),
    "contradicted": Look(OTHERS[1], "v"),
    "inconclusive": Look(OTHERS[3], "o"),
    NOT_JUDGED: Look(LABEL, "o"),
}
_SMALLEST: dict[str, Any] = {"color": LABEL, "linewidth": 1.2, "linestyle": ":", "zorder": 0}
_WORLD: dict[str, Any] = {
    "color": LABEL,
    "marker": "o",
    "markersize": 3,
    "markeredgewidth": 0,
    "linestyle": "none",
    "alpha": 0.4,
}
_SHADE: dict[str, Any] = {"facecolor": LABEL, "alpha": 0.25, "edgecolor": "none", "zorder": 0}


def forest(rows: Sequence[Front]) -> Figure:
    """Δ of every arm with its 95 % interval and one faint dot a world: a panel an attention.

    Marks tell the outcome. Where the claim is not judged they are hollow, and the title says so.

    Args:
        rows: of the front table; those without any world are left out.
    """
    shown = [row for row in rows if row.arm is not Arm.PLAIN and row.delta.estimate]
    attentions = list(dict.fromkeys(row.attention for row in shown))
    arms = list(dict.fromkeys(row.arm for row in shown))
    with style():
        columns = min(2, len(attentions))
        lines = -(-len(attentions) // columns)
        size = (WIDTH, 1.1 + lines * (0.6 + 0.3 * len(arms)))
        grid: dict[str, Any] = {"sharex": True, "sharey": True, "squeeze": False}
        figure, panels = plt.subplots(lines, columns, figsize=size, **grid)
        for axes in panels.flat[len(attentions) :]:
            axes.remove()
        for axes, attention in zip(panels.flat, attentions, strict=False):
            mine = [row for row in shown if row.attention == attention]
            judged = any(row.judgement for row in mine)
            axes.set_title(attention.upper() + ("" if judged else f" ({NOT_JUDGED})"))
            for row in mine:
                _draw_arm(axes, row, arms.index(row.arm))
            axes.axvline(0.0, **ZERO_LINE)
            axes.axvline(SMALLEST, **_SMALLEST)
            axes.tick_params(axis="y", length=0)
        panels[0, 0].set_yticks(range(len(arms)), arms)
        panels[0, 0].invert_yaxis()
        figure.supxlabel(DELTA, fontsize=plt.rcParams["axes.labelsize"])
        found = {_outcome(row) for row in shown}
        handles = {name: _mark(name) for name in OUTCOME_LOOKS if name in found}
        handles["one world"] = Line2D([], [], **_WORLD)
        handles[f"+{SMALLEST:g}, the smallest effect of interest"] = Line2D([], [], **_SMALLEST)
        name_models(figure, handles)
    return figure


def _outcome(row: Front) -> str:
    return row.judgement.outcome if row.judgement else NOT_JUDGED


def _mark(outcome: str) -> Line2D:
    look = OUTCOME_LOOKS[outcome]
    face = "white" if outcome == NOT_JUDGED else look.colour
    return Line2D(
        [], [], color=look.colour, marker=look.marker, markersize=6.5, markerfacecolor=face,
        linewidth=look.width,
    )  # fmt: skip


def _draw_arm(axes: Axes, row: Front, place: int) -> None:
    """An arm's line of the forest: its worlds, a little apart, and the mean on top of them."""
    found = row.delta.estimate
    assert found is not None
    values = list(row.delta.values.values())
    apart = place + 0.28 * np.linspace(-1, 1, len(values))
    axes.plot(values, apart, **_WORLD)
    mark = _mark(_outcome(row))
    axes.plot([found.low, found.high], [place] * 2, color=mark.get_color(), linewidth=2.4)
    mark.set_data([found.value], [place])
    axes.add_line(mark)


def dial_curves(rows: Sequence[Dial]) -> Figure:
    """Δ of tuned and told gates against the share of weak clips: a panel an attention.

    Args:
        rows: of the dial's table; those without any world are left out.
    """
    found: dict[str, dict[str, dict[float, Any]]] = {}
    for row in rows:
        if row.delta.estimate:
            arms = found.setdefault(row.attention.upper(), {})
            arms.setdefault(str(row.arm), {})[row.share] = row.delta.estimate
    levels, labels = ("panel", "series", "x"), (SHARE, DELTA)
    more = {BAND: Patch(**_SHADE)}
    figure = interval_curves(
        found, levels, COMPARED_LOOKS, labels, height=2.2, percent=True, more=more
    )
    for axes in figure.axes:
        axes.fill_between([-REACH, REACH], -AT_ZERO, AT_ZERO, **_SHADE)
    return figure


class CostRow(NamedTuple):
    """What a model costs.

    Attributes:
        parameters: numbers that it learns.
        multiply_adds: of the matrix products of one forward pass.
        milliseconds: a training step.
        ratio: the step's time divided by plain's, median.
        quartiles: of that ratio, the lower and the upper one.
    """

    parameters: int
    multiply_adds: int
    milliseconds: float
    ratio: float
    quartiles: tuple[float, float]


def costs_table(rows: Mapping[str, Mapping[str, CostRow]]) -> pd.DataFrame:
    """A row for each backbone and model: backbone -> model -> what it costs."""
    return pd.DataFrame(
        [
            {
                "Attention": backbone,
                "Model": model,
                "Parameters": f"{cost.parameters:,}",
                "Multiply-adds (millions)": f"{cost.multiply_adds / 1e6:,.1f}",
                "Step": f"{cost.milliseconds:.1f} ms",
                "Step against plain (median, quartiles)": (
                    f"{cost.ratio:.2f} ({cost.quartiles[0]:.2f} to {cost.quartiles[1]:.2f})"
                ),
            }
            for backbone, models in rows.items()
            for model, cost in models.items()
        ]
    )
