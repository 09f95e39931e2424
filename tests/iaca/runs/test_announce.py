"""What is said before a grid of large models starts, against plain arithmetic."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from toys import tiny_run

from iaca.models.regressor import AffectRegressor
from iaca.runs import announce as announcing
from iaca.runs.announce import announce, size_of, step_seconds
from iaca.runs.runs import RunConfig, identify_runs
from iaca.sources.loading import open_data


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[RunConfig, Any]:
    """Twelve runs of two kinds, which count as large."""
    monkeypatch.setattr(announcing, "LARGE", 8)
    config = tiny_run(tmp_path)
    other = replace(config, model=replace(config.model, fusion="iaca"))
    configs = [replace(each, seed=seed) for each in (config, other) for seed in range(6)]
    return identify_runs(configs, tmp_path, "cpu")


def lines(runs: dict[RunConfig, Any], out: Path, jobs: int | None = 2) -> list[str]:
    said: list[str] = []
    announce(runs, out, jobs, said.append)
    return said


def test_hours_and_gigabytes(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain runs have taken an hour; gated ones are measured, with a second a step."""
    for number, seconds in enumerate((3000.0, 3600.0, 9e9)):
        folder = tmp_path / "runs" / f"old{number}"
        folder.mkdir(parents=True)
        identity = next(iter(wanted.values())) | {"code": "older"}
        (folder / "config.json").write_text(json.dumps(identity))
        (folder / "metrics.json").write_text(json.dumps({"seconds": seconds}))
    asked: list[Any] = []

    class Here:
        def __init__(self, *_: Any) -> None: ...
        def __enter__(self) -> "Here":
            return self

        def __exit__(self, *_: Any) -> None: ...
        def submit(self, _: Any, models: Any, device: str) -> Any:
            asked.extend(models)
            return SimpleNamespace(result=lambda: [1000.0])

    monkeypatch.setattr(announcing, "ProcessPoolExecutor", Here)
    said = lines(wanted, tmp_path)
    assert said[0].startswith("runs: WARNING: d = 8 on a CPU")
    assert [run.model.fusion for run, _ in asked] == ["iaca"]
    # two recordings of 24 rows, a window every 8 rows, 4 windows a batch: 1.5 steps an epoch
    hours = (6 * 3600 + 6 * 3 * 1.5 * 1000) / 2 / 3600
    assert (
        f"about {hours:.1f} h, from finished runs of 1 and measured steps of 1 kinds of model"
        in said[2]
    )
    run = tiny_run(tmp_path)
    store, split = open_data(run.data, tmp_path / "data")
    info = store.info
    model = AffectRegressor(run.model, info.audio_dim, info.visual_dim, len(info.labels))
    numbers = sum(weights.numel() for weights in model.parameters())
    numbers += sum(store[name].labels.numel() for name in split.report)
    sizes = [size_of(each, tmp_path).bytes for each in wanted if each.seed == 0]
    assert sizes[0] == pytest.approx(4 * numbers, abs=30_000)
    monkeypatch.setattr(announcing, "GB", 1e3)
    assert f"runs: about {6 * sum(sizes) / 1e3:.1f} GB" in lines(wanted, tmp_path)[1]


def test_small_or_few_runs_start_without_words(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines(dict([*wanted.items()][:9]), tmp_path) == []
    monkeypatch.setattr(announcing, "LARGE", 512)
    assert lines(wanted, tmp_path) == []


def test_of_other_machines_and_full_gpus_no_time_is_guessed(
    wanted: dict[RunConfig, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any(" h" in line for line in lines(wanted, tmp_path, None))

    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(announcing, "ProcessPoolExecutor", full)
    said = lines({run: {**key, "device": "cuda"} for run, key in wanted.items()}, tmp_path)
    assert "no estimate" in said[-1] and "CUDA out of memory" in said[-1]
    assert not any("CPU" in line for line in said)


@pytest.mark.usefixtures("one_thread")
def test_steps_of_all_kinds_of_model_can_be_measured(
    wanted: dict[RunConfig, Any], tmp_path: Path
) -> None:
    asked = [(run, size_of(run, tmp_path)) for run in wanted if run.seed == 0]
    assert len(asked) == 2
    assert all(seconds > 0 for seconds in step_seconds(asked, "cpu"))
