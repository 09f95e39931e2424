"""Notebook `06_missing_modality`: what goes with a missing modality, and what the gates do."""

from collections.abc import Mapping, Sequence
from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from torch import Tensor

from companion.analysis.corruption import Corruption, schedule
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ARM_LOOKS, Look
from companion.chapters.drawing.intervals import interval_curves, interval_rows
from companion.chapters.drawing.style import LABEL, WIDTH, style
from companion.chapters.drawing.traces import stage_1, stage_2
from iaca.learning.evaluation import Traces

Curve = Mapping[float, Interval]  # share of missing clips -> CCC
Panels = Mapping[str, Mapping[str, Mapping[str, Curve]]]  # row -> column -> model -> curve

SHARE_MISSING = "missing clips, per cent"
CCC = "CCC"
FLOOR = Look(LABEL, "", (2, 3))
# Lighter and broken: the same arm, trained with modality dropout.
DROPOUT_LOOKS = {
    f"{arm}, with dropout": Look(colour, marker, (4, 3))
    for arm, colour, marker in zip(ARM_LOOKS, ("#8A8A8A", "#D48AC8", "#DDB84F"), "^v<", strict=True)
}
LOOKS = {**ARM_LOOKS, **DROPOUT_LOOKS}


def draw_schedules(shares: Sequence[float], rows: int, name: str, seed: int = 0) -> Figure:
    """Which clips of one recording are hit at several shares, at random and in a block."""
    with style():
        figure, panels = plt.subplots(2, 1, figsize=(WIDTH, 3.4), sharex=True)
        for axes, pattern in zip(panels, ("random", "block"), strict=True):
            kind: Literal["random", "block"] = "random" if pattern == "random" else "block"
            hits = [
                schedule(Corruption("missing", "audio", share, kind, seed), name, rows).numpy()
                for share in shares
            ]
            table = pd.DataFrame(hits, [f"{100 * share:.0f} %" for share in shares])
            sns.heatmap(
                table.astype(float), ax=axes, cmap="Greys", vmin=0.0, vmax=1.4, cbar=False,
                linewidths=0.6, xticklabels=20,
            )  # fmt: skip
            axes.set_title(f"{pattern} clips" if pattern == "random" else "one block")
            axes.tick_params(length=0, labelrotation=0)
        panels[1].set_xlabel("clip")
    return figure


def one_recording(curves: Mapping[str, Mapping[str, NDArray[np.float64]]]) -> Figure:
    """CCC on one recording against the share missing, as the paper's Fig. 3: a panel for a target.

    Args:
        curves: target -> model -> ``(K, S, 2)``: K schedules, S shares, and for each the share in
            per cent and the CCC. The line is the mean over schedules, the band their range.
    """
    found = {
        target: {model: _over_schedules(values) for model, values in models.items()}
        for target, models in curves.items()
    }
    labels = (SHARE_MISSING, "CCC on this recording")
    return interval_curves(
        found, ("panel", "series", "x"), LOOKS, labels, reference=None, height=2.6, band=True
    )


def _over_schedules(values: NDArray[np.float64]) -> dict[float, Interval]:
    """Mean, lowest and highest score by share."""
    return {
        float(share): Interval(each.mean(), each.min(), each.max(), np.nan, 0, 0)
        for share, each in zip(values[0, :, 0], values[..., 1].T, strict=True)
    }


def missing_curves(panels: Panels, floors: Mapping[str, Mapping[str, Interval]]) -> Figure:
    """CCC with 95 % intervals against the share of missing clips.

    Args:
        panels: row (an attention) -> column (what is missing) -> model -> curve.
        floors: column -> name of a unimodal model that loses nothing there -> its CCC.
    """
    line = Line2D([], [], color=FLOOR.colour, linestyle=FLOOR.dashes)
    more = {"the other modality alone": line} if any(floors.values()) else {}
    figure = interval_curves(
        panels,
        ("panel", "panel", "series", "x"),
        LOOKS,
        (SHARE_MISSING, CCC),
        reference=None,
        columns=len(next(iter(panels.values()))),
        percent=True,
        more=more,
    )
    for axes in figure.axes:
        _, column = axes.get_title(loc="left").split(", ", 1)
        for floor in floors.get(column, {}).values():
            axes.axhline(floor.value, color=FLOOR.colour, linestyle=FLOOR.dashes, zorder=0)
    return figure


def area_gains(gains: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """What each arm adds to the area under the curve, with 95 % intervals.

    Args:
        gains: attention -> what happens to the clips -> arm -> difference to plain.
    """
    axis = "Δ area (model minus plain), CCC"
    return interval_rows(gains, ("panel", "row", "series"), ARM_LOOKS, axis)


def draw_traces(
    labels: Tensor, targets: Sequence[str], whole: Traces, damaged: Traces, hit: Tensor, name: str
) -> Figure:
    """One recording, whole and corrupted: a panel for each target, and each stage of gates.

    Args:
        labels: ``(T, n)``.
        targets: names of the n.
        whole: what the model says of the recording as it is.
        damaged: what it says of it corrupted.
        hit: ``(T,)``, the clips that are; drawn as a grey strip.
        name: of the recording.
    """
    gates = {gate: traces[name] for gate, traces in damaged.gates.items()}
    count = len(targets) + (2 if gates else 0)
    lines = (
        ("label", labels, {"color": LABEL, "linewidth": 2.6, "alpha": 0.55}),
        ("whole", whole.predictions[name], {"color": "black"}),
        ("corrupted", damaged.predictions[name], {"color": "black", "linestyle": ":"}),
    )
    beside = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.96), "columnspacing": 1.2}
    with style():
        figure, grid = plt.subplots(
            count, 1, figsize=(WIDTH, 0.9 + 1.4 * count), sharex=True, squeeze=False
        )
        panels = grid[:, 0]
        for k, (axes, target) in enumerate(zip(panels, targets, strict=False)):
            for label, values, look in lines:
                axes.plot(values[:, k], label=label, **look)
            axes.set_title(target)
        panels[0].legend(ncols=3, **beside)
        if gates:
            stage_1(panels[-2], gates)
            stage_2(panels[-1], gates)
            panels[-2].set_title("stage 1: weight of cross-attended")
            panels[-1].set_title("stage 2: weights")
            panels[-1].legend(ncols=3, **beside)
        spans = [(clip - 0.5, 1.0) for clip in np.flatnonzero(hit.numpy()).tolist()]
        for axes in panels:
            foot = axes.get_xaxis_transform()
            axes.broken_barh(
                spans, (0, 1), color=LABEL, alpha=0.22, linewidth=0, transform=foot, zorder=0
            )
        panels[-1].set(xlabel="clip (grey: corrupted)", xlim=(0, max(1, len(labels) - 1)))
    return figure
