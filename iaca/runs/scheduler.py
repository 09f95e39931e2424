"""A grid of runs that survives: what is finished stays, what fails takes nothing else with it.

Two engines make the runs that are missing: processes of this machine, and Ray. An engine is told
which, and says of each in turn how long it took, or why it failed.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from iaca.base.processes import end_with_parent
from iaca.learning.loop import Device
from iaca.runs.ray_cluster import RayOptions, open_ray
from iaca.runs.runs import Run, RunConfig, RunError, describe, device_type, execute_run, find_run

Worker = Callable[[RunConfig, Path, Device], object]
Outcome = tuple[RunConfig, float | str]  # the seconds that a run took, or why it failed


class Engine(Protocol):
    """What makes runs."""

    def device_type(self, device: Device) -> Literal["cpu", "cuda"]:
        """What ``auto`` comes to where the runs will be made."""

    def places(self, count: int) -> str:
        """Where ``count`` runs will be made, in words."""

    def make(
        self, missing: Sequence[RunConfig], output_dir: Path, device: Device, worker: Worker
    ) -> Iterator[Outcome]:
        """Make runs, and say of each what became of it."""


def execute_runs(
    configs: Iterable[RunConfig],
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    report: Callable[[str], None] = print,
    worker: Worker = execute_run,
    engine: Literal["processes"] | RayOptions = "processes",
    reuse_stale: bool = False,
) -> dict[RunConfig, Run]:
    """Make every run that is not there yet, several at a time, and return them all.

    Interrupted, it is called again and goes on: finished runs are never repeated.

    Args:
        configs: the runs; repeated ones are made once.
        output_dir: holds ``runs/`` and ``data/``.
        jobs: how many at a time; by default as many as there are cores, on a GPU one, on a cluster
            as many as Ray finds room for.
        device: of every run; ``auto`` takes GPUs if there are any.
        report: given one line a finished run, with the time left.
        worker: what is done with a run; tests put their own here.
        engine: one process and one thread a run, or a Ray cluster.
        reuse_stale: whether a run that other code made will do, see `find_run`.

    Raises:
        RunError: if some runs failed, once all others are done.
        DataError: if data cannot be had, or the cluster cannot.
    """
    wanted = list(dict.fromkeys(configs))
    if isinstance(engine, RayOptions):
        with open_ray(engine, jobs) as cluster:
            return _fill(wanted, output_dir, device, report, worker, cluster, reuse_stale)
    if jobs is None:
        jobs = 1 if device_type(device) == "cuda" else os.cpu_count() or 1
    pool = Processes(jobs)
    return _fill(wanted, output_dir, device, report, worker, pool, reuse_stale)


def _fill(
    wanted: Sequence[RunConfig],
    output_dir: Path,
    device: Device,
    report: Callable[[str], None],
    worker: Worker,
    engine: Engine,
    reuse_stale: bool,
) -> dict[RunConfig, Run]:
    device = engine.device_type(device)

    def there() -> dict[RunConfig, Run]:
        found = {run: find_run(run, output_dir, device, reuse_stale) for run in wanted}
        return {config: run for config, run in found.items() if run is not None}

    finished = there()
    missing = [config for config in wanted if config not in finished]
    if not missing:
        report(f"runs: all {len(wanted)} are there already")
        return finished
    report(f"runs: {len(missing)} of {len(wanted)} to make, {engine.places(len(missing))}")
    failed: dict[RunConfig, str] = {}
    done, started = 0, time.monotonic()
    for config, outcome in engine.make(missing, output_dir, device, worker):
        if isinstance(outcome, str):
            failed[config] = outcome
            report(f"runs: FAILED {describe(config)}: {outcome}")
            continue
        done += 1
        left = (time.monotonic() - started) / done * (len(missing) - done - len(failed))
        report(
            f"runs: {done}/{len(missing)}  {describe(config)}  {outcome:.0f} s, "
            f"about {math.ceil(left)} s left"
        )
    finished = there()
    if failed:
        raise RunError(failed, finished)
    return finished


class Processes(NamedTuple):
    """Runs handed to a pool of processes; the pool is replaced when a worker is killed.

    A broken pool does not say whose worker was killed, by want of memory or by hand. Each run that
    was under way is therefore made again in a pool of its own, and has failed if that breaks too:
    a run that always kills its worker takes no other with it.
    """

    jobs: int

    def device_type(self, device: Device) -> Literal["cpu", "cuda"]:
        """See `Engine`."""
        return device_type(device)

    def places(self, count: int) -> str:
        """See `Engine`."""
        return f"{min(self.jobs, count)} at a time"

    def make(
        self, missing: Sequence[RunConfig], output_dir: Path, device: Device, worker: Worker
    ) -> Iterator[Outcome]:
        """See `Engine`."""
        queue = list(missing)
        arguments = (worker, output_dir, device)
        while queue:
            lost: list[RunConfig] = []
            yield from _pool(queue, min(self.jobs, len(queue)), lost, arguments)
            for config in list(lost):
                alone, lost = [config], []
                yield from _pool(alone, 1, lost, arguments)
                if alone or lost:
                    yield config, "its process was killed twice"


def _pool(
    queue: list[RunConfig],
    jobs: int,
    lost: list[RunConfig],
    arguments: tuple[Worker, Path, Device],
) -> Iterator[Outcome]:
    """Work a queue off. If a worker is killed, note what is ``lost``, and leave the rest queued."""
    under_way: dict[Future[float], RunConfig] = {}
    # Fork would share locks and threads of torch with the workers.
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        while queue or under_way:
            # No more than are worked on, so that few are under way when a worker is killed.
            while queue and len(under_way) < jobs:
                try:
                    future = pool.submit(_timed, queue[0], *arguments)
                except BrokenProcessPool:  # a worker was killed while nobody waited
                    break
                under_way[future] = queue.pop(0)
            finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in finished:
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    continue
                config = under_way.pop(future)
                # Whatever it is, the other runs go on and it is reported.
                yield config, f"{type(error).__name__}: {error}" if error else future.result()
            if not finished or not finished.isdisjoint(under_way):
                break
    lost += under_way.values()


def _timed(config: RunConfig, worker: Worker, output_dir: Path, device: Device) -> float:
    started = time.monotonic()
    worker(config, output_dir, device)
    return time.monotonic() - started
