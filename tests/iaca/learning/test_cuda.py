"""What only a GPU can show: its engines and its evaluation give what the plain ones give."""

import gc
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import DEVICES, TINY_SIZES, tiny_run, toy_regressor, toy_split, toy_store

from iaca.data.recordings import RecordingStore
from iaca.learning.config import TrainingConfig
from iaca.learning.engines import EngineName
from iaca.learning.evaluation import predict
from iaca.learning.loop import Trained, train_together
from iaca.learning.training import Training
from iaca.models.regressor import AttentionName, FusionName, ModelConfig
from iaca.runs.execution import execute_together
from iaca.runs.runs import Run

MODEL = ModelConfig(fusion="iaca", dim=32, window=4)
# 24 windows: 5 steps an epoch. At a higher rate training can be chaotic, and make much of rounding.
FIFTY_STEPS = TrainingConfig(epochs=10, batch_size=5, hop=1, learning_rate=3e-4)
LIMIT = 900_000_000  # bytes

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return toy_store(tmp_path / "store", (16, 14, 15, 9), states=True)


def trained(
    store: RecordingStore,
    engine: EngineName,
    model: ModelConfig,
    config: TrainingConfig = FIFTY_STEPS,
    seeds: tuple[int, ...] = (0,),
    device: Any = "cuda",
) -> list[Trained]:
    split = toy_split()
    trainings = [Training(model, config, store, split, seed, device) for seed in seeds]
    found = train_together(trainings, engine, [None] * len(seeds))
    assert all(isinstance(each, Trained) for each in found), found
    return found  # type: ignore[return-value]


def assert_same(one: Trained, other: Trained, tolerance: float = 1e-3) -> None:
    """The same losses after each epoch, up to rounding that training grows."""
    assert len(one.rows) == len(other.rows)
    for key in ("loss", "select_mean"):
        mine, theirs = ([row[key] for row in each.rows] for each in (one, other))
        assert mine == pytest.approx(theirs, abs=tolerance)


@pytest.mark.cuda
@pytest.mark.parametrize("fusion", ["plain", "iaca", "told"])
@pytest.mark.parametrize("attention", ["ca", "tca", "jca", "rjca"])
def test_graphs_take_the_steps_of_the_reference(
    store: RecordingStore, attention: AttentionName, fusion: FusionName
) -> None:
    """With dropout: a graph draws the same stream. No step is left ungraphed."""
    model = replace(MODEL, attention=attention, fusion=fusion, dropout=0.2)
    expected = trained(store, "sequential", model, seeds=(0, 1, 2))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "no CUDA graph")
        found = trained(store, "graphed", model, seeds=(0, 1, 2))
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    assert found[0].rows != found[1].rows


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ["32", "bf16"])
@pytest.mark.parametrize("attention", ["ca", "tca", "jca"])
def test_a_batch_of_models_takes_the_steps_of_the_reference(
    store: RecordingStore, attention: AttentionName, precision: Any
) -> None:
    model = replace(MODEL, attention=attention, dropout=0.0)
    config = replace(FIFTY_STEPS, precision=precision)
    expected = trained(store, "sequential", model, config, (0, 1, 2))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "no CUDA graph")
        found = trained(store, "batched", model, config, (0, 1, 2))
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other, 1e-3 if precision == "32" else 0.15)


@pytest.mark.cuda
@pytest.mark.parametrize("engine", ["graphed", "batched"])
def test_what_changes_between_epochs_is_captured_again(
    store: RecordingStore, engine: EngineName
) -> None:
    """T, which falls, is part of a graph; which clips are lost is drawn in it."""
    config = replace(
        FIFTY_STEPS, temperature_start=1.6, anneal_epochs=4, modality_dropout=0.7, epochs=6
    )
    model = replace(MODEL, dropout=0.0)
    (expected,) = trained(store, "sequential", model, config)
    (found,) = trained(store, engine, model, config)
    assert_same(found, expected)
    assert found.rows[0]["temperature"] == pytest.approx(1.6)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("engine", ["sequential", "graphed", "batched"])
def test_a_training_in_bfloat16_goes_on_exactly_where_it_stopped(
    store: RecordingStore, tmp_path: Path, engine: EngineName, device: Any
) -> None:
    config = replace(FIFTY_STEPS, precision="bf16", epochs=6, batch_size=6)
    path = tmp_path / "resume.pt"

    def begin() -> Training:
        return Training(MODEL, config, store, toy_split(), 3, device)

    def interrupt(epoch: int) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    (whole,) = train_together([begin()], engine, [None])
    with pytest.raises(KeyboardInterrupt):
        train_together([begin()], engine, [path], False, 0.0, interrupt)
    again = begin()
    again.resume(path)
    assert len(again.history) == 3
    (resumed,) = train_together([again], engine, [None])
    assert isinstance(whole, Trained) and isinstance(resumed, Trained)
    assert resumed.rows == whole.rows
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


@pytest.mark.cuda
@pytest.mark.parametrize("attention", ["ca", "tca", "jca", "rjca"])
def test_predictions_of_a_gpu_are_those_of_the_cpu(store: RecordingStore, attention: str) -> None:
    model = toy_regressor(attention)
    expected = predict(model, store, store)
    found = predict(model.cuda(), store, store)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
def test_a_group_that_does_not_fit_the_memory_is_halved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One model keeps 134 MB of correlations and their gradients: eight do not fit, one does."""
    alone = tiny_run(tmp_path)
    clips = TINY_SIZES["clips"]
    alone = replace(
        alone,
        model=ModelConfig("jca", dim=256, window=8),
        training=replace(alone.training, batch_size=64, hop=clips, epochs=1),
    )
    configs = [replace(alone, seed=seed) for seed in range(8)]
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(LIMIT / total)
    try:
        outcomes = execute_together(configs, tmp_path / "out", "cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "too little memory for 8 of these runs at a time; now 4" in capsys.readouterr().out
    assert all(isinstance(each, Run) for each in outcomes.values())


@pytest.mark.cuda
def test_a_step_that_cannot_be_captured_is_taken_all_the_same(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its loss, which a capture forbids; afterwards dropout is drawn as before."""
    model = replace(MODEL, dropout=0.2)
    (expected,) = trained(store, "sequential", model)
    step = Training.step

    def waiting(training: Training, chosen: torch.Tensor) -> torch.Tensor:
        loss = step(training, chosen)
        assert loss.item() > 0.0
        return loss

    monkeypatch.setattr(Training, "step", waiting)
    with pytest.warns(UserWarning, match="no CUDA graph"):
        (found,) = trained(store, "graphed", model)
    assert_same(found, expected)
