"""Notebook `02_gating`: the model as a drawing, its gates, and a temperature to turn."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from companion.chapters.drawing.style import (
    AUDIO,
    JOINT,
    LABEL,
    SHADES,
    SLIM,
    SMALL,
    VISUAL,
    WIDTH,
    style,
)
from companion.chapters.drawing.traces import stage_1, stage_2, weak_strip


def draw_model() -> Figure:
    """The two-stage gating as a drawing, after Fig. 2 of the paper."""
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH, 3.7))
        axes.set(xlim=(-1, 101), ylim=(0, 52))
        axes.axis("off")
        for y, name, colour, sub in ((40, "audio", AUDIO, "a"), (12, "visual", VISUAL, "v")):
            _box(axes, 0, y - 4, 10, 8, f"$X_{sub}$", colour)
            _box(axes, 29, y - 4, 12, 8, f"$X_{{att,{sub}}}$", colour)
            _box(axes, 45, y - 4, 13, 8, f"gate $G_{sub}$\n$K=2$", colour, dashed=True)
            _box(axes, 63, y - 4, 11, 8, f"$X_{{att,g{sub}}}$", colour)
            axes.text(1, y + 5.2, name, ha="left", color=colour, fontsize=SMALL)
        _box(axes, 14, 17, 11, 18, "cross-\nattention\nEqs. 1–4", LABEL)
        _box(axes, 63, 22, 11, 8, "$X_{att,gav}$", JOINT)
        _box(axes, 79, 22, 10, 8, "gate $G_{av}$\n$K=3$", JOINT, dashed=True)
        _box(axes, 93, 20, 7, 12, "MLP", LABEL)
        for y, inner in ((40, 31), (12, 21)):
            _arrow(axes, (10, y), (14, inner))
            _arrow(axes, (25, inner), (29, y))
            _arrow(axes, (41, y), (45, y))
            _arrow(axes, (58, y), (63, y))
            outer = y + 7 if y > 26 else y - 7  # the un-attended feature passes by
            _path(axes, [(8, outer - 3 if y > 26 else outer + 3), (8, outer), (51.5, outer)])
            _arrow(axes, (51.5, outer), (51.5, y + 4 if y > 26 else y - 4))
            _arrow(axes, (68.5, y - 4 if y > 26 else y + 4), (68.5, 30 if y > 26 else 22))
            _path(axes, [(74, y), (84, y)])
            _arrow(axes, (84, y), (84, 30 if y > 26 else 22))
        _arrow(axes, (74, 26), (79, 26))
        _arrow(axes, (89, 26), (93, 26))
        axes.text(
            51.5, 50.5, "stage 1: self or cross-attended? (Eqs. 5–8)", ha="center", fontsize=SMALL
        )
        axes.text(84, 1.5, "stage 2: audio, visual\nor joint? (Eq. 9)", ha="center", fontsize=SMALL)
        axes.text(27, 48.2, "un-attended", ha="center", fontsize=SMALL, color=LABEL)
        axes.text(27, 2.6, "un-attended", ha="center", fontsize=SMALL, color=LABEL)
    return figure


def _box(
    axes: Axes, x: float, y: float, w: float, h: float, text: str, colour: str, dashed: bool = False
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x, y),
            w,
            h,
            boxstyle="round,pad=0,rounding_size=1.5",
            facecolor="white",
            edgecolor=colour,
            linewidth=1.6,
            linestyle="--" if dashed else "-",
        )
    )
    axes.text(x + w / 2, y + h / 2, text, ha="center", va="center", fontsize=SMALL)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=9, color="#333333", shrinkA=0, shrinkB=0
        )
    )


def _path(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    axes.plot(*zip(*points, strict=True), color="#333333", linewidth=1.0)


def softmax_curve() -> Figure:
    """What temperature does to one pair of logits, before any model is involved."""
    gap = np.linspace(-1.0, 1.0, 401)
    with style():
        figure, axes = plt.subplots(figsize=(SLIM, 2.6))
        for temperature, shade in zip((1.0, 0.3, 0.1), SHADES[1:], strict=True):
            weight = 1.0 / (1.0 + np.exp(-gap / temperature))
            axes.plot(gap, weight, color=shade, label=f"T = {temperature:g}")
        axes.set_xlabel("logit of cross-attended minus logit of self")
        axes.set_ylabel("weight of cross-attended")
        axes.legend()
    return figure


def gate_traces(gates: Mapping[str, Tensor], state: Tensor | None, title: str) -> Figure:
    """Both stages' weights over one recording: ``audio (T, 2)``, ``visual``, ``audio_visual``."""
    with style():
        figure, (first, second) = plt.subplots(2, 1, figsize=(WIDTH, 4.2), sharex=True)
        stage_1(first, gates)
        stage_2(second, gates)
        first.set(ylabel="weight of\ncross-attended", title=f"Stage 1, {title}")
        second.set(ylabel="weight", xlabel="clip", title="Stage 2")
        if state is not None:
            for axes in (first, second):
                weak_strip(axes, state, bottom=-0.09)
            second.tick_params(axis="x", pad=12)  # below the strip
        figure.legend(*second.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure
