"""Chapter `06_missing_modality`: trained models under corruption."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import TypeVar

from torch import Tensor

from companion.analysis.corruption import CorruptedStore, Corruption
from companion.analysis.inference import Moments, ccc_of_sums, moments
from companion.analysis.trained import LoadedModel
from iaca.data.batches import WindowBatches
from iaca.data.recordings import Recordings
from iaca.data.splits import Split
from iaca.learning.evaluation import Traces, batches_for, predict, predict_batches

PAPER_SHARES = (0.1, 0.2, 0.4, 0.6, 0.8)  # of audio missing, the paper's Fig. 3
SHARES = (0.0, *PAPER_SHARES, 1.0)
SCHEDULES = 10  # of the same share on one recording

Key = TypeVar("Key", bound=Hashable)
OneRecording = dict[str, dict[str, dict[float, list[float]]]]  # target, model, share, schedules


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


def on_one_recording(
    models: Mapping[str, Sequence[LoadedModel]], name: str, schedules: int = SCHEDULES
) -> OneRecording:
    """CCC on a recording as its audio goes missing: target -> model -> share -> one a schedule.

    Args:
        models: name -> seeds, whose scores are averaged.
        name: the recording, reported in one fold alone if there are folds.
        schedules: how often the clips are drawn.
    """
    seen = {
        model: [trained for trained in seeds if name in trained.split.report]
        for model, seeds in models.items()
    }
    found: OneRecording = {}
    for share, schedule in product(SHARES[:-1], range(schedules)):
        damage = Corruption("missing", "audio", share, seed=schedule) if share else None
        for model, sums in moments_under(damage, seen, name).items():
            scores = ccc_of_sums(sums.sums.sum(dim=1)).mean(dim=0).tolist()
            for target, score in zip(seen[model][0].store.info.labels, scores, strict=True):
                shares = found.setdefault(target, {}).setdefault(model, {})
                shares.setdefault(share, []).append(score)
    return found
