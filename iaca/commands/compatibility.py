"""Whether a store's features are made as those that a run was trained on.

Dimensions do not tell: the features of most backbones, with whatever weights, have 512.
"""

from iaca.base.files import DataError, read_json
from iaca.data.recordings import RecordingStore
from iaca.runs.runs import Run
from iaca.sources.loading import open_store

# Keys of `StoreInfo.source` in which two stores of like features agree.
MADE_OF = ("visual_backbone", "visual_weights", "audio_weights", "visual_features", "clip")


def trained_store(run: Run) -> RecordingStore:
    """Open the store that a run was trained on, in its place below the same output folder.

    Raises:
        DataError: as of `open_data`, if it is not there.
    """
    output = run.folder.resolve().parent.parent
    try:
        return open_store(run.config.data, output / "data")
    except DataError as error:
        raise DataError(f"{run.folder}: the data that it was trained on: {error}") from error


def compare_features(run: Run, trained: RecordingStore, store: RecordingStore) -> tuple[str, ...]:
    """Refuse a store whose features were made otherwise, and warn where that cannot be told.

    Args:
        run: the model's.
        trained: what it was trained on, see `trained_store`.
        store: what it is to predict.

    Returns:
        What a reader of the predictions should know.

    Raises:
        DataError: naming what differs: a backbone, weights, kept features or clips.
    """
    before, now = trained.info.source, store.info.source
    for key in MADE_OF:
        found, expected = (source.get(key, "not recorded") for source in (now, before))
        if found != expected:
            raise DataError(
                f"{store.path}: {key}: found {found!r}, the run was trained on {expected!r}"
            )
    texts = []
    if read_json(run.folder / "config.json").get("data") != trained.key:
        texts.append(
            f"{trained.path} has changed since the run was trained; if its features were made "
            "anew, nothing says that they are the same"
        )
    if store.key != trained.key and not any(key in before for key in MADE_OF):
        texts.append("nothing says that the features are made as those that the run was trained on")
    if before.get("pictures") != now.get("pictures"):
        texts.append(
            f"the run was trained on {before.get('pictures')}; here it sees the "
            f"{now.get('pictures')}"
        )
    if "random_weights" in before or "random_weights" in now:
        texts.append("the backbones' weights are random: these numbers mean nothing")
    return tuple(texts)
