"""Runs and their models: loaded for evaluation, or trained where they are missing."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from iaca.base.devices import Device
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.models.regressor import AffectRegressor
from iaca.runs.execution import execute_run
from iaca.runs.runs import Run, RunConfig, finished_runs, identify_runs
from iaca.sources.loading import DataConfig, open_data


class LoadedModel(NamedTuple):
    """A trained model with the data that it is evaluated on."""

    model: AffectRegressor
    store: RecordingStore
    split: Split
    seed: int


@functools.cache
def opened(data: DataConfig, output_dir: Path) -> tuple[RecordingStore, Split]:
    """A data set's recordings and their split, opened once in a process.

    Raises:
        DataError: if they cannot be had.
    """
    return open_data(data, output_dir / "data")


def load_models(runs: Sequence[Run], output_dir: Path, device: Device = "cpu") -> list[LoadedModel]:
    """Load some runs' models, each with its data; runs on the same data share one store."""
    loaded = []
    for run in runs:
        store, split = opened(run.config.data, output_dir)
        loaded.append(LoadedModel(run.model(store, device), store, split, run.config.seed))
    return loaded


def obtain(
    configs: Sequence[RunConfig], output_dir: Path, device: Device = "auto", progress: bool = True
) -> list[Run]:
    """Load runs; train those that are missing, with a notice: a notebook may be opened alone."""
    found = finished_runs(identify_runs(configs, output_dir, device), output_dir)
    for config in configs:
        if config not in found:
            print(f"training a run that is not there yet (seed {config.seed})")
            found[config] = execute_run(config, output_dir, device, progress)
    return [found[config] for config in configs]
