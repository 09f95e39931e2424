"""Grids of runs that survive what happens to a process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import workers
from toys import tiny_run
from workers import Job

from iaca.base.files import DataError
from iaca.runs import runs
from iaca.runs import scheduler as grid
from iaca.runs.runs import RunConfig, RunError
from iaca.runs.scheduler import execute_runs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return tiny_run(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "build"


@pytest.fixture
def jobs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids of `Job`, that leave a file each: what matters is what becomes of processes."""

    def find(job: Job, out: Path, *_: object) -> str | None:
        return "done" if (out / f"done-{job.seed}").exists() else None

    monkeypatch.setattr(grid, "find_run", find)
    monkeypatch.setattr(grid, "describe", lambda job: f"seed {job.seed}")
    monkeypatch.setattr(runs, "describe", lambda job: f"seed {job.seed}")


def grid_of_jobs(count: int, out: Path, jobs: int, worker: Any) -> list[str]:
    """Work off seeds 0, 1, ...; returns what was reported."""
    said: list[str] = []
    out.mkdir()
    execute_runs(map(Job, range(count)), out, jobs, "cpu", said.append, worker)  # type: ignore
    return said


def done(out: Path) -> list[int]:
    return sorted(int(file.name.removeprefix("done-")) for file in out.glob("done-*"))


@pytest.mark.usefixtures("jobs_only")
def test_a_failing_run_is_reported_and_the_others_are_done(out: Path) -> None:
    with pytest.raises(RunError, match="1 of 5 runs failed") as raised:
        grid_of_jobs(5, out, 2, workers.failing)
    assert "seed 1: ArithmeticError: epoch 0, batch 3: the loss is nan" in str(raised.value)
    assert done(out) == [0, 2, 3, 4]
    assert (out / "attempts-1").read_text() == "x"  # what fails once fails again


@pytest.mark.usefixtures("jobs_only")
def test_a_killed_worker_leaves_the_table_complete(out: Path) -> None:
    said = grid_of_jobs(6, out, 2, workers.killed_once)
    assert done(out) == [0, 1, 2, 3, 4, 5]
    assert (out / "attempts-1").read_text() == "xx"
    assert said[-1].startswith("runs: 6/6")


@pytest.mark.usefixtures("jobs_only")
def test_a_run_that_always_kills_its_worker_takes_no_other_with_it(out: Path) -> None:
    with pytest.raises(RunError, match="1 of 4 runs failed") as raised:
        grid_of_jobs(4, out, 2, workers.killed_always)
    assert "seed 0: its process was killed twice" in str(raised.value)
    assert done(out) == [1, 2, 3]


@pytest.mark.usefixtures("jobs_only")
def test_a_pool_that_breaks_between_two_runs_loses_none(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may die while nobody waits, so that the next submission finds out."""
    from concurrent.futures import Executor, Future
    from concurrent.futures.process import BrokenProcessPool

    submissions = []

    class Fragile(Executor):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            pass

        def submit(self, worker: Any, /, *arguments: Any) -> Any:  # type: ignore[override]
            submissions.append(arguments)
            if len(submissions) == 2:
                raise BrokenProcessPool("found out while submitting")
            future: Future[float] = Future()
            future.set_result(worker(*arguments))
            return future

        def shutdown(self, *arguments: Any, **options: Any) -> None:
            pass

    monkeypatch.setattr(grid, "ProcessPoolExecutor", Fragile)
    grid_of_jobs(4, out, 1, workers.work)
    assert done(out) == [0, 1, 2, 3]


def test_runs_whose_worker_was_killed_are_the_same_runs(config: RunConfig, out: Path) -> None:
    wanted = [replace(config, seed=seed) for seed in range(3)]
    alone = execute_runs(wanted, out.with_name("alone"), 1, "cpu", lambda line: None)
    survived = execute_runs(wanted, out, 2, "cpu", lambda line: None, workers.killed_in_training)
    assert list(survived) == list(alone) == wanted
    assert (out / "attempts-1").read_text() == "xx"
    assert (out / "attempts-101").read_text() == "xxx"  # three epochs, none of them twice
    for config in wanted:
        assert survived[config].folder.name == alone[config].folder.name
        for name in workers.NUMBERS:
            one, other = (made[config].folder / name for made in (survived, alone))
            assert one.read_bytes() == other.read_bytes()


def test_an_interrupted_grid_goes_on(config: RunConfig, out: Path) -> None:
    wanted = [replace(config, seed=seed) for seed in range(3)]
    said: list[str] = []

    def interrupt(line: str) -> None:
        if line.startswith("runs: 1/3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute_runs(wanted, out, 1, "cpu", interrupt)
    there = {file.parent: file.stat().st_mtime_ns for file in out.glob("runs/*/metrics.json")}
    assert there
    made = execute_runs(wanted, out, 1, "cpu", said.append)
    assert len(made) == 3
    assert said[0].startswith(f"runs: {3 - len(there)} of 3 to make")
    for folder, written in there.items():
        assert (folder / "metrics.json").stat().st_mtime_ns == written


def test_a_stale_run_is_made_again_unless_asked_for(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute_runs([config], out, 1, "cpu", lambda line: None)
    monkeypatch.setattr(runs, "code_key", lambda: "newer code")
    (stale,) = execute_runs([config], out, 1, "cpu", reuse_stale=True).values()
    assert stale.stale

    def stop(line: str) -> None:
        raise InterruptedError(line)

    with pytest.raises(InterruptedError, match="1 of 1 to make"):
        execute_runs([config], out, 1, "cpu", stop)


def test_data_that_cannot_be_had_are_an_error(config: RunConfig, out: Path) -> None:
    impossible = replace(config, data=replace(config.data, share=0.97))
    with pytest.raises(DataError, match=r"share 0\.97"):
        execute_runs([impossible], out, 1, "cpu")
