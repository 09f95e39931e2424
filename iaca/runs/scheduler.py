"""A grid of runs that survives: what is finished stays, what fails takes nothing else with it.

Two engines make the runs that are missing: `Processes` of this machine, and a Ray `Cluster`.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

from iaca.base.devices import Device, device_type
from iaca.base.processes import end_with_parent, timed, usable_cores
from iaca.runs.announce import announce
from iaca.runs.execution import execute_run
from iaca.runs.ray_cluster import Cluster, Outcome, RayOptions, Worker, open_ray
from iaca.runs.runs import (
    Identity,
    Run,
    RunConfig,
    RunError,
    describe,
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
        jobs = 1 if device == "cuda" else usable_cores()
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
    if isinstance(engine, Processes):  # of a cluster's nodes nothing is known
        announce(missing, output_dir, engine.jobs, report)
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
    """Runs handed to processes that make one at a time; one that is killed is replaced.

    Its run is made again, since a process may be killed for want of memory that others took. A run
    whose process is killed twice has failed.
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
        queue = [(config, 1) for config in missing]
        under_way: dict[Future[float], tuple[ProcessPoolExecutor, RunConfig, int]] = {}
        with ExitStack() as stack:
            idle = [_start_process(stack) for _ in queue[: self.jobs]]
            while queue or under_way:
                while queue and idle:
                    (config, attempt), process = queue.pop(0), idle.pop()
                    try:
                        future = process.submit(timed, worker, config, output_dir, self.device)
                    except BrokenProcessPool:  # killed between two runs
                        process = _start_process(stack)
                        future = process.submit(timed, worker, config, output_dir, self.device)
                    under_way[future] = process, config, attempt
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    process, config, attempt = under_way.pop(future)
                    error = future.exception()
                    # Whatever it is, the other runs go on and it is reported.
                    outcome = f"{type(error).__name__}: {error}" if error else future.result()
                    killed = isinstance(error, BrokenProcessPool)
                    idle.append(_start_process(stack) if killed else process)
                    if killed and attempt == 1:
                        queue.insert(0, (config, 2))
                    else:
                        yield config, "its process was killed twice" if killed else outcome


def _start_process(stack: ExitStack) -> ProcessPoolExecutor:
    # Fork would share locks and threads of torch with the process.
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=end_with_parent)
    return stack.enter_context(pool)
