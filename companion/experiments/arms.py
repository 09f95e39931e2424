"""The runs of a model, and of the three arms of one, on a data set."""

from dataclasses import replace
from pathlib import Path

from iaca.models.regressor import ModelConfig
from iaca.runs.arms import ARMS, Arm
from iaca.runs.profiles import Profile, folds_of, training_on
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig

CROSS_ATTENTION = ModelConfig("ca")


def arm_runs(
    profile: Profile,
    data: DataConfig,
    output_dir: Path,
    model: ModelConfig = CROSS_ATTENTION,
) -> dict[Arm, list[RunConfig]]:
    """The three arms of one model on one data set: one run per seed, and per fold if it has any.

    The arms differ in the gates alone; everything else is as for `model_runs`.
    """
    return {
        arm: model_runs(profile, data, output_dir, replace(model, **gates))
        for arm, gates in ARMS.items()
    }


def model_runs(
    profile: Profile,
    data: DataConfig,
    output_dir: Path,
    model: ModelConfig,
    anneal: bool = False,
) -> list[RunConfig]:
    """One model on one data set: one run per seed, and per fold if it has any.

    Args:
        profile: gives seeds, training and the model's ``dim``.
        data: the data set.
        output_dir: where its folds are counted.
        model: at any ``dim``.
        anneal: whether the gates' temperature comes down from 1 in the first half of the training.

    Raises:
        DataError: if the data cannot be had.
    """
    training = training_on(profile, data)
    if anneal:
        half = max(1, training.epochs // 2)
        training = replace(training, temperature_start=1.0, anneal_epochs=half)
    model = replace(model, dim=profile.dim)
    return [
        RunConfig(fold, model, training, seed)
        for fold in folds_of(data, output_dir)
        for seed in profile.seeds
    ]
