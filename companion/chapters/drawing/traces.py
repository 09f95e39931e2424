"""Gates and states over the clips of one recording."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from companion.chapters.drawing.style import MODALITIES
from iaca.data.states import STATES

ATTENDED, UNATTENDED = 1, 0  # columns of stage 1's weights


def stage_1(axes: Axes, gates: Mapping[str, Tensor], column: int = ATTENDED) -> None:
    """One column of stage 1's weights ``audio (T, 2)`` and ``visual (T, 2)``, a line each."""
    for modality in ("audio", "visual"):
        axes.plot(gates[modality][:, column], color=MODALITIES[modality], label=modality)
    axes.set(ylim=(-0.03, 1.03))


def stage_2(axes: Axes, gates: Mapping[str, Tensor]) -> None:
    """Stage 2's weights ``audio_visual (T, 3)``, on top of each other."""
    weights = gates["audio_visual"].numpy().T  # (3, T)
    axes.stackplot(
        np.arange(weights.shape[1]),
        weights,
        labels=list(MODALITIES),
        colors=list(MODALITIES.values()),
        alpha=0.75,
    )
    axes.set(ylim=(0, 1), xlim=(0, max(1, weights.shape[1] - 1)))


def weak_clips(state: Tensor, name: str) -> list[tuple[float, float]]:
    """Start and length of every clip of ``state (T,)`` in a state that ends in this name.

    ``name`` is a modality (weak in any way) or a whole state.
    """
    weak = [number for number, known in enumerate(STATES) if known.endswith(name)]
    return [(clip - 0.5, 1.0) for clip in np.flatnonzero(np.isin(state.numpy(), weak)).tolist()]


def weak_strip(axes: Axes, state: Tensor, bottom: float = 0.0) -> None:
    """Mark the weak clips at a panel's foot, in the colour of the weakened modality.

    Args:
        axes: the panel.
        state: ``(T,)``, index into `STATES`.
        bottom: of the strip, in heights of the panel; below 0 it is outside.
    """
    for modality in ("audio", "visual"):
        axes.broken_barh(
            weak_clips(state, modality),
            (bottom, 0.05),
            color=MODALITIES[modality],
            transform=axes.get_xaxis_transform(),
            clip_on=bottom >= 0,
            linewidth=0,
        )
