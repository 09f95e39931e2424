"""Plain attention and its gated arms, and their runs on a data set."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from iaca.learning.loop import Device
from iaca.models.regressor import AttentionName, ModelConfig
from iaca.runs.profiles import Profile, folds_of, training_on
from iaca.runs.runs import Run, RunConfig, execute_run, find_run
from iaca.sources.loading import DataConfig

ARMS: dict[str, dict[str, Any]] = {
    "plain": {"fusion": "plain"},
    "IACA as published": {"fusion": "iaca", "gate_init": "xavier"},
    "IACA zero-started (ours)": {"fusion": "iaca", "gate_init": "zero"},
}


def arm_runs(
    profile: Profile,
    data: DataConfig,
    output_dir: Path,
    attention: AttentionName = "ca",
    **options: Any,
) -> dict[str, list[RunConfig]]:
    """The three arms of one attention on one data set: a run a seed, and a fold if there are any.

    The arms differ in the gates alone; ``options`` of the model are common to them.
    """
    return {
        arm: model_runs(profile, data, output_dir, attention=attention, **options, **gates)
        for arm, gates in ARMS.items()
    }


def model_runs(
    profile: Profile, data: DataConfig, output_dir: Path, **options: Any
) -> list[RunConfig]:
    """One model on one data set: a run a seed, and a fold if there are any.

    ``options`` are fields of `ModelConfig`, or ``anneal``: whether the gates' temperature comes
    down from 1 in the first half of the training; or ``modality_dropout``, see `TrainingConfig`.
    """
    training = training_on(profile, data)
    training = replace(training, modality_dropout=options.pop("modality_dropout", 0.0))
    if options.pop("anneal", False):
        half = max(1, training.epochs // 2)
        training = replace(training, temperature_start=1.0, anneal_epochs=half)
    profile = replace(profile, training=training)
    model = ModelConfig(dim=profile.dim, **options)
    folds = folds_of(profile, data, output_dir)
    return [config for fold in folds for config in over_seeds(profile, fold, model)]


def over_seeds(profile: Profile, data: DataConfig, model: ModelConfig) -> list[RunConfig]:
    return [RunConfig(data, model, profile.training, seed) for seed in profile.seeds]


def obtain(
    configs: Sequence[RunConfig],
    output_dir: Path,
    device: Device = "auto",
    reuse_stale: bool = False,
    progress: bool = True,
) -> list[Run]:
    """Load runs; train those that are missing, with a notice: a notebook may be opened alone."""
    runs = []
    for config in configs:
        run = find_run(config, output_dir, device, reuse_stale)
        if run is None:
            print(f"training a run that is not there yet (seed {config.seed})")
            run = execute_run(config, output_dir, device, progress)
        runs.append(run)
    return runs


def by_seed(runs: Iterable[Run]) -> list[dict[str, Tensor]]:
    """Reported predictions, one mapping a seed; a seed's folds are put together."""
    seeds: dict[int, dict[str, Tensor]] = {}
    for run in runs:
        predictions: Mapping[str, Any] = run.predictions
        seeds.setdefault(run.config.seed, {}).update(predictions)
    return [seeds[seed] for seed in sorted(seeds)]
