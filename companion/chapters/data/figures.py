"""Figures of the chapter on data: the plane of affect, disagreeing votes, the benchmark."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torch import Tensor

from companion.analysis.inference import Interval
from companion.chapters.data import votes as cremad
from companion.chapters.drawing.style import (
    AUDIO,
    JOINT,
    LABEL,
    PUBLISHED,
    VISUAL,
    WEAK,
    WIDTH,
    style,
)
from iaca.data.recordings import Recording, RecordingStore
from iaca.learning.metrics import ccc
from iaca.sources.synthetic import KINDS, STATES

Array = NDArray[np.float64]

# Where words of feeling lie, roughly, after the circle of Russell (1980): degrees from pleasant.
CIRCUMPLEX = {
    "happy": 8, "delighted": 32, "excited": 56, "alarmed": 97, "angry": 125, "distressed": 150,
    "miserable": 185, "sad": 208, "bored": 238, "sleepy": 272, "calm": 310, "content": 338,
}  # fmt: skip
KIND_COLOURS = {"corrupted": PUBLISHED, "conflicting": WEAK, "dominating": "#999999"}
SMOOTHING = 5  # clips, of the readings in a trace
MODALITY_COLOURS = {"audio": AUDIO, "visual": VISUAL}


def unavailable(what: str) -> Figure:
    """A figure that says that its data are not here, in the place of the one that needs them."""
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH * 0.7, 0.9))
        axes.text(0.5, 0.5, f"{what} could not be had in this build.", ha="center", va="center")
        axes.set_axis_off()
    return figure


def affect(recording: Recording, clips: int = 20) -> Figure:
    """Valence and arousal as a plane with words in it, and as two traces over time.

    Args:
        recording: whose first label is valence and whose second is arousal.
        clips: how many, from the start, are drawn in the plane and marked on the traces.
    """
    valence, arousal = recording.labels.numpy().T
    with style():
        figure, (plane, time) = plt.subplots(1, 2, figsize=(WIDTH, 3.4), width_ratios=(1, 1.15))
        plane.axhline(0, color=LABEL, linewidth=0.6)
        plane.axvline(0, color=LABEL, linewidth=0.6)
        plane.plot(valence[:clips], arousal[:clips], ".-", color=JOINT, linewidth=1)
        plane.plot(valence[0], arousal[0], "o", color=JOINT, markersize=8)
        for word, degrees in CIRCUMPLEX.items():
            x, y = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            plane.text(1.25 * x, 1.2 * y, word, ha="center", va="center", fontsize=9)
        plane.set(xlim=(-1.6, 1.6), ylim=(-1.4, 1.4), xlabel="valence", ylabel="arousal")
        plane.set(title="The plane", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        time.axvspan(0, clips - 1, color=JOINT, alpha=0.2, linewidth=0)
        time.plot(valence, color="black", label="valence")
        time.plot(arousal, color=WEAK, linestyle="--", label="arousal")
        time.axhline(0, color=LABEL, linewidth=0.6)
        time.set(ylim=(-1.05, 1.05), yticks=(-1, 0, 1), xlabel="clip", title="Over time")
        time.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=2)
    return figure


def concordance(label: Tensor, predictions: Mapping[str, Tensor]) -> Figure:
    """Traces ``(T,)`` against their label, each with its correlation and its concordance."""
    with style():
        figure, panels = plt.subplots(1, len(predictions), figsize=(WIDTH, 2.8), sharey=True)
        for axes, (name, prediction) in zip(panels, predictions.items(), strict=True):
            r = float(np.corrcoef(label, prediction)[0, 1])
            axes.plot(label, color=LABEL, label="label")
            axes.plot(prediction, color=JOINT, linestyle="--", label="prediction")
            axes.set(
                xlabel="clip", title=f"{name}\nr = {r:.2f}, CCC = {ccc(prediction, label):.2f}"
            )
        panels[0].set_ylabel("valence")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def disagreement(clips: pd.DataFrame, resamples: int) -> Figure:
    """How often voice and face majorities differ, by acted emotion, and whom both together follow.

    Args:
        clips: what `companion.chapters.data.votes.majorities` returns.
        resamples: of the bootstrap over actors.
    """
    groups = {"all clips": clips}
    groups |= {cremad.EMOTIONS[str(letter)]: part for letter, part in clips.groupby("acted")}
    shares = {
        name: cremad.divergence_interval(part, resamples)
        for name, part in sorted(
            groups.items(), key=lambda item: (item[0] != "all clips", -_share(item[1]))
        )
    }
    y = np.arange(len(shares))[::-1]
    with style():
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2), sharey=True)
        low_high = np.array([[s.value - s.low, s.high - s.value] for s in shares.values()]).T
        values = np.array([s.value for s in shares.values()])
        left.barh(y, 100 * values, color=[JOINT, *[WEAK] * (len(y) - 1)], height=0.65)
        left.errorbar(100 * values, y, xerr=100 * low_high, fmt="none", ecolor="black", capsize=2)
        left.set(xlim=(0, 100), xlabel="% of clips without ties", title="Voice and face differ")
        left.set_yticks(y, [f"{name} ({len(cremad.untied(groups[name])):,})" for name in shares])
        follows = [cremad.following(groups[name]) for name in shares]
        start = np.zeros(len(y))
        for who, colour in (("face", VISUAL), ("voice", AUDIO), ("neither", "#BBBBBB")):
            widths = 100 * np.array([getattr(f, who) for f in follows])
            right.barh(y, widths, left=start, color=colour, height=0.65, label=who)
            start += widths
        right.set(xlim=(0, 100), xlabel="% of clips on which they differ")
        right.set_title("Then both together follow ...", pad=22)
        right.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 0.98), ncols=3, fontsize=8, columnspacing=1
        )
    return figure


def _share(clips: pd.DataFrame) -> float:
    return cremad.divergence(clips).share


def divergence_against_agreement(votes: pd.DataFrame, bins: int = 10) -> Figure:
    """Agreement of the audio-visual raters against the divergence of voice and face votes.

    Each bin holds an equal share of the clips; bars span the middle half of a bin's clips.
    """
    both = votes[votes.index.get_level_values("channel") == "audio_visual"].droplevel("channel")
    agreement = both.max(axis=1) / both.sum(axis=1)
    divergence = cremad.vote_divergence(votes)[agreement.index]
    rank = divergence.rank(method="first") - 1  # from 0, equals in any order
    group = (rank * bins / len(rank)).astype(int)
    x = divergence.groupby(group).mean()
    y = agreement.groupby(group).quantile(np.array([0.25, 0.5, 0.75])).unstack()
    with style():
        figure, axes = plt.subplots(figsize=(WIDTH * 0.75, 2.9))
        axes.scatter(divergence, agreement, s=3, color=LABEL, alpha=0.06, linewidths=0)
        error = np.array([y[0.5] - y[0.25], y[0.75] - y[0.5]])
        axes.errorbar(x, y[0.5], yerr=error, fmt="o", color=JOINT, capsize=3)
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


def norms(matched: RecordingStore, unmatched: RecordingStore, modality: str) -> Figure:
    """Lengths of strong and corrupted clips, with and without rescaling the corrupted ones."""
    colour = MODALITY_COLOURS[modality]
    with style():
        figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 2.5), sharex=True, sharey=True)
        found = {"Norm-matched": matched, "Not matched": unmatched}
        lengths = {name: clip_norms(store, modality) for name, store in found.items()}
        every = np.concatenate([part[k] for part in lengths.values() for k in ("strong", KINDS[0])])
        edges = np.linspace(every.min(), every.max(), 45)
        for axes, (name, part) in zip(panels, lengths.items(), strict=True):
            counted = {kind: f"{kind} ({len(part[kind]):,})" for kind in ("strong", "corrupted")}
            axes.hist(
                part["strong"], edges, density=True, color=colour, alpha=0.35,
                label=counted["strong"],
            )  # fmt: skip
            axes.hist(
                part["corrupted"], edges, density=True, histtype="step", color="black",
                linestyle="--", linewidth=1.3, label=counted["corrupted"],
            )  # fmt: skip
            axes.set(title=name, xlabel=f"length of the {modality} feature vector", yticks=[])
        panels[0].set_ylabel("density")
        panels[1].legend(loc="upper right")
    return figure


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
        figure, panels = plt.subplots(len(shown), 1, figsize=(WIDTH, 4.6), sharex=True)
        for axes, (modality, reading) in zip(panels, shown.items(), strict=True):
            target = targets[modality]
            _shade(axes, states, modality)
            name = ("valence", "arousal")[target]
            axes.plot(recording.labels[:, target], color="black", label=f"true {name}")
            axes.plot(
                reading[:, target], "o", markersize=3, color=MODALITY_COLOURS[modality],
                label=f"read off the {modality} clip",
            )  # fmt: skip
            axes.plot(
                _smooth(reading[:, target].numpy()), color=MODALITY_COLOURS[modality],
                linewidth=1, label=f"mean of {SMOOTHING}",
            )  # fmt: skip
            axes.set(ylim=(-1.6, 1.6), yticks=(-1, 0, 1), ylabel=name)
            axes.set_xlim(-0.5, len(states) - 0.5)
            axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=3, fontsize=9)
        panels[-1].set_xlabel("clip")
        patches = [Patch(color=c, alpha=0.35, label=kind) for kind, c in KIND_COLOURS.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=3)
    return figure


def _smooth(trace: Array) -> Array:
    """Centred moving mean, over fewer clips at the ends."""
    window = np.ones(SMOOTHING)
    return np.convolve(trace, window, "same") / np.convolve(np.ones_like(trace), window, "same")


def _shade(axes: Axes, states: Sequence[str], modality: str) -> None:
    """Mark the clips on which a modality is weak, one episode at a time."""
    changes = [i for i in range(1, len(states)) if states[i] != states[i - 1]]
    for start, stop in zip([0, *changes], [*changes, len(states)], strict=True):
        kind, _, hit = states[start].partition(" ")
        if hit == modality:
            axes.axvspan(start - 0.5, stop - 0.5, color=KIND_COLOURS[kind], alpha=0.35, linewidth=0)


class Row(NamedTuple):
    """A model of the validity table: intervals of valence, of arousal and of their mean."""

    valence: Interval
    arousal: Interval
    mean: Interval


def validity(tables: Mapping[float, Mapping[str, Row]]) -> Figure:
    """Scores of ungated models with their intervals: share -> model -> scores.

    The first share has all models; others may lack some.
    """
    models = list(next(iter(tables.values())))
    y = np.arange(len(models))[::-1]
    looks = [(JOINT, "o"), (WEAK, "s"), (PUBLISHED, "^")]
    with style():
        figure, panels = plt.subplots(1, 2, figsize=(WIDTH, 3.6), sharey=True, sharex=True)
        for axes, target in zip(panels, ("valence", "arousal"), strict=True):
            for (share, rows), (colour, marker) in zip(tables.items(), looks, strict=False):
                known = [place for place, model in enumerate(models) if model in rows]
                scores = [getattr(rows[models[place]], target) for place in known]
                values = np.array([s.value for s in scores])
                error = np.array([[s.value - s.low, s.high - s.value] for s in scores]).T
                # A percentile interval need not hold the value itself.
                axes.errorbar(
                    values, y[known], xerr=error.clip(min=0), fmt=marker, color=colour, capsize=2,
                    markersize=4.5, label=f"share {share:g}",
                )  # fmt: skip
            axes.set(title=target.capitalize(), xlabel="CCC")
            axes.grid(axis="x", alpha=0.3)
        panels[0].set_yticks(y, models)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(tables))
    return figure
