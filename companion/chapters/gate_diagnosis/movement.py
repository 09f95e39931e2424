"""What a gate's movement follows: the true state of clips, or the feeling that is to be read."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from companion.analysis.detection import ClipScores
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES

Columns = Mapping[str, Tensor]  # recording -> (T, k)


class Movement(NamedTuple):
    """How a score moves within recordings, and what explains it.

    Attributes:
        size: standard deviation over clips.
        state: share of the variance that the true state explains; NaN where nothing moves.
        feeling: share that the true labels explain, with their squares and products.
    """

    size: float
    state: float
    feeling: float


def movement(scores: ClipScores, store: RecordingStore) -> Movement:
    """What a gate's declining follows.

    Args:
        scores: recording -> ``(T,)``.
        store: with labels and states.

    Raises:
        ValueError: if a recording has no known states.
    """
    moved = torch.cat([values.double() - values.double().mean() for values in scores.values()])
    columns = state_columns(store, scores), affect_columns(store, scores)
    return Movement(float(moved.std()), *(share_followed(scores, each) for each in columns))


def state_columns(store: RecordingStore, names: Mapping[str, object]) -> dict[str, Tensor]:
    """The true state as indicators, ``(T, 7)``, for `share_followed`."""
    return {
        name: torch.nn.functional.one_hot(store[name].known_state, len(STATES)) for name in names
    }


def affect_columns(store: RecordingStore, names: Mapping[str, object]) -> dict[str, Tensor]:
    """The true labels, their squares and products, ``(T, k)``, for `share_followed`."""
    columns = {}
    for name in names:
        labels = store[name].labels.double()
        first, second = torch.triu_indices(labels.shape[1], labels.shape[1])
        columns[name] = torch.cat([labels, labels[:, first] * labels[:, second]], dim=1)
    return columns


def share_followed(scores: ClipScores, columns: Columns) -> float:
    """How much of a score's variance within recordings some columns explain linearly: R².

    Both are taken from their recording's mean, and one regression is fitted on all clips.

    Args:
        scores: recording -> ``(T,)``.
        columns: recording -> ``(T, k)``.

    Returns:
        A number from 0 to 1; NaN for a score that never moves within a recording.
    """
    y = np.concatenate([_centred(scores[name].double().numpy()) for name in scores])
    x = np.concatenate([_centred(columns[name].double().numpy()) for name in scores])
    if not y.any():
        return float("nan")
    weights = np.linalg.lstsq(x, y, rcond=None)[0]
    return 1.0 - float(np.square(y - x @ weights).sum() / np.square(y).sum())


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values - values.mean(axis=0)
