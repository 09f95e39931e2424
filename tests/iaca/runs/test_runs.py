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
from toys import tiny_run
from workers import note_attempt

from iaca.learning.evaluation import predict, score
from iaca.learning.loop import train
from iaca.learning.protocol import Protocol
from iaca.runs import runs
from iaca.runs.runs import (
    RunConfig,
    code_key,
    describe,
    execute_run,
    find_run,
    run_key,
)
from iaca.runs.scheduler import execute_runs
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


def visible(out: Path) -> list[str]:
    return sorted(folder.name for folder in (out / "runs").iterdir() if folder.name[0] != ".")


def test_the_key_is_made_of_configuration_data_code_torch_and_device(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(config: RunConfig, device: Any = "cpu") -> str:
        return run_key(config, open_data(config.data, out / "data")[0], device)

    first = key(config)
    assert key(replace(config, seed=0)) == first
    keys = {
        first,
        key(replace(config, seed=1)),
        key(replace(config, model=replace(config.model, dim=10))),
        key(replace(config, model=replace(config.model, attention="tca"))),
        key(replace(config, training=replace(config.training, epochs=4))),
        key(replace(config, data=replace(config.data, data_seed=1))),
        key(replace(config, protocol=Protocol(clip=True))),
        key(config, "cuda"),
    }
    store = open_data(config.data, out / "data")[0]
    other = open_data(replace(config.data, share=0.2), out / "data")[0]
    keys.add(run_key(config, other, "cpu"))  # other data under the same configuration
    monkeypatch.setattr(runs, "code_key", lambda: "other code")
    keys.add(run_key(config, store, "cpu"))
    monkeypatch.undo()
    monkeypatch.setattr(torch, "__version__", "1.0.0")
    keys.add(run_key(config, store, "cpu"))
    assert len(keys) == 11
    monkeypatch.setattr(torch, "__version__", "1.0.0+cu999")  # the same torch, built otherwise
    assert key(config) in keys


def test_code_is_what_decides_numbers_without_its_docstrings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "iaca"
    shutil.copytree(runs.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(runs, "PACKAGE", package)
    uncached: Callable[[], str] = code_key.__wrapped__
    first = uncached()

    def changed(name: str, old: str, new: str) -> bool:
        file = package / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        different = uncached() != first
        file.write_text(text)
        return different

    assert changed("metrics.py", "1e-8", "1e-7")
    assert changed("training.py", "epochs: int = 20", "epochs: int = 21")
    assert changed("evaluation.py", "256", "255")
    assert changed("protocol.py", "DECAY = 0.8", "DECAY = 0.9")
    assert changed("models/layers.py", "10_000.0", "1_000.0")
    assert changed("data/windows.py", "WINDOW_LENGTH = 16", "WINDOW_LENGTH = 15")
    assert not changed("metrics.py", "as a score and as a loss", "twice")
    assert not changed("models/attention.py", "CA, and its baselines", "all of them")
    assert not changed("training.py", "    fabric = ", "    # A comment.\n    fabric = ")
    assert not changed("statistics.py", "0.025", "0.05")
    assert not changed("paths.py", "_build", "_made")


def test_what_a_run_leaves(config: RunConfig, out: Path) -> None:
    run = execute_run(config, out, "cpu")
    assert {file.name for file in run.folder.iterdir()} == FILES
    assert visible(out) == [run.folder.name]
    store, split = open_data(config.data, out / "data")
    assert run.folder.name == run_key(config, store, "cpu")
    written = json.loads((run.folder / "config.json").read_text())
    assert written["config"]["seed"] == config.seed
    assert written["data"] == store.key
    assert json.loads((run.folder / "metrics.json").read_text()) == run.metrics
    assert len(run.history) == config.training.epochs
    assert run.metrics["best_epoch"] == run.history["select_mean"].idxmax()
    assert set(run.predictions) == set(split.report)

    model = run.model(store)
    assert not model.training
    again = predict(model, store, split.report).predictions
    for name, values in run.predictions.items():
        assert torch.equal(values, again[name])
        assert values.shape == store[name].labels.shape
    assert run.metrics["report"] == pytest.approx(score(run.predictions, store).pooled)
    selected = score(predict(model, store, split.select).predictions, store).pooled
    assert run.metrics["select"] == pytest.approx(selected)
    assert run.metrics["parameters"] == sum(p.numel() for p in model.parameters())


def test_the_model_that_a_training_began_with(config: RunConfig, out: Path) -> None:
    """A training that takes no step ends where it began."""
    still = replace(config.training, learning_rate=0.0, weight_decay=0.0)
    model = replace(config.model, fusion="iaca")
    run = execute_run(replace(config, training=still, model=model), out, "cpu")
    store, _ = open_data(config.data, out / "data")
    before = torch.get_rng_state()
    initial = run.initial_model(store)
    assert torch.equal(torch.get_rng_state(), before)
    assert not initial.training
    weights = run.model(store).state_dict()
    assert initial.state_dict().keys() == weights.keys()
    for name, value in initial.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0, msg=name)


def test_a_run_is_selected_and_scored_under_its_protocol(config: RunConfig, out: Path) -> None:
    protocol = Protocol(clip=True, smooth_valence=5, selection="report")
    other = replace(config, protocol=protocol)
    run = execute_run(other, out, "cpu")
    store, split = open_data(config.data, out / "data")
    again = predict(run.model(store), store, split.report).predictions
    for name, values in run.predictions.items():
        assert torch.equal(values, again[name])  # as the model says them
    assert run.metrics["report"] == score(again, store, protocol).pooled
    assert run.metrics["report"]["valence"] != score(again, store).pooled["valence"]
    best = run.history.iloc[run.metrics["best_epoch"]]
    assert best["select_valence"] == pytest.approx(run.metrics["report"]["valence"])
    selected = score(predict(run.model(store), store, split.select).predictions, store, protocol)
    assert run.metrics["select"] == selected.pooled
    assert "strict" not in describe(config)
    slow = replace(config.training, learning_rate=3e-4)
    assert "learning_rate" not in describe(config)
    assert "learning_rate=0.0003, seed" in describe(replace(config, training=slow))
    assert "strict, smooth_valence=5, clip=True, selection=report, seed 0" in describe(other)


def test_no_file_of_a_run_holds_labels(config: RunConfig, out: Path) -> None:
    run = execute_run(config, out, "cpu")
    store, split = open_data(config.data, out / "data")
    for file in run.folder.glob("*.safetensors"):
        content = file.read_bytes()
        for name in split.report:
            labels = store[name].labels
            column = labels[:, 0].contiguous()
            for values in (labels, column):
                assert values.numpy().tobytes()[:32] not in content
        assert not [key for key in load_file(file) if "label" in key]
    assert "label" not in (run.folder / "metrics.json").read_text()


def test_a_finished_run_is_not_trained_again(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_run(config, out, "cpu") is None
    run = execute_run(config, out, "cpu")

    def again(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(runs, "train", again)
    found = execute_run(config, out, "cpu")
    assert found == run
    assert not found.stale
    said: list[str] = []
    execute_runs([config, config], out, device="cpu", report=said.append)
    assert said == ["runs: all 1 are there already"]
    with pytest.raises(AssertionError, match="trained again"):
        execute_run(replace(config, seed=1), out, "cpu")


def resuming(stop_after: int | None, epochs: list[int]) -> Callable[..., Any]:
    """`train` that checkpoints each epoch, notes it, and may be interrupted after one."""

    def note(epoch: int) -> None:
        epochs.append(epoch)
        if epoch == stop_after:
            raise KeyboardInterrupt

    def wrapped(*arguments: Any, **options: Any) -> Any:
        return train(*arguments, **{**options, "checkpoint_seconds": 0.0, "after_epoch": note})

    return wrapped


def test_a_partial_run_is_resumed(
    config: RunConfig, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = execute_run(config, tmp_path / "whole", "cpu")
    epochs: list[int] = []
    monkeypatch.setattr(runs, "train", resuming(1, epochs))
    with pytest.raises(KeyboardInterrupt):
        execute_run(config, out, "cpu")
    assert visible(out) == []
    assert find_run(config, out, "cpu") is None
    monkeypatch.setattr(runs, "train", resuming(None, epochs))
    resumed = execute_run(config, out, "cpu")
    assert epochs == [0, 1, 2]
    for name in FILES - {"metrics.json"}:  # which holds the time it took
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert {**resumed.metrics, "seconds": 0} == {**whole.metrics, "seconds": 0}
    assert [entry for entry in (out / "runs").iterdir() if entry.suffix == ".partial"] == []


def test_an_error_while_writing_leaves_no_run(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(runs, "sync_folder", lambda folder: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            execute_run(config, out, "cpu")
    assert find_run(config, out, "cpu") is None
    assert visible(out) == []
    assert execute_run(config, out, "cpu").metrics["report"]


def test_a_stale_run_is_reused_only_when_asked_and_marked(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = execute_run(config, out, "cpu")
    (out / "runs" / ".0123.partial").mkdir()
    monkeypatch.setattr(runs, "code_key", lambda: "newer code")
    assert find_run(config, out, "cpu") is None
    found = find_run(config, out, "cpu", reuse_stale=True)
    assert found is not None
    assert found.stale
    assert found.folder == old.folder
    assert found.metrics == old.metrics
    assert find_run(replace(config, seed=1), out, "cpu", reuse_stale=True) is None
    other_data = replace(config, data=replace(config.data, data_seed=1))
    assert find_run(other_data, out, "cpu", reuse_stale=True) is None
    new = execute_run(config, out, "cpu")
    assert new.folder != old.folder
    found = find_run(config, out, "cpu", reuse_stale=True)
    assert found is not None
    assert not found.stale
    assert found.folder == new.folder


def test_scores_that_are_no_numbers_are_null(
    config: RunConfig, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "score", lambda *a: score(*a)._replace(pooled={"x": float("nan")}))
    run = execute_run(config, out, "cpu")
    assert json.loads((run.folder / "metrics.json").read_text())["report"] == {"x": None}


# What follows is done by other processes, which import this module by its name.


def slow_to_train(config: RunConfig, out: Path) -> None:
    """Says when it trains, and then takes its time."""

    def slow(*arguments: Any, **options: Any) -> Any:
        note_attempt(out, config.seed)
        time.sleep(1.0)
        return train(*arguments, **options)

    runs.train = slow  # type: ignore[attr-defined]
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

    def again(*arguments: Any, **options: Any) -> None:
        raise AssertionError("trained a second time")

    monkeypatch.setattr(runs, "train", again)
    assert find_run(config, out, "cpu") is None
    run = execute_run(config, out, "cpu")  # waits for the other
    assert len(run.history) == config.training.epochs
    other.join()
    assert other.exitcode == 0
    assert (out / "attempts-0").read_text() == "x"
    assert len(visible(out)) == 1
    assert [entry for entry in (out / "runs").iterdir() if entry.suffix == ".partial"] == []
