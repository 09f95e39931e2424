"""A grid of runs that survives: what is finished stays, what fails takes nothing else with it.

Two engines make the runs that are missing: `Processes` of this machine, and a Ray `Cluster`.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

from iaca.base.devices import Device, device_type, visible_gpus
from iaca.base.files import check_output
from iaca.base.processes import begin_worker, timed, usable_cores
from iaca.runs.announce import announce
from iaca.runs.execution import company, execute_run, make_alike
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

TOGETHER = 32  # alike runs that one process on a GPU is handed; memory may hold fewer at a time


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
        jobs: how many at a time; by default as many as there are cores, or processes with a GPU
            each, on a cluster as many as Ray finds room for.
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
    gpus = visible_gpus() if device == "cuda" else ()
    engine = Processes(jobs or len(gpus) or usable_cores(), device, gpus)
    return _execute(wanted, output_dir, report, worker, engine, reuse_stale)


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
    check_output(output_dir / "runs", folder=True)
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
    whose process is killed twice has failed. On GPUs a process has one of them, which several
    processes share if there are more ``jobs``, and makes several alike runs at a time.
    """

    jobs: int
    device: Literal["cpu", "cuda"]
    gpus: Sequence[str] = ()

    @property
    def where(self) -> str:
        """Where runs are made, in words."""
        if not self.gpus:
            return f"{self.jobs} at a time"
        return f"several alike at a time, {self.jobs} processes on {len(self.gpus)} GPUs"

    def groups(self, missing: Iterable[RunConfig]) -> list[tuple[RunConfig, ...]]:
        """Which runs a process makes together: alike ones on a GPU, shared out evenly."""
        if not self.gpus:
            return [(config,) for config in missing]
        alike: dict[RunConfig, list[RunConfig]] = {}
        for config in missing:
            alike.setdefault(company(config), []).append(config)
        groups = []
        for configs in alike.values():
            size = min(TOGETHER, math.ceil(len(configs) / self.jobs))
            groups += [tuple(configs[i : i + size]) for i in range(0, len(configs), size)]
        return groups

    def make(
        self, missing: Mapping[RunConfig, Identity], output_dir: Path, worker: Worker
    ) -> Iterator[Outcome]:
        """Make runs, and say of each how long it took, or why it failed."""
        queue = [(configs, 1) for configs in self.groups(missing)]
        under_way: dict[Future[Any], tuple[_Process, tuple[RunConfig, ...], int]] = {}
        with ExitStack() as stack:
            idle = [
                _Process.start(stack, self.gpus[job % len(self.gpus)] if self.gpus else None)
                for job in range(min(self.jobs, len(queue)))
            ]
            while queue or under_way:
                while queue and idle:
                    (configs, attempt), process = queue.pop(0), idle.pop()
                    try:
                        future = process.submit(worker, configs, output_dir, self.device)
                    except BrokenProcessPool:  # killed between two runs
                        process = process.replaced(stack)
                        future = process.submit(worker, configs, output_dir, self.device)
                    under_way[future] = process, configs, attempt
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    process, configs, attempt = under_way.pop(future)
                    error = future.exception()
                    killed = isinstance(error, BrokenProcessPool)
                    idle.append(process.replaced(stack) if killed else process)
                    if killed and attempt == 1:
                        queue.insert(0, (configs, 2))
                    elif error is None:
                        alone = len(configs) == 1
                        yield from [(configs[0], future.result())] if alone else future.result()
                    else:  # whatever it is, the other runs go on and it is reported
                        reason = f"{type(error).__name__}: {error}"
                        reason = "its process was killed twice" if killed else reason
                        yield from ((config, reason) for config in configs)


class _Process(NamedTuple):
    """A process that makes runs, with a GPU of its own or none."""

    pool: ProcessPoolExecutor
    gpu: str | None

    @classmethod
    def start(cls, stack: ExitStack, gpu: str | None) -> "_Process":
        # Fork would share locks and threads of torch with the process.
        pool = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=begin_worker, initargs=(gpu,)
        )
        return cls(stack.enter_context(pool), gpu)

    def submit(
        self, worker: Worker, configs: Sequence[RunConfig], output_dir: Path, device: Device
    ) -> Future[Any]:
        """Have one run made, for its seconds, or several together, for an `Outcome` of each."""
        if len(configs) == 1:
            return self.pool.submit(timed, worker, configs[0], output_dir, device)
        return self.pool.submit(make_alike, configs, output_dir, device)

    def replaced(self, stack: ExitStack) -> "_Process":
        return self.start(stack, self.gpu)
