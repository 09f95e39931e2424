"""Compute the reference run: ``make reference``, or ``python -m companion.reference --help``.

Runs are the project's ordinary ones, one thread each, in ``_build/reference``; a line of results
is appended to ``reference/`` as each is done. Interrupted at any point, the same command goes on
and ends with the same lines.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path

from companion.reference.lines import (
    FOLDER,
    SITTINGS,
    Line,
    Results,
    append_line,
    config_hash,
    describe_sitting,
    read_lines,
)
from companion.reference.plan import PARTS, Cell, Part, run_of
from companion.reference.tables.show import TABLES, show
from iaca.base.files import DataError, check_one_of
from iaca.base.paths import BUILD
from iaca.base.processes import begin_worker, usable_cores
from iaca.runs.runs import RunConfig
from iaca.runs.shards import Shard, parse_shard

OUTPUT = BUILD / "reference"
COST = {"none": 3.0, "ca": 5.0, "tca": 10.0, "jca": 8.0, "rjca": 15.0}  # CPU seconds, about


def compute(
    parts: Sequence[str],
    folder: Path = FOLDER,
    output_dir: Path = OUTPUT,
    jobs: int | None = None,
    shard: Shard | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Compute what is missing of some parts, one after the other.

    Args:
        parts: names of `PARTS`.
        folder: where lines are kept.
        output_dir: where runs are.
        jobs: processes; as many as there are cores by default.
        shard: only this share of a part's runs.
        report: is told each run, with the time left.

    Raises:
        DataError: if a part needs a tuning that is not finished, or data cannot be had.
    """
    for name in parts:
        results = Results(folder)
        chosen = results.chosen if PARTS[name].tuned else None
        cells = cells_of(name, shard)
        missing = [cell for cell in cells if results.line(name, cell) is None]
        report(f"{name}: {len(cells) - len(missing)} of {len(cells)} runs are there")
        if not missing:
            continue
        sitting = len(read_lines(folder / SITTINGS))
        append_line(folder / SITTINGS, describe_sitting(name))
        costs = {cell: _cost(cell, run_of(cell, chosen)) for cell in missing}
        started, done, all_costs = time.monotonic(), 0.0, sum(costs.values())
        todo = [(cell, run_of(cell, chosen)) for cell in missing]
        for number, (cell, line) in enumerate(
            _computed(todo, PARTS[name], output_dir, jobs or usable_cores()), 1
        ):
            entry = {"run": cell.name, "config": config_hash(run_of(cell, chosen))}
            append_line(folder / f"{name}.jsonl", {**entry, "sitting": sitting, **line})
            done += costs[cell]
            left = (time.monotonic() - started) / done * (all_costs - done)
            report(
                f"{name}: {number}/{len(missing)}  {cell.name}  {line['seconds']:.0f} CPU s, "
                f"about {math.ceil(left / 60)} min left"
            )


def cells_of(part: str, shard: Shard | None = None) -> tuple[Cell, ...]:
    """A part's runs, or one share of them; all shares together are the part, each run once."""
    cells = PARTS[part].cells
    return cells if shard is None else cells[shard.number - 1 :: shard.parts]


def _cost(cell: Cell, config: RunConfig) -> float:
    return COST[cell.attention] * config.training.epochs


def _computed(  # type: ignore[no-untyped-def]
    todo: Sequence[tuple[Cell, RunConfig]], part: Part, output_dir: Path, jobs: int
):
    """Yield each cell with its line, in the order in which they are done."""
    queue = list(todo)
    with ProcessPoolExecutor(
        min(jobs, len(queue)), mp_context=get_context("spawn"), initializer=begin_worker
    ) as pool:
        under_way: dict[Future[Line], Cell] = {}
        while queue or under_way:
            while queue and len(under_way) < 2 * jobs:
                cell, config = queue.pop(0)
                made = pool.submit(compute_line, config, part.measures, output_dir, part.brief)
                under_way[made] = cell
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                yield under_way.pop(future), future.result()


def compute_line(
    config: RunConfig, measures: Sequence[str], output_dir: Path, brief: bool = False
) -> Line:
    """Make a run and measure it, `briefly` if need be; in a worker process."""
    from companion.reference.measures import briefly, measure
    from iaca.learning.config import TrainingError
    from iaca.runs.execution import execute_run

    started = time.process_time()
    try:
        line = measure(execute_run(config, output_dir, "cpu"), measures, output_dir)
    except TrainingError as error:  # a learning rate can be too high: that is a result
        line = {"failed": str(error), "select": None}
    seconds = round(time.process_time() - started, 1)
    return {"seconds": seconds, **(briefly(line) if brief else line)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compute parts of the reference run. Returns 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m companion.reference",
        description="Compute the reference run. Interrupted, the same command goes on.",
    )
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all by default")
    parser.add_argument("--jobs", type=int, help="runs at a time; by default one a core")
    parser.add_argument("--shard", metavar="I/N", help="only the I-th of N shares, say 1/4")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where lines are kept")
    parser.add_argument("--output-dir", type=Path, default=OUTPUT, help="where runs are")
    parser.add_argument("--show", choices=TABLES, help="print a table instead of computing")
    given = parser.parse_args(arguments)
    try:
        if given.show:
            print(show(given.show, given.folder))
            return 0
        for name in given.parts:
            check_one_of("part", name, PARTS)
        shard = parse_shard(given.shard) if given.shard else None
        parts = given.parts or list(PARTS)
        compute(parts, given.folder, given.output_dir, given.jobs, shard)
    except DataError as error:
        print(f"reference: {error}", file=sys.stderr)
        return 2
    return 0
