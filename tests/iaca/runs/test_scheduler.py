"""Grids of runs that survive what happens to a process."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import workers
from toys import tiny_run
from workers import Job

from iaca.base.devices import visible_gpus
from iaca.base.files import DataError
from iaca.models.regressor import ModelConfig
from iaca.runs import execution, runs, scheduler
from iaca.runs.execution import execute_run, runs_at_once, training_bytes
from iaca.runs.runs import RunError, finished_runs, identify_runs
from iaca.runs.scheduler import Processes, execute_runs

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


def test_a_gpu_is_handed_alike_runs_and_every_process_its_own(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    iaca = replace(run, model=replace(run.model, fusion="iaca"))
    zero = replace(iaca, model=replace(iaca.model, gate_init="zero"))
    wanted = [replace(each, seed=seed) for seed in range(3) for each in (run, iaca, zero)]
    assert Processes(2, "cpu").groups(wanted) == [(each,) for each in wanted]
    engine = Processes(2, "cuda", ("0", "3"))
    groups = engine.groups(wanted)
    assert sorted(map(len, groups)) == [1, 2, 3, 3]  # each kind is halved for the two processes
    assert sorted(each.seed for group in groups for each in group) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for group in groups:
        assert len({(each.model.fusion, each.data, each.training) for each in group}) == 1
    assert "2 processes on 2 GPUs" in engine.where


def test_runs_made_together_are_runs_as_any(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine of a GPU on a CPU, in processes of which each is told its GPU."""
    run = replace(tiny_run(tmp_path), model=ModelConfig(fusion="iaca", dim=8, dropout=0.0))
    wanted = [replace(run, seed=seed) for seed in range(3)]
    bad = replace(run, training=replace(run.training, modality_dropout=2.0))
    outcomes = dict(
        Processes(1, "cpu", ("7",)).make(
            {each: {} for each in (*wanted, bad, replace(bad, seed=1))}, out, execute_run
        )
    )
    assert [isinstance(outcomes[each], float) for each in wanted] == [True] * 3
    assert "modality_dropout 2.0: expected a probability" in str(outcomes[bad])
    found = finished_runs(identify_runs(wanted, out, "cpu"), out)
    for config in wanted:
        alone = execute_run(config, tmp_path / "alone", "cpu")
        assert found[config].metrics["report"] == pytest.approx(alone.metrics["report"], abs=1e-3)
        assert set(found[config].predictions) == set(alone.predictions)


def test_what_a_training_needs_grows_with_its_batch_and_its_attention(tmp_path: Path) -> None:
    run = tiny_run(tmp_path)
    sizes = {}
    for attention in ("ca", "jca", "rjca", "tca"):
        for batch in (8, 64):
            training = replace(run.training, batch_size=batch)
            model = ModelConfig(attention, "iaca", dim=64)
            sizes[attention, batch] = training_bytes(replace(run, model=model, training=training))
        # JCA's two maps alone are (B, d, 2d) float32 each.
        maps = 2 * 64 * 64 * 128 * 4 if "jca" in attention else 0
        assert maps < sizes[attention, 64] < 2**30
        assert 2 < sizes[attention, 64] / sizes[attention, 8] < 8
    assert runs_at_once(run, "cpu") == 1


def test_too_little_memory_for_all_is_tried_with_half(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny_run(tmp_path)
    wanted = [replace(config, seed=seed) for seed in range(3)]
    train_together, tried = execution.train_together, []

    def short(trainings: Any, *arguments: Any) -> Any:
        tried.append(len(trainings))
        if len(trainings) > 1 or len(tried) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train_together(trainings, *arguments)

    monkeypatch.setattr(execution, "train_together", short)
    monkeypatch.setattr(execution, "runs_at_once", lambda *_: 3)
    outcomes = execution.execute_together(wanted, out, "cpu")
    assert tried == [3, 1, 2, 1, 1]
    assert [isinstance(each, runs.Run) for each in outcomes.values()] == [True, True, False]
    assert "too little memory for 1 of these runs at a time; a smaller" in str(outcomes[wanted[2]])
    assert "too little memory for 3 of these runs at a time; now 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "count", "names"),
    [(None, 2, ("0", "1")), ("2, 5", 2, ("2", "5")), ("GPU-abc", 1, ("GPU-abc",)), ("", 0, ())],
)
def test_gpus_are_named_as_the_environment_names_them(
    given: str | None, count: int, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert visible_gpus() == names
