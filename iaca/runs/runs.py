"""A run is a configuration and a seed, trained once and kept in a folder named by its key.

::

    runs/<key>/config.json           the configuration, and what else the key is made of
               metrics.json          scores on `select` and `report`, best epoch, parameters, time
               history.csv           one row an epoch
               model.safetensors     weights of the best epoch, with the standardisation
               predictions.safetensors   recording -> (T, n), raw predictions of the reported split,
                                     whatever the protocol; never labels

While a training is unfinished, ``.<key>.partial`` holds its ``resume.pt``. The run's own folder
gets its name when it is whole.
"""

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import load_file
from torch import Tensor

from iaca.base.devices import Device, device_type
from iaca.base.files import DataError, canonical_json, read_json, short_hash, syntax_hash
from iaca.base.paths import PACKAGE
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.learning.config import TrainingConfig
from iaca.learning.engines import engine_for
from iaca.learning.protocol import STRICT, Protocol, protocol_name
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.loading import DataConfig, open_data

if TYPE_CHECKING:
    import pandas as pd

CODE = ("data", "models", "learning")  # rooms whose code decides a run's numbers
Identity = dict[str, Any]  # all that a run's key is made of
# What `describe` says anyway, and what a profile decides.
_NOT_SAID = {"manifest", "attention", "fusion", "dim", "epochs", "hop", "folds", "store"}
CPU_THREADS = 1  # of every run on a CPU, wherever it is made: the order of sums depends on it


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers, code and versions aside."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0
    protocol: Protocol = STRICT


def with_options(config: RunConfig, options: Mapping[str, Any]) -> RunConfig:
    """A run with other values of some options, ``section.field`` -> value."""
    for key, value in options.items():
        section, name = key.split(".")
        config = replace(config, **{section: replace(getattr(config, section), **{name: value})})
    return config


class Run(NamedTuple):
    """A finished run.

    ``stale`` is true for one that other code made, and that was asked for all the same.
    """

    config: RunConfig
    folder: Path
    metrics: dict[str, Any]
    stale: bool = False

    @property
    def on_select(self) -> float:
        """What choices are made on: CCC on `select`, mean of targets; -inf where none has one."""
        found = [score for score in self.metrics["select"].values() if score is not None]
        return sum(found) / len(found) if found else -math.inf

    @property
    def history(self) -> "pd.DataFrame":
        """One row an epoch: loss, batches skipped, CCC on `select`."""
        import pandas as pd

        return pd.read_csv(self.folder / "history.csv")

    @property
    def predictions(self) -> dict[str, Tensor]:
        """Recording -> ``(T, n)``, on the reported split."""
        return load_file(self.folder / "predictions.safetensors")

    def model(self, store: RecordingStore, device: Device = "cpu") -> AffectRegressor:
        """Rebuild the trained model for a store of the same dimensions, in evaluation mode."""
        info = store.info
        dims = (info.audio_dim, info.visual_dim, len(info.labels))
        model = AffectRegressor(self.config.model, *dims)
        model.load_state_dict(load_file(self.folder / "model.safetensors"))
        return model.to(device_type(device)).eval()


class RunError(RuntimeError):
    """Some runs of a grid ``failed``; the message says why. The others are ``done`` and kept."""

    def __init__(self, failed: Mapping[RunConfig, str], done: Mapping[RunConfig, Run]) -> None:
        reasons = "\n".join(f"  {describe(config)}: {reason}" for config, reason in failed.items())
        super().__init__(f"{len(failed)} of {len(failed) + len(done)} runs failed:\n{reasons}")
        self.failed, self.done = dict(failed), dict(done)


@functools.cache
def code_key() -> str:
    """Hash of the code that decides a run's numbers, docstrings and comments left out."""
    return syntax_hash(*(PACKAGE / name for name in CODE))


def run_identity(config: RunConfig, data_key: str, split: Split, device: Device) -> Identity:
    """All that a run's key is made of; ``data_key`` is its store's."""
    return {
        "config": asdict(config),
        "data": data_key,
        "split": short_hash(canonical_json(split._asdict())),
        "code": code_key(),
        "torch": torch.__version__.split("+")[0],
        "device": device_type(device),
        "engine": engine_for(config.model, config.protocol, device_type(device)),
    }


def run_key(identity: Identity) -> str:
    """The name of the run that is so identified, a hash."""
    return short_hash(canonical_json(identity))


def check_precision(precision: str, device: Device) -> None:
    """Raise `DataError` where a device does not have a precision: tf32 is a GPU's."""
    if precision == "tf32" and device_type(device) == "cpu":
        raise DataError("precision 'tf32': needs a GPU, expected '32' or 'bf16' on a CPU")


def identify_runs(
    configs: Iterable[RunConfig], output_dir: Path, device: Device = "auto"
) -> dict[RunConfig, Identity]:
    """What the keys of some runs are made of. Each data set is opened once.

    Raises:
        DataError: if data cannot be had, or the device does not have a run's precision.
    """
    configs = list(configs)
    for config in configs:
        check_precision(config.training.precision, device)
    data = dict.fromkeys(config.data for config in configs)
    opened = {each: open_data(each, output_dir / "data") for each in data}
    keys = {each: (store.key, split) for each, (store, split) in opened.items()}
    return {config: run_identity(config, *keys[config.data], device) for config in configs}


def finished_runs(
    identities: Mapping[RunConfig, Identity], output_dir: Path, reuse_stale: bool = False
) -> dict[RunConfig, Run]:
    """Those of some runs that are finished, without opening their data.

    With ``reuse_stale``, a run of the same configuration and data that other code, or another
    torch, made will do; it is marked.
    """
    runs = output_dir / "runs"
    stale: dict[str, Path] = {}
    if reuse_stale:
        files = runs.glob("[!.]*/config.json")
        stale = {_without_code(read_json(file)): file.parent for file in sorted(files)}
    found = {}
    for config, identity in identities.items():
        run = _load(config, runs / run_key(identity))
        if run is None and (other := stale.get(_without_code(identity))) is not None:
            run = _load(config, other, stale=True)
        if run is not None:
            found[config] = run
    return found


def _without_code(identity: Identity) -> str:
    return canonical_json([identity.get(part) for part in ("config", "data", "split")])


def _load(config: RunConfig, folder: Path, stale: bool = False) -> Run | None:
    metrics = folder / "metrics.json"
    return Run(config, folder, read_json(metrics), stale) if metrics.is_file() else None


def open_run(folder: Path) -> Run:
    """Open a finished run by its folder; one that other code made is marked stale.

    Raises:
        DataError: naming the file that is missing, malformed or not a run's.
    """
    file = folder / "config.json"
    identity, metrics = read_json(file), read_json(folder / "metrics.json")
    try:
        config = TypeAdapter(RunConfig).validate_python(identity["config"])
        return Run(config, folder, metrics, stale=identity["code"] != code_key())
    except (KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{file}: not a run of this version, {error!r}") from error


def describe(config: RunConfig) -> str:
    """A run in a few words, for a line of progress: what is not at its default."""
    named = [
        f"{option.name}={value}"
        for section in (config.data, config.model, config.training)
        for option in fields(section)
        if option.name not in _NOT_SAID
        and (value := getattr(section, option.name)) != option.default
    ]
    named += [protocol_name(config.protocol)] if config.protocol != STRICT else []
    words = [config.data.manifest, config.model.attention, config.model.fusion, *named]
    return f"{' '.join(words)}, seed {config.seed}"
