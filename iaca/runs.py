"""A run is a configuration and a seed, trained once and kept in a folder named by its key.

::

    runs/<key>/config.json           the configuration, and what else the key is made of
               metrics.json          scores on `select` and `report`, best epoch, parameters, time
               history.csv           one row an epoch
               model.safetensors     weights of the best epoch, with the standardisation
               predictions.safetensors   recording -> (T, n), of the reported split; never labels
               resume.pt             only while a training is unfinished

A run that is being made lives in ``.<key>.partial`` and is renamed when it is whole.
"""

import functools
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, fields
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor

from iaca.data.loading import DataConfig, open_data
from iaca.data.recordings import RecordingStore
from iaca.evaluation import predict, score
from iaca.files import canonical_json, read_json, short_hash, sync_folder, syntax_hash, write_json
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.paths import PACKAGE
from iaca.training import Device, TrainingConfig, train

# What decides a run's numbers. Figures, commands and the book do not.
CODE = ("data", "models", "metrics.py", "evaluation.py", "training.py")
CPU_THREADS = 1  # of every run on a CPU, wherever it is made: the order of sums depends on it


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's numbers, code and versions aside."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    seed: int = 0


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

    def model(self, store: RecordingStore) -> AffectRegressor:
        """Rebuild the trained model for a store of the same dimensions, in evaluation mode."""
        info = store.info
        model = AffectRegressor(
            self.config.model, info.audio_dim, info.visual_dim, len(info.labels)
        )
        model.load_state_dict(load_file(self.folder / "model.safetensors"))
        return model.eval()


class RunError(RuntimeError):
    """Some runs failed. The message lists each with its reason; the others are kept."""


@functools.cache
def code_key() -> str:
    """Hash of the code that decides a run's numbers, docstrings and comments left out."""
    return syntax_hash(*(PACKAGE / name for name in CODE))


def device_type(device: Device) -> Literal["cpu", "cuda"]:
    """``cuda`` or ``cpu``: what ``auto`` comes to on this machine."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _identity(config: RunConfig, store: RecordingStore, device: Device) -> dict[str, Any]:
    return {
        "config": asdict(config),
        "data": store.key,
        "code": code_key(),
        "torch": torch.__version__.split("+")[0],
        "device": device_type(device),
    }


def run_key(config: RunConfig, store: RecordingStore, device: Device = "auto") -> str:
    """The run's name: a hash of its configuration, data, code, torch version and device type."""
    return short_hash(canonical_json(_identity(config, store, device)))


def find_run(
    config: RunConfig, output_dir: Path, device: Device = "auto", reuse_stale: bool = False
) -> Run | None:
    """Return a finished run, or ``None`` if there is none.

    With ``reuse_stale``, a run of the same configuration and data that other code, or another
    torch, made will do; it is marked.
    """
    store, _ = open_data(config.data, output_dir / "data")
    identity = _identity(config, store, device)
    folder = output_dir / "runs" / short_hash(canonical_json(identity))
    if (folder / "metrics.json").is_file():
        return Run(config, folder, read_json(folder / "metrics.json"))
    if reuse_stale:
        for file in sorted((output_dir / "runs").glob("[!.]*/config.json")):
            other = read_json(file)
            if all(other[key] == identity[key] for key in ("config", "data")):
                return Run(config, file.parent, read_json(file.parent / "metrics.json"), stale=True)
    return None


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
    identity = _identity(config, store, device)
    key = short_hash(canonical_json(identity))
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
        )
        model = trained.model
        predictions = predict(model, store, split.report).predictions
        metrics = {
            "report": _scores(score(predictions, store).pooled),
            "select": _scores(score(predict(model, store, split.select).predictions, store).pooled),
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


def execute_runs(
    configs: Iterable[RunConfig],
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    report: Callable[[str], None] = print,
    worker: Callable[[RunConfig, Path, Device], float] | None = None,
) -> None:
    """Make every run that is not there yet, several at a time, one process and one thread each.

    Args:
        configs: the runs; repeated ones are made once.
        output_dir: holds ``runs/`` and ``data/``.
        jobs: processes; as many as there are cores by default.
        device: of every run.
        report: given one line a finished run, with the time left.
        worker: what a process does with a run; tests put their own here.

    Raises:
        RunError: if some runs failed, once all others are done.
    """
    wanted = list(dict.fromkeys(configs))
    missing = [config for config in wanted if find_run(config, output_dir, device) is None]
    if not missing:
        report(f"runs: all {len(wanted)} are there already")
        return
    jobs = min(jobs or os.cpu_count() or 1, len(missing))
    report(f"runs: {len(missing)} of {len(wanted)} to make, {jobs} at a time")
    grid = _Grid(missing, output_dir, device, jobs, report, worker or _work)
    failed = grid.finish()
    if failed:
        reasons = "\n".join(f"  {describe(config)}: {reason}" for config, reason in failed.items())
        raise RunError(f"{len(failed)} of {len(missing)} runs failed:\n{reasons}")


class _Grid:
    """Runs handed to a pool of processes; the pool is replaced when a worker is killed.

    A broken pool does not say whose worker was killed, by want of memory or by hand. Each run that
    was under way is therefore made again in a pool of its own, and has failed if that breaks too:
    a run that always kills its worker takes no other with it.
    """

    def __init__(
        self,
        missing: Sequence[RunConfig],
        output_dir: Path,
        device: Device,
        jobs: int,
        report: Callable[[str], None],
        worker: Callable[[RunConfig, Path, Device], float],
    ) -> None:
        self.queue = list(missing)
        self.total = len(missing)
        self.failed: dict[RunConfig, str] = {}
        self.arguments = (output_dir, device)
        self.jobs, self.report, self.worker = jobs, report, worker
        self.started, self.done = time.monotonic(), 0

    def finish(self) -> dict[RunConfig, str]:
        while self.queue:
            for config in self._pool(self.queue, self.jobs):
                alone = [config]
                if self._pool(alone, 1) or alone:
                    self.failed[config] = "its process was killed twice"
                    self.report(f"runs: FAILED {describe(config)}: {self.failed[config]}")
        return self.failed

    def _pool(self, queue: list[RunConfig], jobs: int) -> list[RunConfig]:
        """Work a queue off. If a worker is killed, return what was under way, leave the rest."""
        under_way: dict[Future[float], RunConfig] = {}
        # Fork would share locks and threads of torch with the workers.
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            while queue or under_way:
                # No more than are worked on, so that few are under way when a worker is killed.
                while queue and len(under_way) < jobs:
                    try:
                        future = pool.submit(self.worker, queue[0], *self.arguments)
                    except BrokenProcessPool:  # a worker was killed while nobody waited
                        break
                    under_way[future] = queue.pop(0)
                finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
                for future in finished:
                    if not isinstance(future.exception(), BrokenProcessPool):
                        self._collect(under_way.pop(future), future)
                if not finished or not finished.isdisjoint(under_way):
                    break
        return list(under_way.values())

    def _collect(self, config: RunConfig, future: Future[float]) -> None:
        error = future.exception()
        if error is not None:  # whatever it is, the other runs go on and it is reported
            self.failed[config] = f"{type(error).__name__}: {error}"
            self.report(f"runs: FAILED {describe(config)}: {self.failed[config]}")
            return
        seconds = future.result()
        self.done += 1
        left = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        self.report(
            f"runs: {self.done}/{self.total}  {describe(config)}  {seconds:.0f} s, "
            f"about {math.ceil(left)} s left"
        )


def _work(config: RunConfig, output_dir: Path, device: Device) -> float:
    started = time.monotonic()
    execute_run(config, output_dir, device)
    return time.monotonic() - started


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
    return f"{' '.join(parts)}, {' '.join(named)}, seed {config.seed}"
