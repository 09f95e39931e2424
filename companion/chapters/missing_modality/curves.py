"""Chapter `06_missing_modality`: models under corruption, as curves and as one figure a model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

from torch import Tensor

from companion.analysis.corruption import CorruptedStore, Corruption
from companion.analysis.inference import Moments, moments
from companion.analysis.trained import LoadedModel
from iaca.data.batches import WindowBatches
from iaca.data.recordings import Recordings
from iaca.data.splits import Split
from iaca.learning.evaluation import Traces, batches_for, predict, predict_batches

PAPER_SHARES = (0.1, 0.2, 0.4, 0.6, 0.8)  # of audio missing, the paper's Fig. 3
SHARES = (0.0, *PAPER_SHARES, 1.0)
BLOCK_SHARES = (0.0, 0.5, 1.0)
OTHER_SHARES = (0.0, 1.0)  # of what else is done to clips: few, since there is much of it

Key = TypeVar("Key", bound=Hashable)


def corrupted(trained: LoadedModel, corruption: Corruption) -> CorruptedStore:
    """See a model's recordings through a corruption; nothing is swapped with training data."""
    model, split = trained.model, trained.split
    # What the model subtracts from features is the training split's mean.
    means = model.standardise_audio.mean.cpu(), model.standardise_visual.mean.cpu()
    return CorruptedStore(trained.store, corruption, [*split.select, *split.report], means)


def traces_under(trained: LoadedModel, corruption: Corruption | None, name: str) -> Traces:
    """What a model says of one reported recording, corrupted or (``None``) as it is."""
    seen: Recordings = trained.store if corruption is None else corrupted(trained, corruption)
    return predict(trained.model, seen, [name])


def simplest(corruption: Corruption) -> Corruption | None:
    """The same damage said in the simplest way, so that it is computed once.

    A share of 0 is no corruption (``None``), and at 1 there is one pattern only.
    """
    if corruption.share == 0.0:
        return None
    return replace(corruption, pattern="random") if corruption.share == 1.0 else corruption


def moments_under(
    corruption: Corruption | None,
    models: Mapping[Key, Sequence[LoadedModel]],
    name: str | None = None,
) -> dict[Key, Moments]:
    """Score models on the reported recordings under one corruption, or as they are (``None``).

    All models on the same data see the very same damage, which is done once.

    Args:
        corruption: what happens.
        models: key -> a model's seeds (and folds, whose predictions are put together).
        name: one reported recording; all of them by default.
    """
    batches: dict[tuple[int, Split, int], WindowBatches] = {}
    found = {}
    for key, seeds in models.items():
        predictions: dict[int, dict[str, Tensor]] = {}
        for trained in seeds:
            model, store, split, seed = trained
            where = id(store), split, model.config.window
            if where not in batches:
                seen: Recordings = store if corruption is None else corrupted(trained, corruption)
                names = [n for n in split.report if name in (None, n)]
                batches[where] = batches_for(model, seen, names)
            said = predict_batches(model, batches[where]).predictions
            predictions.setdefault(seed, {}).update(said)
        found[key] = moments([predictions[s] for s in sorted(predictions)], seeds[0].store)
    return found


def area_terms(curve: Mapping[float, Moments], weight: float = 1.0) -> list[tuple[float, Moments]]:
    """The area under a curve over shares, as terms for `companion.analysis.inference.contrast`.

    It is divided by the width, so that it is the mean CCC over all shares: trapezoids between the
    shares that there are. With weight -1 it is subtracted.

    Args:
        curve: share -> moments; two shares at least.
        weight: of the whole area.

    Raises:
        ValueError: for fewer than two shares.
    """
    shares = sorted(curve)
    if len(shares) < 2:
        raise ValueError(f"shares {shares}: expected at least two for an area")
    weights = dict.fromkeys(shares, 0.0)
    for left, right in pairwise(shares):
        half = weight * (right - left) / (shares[-1] - shares[0]) / 2.0
        weights[left] += half
        weights[right] += half
    return [(weights[share], curve[share]) for share in shares]
