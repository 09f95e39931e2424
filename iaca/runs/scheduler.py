"""A grid of runs that survives: what is finished stays, what fails takes nothing else with it.

Two engines make the runs that are missing: `Processes` of this machine, and a Ray `Cluster`.
"""

import math
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

from iaca.base.processes import end_with_parent, timed
from iaca.learning.loop import Device
from iaca.runs.ray_cluster import Cluster, Outcome, RayOptions, Worker, open_ray
from iaca.runs.runs import (
    Identity,
    Run,
    RunConfig,
    RunError,
    describe,
    device_type,
    execute_run,
    finished_runs,
    identify_runs,
)


def execute_runs(
    configs: Iterable[RunConfig],
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    report: Callable[[str], None] = print,
    worker: Worker = execute_run,
    cluster: RayOptions | None = None,
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
        report: called with one line per finished run, with the time left.
        worker: what makes a run; tests put their own here.
        cluster: a Ray cluster; by default processes of this machine, one thread each.
        reuse_stale: whether a run that other code made will do, see `finished_runs`.

    Raises:
        RunError: if some runs failed, once all others are done.
        DataError: if data cannot be had, or the cluster cannot.
    """
    wanted = list(dict.fromkeys(configs))
    if cluster is not None:
        with open_ray(cluster, jobs, device) as ray:
            return _execute(wanted, output_dir, report, worker, ray, reuse_stale)
    device = device_type(device)
    if jobs is None:
        jobs = 1 if device == "cuda" else os.cpu_count() or 1
    return _execute(wanted, output_dir, report, worker, Processes(jobs, device), reuse_stale)


def _execute(
    wanted: list[RunConfig],
    output_dir: Path,
    report: Callable[[str], None],
    worker: Worker,
    engine: "Processes | Cluster",
    reuse_stale: bool,
) -> dict[RunConfig, Run]:
    identities = identify_runs(wanted, output_dir, engine.device)
    finished = finished_runs(identities, output_dir, reuse_stale)
    missing = {run: identity for run, identity in identities.items() if run not in finished}
    if not missing:
        report(f"runs: all {len(wanted)} are there already")
        return finished
    report(f"runs: {len(missing)} of {len(wanted)} to make, {engine.where}")
    failed: dict[RunConfig, str] = {}
    done, started = 0, time.monotonic()
    for config, outcome in engine.make(missing, output_dir, worker):
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
    finished = finished_runs(identities, output_dir, reuse_stale)
    if failed:
        raise RunError(failed, finished)
    return finished


def report_missing(
    configs: Iterable[RunConfig],
    output_dir: Path,
    device: Device = "auto",
    reuse_stale: bool = False,
    report: Callable[[str], None] = print,
) -> None:
    """Report which runs `execute_runs` would make, one line each, and how many."""
    identities = identify_runs(configs, output_dir, device)
    finished = finished_runs(identities, output_dir, reuse_stale)
    missing = [config for config in identities if config not in finished]
    for config in missing:
        report(describe(config))
    report(f"runs: {len(missing)} of {len(identities)} would be made")


class Processes(NamedTuple):
    """Runs handed to a pool of processes; the pool is replaced when a worker is killed.

    A broken pool does not say whose worker was killed, by want of memory or by hand. Each run that
    was under way is therefore made again in a pool of its own, and has failed if that breaks too:
    a run that always kills its worker takes no other with it.
    """

    jobs: int
    device: Literal["cpu", "cuda"]

    @property
    def where(self) -> str:
        """Where runs are made, in words."""
        return f"{self.jobs} at a time"

    def make(
        self, missing: Mapping[RunConfig, Identity], output_dir: Path, worker: Worker
    ) -> Iterator[Outcome]:
        """Make runs, and say of each how long it took, or why it failed."""
        queue = list(missing)
        arguments = (output_dir, self.device)
        while queue:
            lost = yield from _pool(queue, min(self.jobs, len(queue)), worker, arguments)
            for config in lost:
                alone = [config]
                if (yield from _pool(alone, 1, worker, arguments)) or alone:
                    yield config, "its process was killed twice"


def _pool(
    queue: list[RunConfig], jobs: int, worker: Worker, arguments: tuple[Path, Device]
) -> Generator[Outcome, None, list[RunConfig]]:
    """Work a queue off. If a worker is killed, return the runs under way; the rest stays queued."""
    under_way: dict[Future[float], RunConfig] = {}
    # Fork would share locks and threads of torch with the workers.
    with ProcessPoolExecutor(
        jobs, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        while queue or under_way:
            # No more than are worked on, so that few are under way when a worker is killed.
            while queue and len(under_way) < jobs:
                try:
                    future = pool.submit(timed, worker, queue[0], *arguments)
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
    return list(under_way.values())
