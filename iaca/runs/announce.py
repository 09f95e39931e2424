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

from iaca.base.files import DataError, canonical_json, free_space, read_json
from iaca.base.processes import end_with_parent
from iaca.learning.config import adamw
from iaca.learning.metrics import ccc_loss
from iaca.models.regressor import AffectRegressor, count_parameters
from iaca.runs.profiles import PROFILES
from iaca.runs.runs import CPU_THREADS, Identity, RunConfig
from iaca.sources.loading import open_data, open_store

MANY = 10  # runs
LARGE = PROFILES["full"].dim  # d of a model
GB = 1e9  # bytes
SMALL_FILES = 20_000  # bytes of a run's history, scores and configuration
TIMED_STEPS = 2


class Size(NamedTuple):
    """Of a run: features of sound and pictures, and targets; training steps; bytes on disk."""

    dims: tuple[int, int, int]
    steps: float
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
    jobs: int | None,
    report: Callable[[str], None],
) -> None:
    """Report about how many gigabytes and hours some runs take, if they are many and `LARGE`.

    ``jobs`` are made at a time; ``None`` if other machines make them, of which nothing is known.
    """
    if len(missing) < MANY or max(config.model.dim for config in missing) < LARGE:
        return
    device = next(iter(missing.values()))["device"]
    if device == "cpu":
        report(f"runs: WARNING: d = {LARGE} on a CPU; full is meant for a GPU, quick for a CPU")
    kinds: dict[str, list[RunConfig]] = {}
    for config, identity in missing.items():
        kinds.setdefault(kind_of(identity["config"]), []).append(config)
    sizes = {kind: size_of(runs[0], output_dir) for kind, runs in kinds.items()}
    needed = sum(len(runs) * sizes[kind].bytes for kind, runs in kinds.items()) / GB
    sets = {replace(config.data, fold=None, folds=None) for config in missing}
    stores = {open_store(each, output_dir / "data").path for each in sets}
    there = sum(file.stat().st_size for store in stores for file in store.rglob("*")) / GB
    report(
        f"runs: about {needed:.1f} GB of run folders (free: {free_space(output_dir) / GB:.1f} GB); "
        f"the data, {there:.1f} GB, are there"
    )
    if jobs is not None:
        report(f"runs: {_duration(kinds, sizes, device, output_dir, jobs)}")


def size_of(config: RunConfig, output_dir: Path) -> Size:
    """How large a run will be; it is not made."""
    store, split = open_data(config.data, output_dir / "data")
    dims = store.info.audio_dim, store.info.visual_dim, len(store.info.labels)
    with torch.device("meta"):  # no weight is drawn
        parameters = count_parameters(AffectRegressor(config.model, *dims))
    train, reported = (
        sum(store.entries[name].rows for name in names) for names in (split.train, split.report)
    )
    steps = train / config.training.hop / config.training.batch_size  # an epoch
    size = 4 * (parameters + dims[-1] * reported) + SMALL_FILES  # float32
    return Size(dims, config.training.epochs * max(1.0, steps), size)


def _duration(
    kinds: Mapping[str, Sequence[RunConfig]],
    sizes: Mapping[str, Size],
    device: str,
    output_dir: Path,
    jobs: int,
) -> str:
    """About how long some runs take, and from what that is known."""
    seconds = finished_seconds(output_dir, device)
    known = sum(kind in seconds for kind in kinds)
    if measured := [kind for kind in kinds if kind not in seconds]:
        asked = [(kinds[kind][0], sizes[kind]) for kind in measured]
        spawn = get_context("spawn")  # this process shall hold no memory of a GPU
        try:
            with ProcessPoolExecutor(1, spawn, end_with_parent) as process:
                steps = process.submit(step_seconds, asked, device).result()
        except RuntimeError as error:  # say, the GPU's memory is full
            return f"no estimate of the time, since no training step could be measured ({error})"
        seconds |= {kind: sizes[kind].steps * s for kind, s in zip(measured, steps, strict=True)}
    total = sum(len(runs) * seconds[kind] for kind, runs in kinds.items()) / jobs
    faster = "; a GPU that trains several at once is faster" if device == "cuda" else ""
    sources = [f"finished runs of {known}"] if known else []
    sources += [f"measured steps of {len(measured)}"] if measured else []
    return f"about {total / 3600:.1f} h, from {' and '.join(sources)} kinds of model{faster}"


def finished_seconds(output_dir: Path, device: str) -> dict[str, float]:
    """Kind -> the median of the seconds that its finished runs took on a device."""
    seconds: dict[str, list[float]] = {}
    for file in (output_dir / "runs").glob("[!.]*/config.json"):
        with suppress(DataError, KeyError):  # another version's
            identity, metrics = read_json(file), read_json(file.with_name("metrics.json"))
            if identity["device"] == device:
                seconds.setdefault(kind_of(identity["config"]), []).append(metrics["seconds"])
    return {kind: statistics.median(found) for kind, found in seconds.items()}


def step_seconds(asked: Sequence[tuple[RunConfig, Size]], device: str) -> list[float]:
    """Time a training step of each of some runs, alone and on random data."""
    torch.set_num_threads(CPU_THREADS)
    found = []
    for config, (dims, _, _) in asked:
        model = AffectRegressor(config.model, *dims).to(device)
        batch = config.training.batch_size, config.model.window
        audio, visual, labels = (torch.rand(*batch, dim, device=device) for dim in dims)
        optimiser = adamw(model.parameters(), config.training, device)
        times = []
        for _ in range(1 + TIMED_STEPS):
            started = time.perf_counter()
            loss = ccc_loss(model(audio, visual).values, labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            loss.item()  # waits for the device
            times.append(time.perf_counter() - started)
        found.append(statistics.median(times[1:]))
    return found
