"""Grids of runs that survive what happens to a process."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import workers
from toys import tiny_run
from workers import Job

from iaca.base.files import DataError
from iaca.runs import runs, scheduler
from iaca.runs.execution import execute_run
from iaca.runs.runs import RunError
from iaca.runs.scheduler import execute_runs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "build"


@pytest.fixture
def jobs_only(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids of `Job`, that leave a file each: what matters is what becomes of processes."""
    out.mkdir()
    monkeypatch.setattr(scheduler, "identify_runs", lambda jobs, *_: dict.fromkeys(jobs))
    monkeypatch.setattr(
        scheduler,
        "finished_runs",
        lambda jobs, out, _: {job: "run" for job in jobs if job.seed in done(out)},
    )
    monkeypatch.setattr(scheduler, "announce", lambda *_: None)
    for module in (scheduler, runs):
        monkeypatch.setattr(module, "describe", lambda job: f"seed {job.seed}")


def work_off(
    count: int, out: Path, jobs: int, worker: Any, report: Callable[[str], None] = print
) -> None:
    """Work off seeds 0, 1, ..."""
    execute_runs(map(Job, range(count)), out, jobs, "cpu", report, worker)  # type: ignore


def done(out: Path) -> list[int]:
    return sorted(int(file.name.removeprefix("done-")) for file in out.glob("done-*"))


@pytest.mark.usefixtures("jobs_only")
def test_what_is_killed_or_fails_takes_no_other_run_with_it(out: Path) -> None:
    with pytest.raises(RunError, match="2 of 6 runs failed") as raised:
        work_off(6, out, 2, workers.killed_and_failing)
    assert "seed 0: its process was killed twice" in str(raised.value)
    assert "seed 2: ArithmeticError: epoch 0, batch 3: the loss is nan" in str(raised.value)
    assert done(out) == [1, 3, 4, 5]
    attempts = {seed: (out / f"attempts-{seed}").read_text() for seed in (0, 2, 3)}
    assert attempts == {0: "xx", 2: "x", 3: "xx"}  # what fails once fails again


@pytest.mark.usefixtures("jobs_only")
def test_a_pool_that_breaks_between_two_runs_loses_none(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may die while nobody waits, so that the next submission finds out."""
    submissions = []

    class Fragile(Executor):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            pass

        def submit(self, work: Any, /, *arguments: Any) -> Any:  # type: ignore[override]
            submissions.append(arguments)
            if len(submissions) == 2:
                raise BrokenProcessPool("found out while submitting")
            future: Future[float] = Future()
            future.set_result(work(*arguments))
            return future

        def shutdown(self, *arguments: Any, **options: Any) -> None:
            pass

    monkeypatch.setattr(scheduler, "ProcessPoolExecutor", Fragile)
    work_off(4, out, 1, workers.work)
    assert done(out) == [0, 1, 2, 3]


@pytest.mark.usefixtures("jobs_only")
def test_an_interrupted_grid_goes_on(out: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("runs: 1/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work_off(3, out, 1, workers.work, interrupt)
    there = done(out)
    assert there
    said: list[str] = []
    work_off(4, out, 1, workers.work, said.append)
    assert said[0] == f"runs: {4 - len(there)} of 4 to make, 1 at a time"
    assert done(out) == [0, 1, 2, 3]
    work_off(4, out, 1, workers.work, said.append)
    assert said[-1] == "runs: all 4 are there already"


def test_runs_whose_worker_was_killed_are_the_same_runs(tmp_path: Path, out: Path) -> None:
    wanted = [replace(tiny_run(tmp_path), seed=seed) for seed in range(2)]
    survived = execute_runs([*wanted, wanted[0]], out, 2, "cpu", worker=workers.killed_in_training)
    assert list(survived) == wanted
    assert (out / "attempts-1").read_text() == "xx"
    assert (out / "attempts-101").read_text() == "xxx"  # three epochs, none of them twice
    for config, run in survived.items():
        alone = execute_run(config, out.with_name("alone"), "cpu")
        assert run.folder.name == alone.folder.name
        for name in workers.NUMBERS:
            assert (run.folder / name).read_bytes() == (alone.folder / name).read_bytes()


def test_data_that_cannot_be_had_are_an_error(tmp_path: Path, out: Path) -> None:
    config = tiny_run(tmp_path)
    impossible = replace(config, data=replace(config.data, share=0.97))
    with pytest.raises(DataError, match=r"share 0\.97"):
        execute_runs([impossible], out, 1, "cpu")
