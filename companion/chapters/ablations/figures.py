"""Notebook `04_ablations`: Table 2 beside the paper's, what the gates do, and what decides it.

Δ is always a model minus plain, in CCC: above 0, the model is better. What is not in a
mapping is neither drawn nor filled in.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from companion.analysis.criteria import AT_ZERO
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ARM_LOOKS, DELTA, in_order, looks_of
from companion.chapters.drawing.intervals import interval_curves, interval_rows, number_map
from companion.chapters.drawing.numbers import (
    MISSING,
    decimals,
    percent,
    signed,
    with_bounds,
    with_spread,
)
from companion.chapters.drawing.style import LABEL, WIDTH, style

Curves = Mapping[str, Mapping[str, Mapping[float, Interval]]]  # backbone -> model -> share -> Δ
Differences = Mapping[str, Mapping[str, Mapping[str, Interval]]]  # backbone -> arm -> target -> Δ

SHARE = "share of weak clips, per cent"
BAND = f"±{AT_ZERO:g} at share 0, criterion (a)"
REACH = 3.0  # per cent, of the band to both sides of share 0
PAPER = "paper (Aff-Wild2)"
_STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 12,
    "markerfacecolor": "white",
    "markeredgecolor": "black",
    "linestyle": "none",
    "zorder": 4,
}
_THRESHOLD: dict[str, Any] = {"color": "black", "linewidth": 1.4, "linestyle": ":", "zorder": 0}
_SHADE: dict[str, Any] = {"facecolor": LABEL, "alpha": 0.25, "edgecolor": "none", "zorder": 0}


def differences_beside_paper(
    differences: Differences, paper: Mapping[str, Mapping[str, float]]
) -> Figure:
    """Each arm's Δ on each backbone, and the paper's on its own data: a panel for each target.

    Args:
        differences: backbone -> arm -> target -> Δ.
        paper: backbone -> target -> the paper's Δ, in CCC too.
    """
    levels = ("row", "series", "panel")
    more = {PAPER: Line2D([], [], **_STAR)}
    figure = interval_rows(differences, levels, ARM_LOOKS, DELTA, columns=1, more=more)
    for axes in figure.axes:
        for row, backbone in enumerate(differences):
            gain = paper.get(backbone, {}).get(axes.get_title(loc="left"))
            if gain is not None:
                axes.plot([gain], [row], **_STAR)
    return figure


def dial_curve(curves: Curves) -> Figure:
    """Δ with 95 % intervals, the arms of IACA strongly, controls thinly: a panel for each backbone.

    Args:
        curves: backbone -> model -> share of weak clips -> Δ, in CCC.

    Raises:
        ValueError: if there are more controls than can be told apart.
    """
    looks = looks_of(in_order(curves.values()))
    at_zero = any(0.0 in each for models in curves.values() for each in models.values())
    more = {BAND: Patch(**_SHADE)} if at_zero else {}
    levels, labels = ("panel", "series", "x"), (SHARE, DELTA)
    figure = interval_curves(curves, levels, looks, labels, height=2.4, percent=True, more=more)
    for axes in figure.axes:
        if at_zero:
            axes.fill_between([-REACH, REACH], -AT_ZERO, AT_ZERO, **_SHADE)
    return figure


def gate_interventions(
    costs: Mapping[str, Mapping[str, Mapping[str, Interval]]], threshold: float
) -> Figure:
    """What it costs to take the gates away, with 95 % intervals: a panel for each backbone.

    Args:
        costs: backbone -> arm -> intervention -> CCC with the model's own gates minus CCC without.
        threshold: of criterion (c); where less is lost, the gates act as constants.
    """
    levels = ("panel", "series", "row")
    more = {f"{threshold:g}, criterion (c)": Line2D([], [], **_THRESHOLD)}
    axis = "CCC lost: own gates minus intervened"
    figure = interval_rows(costs, levels, ARM_LOOKS, axis, more=more)
    for axes in figure.axes:
        axes.axvline(threshold, **_THRESHOLD)
    return figure


def init_temperature_map(cells: Mapping[tuple[str, float], Interval]) -> Figure:
    """Δ by gate initialisation and temperature; bold where the 95 % interval leaves out 0.

    Args:
        cells: (initialisation, T) -> Δ. What is not there stays blank.
    """
    names = list(dict.fromkeys(name for name, _ in cells))
    rows: dict[str, dict[str, Interval]] = {}
    for (name, temperature), found in sorted(cells.items(), key=lambda cell: cell[0][1]):
        rows.setdefault(f"{temperature:g}", {})[name] = found
    span = max(abs(found.value) for found in cells.values()) or 1.0
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH, 1.1 + 0.62 * len(rows)))
        number_map(axes, rows, names, span, _in_two_lines, size=8.5)
        axes.set(xlabel="how the gates start", ylabel="temperature T")
        figure.colorbar(axes.collections[0], label="Δ CCC")
    return figure


def _in_two_lines(found: Interval) -> str:
    return with_bounds(found).replace(" [", "\n[")


def sensitivity(rows: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """Each arm's Δ on versions of the benchmark, with 95 % intervals.

    Args:
        rows: version -> arm -> Δ. The first is the benchmark itself and is set apart.
    """
    second = next(iter(list(rows)[1:]), None)
    figure = interval_rows(rows, ("row", "series"), ARM_LOOKS, DELTA, apart_from=second)
    figure.axes[0].axhspan(-0.5, 0.5, **_SHADE)
    figure.axes[0].get_yticklabels()[0].set_fontweight("bold")
    return figure


def table_2(
    scores: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    differences: Differences,
    paper: Mapping[str, Mapping[str, tuple[float, float]]],
) -> pd.DataFrame:
    """A row for each backbone and arm; for each target the score with Δ, and what the paper has.

    Cells read ``CCC ± sd; Δ [95 % interval], Δ %``. The paper's number with IACA stands in the rows
    of all gated arms, since it does not say how its gates start. A dash stands where there can be
    no number; a cell that was not computed is empty.

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
                told = [with_spread(found[target])] if target in found else []
                if arm != "plain" and target in apart:
                    told.append(_difference(apart[target], plain))
                row[target] = "; ".join(told)
                if any(target in printed for printed in paper.values()):
                    printed = paper.get(backbone, {}).get(target)
                    row[f"{target}, paper"] = _printed(arm, printed)
            table.append(row)
    return pd.DataFrame(table)


def _difference(found: Interval, plain: Interval | None) -> str:
    share = MISSING if plain is None else percent(found.value, plain.value)
    return f"{with_bounds(found)}, {share}"


def _printed(arm: str, printed: tuple[float, float] | None) -> str:
    if printed is None:
        return MISSING
    without, with_iaca = printed
    if arm == "plain":
        return decimals(without)
    return f"{decimals(with_iaca)} ({signed(with_iaca - without)})"


def options_table(rows: Mapping[str, Mapping[str, tuple[Interval, Interval]]]) -> pd.DataFrame:
    """A row for each option (option -> arm -> CCC, Δ), a column for each arm.

    Cells read ``CCC ± standard deviation over seeds, Δ [95 % interval]``; what was not computed is
    empty.
    """
    arms = in_order(rows.values())
    return pd.DataFrame(
        [
            {"Option": option}
            | {
                arm: f"{with_spread(found[arm][0])}, {with_bounds(found[arm][1])}"
                if arm in found
                else ""
                for arm in arms
            }
            for option, found in rows.items()
        ]
    )


def alike_by_chance(before: Sequence[str], after: Sequence[str]) -> float:
    """How many models would have one choice before and after if the two were unrelated.

    Each choice is then as frequent before and after as it is.

    >>> alike_by_chance(["audio", "audio", "joint", "joint"], ["audio", "joint", "joint", "joint"])
    2.0
    """
    first, last = Counter(before), Counter(after)
    return sum(first[choice] * last[choice] for choice in first) / len(before)


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
