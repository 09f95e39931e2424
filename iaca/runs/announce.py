"""What a grid of large models will take, said before it starts."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import torch

from iaca.base.devices import Device
from iaca.base.files import DataError, canonical_json, free_space, read_json
from iaca.base.processes import end_with_parent
from iaca.learning.training import Placed, Training
from iaca.models.regressor import count_parameters
from iaca.runs.profiles import PROFILES
from iaca.runs.runs import CPU_THREADS, Identity, RunConfig
from iaca.sources.loading import open_data, open_store

MANY = 10  # runs
LARGE = PROFILES["full"].dim  # d of a model
GB = 1e9  # bytes
TIMED_STEPS = 3  # the first one, which sets things up, does not count


class Cost(NamedTuple):
    """What a run takes: time, and room on the disk."""

    seconds: float
    bytes: int


def kind_of(config: Mapping[str, Any]) -> str:
    """What decides how long a run takes; ``config`` is a run's, as its ``config.json`` has it."""
    model, training = config["model"], config["training"]
    options = [model[name] for name in ("attention", "fusion", "dim", "window")]
    options += [training[name] for name in ("epochs", "batch_size", "hop", "precision")]
    return canonical_json([config["data"]["manifest"], *options])


def announce(
    missing: Mapping[RunConfig, Identity],
    output_dir: Path,
    jobs: int,
    report: Callable[[str], None],
) -> None:
    """Report about how many hours and gigabytes some runs take, if they are many and `LARGE`.

    ``jobs`` are made at a time. What is not known from finished runs is measured.
    """
    if len(missing) < MANY or max(config.model.dim for config in missing) < LARGE:
        return
    device = next(iter(missing.values()))["device"]
    if device == "cpu":
        report(f"runs: WARNING: d = {LARGE} on a CPU; full is meant for a GPU, quick for a CPU")
    kinds: dict[str, list[RunConfig]] = {}
    for config, identity in missing.items():
        kinds.setdefault(kind_of(identity["config"]), []).append(config)
    costs = finished_costs(output_dir, device)
    if new := [kind for kind in kinds if kind not in costs]:
        first = [kinds[kind][0] for kind in new]
        spawn = get_context("spawn")  # this process shall hold no memory of a GPU
        try:
            with ProcessPoolExecutor(1, spawn, end_with_parent) as process:
                measured = process.submit(measure, first, output_dir, device).result()
        except RuntimeError as error:  # say, the GPU's memory is full
            report(f"runs: how long they take could not be measured ({error})")
            return
        costs |= zip(new, measured, strict=True)
    total = [(len(runs), costs[kind]) for kind, runs in kinds.items()]
    hours = sum(count * cost.seconds for count, cost in total) / jobs / 3600
    needed = sum(count * cost.bytes for count, cost in total) / GB
    sets = {replace(config.data, fold=None, folds=None) for config in missing}
    stores = {open_store(each, output_dir / "data").path for each in sets}
    data = sum(file.stat().st_size for store in stores for file in store.rglob("*")) / GB
    known = f"from finished runs of {len(kinds) - len(new)} kinds, measured steps of {len(new)}"
    each = "if each is trained by itself"
    report(f"runs: about {hours:.1f} h, {each}, and {needed:.1f} GB, {known}")
    report(f"runs: their data, {data:.1f} GB, are there; {free_space(output_dir) / GB:.1f} GB free")


def finished_costs(output_dir: Path, device: str) -> dict[str, Cost]:
    """Kind -> what its finished runs took on a device, medians."""
    found: dict[str, list[Cost]] = {}
    for file in (output_dir / "runs").glob("[!.]*/config.json"):
        with suppress(DataError, KeyError):  # another version's
            identity, metrics = read_json(file), read_json(file.with_name("metrics.json"))
            if identity["device"] == device:
                size = sum(part.stat().st_size for part in file.parent.iterdir())
                cost = Cost(metrics["seconds"], size)
                found.setdefault(kind_of(identity["config"]), []).append(cost)
    medians = {
        kind: map(statistics.median, zip(*all_, strict=True)) for kind, all_ in found.items()
    }
    return {kind: Cost(*each) for kind, each in medians.items()}


def measure(configs: Sequence[RunConfig], output_dir: Path, device: Device) -> list[Cost]:
    """About what some runs take: all their steps take as long as the first few, one by one."""
    torch.set_num_threads(CPU_THREADS)
    shared: dict[object, Placed] = {}
    costs = []
    for config in configs:
        store, split = open_data(config.data, output_dir / "data")
        what = config.model, config.training, store, split, config.seed, device
        training = Training(*what, protocol=config.protocol, shared=shared)
        plan = [*training.plan().values()]
        seconds = []
        for chosen in plan[:TIMED_STEPS]:
            started = time.perf_counter()
            training.step(chosen).item()  # waits for the device
            seconds.append(time.perf_counter() - started)
        step = statistics.median(seconds[1:] or seconds)
        rows = sum(store.entries[name].rows for name in split.report)
        numbers = count_parameters(training.model) + rows * len(store.info.labels)  # float32
        costs.append(Cost(step * len(plan) * config.training.epochs, 4 * numbers))
    return costs
