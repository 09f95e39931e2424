"""What any model should beat: linear readings of single clips, fitted in closed form."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import Statistics, feature_statistics
from iaca.learning.evaluation import score

Modality = Literal["audio", "visual"]
MODALITIES: tuple[Modality, ...] = ("audio", "visual")
ALPHAS = tuple(10.0**exponent for exponent in range(-2, 6))


class LinearReading(NamedTuple):
    """A ridge regression from one clip's features to the targets.

    Attributes:
        statistics: the training split's, of each modality that is read.
        weights: ``(n, d)``, on standardised features, the modalities side by side.
        intercept: ``(n,)``.
        alpha: the penalty, chosen on ``select``.
    """

    statistics: Mapping[Modality, Statistics]
    weights: Tensor
    intercept: Tensor
    alpha: float

    def predict(self, recording: Recording) -> Tensor:
        """Read every clip of a recording: ``(T, n)``, float32."""
        rows = standardised(recording, self.statistics)
        return (rows @ self.weights.T + self.intercept).float()


def training_statistics(store: RecordingStore, train: Sequence[str]) -> dict[Modality, Statistics]:
    """Mean and deviation of each modality's features over the training recordings."""
    return dict(zip(MODALITIES, feature_statistics(store, train), strict=True))


def standardised(recording: Recording, statistics: Mapping[Modality, Statistics]) -> Tensor:
    """Features of the named modalities side by side, ``(T, d)`` float64; constant columns are 0."""
    parts = []
    for modality, (mean, deviation) in statistics.items():
        features = getattr(recording, modality).double()
        safe = torch.where(deviation > 0, deviation, torch.inf)
        parts.append((features - mean) / safe)
    return torch.cat(parts, dim=1)


def fit_reading(
    store: RecordingStore,
    split: Split,
    modalities: Sequence[Modality] = MODALITIES,
    alphas: Iterable[float] = ALPHAS,
) -> LinearReading:
    """Fit a ridge regression on ``train``, with the penalty that scores best on ``select``.

    Features are standardised with the training split's statistics. Rows on which a target has no
    valid label are left out of the fit.

    Args:
        store: recordings.
        split: which of them train and which select.
        modalities: what is read, ``audio``, ``visual`` or both.
        alphas: penalties to choose from, by mean CCC over targets; the first of equals wins.

    Raises:
        DataError: an unknown modality or none, no penalty, or no row with valid labels.
    """
    from sklearn.linear_model import Ridge  # slow to import

    if not modalities or not set(modalities) <= set(MODALITIES):
        raise DataError(f"modalities {tuple(modalities)!r}: expected some of {MODALITIES}")
    both = training_statistics(store, split.train)
    statistics = {modality: both[modality] for modality in modalities}
    x, y = _rows(store, split.train, statistics)
    best: tuple[float, LinearReading] | None = None
    for alpha in alphas:
        ridge = Ridge(alpha=alpha).fit(x, y)
        weights = torch.from_numpy(ridge.coef_.reshape(y.shape[1], x.shape[1]))
        intercept = torch.from_numpy(np.atleast_1d(ridge.intercept_))
        reading = LinearReading(statistics, weights, intercept, float(alpha))
        selected = score({name: reading.predict(store[name]) for name in split.select}, store).mean
        if best is None or selected > best[0]:
            best = selected, reading
    if best is None:
        raise DataError("alphas: empty, expected at least one penalty")
    return best[1]


def _rows(
    store: RecordingStore, names: Sequence[str], statistics: Mapping[Modality, Statistics]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = torch.cat([standardised(store[name], statistics) for name in names])
    y = torch.cat([store[name].labels for name in names]).double()
    valid = ~y.isnan().any(dim=1)
    if not valid.any():
        raise DataError(f"{store.path}: no training row has a valid label for every target")
    return x[valid].numpy(), y[valid].numpy()


def ridge_predictions(
    store: RecordingStore,
    split: Split,
    modalities: Sequence[Modality] = MODALITIES,
    alphas: Iterable[float] = ALPHAS,
) -> dict[str, Tensor]:
    """Predict the reported recordings with :func:`fit_reading`: recording -> ``(T, n)``."""
    reading = fit_reading(store, split, modalities, alphas)
    return {name: reading.predict(store[name]) for name in split.report}
