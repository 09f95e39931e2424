"""Whether a store's features are made as those that a run was trained on.

Dimensions do not tell: the features of most backbones, with whatever weights, have 512.
"""

from iaca.base.files import DataError, read_json
from iaca.data.recordings import RecordingStore
from iaca.runs.runs import Run
from iaca.sources.loading import open_store
from iaca.sources.manifest import load_manifest

# Keys of `StoreInfo.source` in which two stores of like features agree.
MADE_OF = ("visual_backbone", "visual_weights", "audio_weights", "visual_features", "clip")


def trained_store(run: Run) -> RecordingStore:
    """Open the store that a run was trained on, in its place below the same output folder.

    Raises:
        DataError: as :func:`iaca.sources.loading.open_data`, if it is not there.
    """
    data = run.config.data
    output = run.folder.resolve().parent.parent
    try:
        return open_store(data, load_manifest(data.manifest), output / "data")
    except DataError as error:
        raise DataError(f"{run.folder}: the data that it was trained on: {error}") from error


def check_same_features(trained: RecordingStore, store: RecordingStore) -> None:
    """Compare how two stores' features were made.

    Args:
        trained: what a run was trained on.
        store: what it is to predict.

    Raises:
        DataError: naming what differs: a backbone, weights, kept features or clips.
    """
    for key in MADE_OF:
        found, expected = (each.info.source.get(key, "not recorded") for each in (store, trained))
        if found != expected:
            raise DataError(
                f"{store.path}: {key}: found {found!r}, the run was trained on {expected!r}"
            )


def compatibility_warnings(run: Run, trained: RecordingStore, store: RecordingStore) -> list[str]:
    """What a reader of the run's predictions on a store of like features should know.

    Args:
        run: the model's.
        trained: what it was trained on, see :func:`trained_store`.
        store: what it predicts.
    """
    texts = []
    if read_json(run.folder / "config.json").get("data") != trained.key:
        texts.append(
            f"{trained.path} has changed since the run was trained; if its features were made "
            "anew, nothing says that they are the same"
        )
    known = any(key in trained.info.source for key in MADE_OF)
    if not known and store.key != trained.key:
        texts.append("nothing says that the features are made as those that the run was trained on")
    before, now = (each.info.source.get("pictures") for each in (trained, store))
    if before != now:
        texts.append(f"the run was trained on {before}; here it sees the {now}")
    if any("random_weights" in each.info.source for each in (trained, store)):
        texts.append("the backbones' weights are random: these numbers mean nothing")
    return texts
