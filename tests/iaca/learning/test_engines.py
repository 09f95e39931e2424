"""Engines that train several models at once give what each training alone gives."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import nn
from toys import AUDIO_DIM, VISUAL_DIM, toy_split, toy_store

from iaca.data.recordings import RecordingStore
from iaca.learning.config import TrainingConfig, TrainingError
from iaca.learning.engines import clip_each, engine_for
from iaca.learning.loop import Trained, train_together
from iaca.learning.protocol import RELEASED, STRICT
from iaca.learning.training import Training
from iaca.models.regressor import AttentionName, ModelConfig

TRAINING = TrainingConfig(epochs=3, batch_size=4, hop=2)
MODEL = ModelConfig(fusion="iaca", dim=8, window=4, dropout=0.0)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return toy_store(tmp_path / "store", (20, 12, 15, 9), states=True)


def begin(
    store: RecordingStore, seed: int, model: ModelConfig = MODEL, config: TrainingConfig = TRAINING
) -> Training:
    training = Training(model, config, store, toy_split(), seed, "cpu")
    training.fixed_size = True  # as on a GPU: the last batch is filled up
    return training


def alone(store: RecordingStore, seed: int, *arguments: object) -> Trained:
    (trained,) = train_together([begin(store, seed, *arguments)], "sequential", [None])  # type: ignore[arg-type]
    assert isinstance(trained, Trained)
    return trained


def assert_close(one: Trained, other: Trained) -> None:
    """Up to the rounding that training grows, also of weights that change nothing: TCA's biases."""
    torch.manual_seed(0)
    batch = torch.randn(5, 4, AUDIO_DIM), torch.randn(5, 4, VISUAL_DIM)
    state = torch.randint(7, (5, 4))
    values = (trained.model.eval()(*batch, state=state).values for trained in (one, other))
    torch.testing.assert_close(*values, rtol=1e-3, atol=1e-3)
    assert one.history["loss"].tolist() == pytest.approx(other.history["loss"].tolist(), abs=1e-4)
    assert one.best_epoch == other.best_epoch


@pytest.mark.parametrize("attention", ["ca", "jca", "tca"])
@pytest.mark.parametrize(
    "options",
    [{"fusion": "plain"}, {"fusion": "iaca"}, {"fusion": "told"}, {"uniform": True}],
    ids=str,
)
def test_a_batch_of_models_is_each_model_alone(
    store: RecordingStore, attention: AttentionName, options: dict[str, Any]
) -> None:
    """Seeds and starts of gates differ; without dropout nothing is drawn while training."""
    model = replace(MODEL, attention=attention, **options)
    configs = [(seed, replace(model, gate_init=i)) for seed in (0, 3) for i in ("xavier", "zero")]
    trainings = [begin(store, *each) for each in configs]
    together = train_together(trainings, "batched", [None] * 4)
    for each, trained in zip(configs, together, strict=True):
        assert isinstance(trained, Trained)
        assert_close(trained, alone(store, *each))
    # Seeds are other models.
    kept = [trained.model.fusion.joint.linear.weight for trained in together]  # type: ignore[union-attr]
    assert not torch.allclose(kept[0], kept[2])


def test_annealed_gates_and_modality_dropout_in_a_batch(store: RecordingStore) -> None:
    """A batch of one draws what the training alone draws."""
    config = replace(TRAINING, temperature_start=1.6, anneal_epochs=2, modality_dropout=0.7)
    config = replace(config, gate_rate=5.0)
    (trained,) = train_together([begin(store, 1, MODEL, config)], "batched", [None])
    assert isinstance(trained, Trained)
    assert_close(trained, alone(store, 1, MODEL, config))
    assert trained.history["temperature"].tolist() == pytest.approx([1.6, 0.4, 0.1])


@pytest.mark.parametrize("engine", ["batched", "graphed"])
def test_trainings_that_go_on_together_are_those_that_were_not_interrupted(
    store: RecordingStore, tmp_path: Path, engine: str
) -> None:
    model = replace(MODEL, dropout=0.2)
    paths = [tmp_path / f"{seed}.pt" for seed in (0, 1)]

    def go(resume: bool = False, stop: bool = False) -> list[object]:
        trainings = [begin(store, seed, model) for seed in (0, 1)]
        if resume:
            for training, path in zip(trainings, paths, strict=True):
                training.resume(path)
                assert len(training.history) == 2

        def interrupt(epoch: int) -> None:
            if stop and epoch == 1:
                raise KeyboardInterrupt

        options = {"checkpoint_seconds": 0.0, "after_epoch": interrupt}
        return list(train_together(trainings, engine, paths if stop else [None] * 2, **options))  # type: ignore[arg-type]

    whole = go()
    with pytest.raises(KeyboardInterrupt):
        go(stop=True)
    # A checkpoint holds its own model alone, not the whole batch's.
    assert paths[0].stat().st_size < 200_000
    for one, other in zip(whole, go(resume=True), strict=True):
        assert isinstance(one, Trained) and isinstance(other, Trained)
        assert one.history.equals(other.history)
        for key, value in one.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[key])


def test_graphed_trainings_take_turns_and_are_each_alone(store: RecordingStore) -> None:
    """On a CPU nothing is captured: what is tested is that each draws from its own stream."""
    model = ModelConfig(attention="rjca", dim=8, window=4, dropout=0.3)
    together = train_together([begin(store, seed, model) for seed in (4, 5)], "graphed", [None] * 2)
    for seed, trained in zip((4, 5), together, strict=True):
        assert isinstance(trained, Trained)
        assert trained.history.equals(alone(store, seed, model).history)


@pytest.mark.parametrize("engine", ["batched", "graphed", "sequential"])
def test_a_training_that_fails_takes_no_other_with_it(store: RecordingStore, engine: str) -> None:
    trainings = [begin(store, seed) for seed in (0, 1)]
    weight = trainings[1].model.heads[0].output.weight
    weight.data.fill_(math.nan)
    good, bad = train_together(trainings, engine, [None, None])  # type: ignore[arg-type]
    assert isinstance(bad, TrainingError) and "epoch 0, batch 0: the loss is nan" in str(bad)
    assert isinstance(good, Trained)
    assert_close(good, alone(store, 0))


def test_each_model_of_a_batch_is_clipped_by_its_own_norm() -> None:
    torch.manual_seed(0)
    models = [nn.Linear(3, 2) for _ in range(3)]
    each = zip(*(model.parameters() for model in models), strict=True)
    stacked = [nn.Parameter(torch.stack(parameters)) for parameters in each]
    for k, (model, scale) in enumerate(zip(models, (10.0, 0.01, 3.0), strict=True)):
        for parameter, common in zip(model.parameters(), stacked, strict=True):
            parameter.grad = scale * torch.randn_like(parameter)
            if k == 0:
                common.grad = torch.empty_like(common)
            common.grad[k] = parameter.grad  # type: ignore[index]
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    clip_each(stacked, 0.5)
    for k, model in enumerate(models):
        for parameter, common in zip(model.parameters(), stacked, strict=True):
            torch.testing.assert_close(common.grad[k], parameter.grad)  # type: ignore[index]


def test_what_cannot_be_batched_is_graphed_and_a_cpu_is_the_reference() -> None:
    engines = {
        attention: engine_for(replace(MODEL, attention=attention), STRICT, "cuda")
        for attention in get_args(AttentionName)
        if attention != "none"
    }
    assert engines == {"ca": "batched", "jca": "batched", "rjca": "graphed", "tca": "batched"}
    assert engine_for(replace(MODEL, fallback="lstm"), STRICT, "cuda") == "graphed"
    assert engine_for(MODEL, RELEASED, "cuda") == "graphed"  # whose loss can leave batches out
    assert engine_for(MODEL, STRICT, "cpu") == "sequential"


def test_the_training_fills_a_batch_up_without_changing_its_loss(store: RecordingStore) -> None:
    training = begin(store, 0)
    filled = [*training.plan().values()][-1]
    count = int((filled < len(training.batches)).sum())
    assert 0 < count < len(filled) == TRAINING.batch_size
    training.model.eval()

    def loss(chosen: torch.Tensor) -> torch.Tensor:
        batch = training.batch(chosen)
        return training.loss_of(training.model(*batch[:2], batch.mask).values, batch.labels)

    torch.testing.assert_close(loss(filled), loss(filled[:count]))
