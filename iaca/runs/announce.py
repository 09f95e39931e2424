"""What a grid of large models will take, said before it starts."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch

from iaca.base.devices import Device
from iaca.base.files import free_space
from iaca.base.processes import end_with_parent
from iaca.learning.training import Placed, Training
from iaca.models.regressor import count_parameters
from iaca.runs.profiles import PROFILES
from iaca.runs.runs import CPU_THREADS, Identity, RunConfig
from iaca.sources.loading import open_data

MANY = 10  # runs
LARGE = PROFILES["full"].dim  # d of a model
GB = 1e9  # bytes
TIMED_STEPS = 3  # the first one, which sets things up, does not count


class Cost(NamedTuple):
    """What a run takes: time, and room on the disk."""

    seconds: float
    bytes: int


def kinds_of(configs: Iterable[RunConfig]) -> list[list[RunConfig]]:
    """Put runs together that take equally long."""
    kinds: dict[object, list[RunConfig]] = {}
    for config in configs:
        model, training = config.model, config.training
        architecture = model.attention, model.fusion, model.dim, model.window
        length = training.epochs, training.batch_size, training.hop, training.precision
        kinds.setdefault((config.data.manifest, architecture, length), []).append(config)
    return list(kinds.values())


def announce(
    missing: Mapping[RunConfig, Identity],
    output_dir: Path,
    jobs: int,
    report: Callable[[str], None],
) -> None:
    """Report about how many hours and gigabytes some runs take, if they are many and `LARGE`.

    ``jobs`` are made at a time. One run of each kind is measured for a few steps.
    """
    if len(missing) < MANY or max(config.model.dim for config in missing) < LARGE:
        return
    device = next(iter(missing.values()))["device"]
    if device == "cpu":
        report(f"runs: WARNING: d = {LARGE} on a CPU; full is meant for a GPU, quick for a CPU")
    kinds = kinds_of(missing)
    spawn = get_context("spawn")  # this process shall hold no memory of a GPU
    try:
        with ProcessPoolExecutor(1, spawn, end_with_parent) as process:
            first = [runs[0] for runs in kinds]
            costs = process.submit(measure, first, output_dir, device).result()
    except RuntimeError as error:  # say, the GPU's memory is full
        report(f"runs: how long they take could not be measured ({error})")
        return
    total = [(len(runs), cost) for runs, cost in zip(kinds, costs, strict=True)]
    hours = sum(count * cost.seconds for count, cost in total) / jobs / 3600
    needed = sum(count * cost.bytes for count, cost in total) / GB
    report(
        f"runs: about {hours:.1f} h, if each is trained by itself, measured on {len(kinds)} of "
        f"them, and {needed:.1f} GB; {free_space(output_dir) / GB:.1f} GB are free"
    )


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
