"""To which prototype of affect each clip of `episodes` belongs, and whether its features tell."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from iaca.data.schema import Episodes
from iaca.sources.episodes import STREAM, draw_affect
from iaca.sources.streams import random_stream


def course(episodes: Episodes, data_seed: int, name: str) -> NDArray[np.int64]:
    """Number of the prototype that each clip of a recording belongs to: ``(T,)``.

    The recording's course is drawn once more, over prototypes that are their own numbers, and
    without jitter.
    """
    role, subject, take = name.rsplit("_", 2)
    affect = episodes.affect
    numbers = np.repeat(np.arange(float(affect.prototypes))[:, None], affect.axes, axis=1)
    rng = random_stream(data_seed, STREAM, "affect", role, int(subject), int(take))
    still = affect.model_copy(update={"jitter": 0.0})
    return draw_affect(rng, still, numbers, episodes.sizes.clips)[:, 0].astype(np.int64)


def similarity(features: Tensor) -> NDArray[np.float64]:
    """Correlation of every two clips' features: ``(T, d)`` to ``(T, T)``."""
    return np.asarray(np.corrcoef(features.double().numpy()))


def recognised(features: Tensor, order: NDArray[np.int64]) -> float:
    """AUROC of the similarity of two clips as a sign that they have the same prototype.

    Over all pairs of clips of one recording that lie in different episodes: neighbours within an
    episode resemble each other anyway.

    Args:
        features: ``(T, d)`` of a recording.
        order: ``(T,)``, the prototype of each clip.
    """
    episode = np.cumsum(np.diff(order, prepend=order[0]) != 0)
    one, other = np.triu_indices(len(order), 1)
    apart = episode[one] != episode[other]
    one, other = one[apart], other[apart]
    return float(roc_auc_score(order[one] == order[other], similarity(features)[one, other]))
