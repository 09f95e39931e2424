"""Notebook `02_gating`: the model as a drawing, its gates, and what they take away."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from companion.analysis.estimates import Estimate
from companion.chapters.drawing.arms import Look
from companion.chapters.drawing.intervals import interval_rows
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
from companion.reference.plan import Arm
from companion.reference.tables.choices import WEIGHTS, Choice


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


def gate_traces(models: Mapping[str, Mapping[str, Tensor]], state: Tensor | None) -> Figure:
    """Both stages' weights over one recording: a line of two panels for each model.

    Args:
        models: what the line is called -> ``audio (T, 2)``, ``visual`` and ``audio_visual (T, 3)``.
        state: ``(T,)`` true states, drawn as a strip; ``None`` where they are not known.
    """
    with style():
        size = (WIDTH, 0.8 + 1.3 * len(models))
        figure, lines = plt.subplots(len(models), 2, figsize=size, sharex=True, squeeze=False)
        for (name, gates), (first, second) in zip(models.items(), lines, strict=True):
            stage_1(first, gates)
            stage_2(second, gates)
            first.set_title(name)
            first.set_ylabel("attended")
            second.set(ylabel="weight", yticks=[0, 0.5, 1])
            if state is not None:
                for axes in (first, second):
                    weak_strip(axes, state, bottom=-0.13)
        for axes, stage in zip(lines[-1], ("stage 1", "stage 2"), strict=True):
            axes.set_xlabel(f"clip ({stage})")
            axes.tick_params(axis="x", pad=9)  # below the strip
        handles, names = lines[0, 1].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper right", ncols=3)
    return figure


def taken_away(rows: Sequence[Choice]) -> Figure:
    """What stage 2 takes from a modality where it is weak, with 95 % intervals: a row an arm.

    Args:
        rows: of one attention; those without any world are left out.
    """
    found: dict[str, dict[str, Estimate]] = {}
    for row in rows:
        if row.taken and row.taken.estimate:
            found.setdefault(str(row.arm), {})[f"from {row.weak}"] = row.taken.estimate
    looks = {"from audio": Look(AUDIO, "o"), "from visual": Look(VISUAL, "s")}
    axis = "weight on strong clips minus weight where it is weak"
    return interval_rows(found, ("row", "series"), looks, axis)


def said_of(rows: Sequence[Choice]) -> list[str]:
    """What stage 2 takes away, arm by arm, in sentences; of rows without any world nothing."""
    lines = []
    for arm in dict.fromkeys(row.arm for row in rows):
        taken = {row.weak: row.taken.estimate for row in rows if row.arm is arm and row.taken}
        texts = [f"from {name} {found} ({_way(found)})" for name, found in taken.items() if found]
        if texts:
            lines.append(f"- `{arm}`: {', '.join(texts)}.")
    return lines


def first_stage(rows: Sequence[Choice], arm: Arm) -> str:
    """What stage 1 of an arm does, group by group; empty where no world is there."""
    of_arm = [row for row in rows if row.arm is arm]
    said = []
    for own, other, name in (("audio", "visual", WEIGHTS[0]), ("visual", "audio", WEIGHTS[1])):
        means = {row.weak: row.weights[name].estimate for row in of_arm}
        texts = [f"{m.value:.2f}" for m in (means.get(weak) for weak in ("", own, other)) if m]
        if len(texts) == 3:
            said.append(
                f"attended {own} has a weight of {texts[0]} on strong clips, {texts[1]} where "
                f"{own} is weak, and {texts[2]} where {other} is"
            )
    return f"- Stage 1 of `{arm}`: {'; '.join(said)}." if said else ""


def _way(found: Estimate) -> str:
    """Whether a modality loses weight where it is weak."""
    if found.low > 0:
        return "it has less weight where it is weak"
    return "it has *more* weight where it is weak" if found.high < 0 else "not told from 0"
