"""Notebook `06_missing_modality`: what goes with a missing modality, and what the gates do."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import (
    ARM_LOOKS,
    NARROW,
    ZERO_LINE,
    Look,
    draw_interval,
    handle,
    name_models,
    name_rows,
    offset,
)
from companion.chapters.drawing.style import AUDIO, JOINT, LABEL, VISUAL, WIDTH, style
from iaca.learning.corruption import Corruption, schedule
from iaca.learning.evaluation import Traces

Curve = Mapping[float, Interval]  # share of missing clips -> CCC
Panels = Mapping[str, Mapping[str, Mapping[str, Curve]]]  # row -> column -> model -> curve

MISSING = "missing clips, per cent"
CCC = "CCC"
WHOLE, DAMAGED = "#222222", "#CC79A7"
FLOOR = Look("#8C6D31", "", (0, (1, 1.5)), "circle", (2, 2))
# Light and broken: the same arm, trained with modality dropout.
DROPOUT_LOOKS = {
    "plain, with dropout": Look("#222222", "^", (0, (2, 1.5)), "triangle-up", (3, 2)),
    "IACA as published, with dropout": Look("#A05A00", "v", (0, (2, 1.5)), "triangle-down", (3, 2)),
    "IACA zero-started (ours), with dropout": Look("#00553F", "<", (0, (2, 1.5)), "cross", (3, 2)),
}
LOOKS = {**ARM_LOOKS, **DROPOUT_LOOKS}


def draw_schedules(shares: Sequence[float], rows: int, name: str, seed: int = 0) -> Figure:
    """Which clips of one recording are hit at several shares, at random and in a block."""
    with style():
        figure, panels = plt.subplots(2, 1, figsize=(NARROW, 3.4), sharex=True)
        for axes, pattern in zip(panels, ("random", "block"), strict=True):
            kind: Literal["random", "block"] = "random" if pattern == "random" else "block"
            hits = [
                schedule(Corruption("missing", "audio", share, kind, seed), name, rows).numpy()
                for share in shares
            ]
            axes.pcolormesh(
                np.arange(rows + 1) - 0.5,
                np.arange(len(shares) + 1) - 0.5,
                np.where(np.array(hits), 1.0, 0.0),
                cmap="Greys",
                vmin=0.0,
                vmax=1.4,
                edgecolors="white",
                linewidth=0.6,
            )
            axes.set_yticks(range(len(shares)), [f"{100 * share:.0f} %" for share in shares])
            axes.set_title(f"{pattern} clips" if pattern == "random" else "one block")
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        panels[1].set_xlabel("clip")
    return figure


def one_recording(curves: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """CCC on one recording against the share missing, as the paper's Fig. 3: a panel a target.

    Args:
        curves: target -> model -> ``(K, S, 2)``: K schedules, S shares, and for each the share in
            per cent and the CCC. The line is the mean over schedules, the band their range.
    """
    with style():
        figure, panels = plt.subplots(1, len(curves), figsize=(NARROW, 3.3), sharey=True)
        for axes, (target, models) in zip(np.atleast_1d(panels), curves.items(), strict=True):
            for model, values in models.items():
                look = LOOKS[model]
                shares, scores = values[0, :, 0], values[..., 1]
                axes.fill_between(
                    shares,
                    scores.min(axis=0),
                    scores.max(axis=0),
                    color=look.colour,
                    alpha=0.15,
                    linewidth=0,
                )
                _line(axes, shares, scores.mean(axis=0), look)
            axes.set(title=target, xlabel=MISSING, xticks=shares)
        np.atleast_1d(panels)[0].set_ylabel("CCC on this recording")
        name_models(figure, {m: handle(LOOKS[m], line=True) for m in next(iter(curves.values()))})
    return figure


def _line(axes: Axes, x: Any, y: Any, look: Look) -> None:
    axes.plot(x, y, color=look.colour, linestyle=look.dashes, marker=look.marker, markersize=4.5)


def missing_curves(panels: Panels, floors: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """CCC with 95 % intervals against the share of missing clips.

    Args:
        panels: row (an attention) -> column (what is missing) -> model -> curve.
        floors: column -> name of a unimodal model that loses nothing there -> its CCC.
    """
    columns = list(next(iter(panels.values())))
    models = list(next(iter(next(iter(panels.values())).values())))
    with style():
        figure, grid = plt.subplots(
            len(panels),
            len(columns),
            figsize=(NARROW, 1.3 + 1.75 * len(panels)),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for line, (row, cells) in zip(grid, panels.items(), strict=True):
            for axes, column in zip(line, columns, strict=True):
                for floor in floors.get(column, {}).values():
                    axes.axhline(floor.value, color=FLOOR.colour, linestyle=FLOOR.dashes, zorder=0)
                for model in models:
                    _interval_curve(axes, cells[column][model], LOOKS[model], models.index(model))
                axes.set_title(f"{row}, {column}", fontsize=9)
        grid[-1, 0].set_xticks([0, 20, 40, 60, 80, 100])
        figure.supxlabel(MISSING, fontsize=10)
        figure.supylabel(CCC, fontsize=10)
        handles: dict[str, Any] = {m: handle(LOOKS[m], line=True) for m in models}
        if any(floors.values()):
            handles["the other modality alone"] = Line2D(
                [], [], color=FLOOR.colour, linestyle=FLOOR.dashes
            )
        name_models(figure, handles)
    return figure


def _interval_curve(axes: Axes, curve: Curve, look: Look, number: int) -> None:
    shares = sorted(curve)
    at = np.array([100.0 * share for share in shares]) + 0.9 * (number - 1)
    _line(axes, at, [curve[share].value for share in shares], look)
    lows, highs = [curve[s].low for s in shares], [curve[s].high for s in shares]
    axes.vlines(at, lows, highs, color=look.colour, linewidth=1.2, alpha=0.7)


def area_gains(gains: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """What each arm adds to the area under the curve, with 95 % intervals.

    Args:
        gains: attention -> what happens to the clips -> arm -> difference to plain.
    """
    kinds = list(next(iter(gains.values())))
    arms = list(next(iter(next(iter(gains.values())).values())))
    columns = min(2, len(gains))
    lines = -(-len(gains) // columns)
    with style():
        figure, grid = plt.subplots(
            lines,
            columns,
            figsize=(WIDTH, 0.9 + lines * (0.5 + 0.26 * len(kinds))),
            sharex=True,
            sharey=True,
            squeeze=False,
        )
        for axes, (attention, rows) in zip(grid.flat, gains.items(), strict=False):
            for place, found in enumerate(rows.values()):
                for number, (arm, difference) in enumerate(found.items()):
                    beside = offset(number, len(arms), 0.3)
                    draw_interval(axes, difference, place + beside, ARM_LOOKS[arm])
            axes.axvline(0.0, **ZERO_LINE)
            for place in range(1, len(kinds)):
                axes.axhline(place - 0.5, color="black", alpha=0.08, linewidth=0.6)
            name_rows(axes, kinds)
            axes.set_title(attention)
        for axes in grid.flat[len(gains) :]:
            axes.remove()
        figure.supxlabel("Δ area (model minus plain), CCC", fontsize=10)
        name_models(figure, {arm: handle(ARM_LOOKS[arm]) for arm in arms})
    return figure


def draw_traces(
    labels: Tensor, targets: Sequence[str], whole: Traces, damaged: Traces, hit: Tensor, name: str
) -> Figure:
    """One recording, whole and corrupted: a panel a target, and one a stage if there are gates.

    Args:
        labels: ``(T, n)``.
        targets: names of the n.
        whole: what the model says of the recording as it is.
        damaged: what it says of it corrupted.
        hit: ``(T,)``, the clips that are; drawn as a grey strip.
        name: of the recording.
    """
    gates = {gate: traces[name] for gate, traces in damaged.gates.items()}
    clips = np.arange(len(labels))
    count = len(targets) + (2 if gates else 0)
    with style():
        figure, panels = plt.subplots(
            count, 1, figsize=(NARROW, 0.9 + 1.35 * count), sharex=True, squeeze=False
        )
        for k, (axes, target) in enumerate(zip(panels[:, 0], targets, strict=False)):
            axes.plot(clips, labels[:, k], color=LABEL, linewidth=1.0, label="label")
            axes.plot(clips, whole.predictions[name][:, k], color=WHOLE, label="whole")
            axes.plot(clips, damaged.predictions[name][:, k], color=DAMAGED, label="corrupted")
            axes.set_title(target)
        panels[0, 0].legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=3)
        if gates:
            first, second = panels[-2:, 0]
            for modality, colour in (("audio", AUDIO), ("visual", VISUAL)):
                first.plot(clips, gates[modality][:, 1], color=colour, label=modality)
            first.set(title="stage 1: weight of cross-attended", ylim=(-0.03, 1.03))
            second.stackplot(
                clips,
                gates["audio_visual"].numpy().T,
                labels=("audio", "visual", "joint"),
                colors=(AUDIO, VISUAL, JOINT),
                alpha=0.75,
            )
            second.set(title="stage 2: weights", ylim=(0, 1))
            second.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=3)
        for axes in panels[:, 0]:
            axes.set_xlim(0, len(clips) - 1)
            axes.fill_between(
                clips,
                0,
                1,
                where=hit.numpy(),
                step="mid",
                color="#888888",
                alpha=0.22,
                linewidth=0,
                transform=axes.get_xaxis_transform(),
                zorder=0,
            )
        panels[-1, 0].set_xlabel("clip (grey: corrupted)")
    return figure
