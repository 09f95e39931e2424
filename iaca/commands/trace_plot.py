"""What a model says about one video, over time."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

_PARTS = {"audio": "#0072B2", "visual": "#D55E00", "joint": "#009E73"}
_TARGETS = ("#000000", "#CC79A7")
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
        table: one row per clip, with ``second``, the targets, and seven ``gate_`` columns or none.
        targets: columns to draw in the first panel.
        label_range: of valid labels.
        title: of the figure.
    """
    gated = "gate_joint" in table
    panels = 3 if gated else 1
    traces: Any = table.set_index("second")
    values = traces[list(targets)]
    low, high = min(label_range[0], values.min().min()), max(label_range[1], values.max().max())
    with plt.rc_context(_LOOK):
        figure, grid = plt.subplots(
            panels, 1, figsize=(7.2, 1.0 + 1.5 * panels), sharex=True, squeeze=False
        )
        predicted, *gates = grid[:, 0]
        lines = {"style": ["-", "--"][: len(targets)], "marker": "." if len(table) == 1 else None}
        values.plot(ax=predicted, color=_TARGETS, title=title, **lines)
        predicted.axhline(0.0, color="#BBBBBB", linewidth=0.8, zorder=0)
        predicted.set(ylim=(low - 0.05, high + 0.05), ylabel="predicted")
        if gated:
            first = {f"gate_{part}_cross": part for part in ("audio", "visual")}
            second = {f"gate_{part}": part for part in _PARTS}
            traces[[*first]].rename(columns=first).plot(ax=gates[0], color=_PARTS, title="Stage 1")
            gates[0].set(ylim=(-0.03, 1.03), ylabel="weight of\ncross-attended")
            area = traces[[*second]].rename(columns=second).plot.area
            area(ax=gates[1], color=_PARTS, alpha=0.75, linewidth=0, title="Stage 2")
            gates[1].set(ylim=(0, 1), ylabel="weight of")
        for axes in grid[:, 0]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.close(figure)  # the caller saves it
    return figure
