"""Plain attention and its gated arms, and their runs on a data set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from torch import Tensor

from iaca.learning.loop import Device
from iaca.models.regressor import ModelConfig
from iaca.runs.profiles import Profile, folds_of, training_on
from iaca.runs.runs import Run, RunConfig, execute_run, finished_runs, identify_runs
from iaca.sources.loading import DataConfig


class Arm(StrEnum):
    """What is done with an attention, by the label that tables and figures show."""

    PLAIN = "plain"
    PUBLISHED = "IACA as published"
    ZERO_STARTED = "IACA zero-started (ours)"


# Arm -> the fields of `ModelConfig` in which the arms of an attention differ.
ARMS: dict[Arm, dict[str, Any]] = {
    Arm.PLAIN: {"fusion": "plain"},
    Arm.PUBLISHED: {"fusion": "iaca", "gate_init": "xavier"},
    Arm.ZERO_STARTED: {"fusion": "iaca", "gate_init": "zero"},
}
GATED_ARMS = (Arm.PUBLISHED, Arm.ZERO_STARTED)
CROSS_ATTENTION = ModelConfig("ca")


def arm_runs(
    profile: Profile,
    data: DataConfig,
    output_dir: Path,
    model: ModelConfig = CROSS_ATTENTION,
    modality_dropout: float = 0.0,
) -> dict[Arm, list[RunConfig]]:
    """The three arms of one model on one data set: one run per seed, and per fold if it has any.

    The arms differ in the gates alone; everything else is as for `model_runs`.
    """
    return {
        arm: model_runs(
            profile, data, output_dir, replace(model, **gates), modality_dropout=modality_dropout
        )
        for arm, gates in ARMS.items()
    }


def model_runs(
    profile: Profile,
    data: DataConfig,
    output_dir: Path,
    model: ModelConfig,
    anneal: bool = False,
    modality_dropout: float = 0.0,
) -> list[RunConfig]:
    """One model on one data set: one run per seed, and per fold if it has any.

    Args:
        profile: gives seeds, folds, training and the model's ``dim``.
        data: the data set.
        output_dir: where its folds are counted.
        model: at any ``dim``.
        anneal: whether the gates' temperature comes down from 1 in the first half of the training.
        modality_dropout: see `TrainingConfig`.

    Raises:
        DataError: if the data cannot be had.
    """
    training = replace(training_on(profile, data), modality_dropout=modality_dropout)
    if anneal:
        half = max(1, training.epochs // 2)
        training = replace(training, temperature_start=1.0, anneal_epochs=half)
    model = replace(model, dim=profile.dim)
    return [
        RunConfig(fold, model, training, seed)
        for fold in folds_of(profile, data, output_dir)
        for seed in profile.seeds
    ]


def obtain(
    configs: Sequence[RunConfig],
    output_dir: Path,
    device: Device = "auto",
    reuse_stale: bool = False,
    progress: bool = True,
) -> list[Run]:
    """Load runs; train those that are missing, with a notice: a notebook may be opened alone."""
    found = finished_runs(identify_runs(configs, output_dir, device), output_dir, reuse_stale)
    for config in configs:
        if config not in found:
            print(f"training a run that is not there yet (seed {config.seed})")
            found[config] = execute_run(config, output_dir, device, progress)
    return [found[config] for config in configs]


def by_seed(runs: Iterable[Run]) -> list[dict[str, Tensor]]:
    """Reported predictions, one mapping per seed; a seed's folds are put together."""
    seeds: dict[int, dict[str, Tensor]] = {}
    for run in runs:
        predictions: Mapping[str, Any] = run.predictions
        seeds.setdefault(run.config.seed, {}).update(predictions)
    return [seeds[seed] for seed in sorted(seeds)]
