"""Notebook `05_sota`: Table 1 and what of it was published otherwise, and our side-by-side.

Models are told by name and arm: a family of the related work has one arm, an attention those of
IACA. What is not in a mapping is neither drawn nor filled in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    ARM_LOOKS,
    ZERO_LINE,
    Look,
    draw_interval,
    handle,
    in_order,
    name_models,
    name_rows,
    offset,
)
from companion.chapters.drawing.numbers import MISSING, decimals, signed
from companion.chapters.drawing.style import LABEL, style
from companion.chapters.sota.paper import EDITIONS, Entry, Published
from companion.experiments.side_by_side import FAMILY, label_of

Grid = Mapping[str, Mapping[str, Interval]]  # name -> arm -> interval

FAMILY_TEXT = "family of the related work"
_FAMILY_LOOK = Look("#332288", "^", (0, (1, 1.5)), "triangle-up", (1, 2))
LOOKS = {FAMILY: _FAMILY_LOOK, **ARM_LOOKS}
SLIM = 5.0  # inches: names stay legible on a telephone
APART = 0.26  # between the arms of one row
BESIDE = 1.04  # between the arms of one attention, on a logarithmic axis
_FRONT: dict[str, Any] = {"color": LABEL, "linewidth": 1.0, "linestyle": ":", "zorder": 0}
_DIRECTIONS = [(1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1)]
_DISTANCES = (11, 18, 28, 40, 54)  # points, from a mark to the middle of its name's edge


class Bought(NamedTuple):
    """What a model costs, and what it scores for that."""

    cost: float
    score: Interval


def score_against_cost(models: Mapping[str, Mapping[str, Bought]], axis: str) -> Figure:
    """CCC against a cost on a logarithmic axis, one mark a model, with 95 % intervals.

    The arms of an attention cost nearly the same: they share a name, and are drawn a little apart.
    The dotted steps are the best CCC that can be had for a cost or less.

    Args:
        models: name -> arm -> cost and score.
        axis: what the cost is, with its unit.
    """
    arms = in_order(models.values())
    with style():
        figure, axes = plt.subplots(figsize=(SLIM, 5.4))
        axes.set_xscale("log")
        marks: dict[str, list[tuple[float, float]]] = {}
        for name, found in models.items():
            for number, (arm, (cost, score)) in enumerate(found.items()):
                look, x = LOOKS[arm], cost * BESIDE ** offset(number, len(found), 1.0)
                axes.plot([x, x], [score.low, score.high], color=look.colour, lw=1.1, alpha=0.3)
                axes.plot([x], [score.value], look.marker, color=look.colour, markersize=7)
                marks.setdefault(name, []).append((x, score.value))
        axes.step(*_front(models), where="post", **_FRONT)
        axes.set(xlabel=axis, ylabel="CCC, mean of targets")
        axes.margins(x=0.12)
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        name_models(
            figure,
            {FAMILY_TEXT if arm == FAMILY else arm: _mark(arm) for arm in arms}
            | {"best for the cost": Line2D([], [], **_FRONT)},
        )
        _name_points(axes, marks)
    return figure


def _mark(arm: str) -> Line2D:
    look = LOOKS[arm]
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle="none", markersize=7)


def best_for_the_cost(models: Mapping[str, Mapping[str, Bought]]) -> list[tuple[str, str]]:
    """Name and arm of every model that no cheaper or equally dear one matches, by rising cost."""
    ranked = sorted(
        ((found.cost, -found.score.value, name, arm) for name, arm, found in _all(models)),
    )
    best, front = np.inf, []
    for _, loss, name, arm in ranked:
        if loss < best:
            best = loss
            front.append((name, arm))
    return front


def _all(models: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    for name, arms in models.items():
        for arm, found in arms.items():
            yield name, arm, found


def _front(models: Mapping[str, Mapping[str, Bought]]) -> tuple[list[float], list[float]]:
    chosen = [models[name][arm] for name, arm in best_for_the_cost(models)]
    dearest = max(found.cost for _, _, found in _all(models))
    heights = [found.score.value for found in chosen]
    return [*(found.cost for found in chosen), dearest], [*heights, heights[-1]]


def _name_points(axes: Axes, names: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Write each name near one of its points, where it covers no mark and no other name."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # names are placed in a layout that is final
    point = figure.dpi / 72  # pixels
    places = {name: axes.transData.transform(list(points)) for name, points in names.items()}
    taken = [
        Bbox.from_bounds(x - 5 * point, y - 5 * point, 10 * point, 10 * point)
        for marks in places.values()
        for x, y in marks
    ]
    for name, points in names.items():
        text = axes.annotate(
            name,
            points[0],
            (0, 0),
            textcoords="offset points",
            fontsize=9,
            ha="center",
            va="center",
            arrowprops={"arrowstyle": "-", "color": LABEL, "linewidth": 0.6, "shrinkB": 4},
            path_effects=[withStroke(linewidth=2.5, foreground="white")],  # over intervals
        )
        size = np.array(Text.get_window_extent(text).size) + 2 * point
        number, middle, box = min(
            _candidates(places[name], size, point),
            key=lambda found: _cost_of_place(found[2], taken, axes.get_window_extent()),
        )
        taken.append(box)
        text.xy = points[number]
        text.xyann = tuple((middle - places[name][number]) / point)


def _candidates(
    marks: NDArray[np.float64], size: NDArray[np.float64], point: float
) -> Iterator[tuple[int, NDArray[np.float64], Bbox]]:
    """Places for a name, from the best to the worst: which mark it is near, its middle, its box."""
    for distance in _DISTANCES:
        for direction in _DIRECTIONS:
            for number, mark in enumerate(marks):
                middle = mark + np.array(direction) * (distance * point + size / 2 - 4 * point)
                yield number, middle, Bbox([middle - size / 2, middle + size / 2])


def _cost_of_place(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """How much of a name is covered or outside; the first of equal places is taken."""
    outside = box.width * box.height - _overlap(box, inside)
    return 3 * outside + sum(_overlap(box, other) for other in taken)


def _overlap(one: Bbox, other: Bbox) -> float:
    shared = Bbox.intersection(one, other)
    return shared.width * shared.height if shared is not None else 0.0


def differences(grid: Grid, baseline: str) -> Figure:
    """Each model's Δ to one model with 95 % intervals: a row a name, the arms beside each other.

    Args:
        grid: name -> arm -> Δ.
        baseline: what is subtracted; it has no row.
    """
    arms = in_order(grid.values())
    with style():
        figure, axes = plt.subplots(figsize=(SLIM, 1.3 + 0.36 * len(grid)))
        for row, found in enumerate(grid.values()):
            for number, (arm, difference) in enumerate(found.items()):
                place = row + offset(number, len(found), APART)
                draw_interval(axes, difference, place, LOOKS[arm])
        axes.axvline(0.0, **ZERO_LINE)
        name_rows(axes, list(grid))
        axes.set_xlabel(f"Δ CCC (model minus {baseline})")
        axes.locator_params(axis="x", nbins=6)  # small differences have long names
        name_models(
            figure, {FAMILY_TEXT if arm == FAMILY else arm: handle(LOOKS[arm]) for arm in arms}
        )
    return figure


def table_1(entries: Sequence[Entry]) -> pd.DataFrame:
    """The paper's Table 1, a cell a cell."""
    return pd.DataFrame(
        [
            {
                "Method": _method(entry),
                "Type of fusion": entry.fusion,
                "Validation, valence": decimals(entry.validation[0]),
                "Validation, arousal": decimals(entry.validation[1]),
                "Test, valence": decimals(entry.test[0]),
                "Test, arousal": decimals(entry.test[1]),
            }
            for entry in entries
        ]
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
        found = published.get(entry.reference) if entry.reference is not None else None
        test, told = (entry.test, 3) if found is None else (found.test, 4)
        mean = sum(test) / 2 if found is None else found.mean
        cells = [f"{test[0]:.{told}f}", f"{test[1]:.{told}f}", f"{mean:.4f}"]
        if found is not None:
            cells = [f"**{cell}**" for cell in cells]
        table.append(
            {
                "Method": _method(entry),
                "Test set of": EDITIONS.get(entry.reference or 0, "not stated"),
                "As printed (valence, arousal)": ", ".join(map(decimals, entry.test)),
                "Valence": cells[0],
                "Arousal": cells[1],
                "Mean": cells[2],
            }
        )
    return pd.DataFrame(table)


def _method(entry: Entry) -> str:
    return entry.method if entry.reference is None else f"{entry.method} [{entry.reference}]"


def scores_table(
    scores: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    to_baseline: Grid,
    references: Mapping[str, Sequence[int]],
) -> pd.DataFrame:
    """A row a model: CCC of each target and their mean, and Δ of the mean to a baseline.

    Scores read ``CCC [95 % interval] ± standard deviation over seeds`` for the mean, and ``CCC ±
    standard deviation`` for each target.

    Args:
        scores: name -> arm -> target, the mean last -> CCC.
        to_baseline: name -> arm -> Δ.
        references: name -> numbers in the paper's list.
    """
    table = []
    for name, arm, found in _all(scores):
        *targets, mean = found
        row = {"Model": label_of(name, arm), "Paper": _cited(references.get(name, ()))}
        if len(targets) > 1:
            row |= {target: _spread(found[target]) for target in targets}
        low, high = decimals(found[mean].low), decimals(found[mean].high)
        row[mean if len(targets) > 1 else targets[0]] = f"{_spread(found[mean])} [{low}, {high}]"
        difference = to_baseline.get(name, {}).get(arm)
        row["Δ"] = MISSING if difference is None else interval_text(difference)
        table.append(row)
    return pd.DataFrame(table)


def _cited(references: Sequence[int]) -> str:
    return f"[{', '.join(map(str, references))}]" if references else MISSING


def _spread(found: Interval) -> str:
    value = decimals(found.value)
    return value if np.isnan(found.deviation) else f"{value} ± {decimals(found.deviation)}"


def interval_text(found: Interval) -> str:
    """``Δ [low, high]``, signed."""
    return f"{signed(found.value)} [{signed(found.low)}, {signed(found.high)}]"


class Costs(NamedTuple):
    """What a model costs.

    Attributes:
        parameters: numbers that it learns.
        multiply_adds: of the matrix products of one window's forward pass.
        step: ms, a training step, median.
        ratio: the step's time divided by the baseline's in the same turn, median.
        clip: µs, prediction of a clip, median.
        clip_ratio: the same to the baseline's.
    """

    parameters: int
    multiply_adds: int
    step: float
    ratio: float
    clip: float
    clip_ratio: float


def costs_table(models: Mapping[str, Mapping[str, Costs]]) -> pd.DataFrame:
    """A row a model: name -> arm -> what it costs."""
    return pd.DataFrame(
        [
            {
                "Model": label_of(name, arm),
                "Parameters": f"{cost.parameters:,}",
                "Multiply-adds (millions)": f"{cost.multiply_adds / 1e6:,.2f}",
                "Training step": f"{cost.step:.1f} ms (× {cost.ratio:.1f})",
                "Prediction of a clip": f"{cost.clip:.1f} µs (× {cost.clip_ratio:.1f})",
            }
            for name, arm, cost in _all(models)
        ]
    )
