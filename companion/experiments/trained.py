"""Trained models of runs, loaded for evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.learning.loop import Device
from iaca.models.regressor import AffectRegressor
from iaca.runs.runs import Run
from iaca.sources.loading import DataConfig, open_data


class LoadedModel(NamedTuple):
    """A trained model with the data that it is evaluated on."""

    model: AffectRegressor
    store: RecordingStore
    split: Split
    seed: int


def load_models(runs: Sequence[Run], output_dir: Path, device: Device = "cpu") -> list[LoadedModel]:
    """Load some runs' models, each with its data; runs on the same data share one store."""
    opened: dict[DataConfig, tuple[RecordingStore, Split]] = {}
    loaded = []
    for run in runs:
        data = run.config.data
        if data not in opened:
            opened[data] = open_data(data, output_dir / "data")
        store, split = opened[data]
        loaded.append(LoadedModel(run.model(store, device), store, split, run.config.seed))
    return loaded
