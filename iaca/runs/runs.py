"""A run is a configuration and a seed, trained once and kept in a folder named by its key.

::

    runs/<key>/config.json           the configuration, and what else the key is made of
               metrics.json          scores on `select` and `report`, best epoch, parameters, time
               history.csv           one row an epoch
               model.safetensors     weights of the best epoch, with the standardisation
               predictions.safetensors   recording -> (T, n), of the reported split, as the model
                                     says them, whatever the protocol; never labels
               resume.pt             only while a training is unfinished

A run that is being made lives in ``.<key>.partial`` and is renamed when it is whole.
"""

import functools
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor

from iaca.base.files import (
    DataError,
    canonical_json,
    read_json,
    short_hash,
    sync_folder,
    syntax_hash,
    write_json,
)
from iaca.base.paths import PACKAGE
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import Device, TrainingConfig, train
from iaca.learning.protocol import STRICT, Protocol, protocol_name
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.loading import DataConfig, open_data

CODE = ("data", "models", "learning")  # rooms whose code decides a run's numbers
CPU_THREADS = 1  # of every run on a CPU, wherever it is made: the order of sums depends on it


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers, code and versions aside."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    protocol: Protocol = STRICT


class Run(NamedTuple):
    """A finished run.

    ``stale`` is true for one that other code than today's made, and that was asked for all the
    same.
    """

    config: RunConfig
    folder: Path
    metrics: dict[str, Any]
    stale: bool = False

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: loss, batches skipped, CCC on `select`."""
        return pd.read_csv(self.folder / "history.csv")

    @property
    def predictions(self) -> dict[str, Tensor]:
        """Recording -> ``(T, n)``, on the reported split."""
        return load_file(self.folder / "predictions.safetensors")

    def model(self, store: RecordingStore, device: Device = "cpu") -> AffectRegressor:
        """Rebuild the trained model for a store of the same dimensions, in evaluation mode."""
        info = store.info
        model = AffectRegressor(
            self.config.model, info.audio_dim, info.visual_dim, len(info.labels)
        )
        model.load_state_dict(load_file(self.folder / "model.safetensors"))
        return model.to(device_type(device)).eval()

    def initial_model(self, store: RecordingStore, device: Device = "cpu") -> AffectRegressor:
        """Rebuild the model as its training began, in evaluation mode; no generator is moved."""
        info, config = store.info, self.config
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            model = AffectRegressor(config.model, info.audio_dim, info.visual_dim, len(info.labels))
            trained = self.model(store)  # its statistics are those that training began with
        for own, found in (
            (model.standardise_audio, trained.standardise_audio),
            (model.standardise_visual, trained.standardise_visual),
        ):
            own.load_state_dict(found.state_dict())
        return model.to(device_type(device)).eval()


class RunError(RuntimeError):
    """Some runs of a grid failed. The message lists each with its reason; the others are kept.

    Attributes:
        failed: what failed, and why.
        done: the other runs.
    """

    def __init__(self, failed: Mapping[RunConfig, str], done: Mapping[RunConfig, Run]) -> None:
        reasons = "\n".join(f"  {describe(config)}: {reason}" for config, reason in failed.items())
        super().__init__(f"{len(failed)} of {len(failed) + len(done)} runs failed:\n{reasons}")
        self.failed, self.done = dict(failed), dict(done)


@functools.cache
def code_key() -> str:
    """Hash of the code that decides a run's numbers, docstrings and comments left out."""
    return syntax_hash(*(PACKAGE / name for name in CODE))


def device_type(device: Device) -> Literal["cpu", "cuda"]:
    """``cuda`` or ``cpu``: what ``auto`` comes to on this machine."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def run_identity(config: RunConfig, store: RecordingStore, device: Device) -> dict[str, Any]:
    """All that a run's key is made of."""
    return {
        "config": asdict(config),
        "data": store.key,
        "code": code_key(),
        "torch": torch.__version__.split("+")[0],
        "device": device_type(device),
    }


def key_of(identity: Mapping[str, Any]) -> str:
    """The name of the run that is so identified."""
    return short_hash(canonical_json(identity))


def run_key(config: RunConfig, store: RecordingStore, device: Device = "auto") -> str:
    """The run's name: a hash of its configuration, data, code, torch version and device type."""
    return key_of(run_identity(config, store, device))


def find_run(
    config: RunConfig, output_dir: Path, device: Device = "auto", reuse_stale: bool = False
) -> Run | None:
    """Return a finished run, or ``None`` if there is none.

    With ``reuse_stale``, a run of the same configuration and data that other code, or another
    torch, made will do; it is marked.
    """
    store, _ = open_data(config.data, output_dir / "data")
    identity = run_identity(config, store, device)
    folder = output_dir / "runs" / key_of(identity)
    if (folder / "metrics.json").is_file():
        return Run(config, folder, read_json(folder / "metrics.json"))
    if reuse_stale:
        for file in sorted((output_dir / "runs").glob("[!.]*/config.json")):
            other = read_json(file)
            if all(other[key] == identity[key] for key in ("config", "data")):
                return Run(config, file.parent, read_json(file.parent / "metrics.json"), stale=True)
    return None


def open_run(folder: Path) -> Run:
    """Open a finished run by its folder; one that other code made is marked stale.

    Raises:
        DataError: naming the file that is missing, malformed or not a run's.
    """
    file = folder / "config.json"
    identity, metrics = read_json(file), read_json(folder / "metrics.json")
    try:
        saved = identity["config"]
        config = RunConfig(
            DataConfig(**saved["data"]),
            ModelConfig(**saved["model"]),
            TrainingConfig(**saved["training"]),
            saved["seed"],
            Protocol(**saved["protocol"]),
        )
        return Run(config, folder, metrics, stale=identity["code"] != code_key())
    except (KeyError, TypeError) as error:
        raise DataError(f"{file}: not a run of this version, {error!r}") from error


def execute_run(
    config: RunConfig,
    output_dir: Path,
    device: Device = "auto",
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
) -> Run:
    """Return a run, training it if it is not there; an interrupted training is continued.

    On a CPU this process computes with one thread from then on, as every run does. Two processes
    that want the same run train it once: the second waits for the first.
    """
    found = find_run(config, output_dir, device)
    if found is not None:
        return found
    store, split = open_data(config.data, output_dir / "data")
    identity = run_identity(config, store, device)
    key = key_of(identity)
    folder = output_dir / "runs" / key
    partial = folder.with_name(f".{key}.partial")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if device_type(device) == "cpu":
        torch.set_num_threads(CPU_THREADS)
    # The lock is the kernel's: it is gone with the process that held it, whatever killed it.
    with FileLock(folder.with_name(f".{key}.lock")):
        found = find_run(config, output_dir, device)
        if found is not None:
            return found
        partial.mkdir(exist_ok=True)
        started = time.monotonic()
        trained = train(
            config.model,
            config.training,
            store,
            split,
            config.seed,
            checkpoint=partial / "resume.pt",
            device=device,
            progress=progress,
            checkpoint_seconds=checkpoint_seconds,
            protocol=config.protocol,
        )
        model = trained.model

        def scored(predictions: Mapping[str, Tensor]) -> dict[str, float | None]:
            return _scores(score(predictions, store, config.protocol).pooled)

        predictions = predict(model, store, split.report).predictions
        metrics = {
            "report": scored(predictions),
            "select": scored(predict(model, store, split.select).predictions),
            "best_epoch": trained.best_epoch,
            "parameters": sum(p.numel() for p in model.parameters()),
            "skipped_batches": int(trained.history["skipped_batches"].sum()),
            "seconds": round(time.monotonic() - started, 2),
        }
        trained.history.to_csv(partial / "history.csv", index=False)
        save_file(_contiguous(model.cpu().state_dict()), partial / "model.safetensors")
        save_file(_contiguous(predictions), partial / "predictions.safetensors")
        write_json(partial / "config.json", identity)
        write_json(partial / "metrics.json", metrics)
        (partial / "resume.pt").unlink(missing_ok=True)
        sync_folder(partial)
        partial.rename(folder)
    return Run(config, folder, metrics)


def _scores(pooled: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in pooled.items()}


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.contiguous() for key, value in tensors.items()}


def describe(config: RunConfig) -> str:
    """A run in a few words, for a line of progress."""
    data, model = config.data, config.model
    parts = [data.manifest]
    parts += [f"fold {data.fold}"] if data.fold is not None else []
    parts += [f"share {data.share:.2f}"] if data.share is not None else []
    parts += ["oracle"] if data.oracle else []
    named: list[str] = [model.attention, model.fusion]
    named += [
        f"{option.name}={value}"
        for option in fields(ModelConfig)
        if option.name not in ("attention", "fusion", "dim")
        and (value := getattr(model, option.name)) != option.default
    ]
    dropped = config.training.modality_dropout
    named += [f"modality_dropout={dropped:g}"] if dropped else []
    rate = config.training.learning_rate
    named += [f"learning_rate={rate:g}"] if rate != TrainingConfig().learning_rate else []
    named += [protocol_name(config.protocol)] if config.protocol != STRICT else []
    return f"{' '.join(parts)}, {' '.join(named)}, seed {config.seed}"
