"""Small data that several tests share."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from iaca.base.paths import MANIFESTS
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.splits import Split
from iaca.data.states import STATES
from iaca.learning.config import TrainingConfig
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.runs.runs import Run, RunConfig, finished_runs, identify_runs
from iaca.sources.loading import DataConfig
from iaca.sources.writing import write_store

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
AUDIO_DIM, VISUAL_DIM = 5, 4
TINY_SIZES = {"train": 2, "select": 1, "report": 1, "recordings": 1, "clips": 24}


def toy_recording(
    name: str = "one",
    subject: str = "anna",
    rows: int = 20,
    seed: int = 0,
    split: str | None = None,
    invalid: Iterable[int] = (),
    states: bool = False,
) -> Recording:
    """Two targets that a linear map can tell from the features; some rows without labels.

    States are drawn, and have nothing to do with the features.
    """
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(rows, AUDIO_DIM, generator=generator)
    visual = torch.randn(rows, VISUAL_DIM, generator=generator)
    labels = torch.stack([0.4 * audio[:, 0], 0.4 * visual[:, 1]], dim=1).clamp(-1.0, 1.0)
    labels[list(invalid)] = torch.nan
    state = torch.randint(len(STATES), (rows,), generator=generator) if states else None
    frames = torch.arange(rows)
    return Recording(name, subject, audio, visual, labels, frames, split=split, state=state)


def toy_info(spacing: int = 1) -> StoreInfo:
    return StoreInfo(AUDIO_DIM, VISUAL_DIM, ("valence", "arousal"), (-1.0, 1.0), spacing)


def toy_store(
    path: Path,
    rows: Iterable[int] = (20, 20, 20),
    spacing: int = 1,
    dtype: torch.dtype = torch.float16,
    states: bool = False,
) -> RecordingStore:
    """Recordings ``r0``, ``r1``, ..., each of another subject, ``rows`` long."""
    recordings = (
        toy_recording(f"r{number}", f"s{number}", count, seed=number, states=states)
        for number, count in enumerate(rows)
    )
    return write_store(path, recordings, toy_info(spacing), dtype=dtype)


def told_store(folder: Path, count: int, rows: int) -> RecordingStore:
    """Strong clips and two weak states at random, in ``count`` recordings."""
    recordings = []
    for number in range(count):
        generator = torch.Generator().manual_seed(number)
        state = torch.randint(0, 3, (rows,), generator=generator)
        made = toy_recording(f"r{number}", f"s{number}", rows, number)
        recordings.append(replace(made, state=state))
    return write_store(folder, recordings, toy_info(), dtype=torch.float32)


def toy_split() -> Split:
    """The split of a toy store of at least four recordings."""
    return Split(train=("r0", "r1"), select=("r2",), report=("r3",))


def tiny_manifest(folder: Path) -> Path:
    """The bundled benchmark's manifest with its constants, but very little data."""
    content = yaml.safe_load((MANIFESTS / "synthetic.yaml").read_text(encoding="utf-8"))
    content["name"] = "tiny"
    content["benchmark"]["sizes"] = TINY_SIZES
    content["benchmark"]["tolerance"] = 0.5
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def tiny_run(folder: Path) -> RunConfig:
    """A small model on the tiny benchmark, trained in a moment."""
    return RunConfig(
        DataConfig(str(tiny_manifest(folder / "manifests"))),
        ModelConfig(dim=8, window=8),
        TrainingConfig(epochs=3, batch_size=4),
    )


def find_run(config: RunConfig, output_dir: Path, reuse_stale: bool = False) -> Run | None:
    """A run that was made on a CPU, if it is finished."""
    identities = identify_runs([config], output_dir, "cpu")
    return finished_runs(identities, output_dir, reuse_stale).get(config)


def toy_regressor(
    attention: str = "ca", fusion: str = "iaca", seed: int = 1, **options: Any
) -> AffectRegressor:
    """A small untrained model of toy stores with windows of 4 clips; its gates differ by clip."""
    torch.manual_seed(seed)
    config = ModelConfig(attention, fusion, dim=8, window=4, encoder_norm="none", **options)  # type: ignore[arg-type]
    model = AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2)
    for name, parameter in model.named_parameters():
        if "gate_" in name:
            nn.init.normal_(parameter, std=0.3)
    return model.eval()
