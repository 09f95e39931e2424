"""Profiles: how much is trained.

`smoke` only shows that everything runs; `quick` is the book's default, on two cores; `full` is
for a GPU and patience.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from iaca.base.files import DataError, check_one_of
from iaca.data.schema import SubjectFolds
from iaca.data.windows import WINDOW_LENGTH
from iaca.learning.config import Precision, TrainingConfig
from iaca.sources.loading import DataConfig, count_folds
from iaca.sources.manifest import load_manifest

SMALL = ("hri_enjoyment",)  # data sets of a few hundred rows
SLOW = ("studyforrest",)  # whose neighbouring rows are much alike


@dataclass(frozen=True)
class Profile:
    """How much is trained: ``dim`` is d, ``small_epochs`` are for data of a few hundred rows."""

    name: str
    seeds: tuple[int, ...]
    dim: int
    training: TrainingConfig
    small_epochs: int


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", (0,), 16, TrainingConfig(epochs=2, hop=16), 2),
        Profile("quick", (0, 1, 2), 64, TrainingConfig(epochs=10), 20),
        Profile("full", (0, 1, 2, 3, 4), 512, TrainingConfig(epochs=40), 40),
    )
}


def get_profile(
    name: str, seeds: Sequence[int] | None = None, precision: str | int = "32"
) -> Profile:
    """Return a profile by its name, with other seeds if some are given, at a precision.

    Papermill makes a whole number of ``-p precision 32``; it will do.

    Raises:
        DataError: naming the profile, the precision or the seeds, and what was expected.
    """
    check_one_of("profile", name, PROFILES)
    chosen: Any = str(precision)
    check_one_of("precision", chosen, get_args(Precision))
    profile = PROFILES[name]
    training = replace(profile.training, precision=chosen)
    if seeds is None:
        return replace(profile, training=training)
    listed = [*seeds] if isinstance(seeds, list | tuple | range) else []
    whole = all(type(seed) is int and seed >= 0 for seed in listed)  # True is an int, too
    if not listed or not whole or len(set(listed)) != len(listed):
        expected = "a list of distinct whole numbers >= 0, such as [0, 1]"
        raise DataError(f"seeds {seeds!r}: expected {expected} (for papermill, -y 'seeds: [0, 1]')")
    return replace(profile, seeds=tuple(listed), training=training)


def training_on(profile: Profile, data: DataConfig) -> TrainingConfig:
    """A profile's training on a data set.

    Of a few hundred rows, every window counts. Where rows change slowly, windows do not overlap,
    and there are fewer epochs: the best one of plain models comes early.
    """
    name = load_manifest(data.manifest).name
    if name in SMALL:
        return replace(profile.training, hop=1, epochs=profile.small_epochs)
    if name in SLOW:
        epochs = max(1, 4 * profile.training.epochs // 5)
        return replace(profile.training, hop=WINDOW_LENGTH, epochs=epochs)
    return profile.training


def at_share(data: DataConfig, share: float) -> DataConfig:
    """A benchmark at a share of weak clips; its central one is what the data are without any.

    So that runs are shared: there is one configuration of the centre, not two.
    """
    benchmark = load_manifest(data.manifest).made
    central = benchmark is not None and share == benchmark.central_share
    return data if central else replace(data, share=share)


def folds_of(data: DataConfig, output_dir: Path) -> list[DataConfig]:
    """A data set's folds, as many as its manifest says; itself alone if it has none.

    Args:
        data: the data set; its own ``folds`` overrides the manifest's.
        output_dir: its store is looked for below ``data/``.

    Raises:
        DataError: if the data cannot be had.
    """
    split = load_manifest(data.manifest).split
    if not isinstance(split, SubjectFolds):
        return [data]
    data = replace(data, folds=data.folds or split.folds)
    count = count_folds(data, output_dir / "data")
    return [replace(data, fold=fold) for fold in range(count)]
