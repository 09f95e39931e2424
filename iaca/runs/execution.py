"""How runs are made: one by one, or several of one architecture as one training."""

import gc
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from iaca.base.devices import Device, device_type
from iaca.base.files import locked, whole_folder, write_json, writing
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.learning.config import TrainingError
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import Trained, train_together
from iaca.learning.training import Placed, Training
from iaca.models.regressor import AffectRegressor
from iaca.runs.runs import (
    CPU_THREADS,
    Identity,
    Run,
    RunConfig,
    describe,
    finished_runs,
    identify_runs,
    run_key,
)
from iaca.sources.loading import open_data
from iaca.sources.writing import save_arrays

Outcomes = dict[RunConfig, Run | TrainingError]
Train = Callable[[Sequence[RunConfig]], Outcomes]
MEMORY_SHARE = 0.5  # of a GPU's free memory, for trainings; the rest is for data and workspaces


def execute_run(
    config: RunConfig, output_dir: Path, device: Device = "auto", progress: bool = False
) -> Run:
    """Return a run, training it if it is not there; an interrupted training is continued.

    On a CPU this process computes with one thread from then on, as every run does. Two processes
    that want the same run train it once: the second waits for the first. On a shared disk without
    locks both train it, and the first one's result is kept.

    Raises:
        TrainingError: if it cannot be trained.
    """
    outcome = execute_together([config], output_dir, device, progress)[config]
    if isinstance(outcome, TrainingError):
        raise outcome
    return outcome


def make_alike(
    configs: Sequence[RunConfig], output_dir: Path, device: Device
) -> list[tuple[RunConfig, float | str]]:
    """Make runs together, and say of each how many seconds it took, or why it failed."""
    return [
        (config, made.metrics["seconds"] if isinstance(made, Run) else f"TrainingError: {made}")
        for config, made in execute_together(configs, output_dir, device).items()
    ]


def company(config: RunConfig) -> RunConfig:
    """What runs that one engine can train together have in common; equal for all of them.

    They may differ in the seed, in the seed of a benchmark's data, and in how gates start.
    """
    return replace(
        config,
        seed=0,
        data=replace(config.data, data_seed=0),
        model=replace(config.model, gate_init="xavier"),
    )


class Begun(NamedTuple):
    """A run that is being made: its training, its data, and where its results go."""

    config: RunConfig
    identity: Identity
    unfinished: Path
    training: Training
    store: RecordingStore
    split: Split

    @property
    def checkpoint(self) -> Path:
        """What an interrupted training goes on from."""
        return self.unfinished / "resume.pt"


def execute_together(
    configs: Sequence[RunConfig], output_dir: Path, device: Device = "auto", progress: bool = False
) -> Outcomes:
    """Do as `execute_run` for several runs, which are trained together where they are alike.

    A run that fails takes no other with it: its error stands in its place.
    """
    if device_type(device) == "cpu":
        torch.set_num_threads(CPU_THREADS)
    identities = identify_runs(configs, output_dir, device)
    outcomes: Outcomes = {**finished_runs(identities, output_dir)}
    missing = {run_key(identities[config]): config for config in configs if config not in outcomes}
    runs = output_dir / "runs"
    with writing(runs):
        runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as locks:
        for key in sorted(missing):  # everywhere in the same order: nobody waits in a circle
            locks.enter_context(locked(runs / f".{key}.lock"))
        outcomes |= finished_runs({c: identities[c] for c in missing.values()}, output_dir)
        alike: dict[object, list[RunConfig]] = {}
        for config in missing.values():
            if config not in outcomes:
                alike.setdefault(company(config), []).append(config)
        train = partial(
            _train, identities=identities, output_dir=output_dir, device=device, progress=progress
        )
        for group in alike.values():
            size = runs_at_once(group[0], device)
            for start in range(0, len(group), size):
                outcomes |= _halved(train, group[start : start + size])
    return outcomes


def runs_at_once(config: RunConfig, device: Device) -> int:
    """How many runs like this one the free memory of the GPU holds, at least one.

    Counted are weights, gradients and moments, and twice what a forward pass keeps for the
    backward one, gradients of that being as large. On a CPU it is one.
    """
    if device_type(device) == "cpu":
        return 1
    return max(1, int(MEMORY_SHARE * torch.cuda.mem_get_info()[0] / training_bytes(config)))


def training_bytes(config: RunConfig) -> int:
    """About how much memory a training takes, its data aside."""
    kept: list[int] = []

    def note(x: Tensor) -> Tensor:
        kept.append(x.nbytes)
        return x

    with torch.random.fork_rng(devices=[]), torch.device("meta"):  # shapes, and no memory
        model = AffectRegressor(config.model, 1, 1, 1)
        x = torch.empty(config.training.batch_size, config.model.window, 1)
        state = torch.empty(x.shape[:2], dtype=torch.int64)
        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            model(x, x, state=state)
    return 4 * sum(weight.nbytes for weight in model.parameters()) + 2 * sum(kept)


def _halved(train: Train, configs: Sequence[RunConfig]) -> Outcomes:
    """Train alike runs; if the GPU's memory is too small for all of them, in two halves."""
    half = len(configs) // 2
    try:
        return train(configs)
    except torch.OutOfMemoryError:
        reason = (
            f"{describe(configs[0])}: the GPU has too little memory for {len(configs)} of these "
            "runs at a time"
        )
    gc.collect()  # what failed holds itself in memory
    torch.cuda.empty_cache()
    if not half:
        error = TrainingError(f"{reason}; a smaller training.batch_size or model.dim needs less")
        return {configs[0]: error}
    print(f"{reason}; now {len(configs) - half}", flush=True)
    return _halved(train, configs[:half]) | _halved(train, configs[half:])


def _train(
    configs: Sequence[RunConfig],
    identities: Mapping[RunConfig, Identity],
    output_dir: Path,
    device: Device,
    progress: bool,
) -> Outcomes:
    """Train alike runs, those together that have come equally far."""
    outcomes: Outcomes = {}
    equally_far: dict[tuple[int, int], list[Begun]] = {}
    shared: dict[object, Placed] = {}
    for config in configs:
        try:
            begun = _begin(config, identities[config], output_dir, device, shared)
        except TrainingError as error:
            outcomes[config] = error
            continue
        training = begun.training
        equally_far.setdefault((len(training.history), len(training.batches)), []).append(begun)
    for group in equally_far.values():
        started = time.monotonic()
        trainings = [begun.training for begun in group]
        checkpoints = [begun.checkpoint for begun in group]
        engine = identities[group[0].config]["engine"]
        trained = train_together(trainings, engine, checkpoints, progress)
        seconds = (time.monotonic() - started) / len(group)
        for begun, outcome in zip(group, trained, strict=True):
            if isinstance(outcome, Trained):
                outcomes[begun.config] = _finish(begun, outcome, seconds)
            else:
                outcomes[begun.config] = outcome
    return outcomes


def _begin(
    config: RunConfig,
    identity: Identity,
    output_dir: Path,
    device: Device,
    shared: dict[object, Placed],
) -> Begun:
    store, split = open_data(config.data, output_dir / "data")
    unfinished = output_dir / "runs" / f".{run_key(identity)}.partial"
    training = Training(
        config.model,
        config.training,
        store,
        split,
        config.seed,
        device,
        protocol=config.protocol,
        shared=shared,
    )
    begun = Begun(config, identity, unfinished, training, store, split)
    if begun.checkpoint.exists():
        training.resume(begun.checkpoint)
    return begun


def _finish(begun: Begun, trained: Trained, seconds: float) -> Run:
    """Write a run's results, whole or not at all, and remove what an unfinished one had kept."""
    folder = begun.unfinished.with_name(run_key(begun.identity))
    with whole_folder(folder) as whole:
        metrics = _write_results(whole, begun.config, trained, begun.store, begun.split)
        metrics["seconds"] = round(seconds, 2)
        write_json(whole / "config.json", begun.identity)
        write_json(whole / "metrics.json", metrics)
    shutil.rmtree(begun.unfinished, ignore_errors=True)
    return Run(begun.config, folder, metrics)


def _write_results(
    folder: Path, config: RunConfig, trained: Trained, store: RecordingStore, split: Split
) -> dict[str, Any]:
    """Write a training's history, weights and predictions; returns its metrics."""
    model = trained.model
    report = predict(model, store, split.report).predictions
    select = predict(model, store, split.select).predictions
    metrics: dict[str, Any] = {
        "best_epoch": trained.best_epoch,
        "parameters": sum(p.numel() for p in model.parameters()),
        "skipped_batches": int(trained.history["skipped_batches"].sum()),
    }
    for part, predictions in (("report", report), ("select", select)):
        pooled = score(predictions, store, config.protocol).pooled
        metrics[part] = {x: None if math.isnan(value) else value for x, value in pooled.items()}
    trained.history.to_csv(folder / "history.csv", index=False)
    for name, tensors in (("model", model.cpu().state_dict()), ("predictions", report)):
        save_arrays(tensors, folder / f"{name}.safetensors")
    return metrics
