"""What a model says about one video, over time."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_AUDIO, _VISUAL, _JOINT = "#0072B2", "#D55E00", "#009E73"
_TARGETS = ("#000000", "#CC79A7")
_DASHES = ("-", "--")
_LOOK: Any = {
    "figure.dpi": 144,
    "figure.constrained_layout.use": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "lines.linewidth": 1.4,
}


def video_trace(
    table: pd.DataFrame, targets: Sequence[str], label_range: tuple[float, float], title: str
) -> Figure:
    """Predictions over a video and, where the model is gated, the weights of both stages.

    Args:
        table: a row a clip, with ``second``, the targets, and seven ``gate_`` columns or none.
        targets: columns to draw in the first panel.
        label_range: of valid labels.
        title: of the figure.
    """
    gated = "gate_joint" in table
    with plt.rc_context(_LOOK):
        heights = (1.4, 1.0, 1.0) if gated else (1.4,)
        figure, grid = plt.subplots(
            len(heights),
            1,
            figsize=(7.2, 1.0 + 1.5 * len(heights)),
            sharex=True,
            squeeze=False,
            height_ratios=heights,
        )
        panels = grid[:, 0]
        _predictions(panels[0], table, targets, label_range, title)
        if gated:
            _gates(panels[1], panels[2], table)
        seconds = table["second"]
        if len(table) > 1:
            panels[-1].set_xlim(seconds.iloc[0], seconds.iloc[-1])
        panels[-1].set_xlabel("second")
        for axes in panels:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.close(figure)  # the caller saves it
    return figure


def _predictions(
    axes: Axes,
    table: pd.DataFrame,
    targets: Sequence[str],
    label_range: tuple[float, float],
    title: str,
) -> None:
    for number, target in enumerate(targets):
        axes.plot(
            table["second"],
            table[target],
            color=_TARGETS[number % 2],
            linestyle=_DASHES[number % 2],
            marker="." if len(table) == 1 else None,
            label=target,
        )
    values = table[list(targets)].to_numpy()
    low, high = min(label_range[0], values.min()), max(label_range[1], values.max())
    axes.axhline(0.0, color="#BBBBBB", linewidth=0.8, zorder=0)
    axes.set(ylim=(low - 0.05, high + 0.05), ylabel="predicted", title=title)


def _gates(first: Axes, second: Axes, table: pd.DataFrame) -> None:
    for modality, colour in (("audio", _AUDIO), ("visual", _VISUAL)):
        first.plot(table["second"], table[f"gate_{modality}_cross"], color=colour, label=modality)
    first.set(ylim=(-0.03, 1.03), ylabel="weight of\ncross-attended", title="Stage 1")
    parts = ("audio", "visual", "joint")
    second.stackplot(
        table["second"],
        table[[f"gate_{part}" for part in parts]].to_numpy().T,
        labels=parts,
        colors=(_AUDIO, _VISUAL, _JOINT),
        alpha=0.75,
    )
    second.set(ylim=(0, 1), ylabel="weight of", title="Stage 2")
