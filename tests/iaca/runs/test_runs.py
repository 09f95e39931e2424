"""Runs: their keys, their files, and what becomes of them when a process is interrupted."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toys import find_run, tiny_run
from workers import note_attempt

from iaca.base import files
from iaca.base.files import DataError
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import train_together
from iaca.learning.protocol import Protocol
from iaca.runs import execution, runs
from iaca.runs.execution import execute_run
from iaca.runs.runs import Run, RunConfig, code_key, describe, identify_runs, open_run, run_key
from iaca.sources.loading import open_data

FILES = {
    "config.json",
    "metrics.json",
    "history.csv",
    "model.safetensors",
    "predictions.safetensors",
}
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return tiny_run(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "build"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A gated run, in an output folder of its own; nobody changes it."""
    folder = tmp_path_factory.mktemp("made")
    config = tiny_run(folder)
    model = replace(config.model, fusion="iaca")
    threads = torch.get_num_threads()
    run = execute_run(replace(config, model=model), folder / "build", "cpu")
    torch.set_num_threads(threads)
    return run


def visible(out: Path) -> list[str]:
    return sorted(folder.name for folder in (out / "runs").iterdir() if folder.name[0] != ".")


def forbid_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "train_together", lambda *_, **__: pytest.fail("trained again"))


def test_the_key_is_made_of_configuration_data_split_code_torch_and_device(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(config: RunConfig, device: Any = "cpu") -> str:
        return run_key(identify_runs([config], out, device)[config])

    first = key(config)
    store, split = open_data(config.data, out / "data")
    assert key(replace(config, seed=0)) == first
    keys = {
        first,
        key(replace(config, seed=1)),
        key(replace(config, model=replace(config.model, dim=10))),
        key(replace(config, training=replace(config.training, epochs=4))),
        key(replace(config, training=replace(config.training, precision="bf16"))),
        key(replace(config, data=replace(config.data, data_seed=1))),
        key(replace(config, protocol=Protocol(clip=True))),
        key(config, "cuda"),
        run_key(runs.run_identity(config, "other data", split, "cpu")),
        run_key(runs.run_identity(config, store.key, split._replace(select=()), "cpu")),
    }
    with monkeypatch.context() as patch:
        patch.setattr(runs, "code_key", lambda: "other code")
        keys.add(key(config))
    monkeypatch.setattr(torch, "__version__", "1.0.0")
    keys.add(key(config))
    assert len(keys) == 12
    monkeypatch.setattr(torch, "__version__", "1.0.0+cu999")  # the same torch, built otherwise
    assert key(config) in keys
    with pytest.raises(DataError, match="precision 'tf32': needs a GPU, expected '32' or 'bf16'"):
        key(replace(config, training=replace(config.training, precision="tf32")))


@pytest.mark.parametrize(
    ("name", "old", "new", "counts"),
    [
        ("learning/metrics.py", "1e-8", "1e-7", True),
        ("learning/config.py", "epochs: int = 20", "epochs: int = 21", True),
        ("models/layers.py", "10_000.0", "1_000.0", True),
        ("data/windows.py", "WINDOW_LENGTH = 16", "WINDOW_LENGTH = 15", True),
        ("learning/loop.py", "    training = ", "    # A comment.\n    training = ", False),
        ("learning/loop.py", '"""', '"""Another docstring. ', False),
        ("runs/runs.py", "CPU_THREADS = 1", "CPU_THREADS = 2", False),
    ],
)
def test_code_is_what_decides_numbers_without_its_docstrings(
    name: str, old: str, new: str, counts: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "iaca"
    shutil.copytree(runs.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(runs, "PACKAGE", package)
    uncached: Callable[[], str] = code_key.__wrapped__
    before, text = uncached(), (package / name).read_text()
    assert old in text
    (package / name).write_text(text.replace(old, new, 1))
    assert (uncached() != before) == counts


def test_what_a_run_leaves(made: Run) -> None:
    out = made.folder.parents[1]
    assert {file.name for file in made.folder.iterdir()} == FILES
    assert visible(out) == [made.folder.name]
    store, split = open_data(made.config.data, out / "data")
    identity = json.loads((made.folder / "config.json").read_text())
    assert made.folder.name == run_key(identity)
    assert (identity["config"]["seed"], identity["data"]) == (made.config.seed, store.key)
    assert json.loads((made.folder / "metrics.json").read_text()) == made.metrics
    assert len(made.history) == made.config.training.epochs
    assert made.metrics["best_epoch"] == made.history["select_mean"].idxmax()

    model = made.model(store)
    assert not model.training
    again = predict(model, store, split.report).predictions
    assert set(made.predictions) == set(again) == set(split.report)
    assert all(torch.equal(values, again[name]) for name, values in made.predictions.items())
    assert made.metrics["report"] == pytest.approx(score(made.predictions, store).pooled)
    selected = score(predict(model, store, split.select).predictions, store).pooled
    assert made.metrics["select"] == pytest.approx(selected)
    assert made.metrics["parameters"] == sum(p.numel() for p in model.parameters())


def test_no_file_of_a_run_holds_labels(made: Run) -> None:
    store, split = open_data(made.config.data, made.folder.parents[1] / "data")
    for file in made.folder.glob("*.safetensors"):
        content = file.read_bytes()
        for name in split.report:
            labels = store[name].labels
            for values in (labels, labels[:, 0].contiguous()):
                assert values.numpy().tobytes()[:32] not in content
        assert not [key for key in load_file(file) if "label" in key]
    assert "label" not in (made.folder / "metrics.json").read_text()


def test_a_finished_run_is_not_trained_again(made: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    out = made.folder.parents[1]
    forbid_training(monkeypatch)
    opened: list[str] = []

    def noted(*arguments: Any) -> Any:
        opened.append("once")
        return open_data(*arguments)

    monkeypatch.setattr(runs, "open_data", noted)
    assert execute_run(made.config, out, "cpu") == made and not made.stale
    assert opened == ["once"]
    assert find_run(replace(made.config, seed=1), out) is None


def test_a_run_is_opened_by_its_folder(
    made: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_run(made.folder) == made
    monkeypatch.setattr(runs, "code_key", lambda: "newer code")
    assert open_run(made.folder) == made._replace(stale=True)
    for name, text in (("config.json", '{"config": {}}'), ("metrics.json", "{}")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json: not a run of this version, KeyError"):
        open_run(tmp_path)


def test_a_run_is_selected_and_scored_under_its_protocol(config: RunConfig, out: Path) -> None:
    protocol = Protocol(clip=True, smooth_valence=5, selection="report")
    other = replace(config, protocol=protocol)
    run = execute_run(other, out, "cpu")
    store, split = open_data(config.data, out / "data")
    again = predict(run.model(store), store, split.report).predictions
    for name, values in run.predictions.items():
        assert torch.equal(values, again[name])  # raw, whatever the protocol
    assert run.metrics["report"] == score(again, store, protocol).pooled
    assert run.metrics["report"]["valence"] != score(again, store).pooled["valence"]
    best = run.history.iloc[run.metrics["best_epoch"]]
    assert best["select_valence"] == pytest.approx(run.metrics["report"]["valence"])
    selected = score(predict(run.model(store), store, split.select).predictions, store, protocol)
    assert run.metrics["select"] == selected.pooled
    slow = replace(config.training, learning_rate=3e-4)
    assert "strict" not in describe(config) and "learning_rate" not in describe(config)
    assert "learning_rate=0.0003, seed" in describe(replace(config, training=slow))
    assert "strict, smooth_valence=5, clip=True, selection=report, seed 0" in describe(other)


def resuming(stop_after: int | None, epochs: list[int]) -> Callable[..., Any]:
    """`train_together` that checkpoints each epoch, notes it, and may be interrupted after one."""

    def note(epoch: int) -> None:
        epochs.append(epoch)
        if epoch == stop_after:
            raise KeyboardInterrupt

    def wrapped(*arguments: Any) -> Any:
        return train_together(*arguments, checkpoint_seconds=0.0, after_epoch=note)

    return wrapped


def test_a_partial_run_is_resumed(
    config: RunConfig, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = execute_run(config, tmp_path / "whole", "cpu")
    epochs: list[int] = []
    monkeypatch.setattr(execution, "train_together", resuming(1, epochs))
    with pytest.raises(KeyboardInterrupt):
        execute_run(config, out, "cpu")
    assert visible(out) == []
    assert find_run(config, out) is None
    monkeypatch.setattr(execution, "train_together", resuming(None, epochs))
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(files, "sync_folder", lambda folder: 1 / 0)  # an error while writing
        execute_run(config, out, "cpu")
    assert visible(out) == []
    resumed = execute_run(config, out, "cpu")
    assert epochs[:3] == [0, 1, 2]
    for name in FILES - {"metrics.json"}:  # which holds the time it took
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert {**resumed.metrics, "seconds": 0} == {**whole.metrics, "seconds": 0}
    assert not list((out / "runs").glob("*.partial"))


def test_a_stale_run_is_reused_only_when_asked_and_marked(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = execute_run(config, out, "cpu")
    (out / "runs" / ".0123.partial").mkdir()
    monkeypatch.setattr(runs, "code_key", lambda: "newer code")
    assert find_run(config, out) is None
    assert find_run(config, out, reuse_stale=True) == old._replace(stale=True)
    assert find_run(replace(config, seed=1), out, reuse_stale=True) is None
    other_data = replace(config, data=replace(config.data, data_seed=1))
    assert find_run(other_data, out, reuse_stale=True) is None
    new = execute_run(config, out, "cpu")
    assert new.folder != old.folder
    assert find_run(config, out, reuse_stale=True) == new and not new.stale


def test_scores_that_are_no_numbers_are_null(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        execution, "score", lambda *a: replace(score(*a), pooled={"x": float("nan")})
    )
    run = execute_run(config, out, "cpu")
    assert json.loads((run.folder / "metrics.json").read_text())["report"] == {"x": None}


# What follows is done by another process, which imports this module by its name.


def slow_to_train(config: RunConfig, out: Path) -> None:
    """Says when it trains, and then takes its time."""

    def slow(*arguments: Any) -> Any:
        note_attempt(out, config.seed)
        time.sleep(1.0)
        return train_together(*arguments)

    execution.train_together = slow
    execute_run(config, out, "cpu")


def test_two_processes_train_a_run_once(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_data(config.data, out / "data")
    other = get_context("spawn").Process(target=slow_to_train, args=(config, out))
    other.start()
    while not (out / "attempts-0").exists():
        assert other.is_alive()
        time.sleep(0.05)
    forbid_training(monkeypatch)
    assert find_run(config, out) is None
    run = execute_run(config, out, "cpu")  # waits for the other
    assert len(run.history) == config.training.epochs
    other.join()
    assert other.exitcode == 0
    assert (out / "attempts-0").read_text() == "x"
    assert visible(out) == [run.folder.name]
