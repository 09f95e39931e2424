"""Notebook `01_cross_attention`: what the scores of a cross-attention say, clip by clip."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from companion.analysis.detection import STRONG
from companion.analysis.estimates import Estimate
from companion.analysis.inference import Interval
from companion.chapters.cross_attention.maps import CORRUPTED_FACE, joint_min_max
from companion.chapters.drawing.arms import Look, in_order, looks_of
from companion.chapters.drawing.intervals import interval_rows
from companion.chapters.drawing.style import (
    AUDIO,
    LABEL,
    OTHERS,
    SHADES,
    SMALL,
    STATE_COLOURS,
    VISUAL,
    WIDTH,
    style,
)

PROTOTYPES = {f"prototype {number}": colour for number, colour in enumerate(OTHERS)}


def draw_toy(z: Tensor, a_audio: Tensor, a_visual: Tensor) -> Figure:
    """The toy's three matrices ``(L, L)``, with their entries written in."""
    with style():
        figure, panels = plt.subplots(1, 3, figsize=(WIDTH, 2.5))
        matrices = (
            ("$Z$", z, "visual clip j", "audio clip i"),
            ("$A_a$", a_audio, "attended audio clip j", "audio clip i"),
            ("$A_v$", a_visual, "attended visual clip j", "visual clip i"),
        )
        for axes, (title, matrix, x, y) in zip(panels, matrices, strict=True):
            highest = 1.6 * float(matrix.max())
            sns.heatmap(
                matrix.numpy(), ax=axes, annot=True, fmt=".2f", cmap="Greys",
                vmin=0.0, vmax=highest, cbar=False, square=True,
            )  # fmt: skip
            axes.set_title(title)
            axes.set_xlabel(x, fontsize=SMALL)
            axes.set_ylabel(y, fontsize=SMALL)
    return figure


def draw_hull(audio: Tensor, x_hat: Tensor, others: Tensor) -> Figure:
    """Attended audio of the toy and of many other faces, inside the triangle of its audio clips.

    Args:
        audio: ``(3, 2)``, the corners.
        x_hat: ``(3, 2)``, for the toy's own visual features.
        others: ``(N, 2)``, for other visual features.
    """
    with style():
        figure, axes = plt.subplots(figsize=(4.6, 3.6))
        corners, chosen, cloud = (points.T.numpy() for points in (audio, x_hat, others))
        axes.fill(corners[0], corners[1], color=AUDIO, alpha=0.12, linewidth=0)
        axes.plot(cloud[0], cloud[1], ".", color=LABEL, alpha=0.5, ms=4, label="other faces")
        axes.plot(chosen[0], chosen[1], "s", color=VISUAL, ms=7, label="the toy's face")
        axes.plot(corners[0], corners[1], "o", color=AUDIO, ms=13, label="audio clips")
        axes.set(xlabel="feature 0", ylabel="feature 1", aspect="equal")
        for number, (x, y) in enumerate(corners.T):
            axes.annotate(f"{number}", (x, y), color="white", ha="center", va="center", fontsize=9)
        axes.legend(loc="lower left")
    return figure


def draw_maps(
    maps: Mapping[str, Tensor], names: Sequence[str], colours: Mapping[str, str] = STATE_COLOURS
) -> Figure:
    """Attention maps of one window beside each other, on one scale.

    Args:
        maps: title -> ``(L, L)``, columns sum to 1.
        names: of each of the L clips, what the strips along the axes show.
        colours: name -> colour, such as `PROTOTYPES`.
    """
    length = len(names)
    shown = {title: length * matrix for title, matrix in maps.items()}
    every = torch.stack([*shown.values()])
    low, high = float(every.min()), float(every.max())
    with style():
        size = (WIDTH, 3.6)
        figure, panels = plt.subplots(1, len(maps), figsize=size, squeeze=False)
        for axes, (title, matrix) in zip(panels.flat, shown.items(), strict=True):
            image = axes.imshow(matrix.numpy(), vmin=low, vmax=high)
            strip = [colours[name] for name in names]
            axes.bar(range(length), 0.8, 1.0, bottom=-1.5, color=strip)
            axes.barh(range(length), 0.8, 1.0, left=-1.5, color=strip)
            ticks = range(0, length, 5)
            axes.set(xlim=(-1.6, length - 0.5), ylim=(length - 0.5, -1.6), xticks=ticks)
            axes.set(yticks=ticks, title=title, xlabel="attended clip j", ylabel="clip i")
            axes.spines[["left", "bottom"]].set_visible(False)
        figure.colorbar(image, ax=panels, shrink=0.7, label="weight × L (1: even)")
        present = [name for name in colours if name in names]
        patches = [Patch(color=colours[name], label=name) for name in present]
        figure.legend(handles=patches, loc="outside lower center", ncols=min(4, len(present)))
    return figure


def draw_worth(found: Mapping[str, Mapping[str, Estimate]]) -> Figure:
    """What attention adds to its uniform control: attention -> group of clips -> estimate."""
    looks = looks_of(in_order([found]))
    return interval_rows(found, ("series", "row"), looks, "plain − uniform attention (CCC)")


def draw_by_state(
    panels: Mapping[str, Mapping[str, Mapping[str, Interval]]], neutral: float = 1.0
) -> Figure:
    """Means with 95 % intervals: ``panel -> model -> state -> Interval``."""
    models = in_order(panels.values())
    looks = dict(zip(models, (Look(SHADES[1]), Look(SHADES[3], "s")), strict=False))
    levels = ("panel", "series", "row")
    return interval_rows(panels, levels, looks, "", reference=neutral, columns=1)


def draw_scores(tables: Mapping[str, pd.DataFrame], recordings: Mapping[str, str]) -> Figure:
    """The paper's Fig. 1 on two recordings: Z per clip, jointly scaled, above the feature norm.

    Args:
        tables: model -> `clip_table` of one seed; one row of panels each.
        recordings: title -> name of a recording; one column each.
    """
    rows = len(tables) + 1
    with style():
        figure, grid = plt.subplots(
            rows,
            len(recordings),
            figsize=(WIDTH, 1.7 * rows + 0.5),
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        for line, (model, table) in zip(grid, tables.items(), strict=False):
            parts = [table[table["recording"] == name] for name in recordings.values()]
            values = [torch.tensor(part[["z_audio", "z_visual"]].to_numpy()) for part in parts]
            for axes, part, scaled in zip(line, parts, joint_min_max(*values), strict=True):
                _two_lines(axes, part, scaled)
                axes.set_ylim(-0.03, 1.03)
            line[0].set_ylabel(f"Z, {model}\n(0–1, joint)")
        for axes, part in zip(grid[-1], parts, strict=True):
            _two_lines(axes, part, torch.tensor(part[["norm_audio", "norm_visual"]].to_numpy()))
            axes.set_xlabel("clip")
        grid[-1, 0].set_ylabel("feature norm / √d\n(standardised)")
        for axes, title in zip(grid[0], recordings, strict=True):
            axes.set_title(title)
        handles, _ = grid[0, 0].get_legend_handles_labels()
        handles += [
            Patch(color=VISUAL, alpha=0.3, label="face corrupted"),
            Patch(color=LABEL, alpha=0.15, label="weak in another way"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _two_lines(axes: Axes, part: pd.DataFrame, values: Tensor) -> None:
    """A line for each modality's clips, shaded where a clip is weak."""
    for column, (name, colour) in enumerate((("audio clips", AUDIO), ("visual clips", VISUAL))):
        axes.plot(part["clip"], values[:, column].numpy(), color=colour, label=name)
    for clip, state in zip(part["clip"], part["state"], strict=True):
        if state != STRONG:
            colour, alpha = (VISUAL, 0.3) if state == CORRUPTED_FACE else (LABEL, 0.15)
            axes.axvspan(clip - 0.5, clip + 0.5, color=colour, alpha=alpha, linewidth=0)
