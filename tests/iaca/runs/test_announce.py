"""What is said before a grid of large models starts, against plain arithmetic."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny_run

from iaca.runs import announce as announcing
from iaca.runs.announce import Cost, announce, measure
from iaca.runs.execution import execute_run
from iaca.runs.runs import RunConfig, identify_runs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[RunConfig, Any]:
    """Twelve runs of two kinds, which count as large."""
    monkeypatch.setattr(announcing, "LARGE", 8)
    config = tiny_run(tmp_path)
    other = replace(config, model=replace(config.model, fusion="iaca"))
    configs = [replace(each, seed=seed) for each in (config, other) for seed in range(6)]
    return identify_runs(configs, tmp_path, "cpu")


def lines(runs: dict[RunConfig, Any], out: Path) -> list[str]:
    said: list[str] = []
    announce(runs, out, 2, said.append)
    return said


def test_hours_and_gigabytes(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain runs take ten hours, gated ones a thousand; two are made at a time."""
    costs = {"plain": Cost(3.6e4, 2_000_000_000), "iaca": Cost(3.6e6, 1_000_000_000_000)}
    monkeypatch.setattr(
        announcing, "measure", lambda runs, *_: [costs[run.model.fusion] for run in runs]
    )
    monkeypatch.setattr(announcing, "ProcessPoolExecutor", lambda *_: ThreadPoolExecutor(1))
    warning, said = lines(wanted, tmp_path)
    assert warning.startswith("runs: WARNING: d = 8 on a CPU")
    assert f"about {(6 * 10 + 6 * 1000) / 2:.1f} h" in said and " 6012.0 GB; " in said
    elsewhere = {run: {**identity, "device": "cuda"} for run, identity in wanted.items()}
    assert lines(elsewhere, tmp_path) == [said]


def test_small_or_few_runs_start_without_words(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines(dict([*wanted.items()][:9]), tmp_path) == []
    monkeypatch.setattr(announcing, "LARGE", 512)
    assert lines(wanted, tmp_path) == []


def test_a_full_gpu_does_not_stop_them(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(announcing, "ProcessPoolExecutor", full)
    assert "could not be measured (CUDA out of memory)" in lines(wanted, tmp_path)[-1]


def test_what_is_measured_is_what_a_run_has(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step takes a second; there are two recordings of 24 rows, a window every 8 rows."""
    clock = iter(range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    config = next(iter(wanted))
    config = replace(config, model=replace(config.model, dim=64))
    (cost,) = measure([config], tmp_path, "cpu")
    windows = 2 * 3  # that begin at rows 0, 8 and 16
    assert cost.seconds == config.training.epochs * -(-windows // config.training.batch_size)
    monkeypatch.undo()
    folder = execute_run(config, tmp_path, "cpu").folder
    written = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert cost.bytes == pytest.approx(written, rel=0.1)  # names and shapes come on top
