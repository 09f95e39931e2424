"""Notebook `06_missing_modality`: what goes with a missing modality, and what the gates do."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from companion.analysis.corruption import Corruption, schedule
from companion.analysis.estimates import Estimate
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import COMPARED_LOOKS, ZERO_LINE, Look, name_models
from companion.chapters.drawing.intervals import interval_curves, interval_rows
from companion.chapters.drawing.style import (
    AUDIO,
    LABEL,
    OTHERS,
    VISUAL,
    WIDTH,
    style,
)
from companion.chapters.drawing.traces import stage_1, stage_2
from companion.chapters.missing_modality.curves import OneRecording
from companion.chapters.missing_modality.found import FLOOR, Found
from companion.reference.plan import Arm
from iaca.learning.evaluation import Traces

SHARE_MISSING = "missing clips, per cent"
LOOKS: dict[str, Look] = {
    **COMPARED_LOOKS,
    Arm.DROPOUT: Look(OTHERS[3], "<", (4, 3)),
    FLOOR: Look(LABEL, "", (2, 3)),
}
SHOWN = (Arm.PLAIN, Arm.SIBLING, Arm.TUNED, Arm.TOLD, Arm.DROPOUT, FLOOR)
OWN = (Arm.PLAIN, Arm.SIBLING, Arm.ZERO_STARTED, Arm.DROPOUT, FLOOR)  # on a reader's data
COLOURS = {"voice": AUDIO, "face": VISUAL}


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


def one_recording(found: OneRecording) -> Figure:
    """CCC on one recording against the share missing, as the paper's Fig. 3: a panel a target.

    Args:
        found: target -> model -> share -> CCC of each schedule. The line is their mean, the band
            their range.
    """
    ranges = {
        target: {
            model: {
                share: Interval(float(np.mean(each)), min(each), max(each), np.nan, 0, 0)
                for share, each in shares.items()
            }
            for model, shares in models.items()
        }
        for target, models in found.items()
    }
    levels, labels = ("panel", "series", "x"), (SHARE_MISSING, "CCC on this recording")
    options: dict[str, Any] = {"reference": None, "height": 2.6, "percent": True, "band": True}
    return interval_curves(ranges, levels, LOOKS, labels, **options)


def missing_curves(found: Found, models: Sequence[str]) -> Figure:
    """CCC with 95 % intervals against the share missing: a row an attention, voice beside face."""
    panels = {
        attention: {
            lost: {model: curves[model] for model in models if model in curves}
            for lost, curves in by_loss.items()
        }
        for attention, by_loss in found.curves.items()
    }
    levels, labels = ("panel", "panel", "series", "x"), (SHARE_MISSING, "CCC")
    return interval_curves(panels, levels, LOOKS, labels, reference=None, percent=True)


def differences(
    found: Mapping[str, Mapping[str, Mapping[str, Estimate]]], arms: Sequence[str], axis: str
) -> Figure:
    """What arms have more than plain attention, or more on some clips than on others.

    Args:
        found: attention -> what happens -> arm -> difference.
        arms: that are drawn.
        axis: what the difference is.
    """
    shown = {
        attention: {
            what: {arm: by_arm[arm] for arm in arms if arm in by_arm}
            for what, by_arm in rows.items()
        }
        for attention, rows in found.items()
    }
    return interval_rows(shown, ("panel", "row", "series"), LOOKS, axis)


def settled(found: Found, arms: Sequence[str]) -> Figure:
    """What a model loses with a modality against the weight that stage 2 gives it: a panel each.

    A dot is a world, or a seed. Colours tell the modality, and marks the arm.
    """
    with style():
        lines = -(-len(found.gone) // 2)
        size = (WIDTH, 0.9 + 2.1 * lines)
        grid: dict[str, Any] = {"sharex": True, "sharey": True, "squeeze": False}
        figure, panels = plt.subplots(lines, 2, figsize=size, **grid)
        for axes in panels.flat[len(found.gone) :]:
            axes.remove()
        handles: dict[str, Line2D] = {}
        for axes, (attention, by_loss) in zip(panels.flat, found.gone.items(), strict=False):
            axes.set_title(attention)
            for lost, by_arm in by_loss.items():
                for arm in (arm for arm in arms if arm in by_arm):
                    look: dict[str, Any] = {"color": COLOURS[lost], "marker": LOOKS[arm].marker}
                    look |= {"linestyle": "none", "markersize": 4.5, "markeredgewidth": 0}
                    (handles[f"{lost}, {arm}"],) = axes.plot(
                        *zip(*by_arm[arm], strict=True), alpha=0.65, **look
                    )
            axes.axhline(0.0, **ZERO_LINE)
        figure.supxlabel("stage 2's mean weight of the modality, nothing missing", fontsize=11)
        figure.supylabel("CCC lost without it", fontsize=11)
        name_models(figure, handles)
    return figure


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
