"""What a gate could detect, and what it follows instead.

A gate is a linear layer, and a softmax does not change the order of two choices. So the best that
a gate of stage 1 could do as a detector is the best linear function of what it reads. A linear
probe that is *told* the states of the training people finds that function, nearly. The gate has
only the loss to learn from.
"""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from companion.analysis.detection import ClipScores, Features
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.data.windows import Batch
from iaca.learning.evaluation import batches_for, over_windows
from iaca.models.regressor import AffectRegressor

OWN = {"audio": "attended audio", "visual": "attended visual"}  # what stage 1 reads, Eq. 5
BOTH, UNATTENDED, JOINT = "both attended", "un-attended pair", "joint feature"
PRODUCTS = "both attended, and their products"  # which no gate of the paper reads
READABLE = (*OWN.values(), BOTH, UNATTENDED, JOINT, PRODUCTS)


def gate_inputs(
    model: AffectRegressor, store: RecordingStore, names: Iterable[str]
) -> dict[str, dict[str, Tensor]]:
    """What the gates of a model read, or could read: an entry of `READABLE` -> features.

    Stage 1 reads its own modality's attended feature, stage 2 the joint feature; the two pairs are
    what stage 1 reads under the options ``both`` and ``raw``. The products, element by element, are
    for comparison: a linear function of them can tell agreement from contradiction.

    Args:
        model: a trained model with `InconsistencyAware` fusion; it is left as it was.
        store: the recordings.
        names: which of them. Clips of a recording shorter than a window are NaN.

    Raises:
        ValueError: if the model has no gates.
    """
    gating = model.gating

    def compute(batch: Batch) -> dict[str, Tensor]:
        encoded = model.encode(batch.audio, batch.visual)
        steps = gating.steps(*encoded, batch.state)
        audio, visual = steps.attended.audio, steps.attended.visual
        return {
            OWN["audio"]: audio,
            OWN["visual"]: visual,
            BOTH: torch.cat([audio, visual], dim=-1),
            UNATTENDED: torch.cat(encoded, dim=-1),
            JOINT: steps.x_att_gav,
            PRODUCTS: torch.cat([audio, visual, audio * visual], dim=-1),
        }  # (B, L, k)

    batches = batches_for(model, store, names, whole=True)
    read = over_windows(model, batches, compute)
    return {what: batches.by_recording(values) for what, values in read.items()}


def state_columns(store: RecordingStore, names: Iterable[str]) -> dict[str, Tensor]:
    """The true state as indicators, ``(T, 7)``, for `share_followed`."""
    return {
        name: torch.nn.functional.one_hot(store[name].known_state, len(STATES)) for name in names
    }


def affect_columns(store: RecordingStore, names: Iterable[str]) -> dict[str, Tensor]:
    """The true labels, their squares and products, ``(T, k)``, for `share_followed`."""
    columns = {}
    for name in names:
        labels = store[name].labels.double()
        first, second = torch.triu_indices(labels.shape[1], labels.shape[1])
        columns[name] = torch.cat([labels, labels[:, first] * labels[:, second]], dim=1)
    return columns


def share_followed(scores: ClipScores, columns: Features) -> float:
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
