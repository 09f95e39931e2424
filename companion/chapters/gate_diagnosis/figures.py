"""Notebook `07_gate_diagnosis`: what separates weak clips from strong ones, and what does not.

AUROC stands on one scale in every figure, with a line at 0.5, which is chance. What is not in a
mapping is not drawn.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    ARM_LOOKS,
    DELTA,
    NARROW,
    ZERO_LINE,
    Look,
    draw_interval,
    handle,
    in_order,
    name_models,
    name_rows,
    offset,
)
from companion.chapters.drawing.style import AUDIO, JOINT, LABEL, VISUAL, WIDTH, style
from companion.chapters.gate_diagnosis.detectors import STAGE_1, STAGE_2
from iaca.sources.synthetic import KINDS, STATES

Rows = Mapping[str, Mapping[str, Interval]]  # row -> series -> interval

APART = 0.34  # between the series of one row
CHANCE = 0.5
FLAT = 0.1  # weight; what moves less than this is no choice
NO_GATES = Look(LABEL, "^", (0, (1, 1.5)), "triangle-up", (1, 2))
GATE_LOOKS = {
    STAGE_1["audio"]: Look(AUDIO, "o", "-", "circle", (1, 0)),
    STAGE_1["visual"]: Look(VISUAL, "s", "-", "square", (1, 0)),
    STAGE_2["audio"]: Look(AUDIO, "D", "--", "diamond", (7, 3)),
    STAGE_2["visual"]: Look(VISUAL, "^", "--", "triangle-up", (7, 3)),
}


def looks_of_series(series: Sequence[str]) -> dict[str, Look]:
    """Series -> look: arms and gates have their own, and one other series may stand beside them.

    Raises:
        ValueError: if there is more than one other.
    """
    known = ARM_LOOKS | GATE_LOOKS
    others = [name for name in series if name not in known]
    if len(others) > 1:
        raise ValueError(f"series {others}: expected arms, gates, and at most one other")
    return {name: known.get(name, NO_GATES) for name in series}


def auroc_rows(found: Mapping[str, Rows], apart_from: str | None = None) -> Figure:
    """AUROC with 95 % intervals: a panel a weak state, a row a detector or a setting.

    Args:
        found: state -> row -> series -> AUROC. Series are arms, gates, or one of neither, say
            detectors without gates.
        apart_from: the first row of a second group, which is set apart.
    """
    rows = in_order(found.values())
    series = in_order(each for panel in found.values() for each in panel.values())
    looks = looks_of_series(series)
    most = max(len(each) for panel in found.values() for each in panel.values())
    step = min(APART, 0.8 / most)
    second = rows.index(apart_from) if apart_from in rows else len(rows)
    places = [row + (0.6 if row >= second else 0.0) for row in range(len(rows))]
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(NARROW, 0.8 + lines * (0.45 + 0.12 * max(2, most) * (places[-1] + 1))),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (state, panel) in zip(grid.flat, found.items(), strict=False):
            for row, each in panel.items():
                for number, name in enumerate(name for name in series if name in each):
                    place = places[rows.index(row)] + offset(number, len(each), step)
                    draw_interval(axes, each[name], place, looks[name])
            axes.axvline(CHANCE, **ZERO_LINE)
            axes.set_title(state)
            axes.tick_params(labelbottom=True)
        name_rows(grid[0, 0], rows, places)
        for axes in grid.flat[len(found) :]:
            axes.remove()
        figure.supxlabel("AUROC against strong clips (0.5 is chance)", fontsize=10)
        name_models(figure, {name: handle(looks[name]) for name in series})
    return figure


def auroc_map(found: Mapping[str, Rows], span: float = 0.2) -> Figure:
    """AUROC as numbers on colours: a panel a gate, a row a model, a column a weak state.

    Bold where the 95 % interval leaves out 0.5.

    Args:
        found: gate -> model -> state -> AUROC. What is not there stays blank.
        span: how far from 0.5 the colours reach.
    """
    states = in_order(each for panel in found.values() for each in panel.values())
    counts = [len(panel) for panel in found.values()]
    with style():
        figure, grid = plt.subplots(
            len(found),
            1,
            figsize=(NARROW, 1.2 + sum(0.35 + 0.27 * count for count in counts)),
            height_ratios=counts,
            squeeze=False,
        )
        for axes, (gate, panel) in zip(grid[:, 0], found.items(), strict=True):
            picture = _numbers(axes, panel, states, span)
            axes.set_title(gate)
            axes.set_xticks([])
        names = [state.replace(" ", "\n") for state in states]
        grid[-1, 0].set_xticks(range(len(states)), names, fontsize=9)
        figure.colorbar(
            picture,
            ax=grid[:, 0].tolist(),
            label="AUROC (0.5 is chance)",
            location="bottom",
            fraction=0.2 / figure.get_figheight(),  # as high in a tall figure as in a low one
            aspect=30,
            shrink=0.6,
            pad=0.02,
            extend="both",
        )
    return figure


def _numbers(axes: Axes, panel: Rows, states: Sequence[str], span: float) -> Any:
    values = np.full((len(panel), len(states)), np.nan)
    for row, each in enumerate(panel.values()):
        for state, interval in each.items():
            column = states.index(state)
            values[row, column] = interval.value
            axes.text(
                column,
                row,
                f"{interval.value:.2f}",
                ha="center",
                va="center",
                fontsize=9.5,
                color="white" if abs(interval.value - CHANCE) > 0.7 * span else "black",
                fontweight="bold" if interval.low > CHANCE or interval.high < CHANCE else "normal",
            )
    picture = axes.imshow(
        values, cmap="RdBu", vmin=CHANCE - span, vmax=CHANCE + span, aspect="auto"
    )
    axes.set_yticks(range(len(panel)), list(panel))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return picture


def differences_by_state(found: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """Δ CCC of each arm in each state, with 95 % intervals: a panel a backbone.

    Args:
        found: backbone -> state -> arm -> Δ.
    """
    states = in_order(found.values())
    arms = in_order(each for panel in found.values() for each in panel.values())
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(NARROW, 0.8 + lines * (0.5 + 0.32 * len(states))),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (backbone, panel) in zip(grid.flat, found.items(), strict=False):
            for state, each in panel.items():
                for arm, difference in each.items():
                    place = states.index(state) + offset(arms.index(arm), len(arms), APART)
                    draw_interval(axes, difference, place, ARM_LOOKS[arm])
            axes.axvline(0.0, **ZERO_LINE)
            axes.set_title(backbone)
            axes.tick_params(labelbottom=True)
        name_rows(grid[0, 0], states)
        for axes in grid.flat[len(found) :]:
            axes.remove()
        figure.supxlabel(DELTA, fontsize=10)
        name_models(figure, {arm: handle(ARM_LOOKS[arm]) for arm in arms})
    return figure


def auroc_against_temperature(
    found: Mapping[str, Mapping[str, Mapping[float, Interval]]],
) -> Figure:
    """AUROC against the temperature, with 95 % intervals: a panel a weak state, a curve a gate.

    Args:
        found: state -> series (gate or arm) -> T -> AUROC.
    """
    series = in_order(found.values())
    looks = looks_of_series(series)
    temperatures = sorted({t for panel in found.values() for each in panel.values() for t in each})
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(NARROW, 0.9 + 1.6 * lines),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (state, panel) in zip(grid.flat, found.items(), strict=False):
            for name, each in panel.items():
                # Side by side on the logarithmic axis: intervals must not hide each other.
                shift = 10 ** offset(series.index(name), len(series), 0.025)
                _curve(axes, {t * shift: interval for t, interval in each.items()}, looks[name])
            axes.axhline(CHANCE, **ZERO_LINE)
            axes.set_xscale("log")
            axes.set_xticks(temperatures, [f"{t:g}" for t in temperatures])
            axes.minorticks_off()
            axes.set_title(state)
            axes.tick_params(labelbottom=True)
        for axes in grid.flat[len(found) :]:
            axes.remove()
        figure.supxlabel("temperature T", fontsize=10)
        figure.supylabel("AUROC against strong clips", fontsize=10)
        name_models(figure, {name: handle(looks[name], line=True) for name in series})
    return figure


def _curve(axes: Axes, points: Mapping[float, Interval], look: Look) -> None:
    """Values with their intervals, joined from left to right."""
    x = sorted(points)
    axes.plot(
        x,
        [points[at].value for at in x],
        color=look.colour,
        marker=look.marker,
        linestyle=look.dashes,
        markersize=5.5,
    )
    for at in x:
        axes.plot([at, at], [points[at].low, points[at].high], color=look.colour, linewidth=1.2)


def score_by_disagreement(found: Mapping[str, Mapping[str, Sequence[Interval]]]) -> Figure:
    """What a gate does as the modalities disagree more: a panel a model, a curve a gate or an arm.

    The axis reaches at least ±0.1, so that what is flat looks flat.

    Args:
        found: model -> series -> weight above its recording's mean, from the clips with the least
            disagreement to those with the most, as `mean_by_disagreement` has it.
    """
    series = in_order(found.values())
    looks = looks_of_series(series)
    columns = min(2, len(found))
    lines = -(-len(found) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(NARROW, 0.9 + 1.8 * lines),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (model, panel) in zip(grid.flat, found.items(), strict=False):
            for name, parts in panel.items():
                beside = offset(series.index(name), len(series), 0.09)
                points = {number + 1 + beside: part for number, part in enumerate(parts)}
                _curve(axes, points, looks[name])
                axes.set_xticks(range(1, len(parts) + 1))
            axes.axhline(0.0, **ZERO_LINE)
            axes.set_title(model)
            axes.tick_params(labelbottom=True)
        low, high = grid[0, 0].get_ylim()
        grid[0, 0].set_ylim(min(low, -FLAT), max(high, FLAT))
        for axes in grid.flat[len(found) :]:
            axes.remove()
        figure.supxlabel("clips of a recording, from least to most disagreement", fontsize=10)
        figure.supylabel("declining, above its mean", fontsize=10)
        name_models(figure, {name: handle(looks[name], line=True) for name in series})
    return figure


def traces_beside_states(
    gates: Mapping[str, Tensor], state: Tensor, scores: Mapping[str, Tensor] | None = None
) -> Figure:
    """Both stages' weights over one recording, under the true state of each clip.

    Args:
        gates: ``audio (T, 2)``, ``visual (T, 2)``, ``audio_visual (T, 3)``.
        state: ``(T,)``, index into `STATES`.
        scores: simple detectors to show below, name -> ``(T,)``, each on an axis of its own.
    """
    extra = scores or {}
    clips = np.arange(len(state))
    with style():
        figure, axes = plt.subplots(
            3 + len(extra),
            1,
            figsize=(WIDTH, 4.0 + 0.9 * len(extra)),
            sharex=True,
            height_ratios=[0.75, 1.0, 1.0, *[0.75] * len(extra)],
        )
        lanes, first, second, *rest = axes
        _lanes(lanes, state)
        for name, colour in (("audio", AUDIO), ("visual", VISUAL)):
            first.plot(clips, gates[name][:, 0].numpy(), color=colour, label=name)
        first.set(ylim=(-0.03, 1.03), ylabel="weight")
        first.set_title("Stage 1: weight of the un-attended feature")
        second.stackplot(
            clips,
            gates["audio_visual"].numpy().T,
            labels=("audio", "visual", "joint"),
            colors=(AUDIO, VISUAL, JOINT),
            alpha=0.75,
        )
        second.set(ylim=(0, 1), ylabel="weight", xlim=(0, len(clips) - 1))
        second.set_title("Stage 2: weight of audio, visual and joint")
        for below, (name, values) in zip(rest, extra.items(), strict=True):
            below.plot(clips, values.numpy(), color=LABEL)
            below.set_title(name[:1].upper() + name[1:])
        axes[-1].set_xlabel("clip")
        modalities = {"audio": AUDIO, "visual": VISUAL, "joint": JOINT}
        figure.legend(
            [Patch(color=colour) for colour in modalities.values()],
            list(modalities),
            loc="outside upper right",
            ncols=3,
        )
    return figure


def _lanes(axes: Axes, state: Tensor) -> None:
    """A lane a kind of weakness; where it is filled, in the weakened modality's colour."""
    for lane, kind in enumerate(KINDS):
        for modality, colour in (("audio", AUDIO), ("visual", VISUAL)):
            here = state.numpy() == STATES.index(f"{kind} {modality}")
            spans = [(clip - 0.5, 1.0) for clip in np.flatnonzero(here).tolist()]
            axes.broken_barh(spans, (lane - 0.36, 0.72), facecolors=colour)
    name_rows(axes, KINDS)
    axes.set_title("True state: what is wrong, and with which modality")
    axes.tick_params(axis="x", length=0)
    axes.spines["left"].set_visible(False)
