"""Notebook `05_sota`: Table 1 and what of it was published otherwise, and our side-by-side.

Models are told by name and arm: a family of the related work has one arm, an attention those of
IACA. What is not in a mapping is neither drawn nor filled in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn.objects as so
from adjustText import adjust_text
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from companion.analysis.estimates import Estimate
from companion.chapters.drawing.arms import ARM_LOOKS, Look, handle, in_order, offset
from companion.chapters.drawing.intervals import draw, interval_rows
from companion.chapters.drawing.numbers import decimals
from companion.chapters.drawing.style import HALO, LABEL, OTHERS, SLIM, SMALL, WIDTH, style
from companion.chapters.sota.paper import EDITIONS, Entry, Published
from companion.chapters.sota.side import Grid
from companion.experiments.side_by_side import FAMILY, label_of
from companion.reference.plan import Arm

TARGETS = ("valence", "arousal")  # of Aff-Wild2
FAMILY_TEXT = "family of the related work"
LOOKS: dict[str, Look] = {
    FAMILY: Look(OTHERS[2], "^", (2, 3)),
    **ARM_LOOKS,
    Arm.TOLD: Look(LABEL, "P", (2, 6)),
}
BESIDE = 1.04  # between the arms of one attention, on a logarithmic axis
_FRONT: dict[str, Any] = {"color": LABEL, "linewidth": 1.0, "linestyle": ":", "zorder": 0}


class Bought(NamedTuple):
    """What a model costs, and what it scores for that."""

    cost: float
    score: Estimate


def score_against_cost(models: Mapping[str, Mapping[str, Bought]], axis: str) -> Figure:
    """CCC against a cost on a logarithmic axis, one mark for each model, with 95 % intervals.

    The arms of an attention cost nearly the same: they share a name, and are drawn a little apart.
    The dotted steps are the best CCC that can be had for a cost or less.

    Args:
        models: name -> arm -> cost and score.
        axis: what the cost is, with its unit.
    """
    table = cost_table(models)
    looks = {str(arm): LOOKS[arm] for arm in in_order(models.values())}
    with style():
        figure = plt.figure(figsize=(WIDTH, 5.4))
        plot = so.Plot(table, x="at", y="value", ymin="low", ymax="high", color="arm", marker="arm")
        plot = plot.add(so.Range(linewidth=1.1, alpha=0.3), legend=False)
        plot = plot.add(so.Dot(pointsize=7, edgewidth=0), legend=False)
        handles: dict[str, Any] = {named(arm): handle(look) for arm, look in looks.items()}
        handles["best for the cost"] = Line2D([], [], **_FRONT)
        labels = (axis, "CCC, mean of targets")
        draw(plot.scale(x=so.Continuous(trans="log")), figure, looks, handles, labels)
        (axes,) = figure.axes
        axes.step(*_front(models), where="post", **_FRONT)
        axes.margins(x=0.2)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # names are placed in a layout that is final
        firsts = table.drop_duplicates("name")
        texts = [
            axes.text(x, y, name, fontsize=SMALL, path_effects=HALO)
            for name, x, y in zip(firsts["name"], firsts["at"], firsts["value"], strict=True)
        ]
        adjust_text(
            texts, table["at"], table["value"], ax=axes,
            expand=(1.1, 1.2), force_text=(0.6, 0.8), iter_lim=300,  # by time, places would vary
            arrowprops={"arrowstyle": "-", "color": LABEL, "linewidth": 0.6},
        )  # fmt: skip
    return figure


def cost_table(models: Mapping[str, Mapping[str, Bought]]) -> pd.DataFrame:
    """A line for each model: ``name``, ``arm``, ``at`` (cost), ``value``, ``low``, ``high``."""
    return pd.DataFrame(
        [
            (
                name,
                str(arm),
                found.cost * BESIDE ** offset(number, len(arms), 1.0),
                found.score.value,
                found.score.low,
                found.score.high,
            )
            for name, arms in models.items()
            for number, (arm, found) in enumerate(arms.items())
        ],
        columns=["name", "arm", "at", "value", "low", "high"],
    )


def named(arm: str) -> str:
    """An arm's name in a legend."""
    return FAMILY_TEXT if arm == FAMILY else arm


def best_for_the_cost(models: Mapping[str, Mapping[str, Bought]]) -> list[tuple[str, str]]:
    """Name and arm of every model that no cheaper or equally dear one matches, by rising cost."""
    ranked = sorted(
        ((found.cost, -found.score.value, name, arm) for name, arm, found in _all(models))
    )
    best, front = np.inf, []
    for _, loss, name, arm in ranked:
        if loss < best:
            best = loss
            front.append((name, arm))
    return front


def cost_sentence(models: Mapping[str, Mapping[str, Bought]]) -> str:
    """The best for the cost, and whether dearer models score higher."""
    best = [(model, models[model[0]][model[1]]) for model in best_for_the_cost(models)]
    front = "; ".join(f"{label_of(*m)} ({b.score.value:.3f} at {b.cost:.2f})" for m, b in best)
    ordered = pd.DataFrame([(b.cost, b.score.value) for _, _, b in _all(models)])
    costs, rank = ordered[0], ordered[0].corr(ordered[1], method="spearman")
    return (
        f"The dearest model takes {costs.max() / costs.min():.0f} times the multiply-adds of the "
        f"cheapest. Best for the cost, by rising cost in millions: {front}. Over all "
        f"{len(ordered)} models the rank correlation of cost and score is {rank:+.2f}; it has no "
        "interval and speaks of these models only."
    )


def _all(models: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for name, arms in models.items():
        for arm, found in arms.items():
            yield name, arm, found


def _front(models: Mapping[str, Mapping[str, Bought]]) -> tuple[list[float], list[float]]:
    chosen = [models[name][arm] for name, arm in best_for_the_cost(models)]
    dearest = max(found.cost for _, _, found in _all(models))
    heights = [found.score.value for found in chosen]
    return [*(found.cost for found in chosen), dearest], [*heights, heights[-1]]


def differences(grid: Grid, baseline: str) -> Figure:
    """Each model's Δ to one model with 95 % intervals: a row for each name, its arms in it.

    Args:
        grid: name -> arm -> Δ; arms that are not among `LOOKS` are left to the table.
        baseline: what is subtracted; it has no row.
    """
    rows = {
        name: {named(arm): found for arm, found in arms.items() if arm in LOOKS}
        for name, arms in grid.items()
    }
    looks = {named(arm): look for arm, look in LOOKS.items()}
    axis = f"Δ CCC (model minus {baseline})"
    figure = interval_rows(rows, ("row", "series"), looks, axis, width=SLIM)
    figure.set_figheight(1.2 + 0.72 * (figure.get_figheight() - 1.2))  # most rows have one arm
    figure.axes[0].locator_params(axis="x", nbins=6)  # small differences have long names
    return figure


def table_1(entries: Sequence[Entry]) -> pd.DataFrame:
    """The paper's Table 1, cell by cell."""
    scores = [f"{split}, {target}" for split in ("Validation", "Test") for target in TARGETS]
    return pd.DataFrame(
        [
            [_method(entry), entry.fusion, *map(decimals, (*entry.validation, *entry.test))]
            for entry in entries
        ],
        columns=["Method", "Type of fusion", *scores],
    )


def corrected_table(entries: Sequence[Entry], published: Mapping[int, Published]) -> pd.DataFrame:
    """The test columns of Table 1 as printed and as published, and whose test set they are from.

    Only rows that are in ``published`` differ; they are bold.

    Args:
        entries: the rows.
        published: reference -> what was published.
    """
    table = []
    for entry in entries:
        found = published.get(entry.reference or 0)
        if found is None:
            valence, arousal = map(decimals, entry.test)
            cells = [valence, arousal, f"{sum(entry.test) / 2:.4f}"]
        else:
            cells = [f"**{score:.4f}**" for score in (*found.test, found.mean)]
        edition = EDITIONS.get(entry.reference or 0, "not stated")
        table.append([_method(entry), edition, ", ".join(map(decimals, entry.test)), *cells])
    printed = "As printed (valence, arousal)"
    columns = ["Method", "Test set of", printed, "Valence", "Arousal", "Mean"]
    return pd.DataFrame(table, columns=columns)


def _method(entry: Entry) -> str:
    return entry.method if entry.reference is None else f"{entry.method} [{entry.reference}]"
