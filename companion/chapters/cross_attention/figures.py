"""Notebook `01_cross_attention`: what the scores of a cross-attention say, clip by clip."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from companion.analysis.detection import STRONG
from companion.analysis.inference import Interval
from companion.chapters.cross_attention.maps import CORRUPTED_FACE, Reading, joint_min_max
from companion.chapters.drawing.arms import Look, in_order
from companion.chapters.drawing.intervals import interval_rows
from companion.chapters.drawing.style import (
    AUDIO,
    LABEL,
    SHADES,
    SMALL,
    STATE_COLOURS,
    VISUAL,
    WIDTH,
    style,
)
from iaca.data.states import STATES


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


def draw_maps(reading: Reading, windows: Mapping[str, int]) -> Figure:
    """Both attention maps of a few windows, with the clips' states along the axes.

    Args:
        reading: of one model.
        windows: title -> number of a window.
    """
    chosen = list(windows.values())
    maps = {"audio": reading.a_audio, "visual": reading.a_visual}
    length = reading.z.shape[-1]
    shown = torch.cat([m[chosen] for m in maps.values()]) * length
    low, high = float(shown.min()), float(shown.max())
    with style():
        size = (WIDTH, 2.8 * len(windows) + 0.9)
        figure, grid = plt.subplots(len(windows), 2, figsize=size, squeeze=False)
        for line, (title, number) in zip(grid, windows.items(), strict=True):
            for axes, (modality, matrix) in zip(line, maps.items(), strict=True):
                image = axes.imshow(matrix[number].numpy() * length, vmin=low, vmax=high)
                _state_strips(axes, reading.state[number])
                axes.set(
                    title=f"{title}: $A_{modality[0]}$",
                    xlabel=f"attended {modality} clip j",
                    ylabel=f"{modality} clip i",
                )
        figure.colorbar(image, ax=grid, shrink=0.6, label="weight × L (1: even spread)")
        present = [STATES[state] for state in reading.state[chosen].unique().tolist()]
        patches = [Patch(color=STATE_COLOURS[name], label=name) for name in present]
        figure.legend(handles=patches, loc="outside lower center", ncols=3)
    return figure


def _state_strips(axes: Axes, state: Tensor) -> None:
    """Colour the clips' states above and left of a matrix of theirs."""
    length = len(state)
    colours = [STATE_COLOURS[STATES[number]] for number in state.tolist()]
    axes.bar(range(length), 0.8, 1.0, bottom=-1.5, color=colours)
    axes.barh(range(length), 0.8, 1.0, left=-1.5, color=colours)
    ticks = range(0, length, 5)
    axes.set(xlim=(-1.6, length - 0.5), ylim=(length - 0.5, -1.6), xticks=ticks, yticks=ticks)
    axes.spines[["left", "bottom"]].set_visible(False)


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
