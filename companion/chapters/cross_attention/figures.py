"""Notebook `01_cross_attention`: what the scores of a cross-attention say, clip by clip."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from companion.analysis.inference import Interval
from companion.chapters.cross_attention.maps import CORRUPTED_FACE, STRONG, Reading, joint_min_max
from companion.chapters.drawing.style import AUDIO, LABEL, VISUAL, WIDTH, style
from iaca.sources.synthetic import STATES

# One colour a modality, darker for corrupted, lighter for conflicting, lightest for dominating.
STATE_COLOURS = dict(
    zip(
        STATES,
        ("#E6E6E6", AUDIO, VISUAL, "#5FA8D3", "#EB9A5C", "#B5D8EC", "#F6CFAE"),
        strict=True,
    )
)
MARKERS = ("o", "s", "^")


def draw_toy(z: Tensor, a_audio: Tensor, a_visual: Tensor) -> Figure:
    """The toy's three matrices ``(L, L)``, with their entries written in."""
    with style():
        figure, axes = plt.subplots(1, 3, figsize=(WIDTH, 2.7))
        panels = (
            ("$Z$", z, "visual clip j", "audio clip i"),
            ("$A_a$", a_audio, "attended audio clip j", "audio clip i"),
            ("$A_v$", a_visual, "attended visual clip j", "visual clip i"),
        )
        for axis, (title, matrix, x, y) in zip(axes, panels, strict=True):
            axis.imshow(matrix.numpy(), cmap="Blues", vmin=0.0, vmax=1.6 * float(matrix.max()))
            for i, j in np.ndindex(*matrix.shape):
                axis.text(j, i, f"{matrix[i, j]:.2f}", ha="center", va="center")
            ticks = range(len(matrix))
            axis.set(title=title, xlabel=x, ylabel=y, xticks=ticks, yticks=ticks)
    return figure


def draw_hull(audio: Tensor, x_hat: Tensor, others: Tensor) -> Figure:
    """Attended audio of the toy and of many other faces, inside the triangle of its audio clips.

    Args:
        audio: ``(3, 2)``, the corners.
        x_hat: ``(3, 2)``, for the toy's own visual features.
        others: ``(N, 2)``, for other visual features.
    """
    with style():
        figure, axis = plt.subplots(figsize=(4.6, 3.6))
        corners, chosen, cloud = (points.T.numpy() for points in (audio, x_hat, others))
        axis.fill(corners[0], corners[1], color=AUDIO, alpha=0.12, linewidth=0)
        axis.plot(cloud[0], cloud[1], ".", color=LABEL, alpha=0.5, ms=4, label="other faces")
        axis.plot(chosen[0], chosen[1], "s", color=VISUAL, ms=7, label="the toy's face")
        axis.plot(corners[0], corners[1], "o", color=AUDIO, ms=13, label="audio clips")
        axis.set(xlabel="feature 0", ylabel="feature 1", aspect="equal")
        for number, (x, y) in enumerate(corners.T):
            axis.annotate(f"{number}", (x, y), color="white", ha="center", va="center", fontsize=8)
        axis.legend(loc="lower left", fontsize=9)
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
    with style():
        figure, axes = plt.subplots(
            len(windows), 2, figsize=(6.6, 3.0 * len(windows) + 0.9), squeeze=False
        )
        for row, (title, number) in zip(axes, windows.items(), strict=True):
            for axis, (modality, matrix) in zip(row, maps.items(), strict=True):
                image = axis.imshow(
                    matrix[number].numpy() * length,
                    vmin=float(shown.min()),
                    vmax=float(shown.max()),
                )
                _state_strips(axis, reading.state[number])
                axis.set(
                    title=f"{title}: $A_{modality[0]}$",
                    xlabel=f"attended {modality} clip j",
                    ylabel=f"{modality} clip i",
                )
        figure.colorbar(image, ax=axes, shrink=0.6, label="weight × L (1: even spread)")
        _state_legend(figure, reading.state[chosen])
    return figure


def _state_strips(axis: Axes, state: Tensor) -> None:
    """Colour the clips' states above and left of a matrix of theirs."""
    length = len(state)
    for position, number in enumerate(state.tolist()):
        colour = STATE_COLOURS[STATES[number]]
        axis.bar(position, 0.8, 1.0, bottom=-1.5, color=colour)
        axis.barh(position, 0.8, 1.0, left=-1.5, color=colour)
    ticks = range(0, length, 5)
    axis.set(xlim=(-1.6, length - 0.5), ylim=(length - 0.5, -1.6), xticks=ticks, yticks=ticks)
    axis.spines[["left", "bottom"]].set_visible(False)


def _state_legend(figure: Figure, state: Tensor) -> None:
    present = [STATES[number] for number in state.unique().tolist()]
    patches = [Patch(color=STATE_COLOURS[name], label=name) for name in present]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9)


def draw_by_state(
    panels: Mapping[str, Mapping[str, Mapping[str, Interval]]], neutral: float = 1.0
) -> Figure:
    """Means with 95 % intervals: ``panel -> model -> state -> Interval``, a row a state."""
    colours = (LABEL, "black")
    with style():
        figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.6), sharey=True)
        for axis, (title, models) in zip(np.atleast_1d(axes), panels.items(), strict=True):
            axis.axvline(neutral, color="#BBBBBB", linewidth=1, zorder=0)
            for number, (model, intervals) in enumerate(models.items()):
                for row, (state, interval) in enumerate(intervals.items()):
                    y = row + 0.3 * (number - (len(models) - 1) / 2)
                    colour = colours[number] if state == STRONG else STATE_COLOURS[state]
                    edge = colours[number]
                    axis.plot([interval.low, interval.high], [y, y], color=edge, linewidth=1.2)
                    axis.plot(
                        interval.value,
                        y,
                        MARKERS[number],
                        color=colour,
                        markeredgecolor=edge,
                        label=model if row == 0 else None,
                    )
            axis.set(xlabel=title, yticks=range(len(intervals)), yticklabels=list(intervals))
        np.atleast_1d(axes)[0].invert_yaxis()
        handles, labels = np.atleast_1d(axes)[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def draw_scores(tables: Mapping[str, pd.DataFrame], recordings: Mapping[str, str]) -> Figure:
    """The paper's Fig. 1 on two recordings: Z per clip, jointly scaled, above the feature norm.

    Args:
        tables: model -> `clip_table` of one seed; one row of panels each.
        recordings: title -> name of a recording; one column each.
    """
    with style():
        figure, axes = plt.subplots(
            len(tables) + 1,
            len(recordings),
            figsize=(WIDTH, 1.9 * (len(tables) + 1) + 0.5),
            sharex=True,
            sharey="row",
            squeeze=False,
        )
        for row, (model, table) in enumerate(tables.items()):
            parts = [table[table["recording"] == name] for name in recordings.values()]
            values = [torch.tensor(part[["z_audio", "z_visual"]].to_numpy()) for part in parts]
            for axis, part, scaled in zip(axes[row], parts, joint_min_max(*values), strict=True):
                _shade(axis, part)
                _two_lines(axis, part, scaled)
                axis.set_ylim(-0.03, 1.03)
            axes[row, 0].set_ylabel(f"Z, {model}\n(0–1, joint)", fontsize=9)
        for axis, part in zip(axes[-1], parts, strict=True):
            _shade(axis, part)
            _two_lines(axis, part, torch.tensor(part[["norm_audio", "norm_visual"]].to_numpy()))
            axis.set_xlabel("clip")
        axes[-1, 0].set_ylabel("feature norm / √d\n(standardised)", fontsize=9)
        for axis, title in zip(axes[0], recordings, strict=True):
            axis.set_title(title)
        handles, _ = axes[0, 0].get_legend_handles_labels()
        handles += [
            Patch(color=VISUAL, alpha=0.3, label="face corrupted"),
            Patch(color=LABEL, alpha=0.15, label="weak in another way"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _two_lines(axis: Axes, part: pd.DataFrame, values: Tensor) -> None:
    for column, (name, colour) in enumerate((("audio clips", AUDIO), ("visual clips", VISUAL))):
        axis.plot(part["clip"], values[:, column].numpy(), color=colour, label=name)


def _shade(axis: Axes, part: pd.DataFrame) -> None:
    for clip, state in zip(part["clip"], part["state"], strict=True):
        if state == CORRUPTED_FACE:
            axis.axvspan(clip - 0.5, clip + 0.5, color=VISUAL, alpha=0.3, linewidth=0)
        elif state != STRONG:
            axis.axvspan(clip - 0.5, clip + 0.5, color=LABEL, alpha=0.15, linewidth=0)
