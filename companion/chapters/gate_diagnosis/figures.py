"""Notebook `07_gate_diagnosis`: what separates weak clips from strong ones, and what does not.

AUROC stands on one scale in every figure, with a line at 0.5, which is chance. What is not in a
mapping is not drawn.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from companion.analysis.detection import STAGE_1, STAGE_2
from companion.analysis.inference import Interval
from companion.chapters.drawing.arms import ARM_LOOKS, DELTA, Look, in_order
from companion.chapters.drawing.intervals import interval_curves, interval_rows, number_map
from companion.chapters.drawing.style import AUDIO, LABEL, MODALITIES, VISUAL, WIDTH, style
from companion.chapters.drawing.traces import UNATTENDED, stage_1, stage_2, weak_clips
from iaca.data.states import KINDS

Rows = Mapping[str, Mapping[str, Interval]]  # row -> series -> interval

CHANCE = 0.5
FLAT = 0.1  # weight; what moves less than this is no choice
AUROC = "AUROC against strong clips (0.5 is chance)"
NO_GATES = Look(LABEL, "^", (2, 3))
GATE_LOOKS = {
    STAGE_1["audio"]: Look(AUDIO, "o"),
    STAGE_1["visual"]: Look(VISUAL, "s"),
    STAGE_2["audio"]: Look(AUDIO, "D", (7, 3)),
    STAGE_2["visual"]: Look(VISUAL, "^", (7, 3)),
}


def looks_of_series(series: Sequence[str]) -> dict[str, Look]:
    """Series -> look: arms and gates have their own, and one other series may stand beside them.

    Raises:
        ValueError: if there is more than one other.
    """
    known = ARM_LOOKS | GATE_LOOKS
    others = [name for name in series if name not in known]
    if len(others) > 1:
        raise ValueError(f"series {others}: expected arms, gates, and at most one other")
    return {name: known.get(name, NO_GATES) for name in series}


def auroc_rows(found: Mapping[str, Rows], apart_from: str | None = None) -> Figure:
    """AUROC with 95 % intervals: a panel for each weak state, a row for a detector or a setting.

    Args:
        found: state -> row -> series -> AUROC. Series are arms, gates, or one of neither, say
            detectors without gates.
        apart_from: the first row of a second group, which is set apart.
    """
    looks = looks_of_series(in_order(each for panel in found.values() for each in panel.values()))
    levels = ("panel", "row", "series")
    return interval_rows(found, levels, looks, AUROC, reference=CHANCE, apart_from=apart_from)


def auroc_map(found: Mapping[str, Rows], span: float = 0.2) -> Figure:
    """AUROC as numbers on colours: a panel for each gate, a row for a model, a column for a state.

    Bold where the 95 % interval leaves out 0.5.

    Args:
        found: gate -> model -> state -> AUROC. What is not there stays blank.
        span: how far from 0.5 the colours reach.
    """
    states = in_order(each for panel in found.values() for each in panel.values())
    counts = [len(panel) for panel in found.values()]
    height = 1.2 + sum(0.35 + 0.27 * count for count in counts)
    with style():
        figure, grid = plt.subplots(
            len(found), 1, figsize=(WIDTH, height), height_ratios=counts, squeeze=False
        )
        for axes, (gate, panel) in zip(grid[:, 0], found.items(), strict=True):
            number_map(axes, panel, states, span, lambda i: f"{i.value:.2f}", CHANCE)
            axes.set(title=gate, xticks=[])
        places = [column + 0.5 for column in range(len(states))]
        axes.set_xticks(places, states, rotation=30, ha="right", rotation_mode="anchor")
        figure.colorbar(
            axes.collections[0],
            ax=grid[:, 0].tolist(),
            label="AUROC (0.5 is chance)",
            location="bottom",
            fraction=0.2 / height,  # as high in a tall figure as in a low one
            aspect=30,
            shrink=0.6,
            pad=0.02,
            extend="both",
        )
    return figure


def differences_by_state(found: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> Figure:
    """Δ CCC of each arm in each state, with 95 % intervals: a panel for each backbone.

    Args:
        found: backbone -> state -> arm -> Δ.
    """
    return interval_rows(found, ("panel", "row", "series"), ARM_LOOKS, DELTA)


def auroc_against_temperature(
    found: Mapping[str, Mapping[str, Mapping[float, Interval]]],
) -> Figure:
    """AUROC against the temperature, with 95 % intervals: a panel for a state, a curve for a gate.

    Args:
        found: state -> series (gate or arm) -> T -> AUROC.
    """
    looks = looks_of_series(in_order(found.values()))
    levels, labels = ("panel", "series", "x"), ("temperature T", "AUROC against strong clips")
    return interval_curves(found, levels, looks, labels, reference=CHANCE, height=1.7, log=True)


def score_by_disagreement(found: Mapping[str, Mapping[str, Sequence[Interval]]]) -> Figure:
    """What a gate does as the modalities disagree more: a panel for each model, a curve for a gate.

    The axis reaches at least ±0.1, so that what is flat looks flat.

    Args:
        found: model -> series -> weight above its recording's mean, from the clips with the least
            disagreement to those with the most, as `mean_by_disagreement` has it.
    """
    looks = looks_of_series(in_order(found.values()))
    curves = {
        model: {name: dict(enumerate(parts, 1)) for name, parts in panel.items()}
        for model, panel in found.items()
    }
    labels = ("clips of a recording, from least to most disagreement", "declining, above its mean")
    figure = interval_curves(curves, ("panel", "series", "x"), looks, labels)
    low, high = figure.axes[0].get_ylim()
    figure.axes[0].set_ylim(min(low, -FLAT), max(high, FLAT))
    return figure


def traces_beside_states(
    gates: Mapping[str, Tensor], state: Tensor, scores: Mapping[str, Tensor] | None = None
) -> Figure:
    """Both stages' weights over one recording, under the true state of each clip.

    Args:
        gates: ``audio (T, 2)``, ``visual (T, 2)``, ``audio_visual (T, 3)``.
        state: ``(T,)``, index into `STATES`.
        scores: simple detectors to show below, name -> ``(T,)``, each on an axis of its own.
    """
    extra = scores or {}
    heights = [0.75, 1.0, 1.0, *[0.75] * len(extra)]
    with style():
        figure, panels = plt.subplots(
            len(heights), 1, figsize=(WIDTH, 1.5 * sum(heights)), sharex=True, height_ratios=heights
        )
        lanes, first, second, *rest = panels
        _lanes(lanes, state)
        stage_1(first, gates, UNATTENDED)
        first.set(ylabel="weight", title="Stage 1: weight of the un-attended feature")
        stage_2(second, gates)
        second.set(ylabel="weight", title="Stage 2: weight of audio, visual and joint")
        for below, (name, values) in zip(rest, extra.items(), strict=True):
            below.plot(values, color=LABEL)
            below.set_title(name[:1].upper() + name[1:])
        panels[-1].set_xlabel("clip")
        patches = [Patch(color=colour) for colour in MODALITIES.values()]
        figure.legend(patches, list(MODALITIES), loc="outside upper right", ncols=3)
    return figure


def _lanes(axes: Axes, state: Tensor) -> None:
    """A lane for each kind of weakness; where it is filled, in the weakened modality's colour."""
    for lane, kind in enumerate(KINDS):
        for modality in ("audio", "visual"):
            here = weak_clips(state, f"{kind} {modality}")
            axes.broken_barh(here, (lane - 0.36, 0.72), facecolors=MODALITIES[modality])
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.set_ylim(len(KINDS) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.set_title("True state: what is wrong, and with which modality")
    axes.spines["left"].set_visible(False)
