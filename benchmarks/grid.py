"""Time a grid of runs on one process and on several.

    python benchmarks/grid.py [--profile smoke] [--part table_2] [--jobs 1 2] [--repeats 3]

Every repetition starts without runs, in a folder of its own, with the data prepared beforehand; the
numbers of processes take turns. A process trains with one thread. The efficiency is the time that
the runs alone took (as each wrote down in `metrics.json`) over processes times wall-clock time:
what is missing to 100 % is starting processes, waiting at the end, and the grid itself.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from reporting import machine, spread, table

from companion.experiments.book_runs import chapter_runs
from companion.experiments.grids import BENCHMARK, leaves, table_2_runs
from iaca.runs.profiles import PROFILES, Profile, get_profile
from iaca.runs.runs import RunConfig
from iaca.runs.scheduler import execute_runs
from iaca.sources.loading import open_data


def grid_of(profile: Profile, part: str, folder: Path) -> list[RunConfig]:
    """The runs of Table 2, or all of chapter 4."""
    if part == "all":
        return chapter_runs("ablations", profile, BENCHMARK, folder)
    return [*leaves(table_2_runs(profile, BENCHMARK, folder))]


def measure(configs: Sequence[RunConfig], data: Path, jobs: int) -> tuple[float, float]:
    """Wall-clock seconds of the grid, and the seconds that its runs add up to."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "data").symlink_to(data)
        start = time.perf_counter()
        runs = execute_runs(configs, folder, jobs, "cpu", report=lambda line: None)
        elapsed = time.perf_counter() - start
        return elapsed, sum(run.metrics["seconds"] for run in runs.values())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", choices=PROFILES, default="smoke")
    parser.add_argument("--part", choices=("table_2", "all"), default="all")
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--jobs", type=int, nargs="+", default=sorted({1, cores}))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()

    print(f"{machine('cpu')}\n")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        configs = grid_of(get_profile(options.profile), options.part, folder)
        for data in {config.data for config in configs}:
            open_data(data, folder / "data")
        measured: dict[int, list[tuple[float, float]]] = {jobs: [] for jobs in options.jobs}
        for turn in range(options.repeats):
            for jobs in options.jobs if turn % 2 else reversed(options.jobs):
                measured[jobs].append(measure(configs, folder / "data", jobs))
    first = measured[options.jobs[0]]
    rows = [
        [
            str(jobs),
            spread([elapsed for elapsed, _ in found]),
            spread([base / own for (base, _), (own, _) in zip(first, found, strict=True)], 2),
            f"{sum(alone for _, alone in found) / jobs / sum(wall for wall, _ in found):.0%}",
        ]
        for jobs, found in measured.items()
    ]
    print(f"{len(configs)} runs ({options.part}, {options.profile}), {options.repeats} repeats\n")
    print(table(["processes", "s", "speed-up", "efficiency"], rows))


if __name__ == "__main__":
    main()
