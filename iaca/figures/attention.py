"""Notebook `01_cross_attention`: what the scores of a cross-attention say, clip by clip."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from iaca.data.recordings import RecordingStore
from iaca.data.synthetic import STATES
from iaca.data.windows import Window, evaluation_windows, gather
from iaca.figures.style import AUDIO, LABEL, VISUAL, WIDTH, style
from iaca.models.regressor import AffectRegressor
from iaca.statistics import Interval, resample

STRONG, CORRUPTED_FACE = "strong", "corrupted visual"
# One colour a modality, darker for corrupted, lighter for conflicting, lightest for dominating.
STATE_COLOURS = dict(
    zip(
        STATES,
        ("#E6E6E6", AUDIO, VISUAL, "#5FA8D3", "#EB9A5C", "#B5D8EC", "#F6CFAE"),
        strict=True,
    )
)
MARKERS = ("o", "s", "^")


class Reading(NamedTuple):
    """What one trained cross-attention computes on W windows of L clips.

    Attributes:
        windows: the W windows, whole ones only.
        fresh: ``(W, L)``, true where no earlier window has read the clip.
        state: ``(W, L)``, true state of each clip, index into `STATES`.
        z: ``(W, L, L)``, audio clip, visual clip.
        a_audio: ``(W, L, L)``, columns sum to 1.
        a_visual: ``(W, L, L)``, columns sum to 1.
        norm_audio: ``(W, L)``, length of the standardised features over ``sqrt(d_a)``: about 1 on
            average. Taken before the encoder, because L2-normalised ones have length 1.
        norm_visual: the same for visual.
    """

    windows: tuple[Window, ...]
    fresh: Tensor
    state: Tensor
    z: Tensor
    a_audio: Tensor
    a_visual: Tensor
    norm_audio: Tensor
    norm_visual: Tensor


def read_attention(model: AffectRegressor, store: RecordingStore, names: Sequence[str]) -> Reading:
    """Read a model with `CrossAttention` on every whole window of some recordings.

    Raises:
        ValueError: if a recording has no states, or none is as long as a window.
    """
    length = model.config.window
    windows = [w for w in evaluation_windows(store, names, length) if w.length == length]
    if not windows:
        raise ValueError(f"no recording of {length} clips or more among {list(names)}")
    batch = gather(store, windows, length)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        x_audio, x_visual = model.encode(batch.audio, batch.visual)
        scores = model.fusion.get_submodule("attention")(x_audio, x_visual, return_scores=True)[-1]
        audio = model.standardise_audio(batch.audio)
        visual = model.standardise_visual(batch.visual)
    model.train(was_training)
    fresh = torch.arange(length) >= torch.tensor([w.fresh for w in windows]).unsqueeze(1)
    return Reading(
        tuple(windows),
        fresh,
        torch.stack([_states(store, w) for w in windows]),
        scores["z"],
        scores["a_audio"],
        scores["a_visual"],
        audio.square().mean(dim=-1).sqrt(),
        visual.square().mean(dim=-1).sqrt(),
    )


def _states(store: RecordingStore, window: Window) -> Tensor:
    state = store[window.recording].state
    if state is None:
        raise ValueError(f"recording {window.recording!r} has no states")
    return state[window.rows]


def relative_entropy(a: Tensor) -> Tensor:
    """Entropy of each column over ``log L``: 1 is an even spread, 0 one clip alone.

    Args:
        a: ``(..., L, L)``, columns sum to 1.

    Returns:
        ``(..., L)``, one value a column.

    >>> relative_entropy(torch.tensor([[0.5, 1.0], [0.5, 0.0]])).tolist()
    [1.0, 0.0]
    """
    return torch.special.entr(a).sum(dim=-2) / math.log(a.shape[-1])


def clip_table(readings: Sequence[Reading], store: RecordingStore) -> pd.DataFrame:
    """One row a clip and seed, each clip once a seed; ``readings`` holds one reading a seed.

    Columns beside ``seed``, ``subject``, ``recording``, ``clip`` and ``state``:

    - ``z_audio``: mean of Z over the window's visual clips, ``z_visual``: over its audio clips;
      both from that seed's mean of Z, in its standard deviations.
    - ``received_audio``, ``received_visual``: the clip's row sum in its modality's map: its share
      of the window's attention; 1 is an even share.
    - ``even_audio``, ``even_visual``: `relative_entropy` of the clip's column.
    - ``norm_audio``, ``norm_visual``: see `Reading`.
    """
    frames = []
    for seed, reading in enumerate(readings):
        z = (reading.z - reading.z.mean()) / reading.z.std()
        columns = {
            "z_audio": z.mean(dim=2),
            "z_visual": z.mean(dim=1),
            "received_audio": reading.a_audio.sum(dim=2),
            "received_visual": reading.a_visual.sum(dim=2),
            "even_audio": relative_entropy(reading.a_audio),
            "even_visual": relative_entropy(reading.a_visual),
            "norm_audio": reading.norm_audio,
            "norm_visual": reading.norm_visual,
        }
        clips = [
            (w.recording, store.entries[w.recording].subject, row)
            for w in reading.windows
            for row in list(range(w.rows.start, w.rows.stop, w.spacing))[w.fresh :]
        ]
        frame = pd.DataFrame(clips, columns=["recording", "subject", "clip"])
        frame["seed"] = seed
        frame["state"] = [STATES[state] for state in reading.state[reading.fresh].tolist()]
        for name, values in columns.items():
            frame[name] = values[reading.fresh].double().numpy()
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def state_interval(
    table: pd.DataFrame, column: str, state: str, minus: str | None = None, resamples: int = 1000
) -> Interval:
    """Mean of a column over one state's clips, less that over another's if ``minus`` names one.

    The interval resamples subjects, and seeds within them; both states take the same draws.

    Args:
        table: of `clip_table`.
        column: one of its numbers.
        state: one of `STATES`.
        minus: the state to compare with.
        resamples: of the bootstrap.
    """
    parts = [_sums(table, column, name) for name in (state, minus) if name is not None]
    seeds, subjects = parts[0].shape[:2]
    draws = resample(subjects, seeds, resamples)
    by_seed = _contrast([part.sum(dim=1) for part in parts])  # (S,)
    drawn = _contrast([torch.einsum("ru,suk->rsk", draws.subjects, part) for part in parts])
    weights = draws.seeds / draws.seeds.sum(dim=1, keepdim=True)
    low, high = (drawn * weights).sum(dim=1).nanquantile(by_seed.new_tensor([0.025, 0.975]))
    spread = float(by_seed.std()) if seeds > 1 else math.nan
    return Interval(float(by_seed.mean()), float(low), float(high), spread, seeds, subjects)


def direction(difference: Interval) -> str:
    """Say a difference in words: ``lower`` and ``higher`` only if its interval leaves out 0."""
    if difference.high < 0.0:
        return "lower"
    return "higher" if difference.low > 0.0 else "neither clearly lower nor clearly higher"


def _sums(table: pd.DataFrame, column: str, state: str) -> Tensor:
    """``(S, U, 2)``: how many clips of a state each seed and subject has, and their sum."""
    seeds, subjects = sorted(table["seed"].unique()), sorted(table["subject"].unique())
    index = pd.MultiIndex.from_product([seeds, subjects], names=["seed", "subject"])
    groups = table[table["state"] == state].groupby(["seed", "subject"])[column]
    sums = groups.agg(["count", "sum"]).reindex(index, fill_value=0).to_numpy(dtype=float)
    return torch.from_numpy(sums.reshape(len(seeds), len(subjects), 2))


def _contrast(parts: Sequence[Tensor]) -> Tensor:
    """Mean of the first part, less that of the second if there is one."""
    means = [part[..., 1] / part[..., 0] for part in parts]
    return means[0] - means[1] if len(means) == 2 else means[0]


def highest_share(state: Tensor, *names: str) -> int:
    """The first of some sequences ``(N, T)`` of states with the largest share of a state.

    Given several states, the one whose rarest of them has the largest share: the best mixed.
    """
    shares = [(state == STATES.index(name)).double().mean(dim=1) for name in names]
    return int(torch.stack(shares).amin(dim=0).argmax())


def joint_min_max(*values: Tensor) -> list[Tensor]:
    """Scale tensors to [0, 1] together, so that they stay comparable."""
    low = min(float(v.min()) for v in values)
    high = max(float(v.max()) for v in values)
    return [(v - low) / (high - low) for v in values]


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
