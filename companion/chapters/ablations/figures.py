"""Notebook `04_ablations`: Table 2 beside the paper's, what the gates do, and what decides it.

Δ is always a model minus plain in CCC points: above 0, the model is better. What is not in a
mapping is neither drawn nor filled in. The claim as a curve is in
:mod:`companion.chapters.ablations.dial`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    ARM_LOOKS,
    DELTA,
    NARROW,
    ZERO_LINE,
    draw_interval,
    handle,
    in_order,
    name_models,
    name_rows,
    offset,
)
from companion.chapters.drawing.numbers import MISSING, decimals, percent, signed
from companion.chapters.drawing.style import style
from iaca.runs.arms import Arm

Differences = Mapping[str, Mapping[str, Mapping[str, Interval]]]  # backbone -> arm -> target -> Δ

PAPER = "paper (Aff-Wild2)"
APART = 0.3  # between the arms of one row
_STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 12,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "linestyle": "none",
    "zorder": 4,
}
_THRESHOLD: dict[str, Any] = {"color": "#8C6D31", "linewidth": 1.4, "linestyle": ":", "zorder": 0}


def differences_beside_paper(
    differences: Differences, paper: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Each arm's Δ on each backbone, and the paper's on its own data: a panel a target.

    Args:
        differences: backbone -> arm -> target -> Δ.
        paper: backbone -> target -> the paper's Δ, in CCC points too.
    """
    backbones = list(differences)
    arms = in_order(differences.values())
    targets = in_order(found for rows in differences.values() for found in rows.values())
    with style():
        figure, grid = plt.subplots(
            len(targets),
            1,
            figsize=(NARROW, 0.9 + len(targets) * (0.5 + 0.36 * len(backbones))),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, target in zip(grid[:, 0], targets, strict=True):
            for row, backbone in enumerate(backbones):
                for arm, found in differences[backbone].items():
                    if target in found:
                        place = row + offset(arms.index(arm), len(arms), APART)
                        draw_interval(axes, found[target], place, ARM_LOOKS[arm])
                if target in paper.get(backbone, {}):
                    axes.plot([paper[backbone][target]], [row], **_STAR)
            axes.axvline(0.0, **ZERO_LINE)
            name_rows(axes, backbones)
            axes.set_title(target)
        grid[-1, 0].set_xlabel(DELTA)
        name_models(
            figure,
            {arm: handle(ARM_LOOKS[arm]) for arm in arms} | {PAPER: Line2D([], [], **_STAR)},
        )
    return figure


def gate_interventions(
    costs: Mapping[str, Mapping[str, Mapping[str, Interval]]], threshold: float
) -> Figure:
    """What it costs to take the gates away, with 95 % intervals: a panel a backbone.

    Args:
        costs: backbone -> arm -> intervention -> CCC with the model's own gates minus CCC without.
        threshold: of criterion (c); where less is lost, the gates act as constants.
    """
    arms = in_order(costs.values())
    names = in_order(found for rows in costs.values() for found in rows.values())
    columns = min(2, len(costs))
    lines = -(-len(costs) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(NARROW, 0.8 + lines * (0.5 + 0.38 * len(names))),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (backbone, rows) in zip(grid.flat, costs.items(), strict=False):
            for arm, found in rows.items():
                beside = offset(arms.index(arm), len(arms), APART)
                for name, cost in found.items():
                    draw_interval(axes, cost, names.index(name) + beside, ARM_LOOKS[arm])
            axes.axvline(0.0, **ZERO_LINE)
            axes.axvline(threshold, **_THRESHOLD)
            name_rows(axes, names)
            axes.set_title(backbone)
            axes.tick_params(labelbottom=True)
        for axes in grid.flat[len(costs) :]:
            axes.remove()
        figure.supxlabel("CCC lost: own gates minus intervened", fontsize=10)
        line = {f"{threshold:g}, criterion (c)": Line2D([], [], **_THRESHOLD)}
        name_models(figure, {arm: handle(ARM_LOOKS[arm]) for arm in arms} | line)
    return figure


def init_temperature_map(cells: Mapping[tuple[str, float], Interval]) -> Figure:
    """Δ by gate initialisation and temperature; bold where the 95 % interval leaves out 0.

    Args:
        cells: (initialisation, T) -> Δ. What is not there stays blank.
    """
    names = list(dict.fromkeys(name for name, _ in cells))
    temperatures = sorted({temperature for _, temperature in cells})
    values = np.full((len(temperatures), len(names)), np.nan)
    for (name, temperature), found in cells.items():
        values[temperatures.index(temperature), names.index(name)] = found.value
    largest = np.nanmax(np.abs(values)) or 1.0
    with style():
        figure, axes = plt.subplots(figsize=(NARROW, 1.1 + 0.62 * len(temperatures)))
        picture = axes.imshow(values, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
        for (name, temperature), found in cells.items():
            row, column = temperatures.index(temperature), names.index(name)
            text: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "color": "white" if abs(found.value) > 0.65 * largest else "black",
                "fontweight": "bold" if found.low > 0 or found.high < 0 else "normal",
            }
            axes.text(column, row - 0.17, signed(found.value), fontsize=11, **text)
            axes.text(column, row + 0.2, _bounds(found), fontsize=9, **text)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(temperatures)), [f"{value:g}" for value in temperatures])
        axes.set(xlabel="how the gates start", ylabel="temperature T")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.colorbar(picture, label=DELTA)
    return figure


def sensitivity(rows: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """Each arm's Δ on versions of the benchmark, with 95 % intervals.

    Args:
        rows: version -> arm -> Δ. The first is the benchmark itself and is set apart.
    """
    arms = in_order(rows.values())
    places = [row + (0.25 if row else 0.0) for row in range(len(rows))]
    with style():
        figure, axes = plt.subplots(figsize=(NARROW, 1.2 + 0.42 * len(rows)))
        for place, found in zip(places, rows.values(), strict=True):
            for arm, difference in found.items():
                beside = offset(arms.index(arm), len(arms), APART)
                draw_interval(axes, difference, place + beside, ARM_LOOKS[arm])
        axes.axhspan(-0.5, 0.5, color="black", alpha=0.07, linewidth=0)
        axes.axvline(0.0, **ZERO_LINE)
        name_rows(axes, list(rows), places)
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_xlabel(DELTA)
        name_models(figure, {arm: handle(ARM_LOOKS[arm]) for arm in arms})
    return figure


def table_2(
    scores: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    differences: Differences,
    paper: Mapping[str, Mapping[str, tuple[float, float]]],
) -> pd.DataFrame:
    """A row a backbone and arm; for each target the score with Δ, and what the paper has.

    Cells read ``CCC ± sd; Δ [95 % interval], Δ %``. The paper's numbers stand in the rows of the
    models that it has: plain, and IACA as published. A dash stands where there can be no number;
    a cell that was not computed is empty.

    Args:
        scores: backbone -> arm, plain included -> target -> CCC.
        differences: backbone -> arm -> target -> Δ.
        paper: backbone -> target -> CCC without IACA, and with it, on the paper's data.
    """
    targets = in_order(found for rows in scores.values() for found in rows.values())
    table = []
    for backbone, rows in scores.items():
        for arm, found in rows.items():
            row = {"Attention": backbone, "Arm": arm}
            apart = differences.get(backbone, {}).get(arm, {})
            for target in targets:
                plain = rows.get("plain", {}).get(target)
                told = [_spread(found[target])] if target in found else []
                if arm != "plain" and target in apart:
                    told.append(_difference(apart[target], plain))
                row[target] = "; ".join(told)
                if any(target in printed for printed in paper.values()):
                    printed = paper.get(backbone, {}).get(target)
                    row[f"{target}, paper"] = _printed(arm, printed)
            table.append(row)
    return pd.DataFrame(table)


def _spread(found: Interval) -> str:
    """``CCC ± standard deviation over seeds``, the latter where there are seeds."""
    value = decimals(found.value)
    return value if np.isnan(found.deviation) else f"{value} ± {decimals(found.deviation)}"


def _bounds(found: Interval) -> str:
    return f"[{signed(found.low)}, {signed(found.high)}]"


def _difference(found: Interval, plain: Interval | None) -> str:
    share = MISSING if plain is None else percent(found.value, plain.value)
    return f"{signed(found.value)} {_bounds(found)}, {share}"


def _printed(arm: str, printed: tuple[float, float] | None) -> str:
    if printed is None:
        return MISSING
    without, with_iaca = printed
    if arm == "plain":
        return decimals(without)
    if arm == Arm.PUBLISHED:
        return f"{decimals(with_iaca)} ({signed(with_iaca - without)})"
    return MISSING


def options_table(rows: Mapping[str, Mapping[str, tuple[Interval, Interval]]]) -> pd.DataFrame:
    """A row an option (option -> arm -> CCC, Δ), a column an arm.

    Cells read ``CCC ± standard deviation over seeds, Δ [95 % interval]``; what was not computed is
    empty.
    """
    arms = in_order(rows.values())
    return pd.DataFrame(
        [
            {"Option": option} | {arm: _option(*found[arm]) if arm in found else "" for arm in arms}
            for option, found in rows.items()
        ]
    )


def _option(score: Interval, difference: Interval) -> str:
    return f"{_spread(score)}, {signed(difference.value)} {_bounds(difference)}"


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
    """A row a backbone and model: backbone -> model -> what it costs."""
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
