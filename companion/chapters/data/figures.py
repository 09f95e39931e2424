"""Figures of the chapter on data: the plane of affect, disagreeing votes, the main benchmark."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from companion.analysis.estimates import Estimate
from companion.chapters.data import votes as cremad
from companion.chapters.data.recurrence import similarity
from companion.chapters.drawing.arms import in_order, looks_of
from companion.chapters.drawing.intervals import interval_curves
from companion.chapters.drawing.style import (
    AROUSAL,
    AUDIO,
    DIVERGING,
    LABEL,
    MODALITIES,
    OTHERS,
    SHADES,
    SMALL,
    STATE_COLOURS,
    VALENCE,
    VISUAL,
    WIDTH,
    style,
)
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.states import KINDS, STATES
from iaca.learning.metrics import ccc

Array = NDArray[np.float64]

# Where words of feeling lie, roughly, after the circle of Russell (1980): degrees from pleasant.
CIRCUMPLEX = {
    "happy": 8, "delighted": 32, "excited": 56, "alarmed": 97, "angry": 125, "distressed": 150,
    "miserable": 185, "sad": 208, "bored": 238, "sleepy": 272, "calm": 310, "content": 338,
}  # fmt: skip
TARGETS = ("valence", "arousal")


def affect(recording: Recording, clips: int = 20) -> Figure:
    """Valence and arousal as a plane with words in it, and as two traces over time.

    Args:
        recording: whose first label is valence and whose second is arousal.
        clips: how many, from the start, are drawn in the plane and marked on the traces.
    """
    valence, arousal = recording.labels.numpy().T
    with style():
        figure, (plane, time) = plt.subplots(1, 2, figsize=(WIDTH, 3.2), width_ratios=(1.15, 1))
        for axes in (plane, time):
            axes.axhline(0, color=LABEL, linewidth=0.6)
        plane.axvline(0, color=LABEL, linewidth=0.6)
        plane.plot(valence[:clips], arousal[:clips], ".-", color="black", linewidth=1)
        plane.plot(valence[0], arousal[0], "o", color="black", markersize=8)
        for word, degrees in CIRCUMPLEX.items():
            x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            plane.text(1.25 * x, 1.2 * y, word, ha="center", va="center", fontsize=SMALL)
        plane.set(xlim=(-1.75, 1.75), ylim=(-1.4, 1.4), xlabel="valence", ylabel="arousal")
        plane.set(title="The plane", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        time.axvspan(0, clips - 1, color=LABEL, alpha=0.2, linewidth=0)
        time.plot(valence, color=VALENCE, label="valence")
        time.plot(arousal, color=AROUSAL, linestyle="--", label="arousal")
        time.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1), xlabel="clip", title="Over time")
        figure.legend(loc="outside lower right", ncols=2)
    return figure


def concordance(label: Tensor, predictions: Mapping[str, Tensor]) -> Figure:
    """Traces ``(T,)`` against their label, each with its correlation and its concordance."""
    with style():
        figure, panels = plt.subplots(1, len(predictions), figsize=(WIDTH, 2.8), sharey=True)
        for axes, (name, prediction) in zip(panels, predictions.items(), strict=True):
            r = float(np.corrcoef(label, prediction)[0, 1])
            axes.plot(label, color=LABEL, linewidth=2.6, alpha=0.55, label="label")
            axes.plot(prediction, color="black", linestyle="--", label="prediction")
            axes.set(xlabel="clip")
            score = f"r = {r:.2f}, CCC = {ccc(prediction, label):.2f}"
            axes.set_title(f"{name}\n{score}", fontsize=SMALL)
        panels[0].set_ylabel("valence")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def disagreement(clips: pd.DataFrame, resamples: int) -> Figure:
    """How often voice and face majorities differ, by acted emotion, and whom both together follow.

    Args:
        clips: what `companion.chapters.data.votes.majorities` returns.
        resamples: of the bootstrap over actors.
    """
    by_emotion = {cremad.EMOTIONS[str(letter)]: part for letter, part in clips.groupby("acted")}
    groups = {"all clips": clips} | dict(
        sorted(by_emotion.items(), key=lambda item: -cremad.divergence(item[1]).share)
    )
    names = [f"{name} ({len(cremad.untied(part)):,})" for name, part in groups.items()]
    found = [cremad.divergence_interval(part, resamples) for part in groups.values()]
    share, low, high = 100 * np.array([(each.value, each.low, each.high) for each in found]).T
    followed = pd.DataFrame(
        [cremad.following(part)._asdict() for part in groups.values()], index=names
    )
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.4), sharey=True)
        sns.barplot(x=share, y=names, ax=left, color=SHADES[0], width=0.65)
        left.errorbar(
            share, names, xerr=(share - low, high - share), fmt="none", ecolor="black", capsize=2
        )
        left.set(xlim=(0, 100), xlabel="% of clips without ties", title="Voice and face differ")
        colours: Any = {"face": VISUAL, "voice": AUDIO, "neither": SHADES[0]}
        (100 * followed[list(colours)]).plot.barh(
            stacked=True, ax=right, color=colours, width=0.65, legend=False
        )
        right.set(xlim=(0, 100), xlabel="% of these clips", title="Both follow ...")
        left.invert_yaxis()  # all clips on top
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=3)
    return figure


def divergence_against_agreement(votes: pd.DataFrame, bins: int = 10) -> Figure:
    """Agreement of the audio-visual raters against the divergence of voice and face votes.

    Each bin holds an equal share of the clips; bars span the middle half of a bin's clips.
    """
    both = votes[votes.index.get_level_values("channel") == "audio_visual"].droplevel("channel")
    agreement = both.max(axis=1) / both.sum(axis=1)
    divergence = cremad.vote_divergence(votes)[agreement.index]
    rank = divergence.rank(method="first") - 1  # from 0, equals in any order
    group = (rank * bins / len(rank)).astype(int)
    middle = divergence.groupby(group).transform("mean").round(9)
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH, 2.9))
        axes.scatter(divergence, agreement, s=3, color=LABEL, alpha=0.06, linewidths=0)
        sns.lineplot(
            x=middle,
            y=agreement,
            estimator="median",
            errorbar=("pi", 50),
            err_style="bars",
            err_kws={"capsize": 3},
            ax=axes,
            color="black",
            linestyle="none",
            marker="o",
            markeredgewidth=0,
        )
        axes.set(xlim=(-0.02, 1.02), ylim=(0, 1.04), title=f"{len(agreement):,} clips")
        axes.set_xlabel("divergence of voice and face votes (bits)")
        axes.set_ylabel("audio-visual raters\nbehind their first choice")
    return figure


def clip_norms(store: RecordingStore, modality: str) -> dict[str, Array]:
    """Length of every clip's feature vector, by the state in which this modality is.

    Clips on which the other modality is weak are left out, so that ``strong`` is the strong state.
    """
    norms: dict[str, list[Array]] = {kind: [] for kind in ("strong", *KINDS)}
    for recording in store.values():
        assert recording.state is not None
        lengths = getattr(recording, modality).double().norm(dim=1).numpy()
        states = recording.state.numpy()
        for kind, found in norms.items():
            name = kind if kind == "strong" else f"{kind} {modality}"
            found.append(lengths[states == STATES.index(name)])
    return {kind: np.concatenate(found) for kind, found in norms.items()}


def one_recording(
    recording: Recording, shown: Mapping[str, Tensor], targets: Mapping[str, int]
) -> Figure:
    """A recording along time: the truth, what a modality shows of it, and when it is weak.

    Args:
        recording: with known states.
        shown: modality -> ``(T, n)``, a reading of its features.
        targets: modality -> column of the target that its panel shows.
    """
    assert recording.state is not None
    states = [STATES[state] for state in recording.state.tolist()]
    with style():
        figure, panels = plt.subplots(len(shown), 1, figsize=(WIDTH, 5.0), sharex=True)
        for axes, (modality, reading) in zip(panels, shown.items(), strict=True):
            target, colour = targets[modality], MODALITIES[modality]
            _shade(axes, states, modality)
            name = TARGETS[target]
            axes.plot(recording.labels[:, target], color="black", label=f"true {name}")
            one_clip = f"read off {modality} clips"
            axes.plot(reading[:, target], "o", markersize=3, color=colour, label=one_clip)
            axes.set(ylim=(-1.7, 1.7), yticks=(-1, 0, 1), ylabel=name)
            axes.set_xlim(-0.5, len(states) - 0.5)
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=3, columnspacing=1.2)
        panels[-1].set_xlabel("clip")
        kinds = [f"{kind} {modality}" for kind in KINDS for modality in shown]
        patches = [Patch(color=STATE_COLOURS[kind], alpha=0.5, label=kind) for kind in kinds]
        figure.legend(handles=patches, loc="outside lower center", ncols=3)
    return figure


def _shade(axes: Axes, states: Sequence[str], modality: str) -> None:
    """Mark the clips on which a modality is weak, one episode at a time."""
    changes = [i for i in range(1, len(states)) if states[i] != states[i - 1]]
    for start, stop in zip([0, *changes], [*changes, len(states)], strict=True):
        if states[start].endswith(f" {modality}"):
            colour = STATE_COLOURS[states[start]]
            axes.axvspan(start - 0.5, stop - 0.5, color=colour, alpha=0.5, linewidth=0)


def recurrence(recording: Recording, order: NDArray[np.int64], clips: int = 48) -> Figure:
    """How affect recurs in a recording's first clips, and whether its features show it.

    Args:
        recording: whose first label is valence and whose second is arousal.
        order: ``(T,)``, the prototype that each clip belongs to.
        clips: how many, from the start, are drawn.
    """
    order = order[:clips]
    palette = OTHERS[: int(order.max()) + 1]
    same = np.where(order[:, None] == order, order + 1, 0)
    with style():
        figure = plt.figure(figsize=(WIDTH, 4.6))
        rows: Any = [["time"] * 3, ["same", "audio", "visual"]]
        panels = figure.subplot_mosaic(rows, height_ratios=(1, 1.15))
        time = panels.pop("time")
        changes = [0, *(np.flatnonzero(np.diff(order)) + 1), len(order)]
        for start, stop in pairwise(changes):
            colour = palette[order[start]]
            time.axvspan(start - 0.5, stop - 0.5, color=colour, alpha=0.3, linewidth=0)
        for target, colour, dashes in ((0, VALENCE, "-"), (1, AROUSAL, "--")):
            trace = recording.labels[:clips, target]
            time.plot(trace, color=colour, linestyle=dashes, label=TARGETS[target])
        time.set(xlim=(-0.5, clips - 0.5), ylim=(-1.05, 1.05), yticks=(-1, 0, 1), xlabel="clip")
        time.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=2)
        first = ListedColormap(["white", *palette])
        panels["same"].imshow(same, cmap=first, vmin=0, vmax=len(palette), alpha=0.75)
        panels["same"].set(title="Same prototype", ylabel="clip")
        for modality in ("audio", "visual"):
            found = similarity(getattr(recording, modality)[:clips])
            drawn = panels[modality].imshow(found, vmin=-1, vmax=1, cmap=DIVERGING)
            panels[modality].set(title=modality.capitalize(), yticks=[])
        for axes in panels.values():
            axes.set(xlabel="clip", xticks=(0, 20, 40))
        panels["same"].set_yticks((0, 20, 40))
        figure.colorbar(drawn, ax=panels["visual"], shrink=0.75, ticks=(-1, 0, 1))
    return figure


def gains(found: Mapping[str, Mapping[str, Mapping[float, Estimate]]]) -> Figure:
    """What attention, and knowing the state, are worth: panel -> attention -> share -> estimate."""
    looks = looks_of(in_order(found.values()))
    return interval_curves(
        found,
        ("panel", "series", "x"),
        looks,
        ("clips that are weak (%)", "Δ CCC"),
        height=2.4,
        percent=True,
    )
