"""Training is deterministic, goes on exactly where it stopped, and looks at what it may."""

import copy
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import toy_info, toy_recording, toy_split, toy_store

from iaca.data.recordings import RecordingStore
from iaca.data.windows import evaluation_windows
from iaca.learning import training
from iaca.learning.config import TrainingConfig, TrainingError, adamw
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import Trained, train
from iaca.learning.protocol import Protocol
from iaca.learning.training import Training
from iaca.models.gating import Gate
from iaca.models.regressor import AttentionName, FusionName, ModelConfig
from iaca.sources.writing import write_store

MODEL = ModelConfig(dim=8, window=4, dropout=0.2)
TRAINING = TrainingConfig(epochs=4, batch_size=4, hop=2)
GATED = ModelConfig(fusion="iaca", dim=8, window=4, dropout=0.2, temperature=0.1)
ANNEALED = replace(TRAINING, temperature_start=1.6, anneal_epochs=2)
DROPPING = replace(TRAINING, modality_dropout=0.7)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    return toy_store(tmp_path / "store", (20, 11, 15, 9))


def fit(
    store: RecordingStore,
    model: ModelConfig = MODEL,
    config: TrainingConfig = TRAINING,
    seed: int = 0,
    **options: Any,
) -> Trained:
    return train(model, config, store, toy_split(), seed, device="cpu", **options)


def same(one: Trained, other: Trained) -> bool:
    """Bit for bit."""
    weights, others = one.model.state_dict(), other.model.state_dict()
    return (
        one.best_epoch == other.best_epoch
        and one.history.equals(other.history)
        and list(weights) == list(others)
        and all(torch.equal(weights[key], others[key]) for key in weights)
    )


@pytest.mark.parametrize("attention", ["none", "rjca", "tca"])
def test_the_same_seed_gives_the_same_weights(store: RecordingStore, attention: str) -> None:
    model = ModelConfig(attention=attention, dim=8, window=4, dropout=0.2)
    config = TrainingConfig(epochs=2, batch_size=4, hop=2)
    first = fit(store, model, config)
    torch.rand(3)  # whatever was drawn before does not matter
    assert same(first, fit(store, model, config))
    assert not same(first, fit(store, model, config, seed=1))


@pytest.mark.parametrize(("attention", "fusion"), [("ca", "plain"), ("rjca", "plain")])
def test_bfloat16_learns_nearly_as_much_and_keeps_float32_weights(
    tmp_path: Path, attention: AttentionName, fusion: FusionName
) -> None:
    toy = toy_store(tmp_path / "toy", (120, 80, 60, 40))
    model = ModelConfig(attention, fusion, dim=8, window=4)
    config = TrainingConfig(epochs=8, batch_size=8, hop=2, learning_rate=0.01)
    full, low = (fit(toy, model, replace(config, precision=name)) for name in ("32", "bf16"))
    assert low.history.loss[0] != full.history.loss[0] and low.history.loss.map(math.isfinite).all()
    scores = [trained.history.select_mean.max() for trained in (full, low)]
    assert min(scores) > 0.7 and abs(scores[0] - scores[1]) < 0.1
    assert {value.dtype for value in low.model.state_dict().values()} == {torch.float32}
    with pytest.raises(TrainingError, match="precision 'tf32': a GPU's, expected '32' or 'bf16'"):
        fit(toy, model, replace(config, precision="tf32"))


def test_the_optimiser_is_adamw_up_to_rounding() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 40, 6)
    config = TrainingConfig(learning_rate=0.05, weight_decay=0.1)
    start = torch.nn.Linear(6, 6)
    ends = []
    for fused in (True, False):
        model = copy.deepcopy(start)
        optimiser = adamw(model.named_parameters(), config, "cpu")
        if not fused:
            optimiser = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
        for _ in range(10):
            optimiser.zero_grad()
            (model(x) - y).square().mean().backward()
            optimiser.step()
        ends.append(model.weight.detach())
    assert (ends[0] - start.weight).abs().max() > 0.1
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-4, atol=1e-5)


def test_gates_learn_at_a_rate_of_their_own(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(TRAINING, epochs=1, batch_size=1000, weight_decay=0.0)
    jump = Protocol(learning_rate="jump")
    moved = []
    for rate in (1.0, 0.1):
        begun = Training(GATED, replace(config, gate_rate=rate), store, toy_split(), 0, "cpu")
        before = copy.deepcopy(begun.model.state_dict())
        with begun.randomness():
            begun.model.train()
            begun.step(next(iter(begun.plan().values())))
        after = begun.model.state_dict()
        moved.append({name: after[name] - value for name, value in before.items()})
        begun.protocol = jump
        for epoch in (0, 7):
            with begun.at_epoch(epoch):
                rates = [group["lr"] for group in begun.optimiser.param_groups]
            expected = jump.rate(epoch, config.learning_rate)
            assert rates == ([expected] if rate == 1.0 else [expected, expected * rate])
    for name, value in moved[0].items():
        factor = 0.1 if "gate_" in name else 1.0
        torch.testing.assert_close(moved[1][name], factor * value, rtol=1e-3, atol=1e-7)
    assert moved[0]["fusion.gate_audio.linear.weight"].any()

    # At 1 the optimiser is one for all parameters, as if there were no such rate.
    expected = fit(store, GATED)

    def one_for_all(named: Any, config: TrainingConfig, _: Any) -> torch.optim.AdamW:
        rates = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        return torch.optim.AdamW([p for _, p in named], fused=True, **rates)

    monkeypatch.setattr(training, "adamw", one_for_all)
    assert same(expected, fit(store, GATED))


class StopHereError(Exception):
    """Raised by a test in the middle of a training."""


@pytest.mark.parametrize(
    ("model", "config", "stops"),
    [
        (MODEL, TRAINING, (0,)),
        (MODEL, TRAINING, (3,)),
        (replace(MODEL, attention="rjca"), TRAINING, (0, 1, 2)),
        (GATED, replace(ANNEALED, gate_rate=0.3), (0, 1, 2)),
        (MODEL, DROPPING, (1,)),
    ],
    ids=["early", "late", "rjca", "annealed", "modality dropout"],
)
def test_training_goes_on_exactly_where_it_stopped(
    store: RecordingStore,
    tmp_path: Path,
    model: ModelConfig,
    config: TrainingConfig,
    stops: tuple[int, ...],
) -> None:
    whole = fit(store, model, config)
    checkpoint = tmp_path / "resume.pt"
    epochs: list[int] = []

    def stop(epoch: int) -> None:
        epochs.append(epoch)
        if epoch in stops and epochs.count(epoch) == 1:
            raise StopHereError

    options = {"checkpoint": checkpoint, "checkpoint_seconds": 0.0, "after_epoch": stop}
    for _ in stops:
        with pytest.raises(StopHereError):
            fit(store, model, config, **options)
        torch.rand(5)
    resumed = fit(store, model, config, **options)
    assert same(whole, resumed)
    assert epochs == [0, 1, 2, 3]  # none was done twice
    assert resumed.history["epoch"].tolist() == [0, 1, 2, 3]


def test_an_interruption_inside_an_epoch_repeats_that_epoch(
    store: RecordingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fit(store)
    calls = []

    def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 8:
            raise StopHereError
        return loss(*arguments)

    loss = training.ccc_loss
    options = {"checkpoint": tmp_path / "resume.pt", "checkpoint_seconds": 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(training, "ccc_loss", failing)
        with pytest.raises(StopHereError):
            fit(store, **options)
    assert (tmp_path / "resume.pt").exists()
    assert same(whole, fit(store, **options))


def test_checkpoints_are_rare_unless_asked(store: RecordingStore, tmp_path: Path) -> None:
    checkpoint = tmp_path / "resume.pt"
    fit(store, checkpoint=checkpoint, checkpoint_seconds=1e6)
    assert not checkpoint.exists()
    fit(store, checkpoint=checkpoint, checkpoint_seconds=0.0)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["resume.pt"]


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "another model's"])
def test_a_checkpoint_that_cannot_be_used_is_named(
    store: RecordingStore, tmp_path: Path, damage: str
) -> None:
    checkpoint = tmp_path / "resume.pt"
    other = ModelConfig(dim=10, window=4)
    model = other if damage == "another model's" else MODEL
    fit(store, model, checkpoint=checkpoint, checkpoint_seconds=0.0)
    content = {"truncated": checkpoint.read_bytes()[:1000], "empty": b"", "text": b"epoch,loss\n"}
    checkpoint.write_bytes(content.get(damage, checkpoint.read_bytes()))
    with pytest.raises(TrainingError, match=r"resume\.pt: damaged, or not of this training"):
        fit(store, checkpoint=checkpoint)


def test_report_is_never_read(store: RecordingStore) -> None:
    (store.path / "recordings" / "r3.safetensors").write_bytes(b"not a recording")
    trained = fit(RecordingStore(store.path))
    assert len(trained.history) == TRAINING.epochs
    with pytest.raises(ValueError, match="r3"):  # the poison works
        predict(trained.model, store, toy_split().report)


def test_select_decides_but_does_not_train(tmp_path: Path) -> None:
    """Other select labels: the same trajectory, perhaps another epoch of it."""

    def with_select(name: str, seed: int) -> RecordingStore:
        recordings = [toy_recording(f"r{n}", f"s{n}", 16, seed=n) for n in (0, 1, 3)]
        recordings.append(toy_recording("r2", "s2", 12, seed=seed))
        return write_store(tmp_path / name, recordings, toy_info())

    one, other = fit(with_select("one", 2)), fit(with_select("other", 20))
    assert one.history["loss"].tolist() == other.history["loss"].tolist()
    assert one.history["select_mean"].tolist() != other.history["select_mean"].tolist()


def test_the_best_epoch_on_select_is_kept(store: RecordingStore) -> None:
    config = TrainingConfig(epochs=8, batch_size=4, hop=2, learning_rate=0.05)
    trained = fit(store, config=config)
    history = trained.history
    assert trained.best_epoch == history["select_mean"].idxmax()
    found = score(predict(trained.model, store, toy_split().select).predictions, store)
    assert found.mean == history["select_mean"].max()
    assert found.pooled["valence"] == history["select_valence"][trained.best_epoch]
    assert found.pooled["arousal"] == history["select_arousal"][trained.best_epoch]
    np_mean = history[["select_valence", "select_arousal"]].mean(axis=1)
    assert history["select_mean"].tolist() == pytest.approx(np_mean.tolist())


def test_a_loss_that_is_not_finite_names_its_batch(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches_an_epoch = len(
        range(
            0, len(training.training_windows(store, toy_split().train, 2, 4)), TRAINING.batch_size
        )
    )
    failing = batches_an_epoch + 2
    seen = []

    def poisoned(prediction: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        seen.append(labels)
        value = loss(prediction, labels)
        return value * math.nan if len(seen) == failing else value

    loss = training.ccc_loss
    monkeypatch.setattr(training, "ccc_loss", poisoned)
    with pytest.raises(TrainingError, match="epoch 1, batch 1: the loss is nan") as raised:
        fit(store)
    named = re.findall(r"(r\d)\[(\d+)\]", str(raised.value))
    assert len(named) == TRAINING.batch_size
    # The windows named are those of the batch that failed.
    first_name, first_start = named[0]
    rows = slice(int(first_start), int(first_start) + 4)
    torch.testing.assert_close(seen[failing - 1][0], store[first_name].labels[rows], equal_nan=True)


@pytest.mark.parametrize("batch_size", [4, 64])
def test_a_training_that_blows_up_is_a_training_error(
    store: RecordingStore, batch_size: int
) -> None:
    """Also where the weights overflow in an epoch's last step, so that no batch sees it."""
    model = ModelConfig(attention="ca", dim=8, window=4, encoder_norm="none")
    config = TrainingConfig(epochs=2, batch_size=batch_size, hop=2, learning_rate=1e30)
    with pytest.raises(TrainingError, match="epoch 0"):
        fit(store, model, config)


def test_batches_without_labels_are_skipped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings = [
        toy_recording("r0", "s0", 8, seed=0),
        toy_recording("r1", "s1", 8, seed=1, invalid=range(8)),
        toy_recording("r2", "s2", 12, seed=2),
        toy_recording("r3", "s3", 12, seed=3),
    ]
    store = write_store(tmp_path / "store", recordings, toy_info())
    # Windows without labels are left out beforehand; let them through for once.
    monkeypatch.setattr(
        training,
        "training_windows",
        lambda store, names, hop, length, protocol: evaluation_windows(store, names, length),
    )
    config = TrainingConfig(epochs=2, batch_size=1, hop=2)
    trained = fit(store, config=config)
    assert trained.history["skipped_batches"].tolist() == [2, 2]
    assert trained.history["loss"].notna().all()


def test_labels_for_no_window_at_all(tmp_path: Path) -> None:
    recordings = [toy_recording(f"r{n}", f"s{n}", 8, invalid=range(8)) for n in range(4)]
    store = write_store(tmp_path / "store", recordings, toy_info())
    with pytest.raises(TrainingError, match="no training window"):
        fit(store)


def test_select_without_labels_still_gives_a_model(tmp_path: Path) -> None:
    recordings = [toy_recording(f"r{n}", f"s{n}", 8, seed=n) for n in (0, 1, 3)]
    recordings.append(toy_recording("r2", "s2", 8, invalid=range(8)))
    trained = fit(write_store(tmp_path / "store", recordings, toy_info()))
    assert trained.history["select_mean"].isna().all()
    assert trained.best_epoch == 0


def test_short_recordings_train_too(tmp_path: Path) -> None:
    """Windows that are all padding but a row or two."""
    store = toy_store(tmp_path / "store", (2, 3, 9, 9))
    trained = fit(store, ModelConfig(attention="rjca", dim=8, window=4))
    assert trained.history["loss"].notna().all()


def test_the_temperature_falls_by_the_same_factor_to_the_models_own() -> None:
    config = TrainingConfig(temperature_start=1.6, anneal_epochs=4)
    found = [config.temperature(epoch, 0.1) for epoch in range(7)]
    assert found == pytest.approx([1.6, 0.8, 0.4, 0.2, 0.1, 0.1, 0.1])
    assert found[4:] == [0.1] * 3
    assert [TrainingConfig().temperature(epoch, 0.3) for epoch in (0, 9)] == [0.3, 0.3]


def test_an_epoch_is_trained_at_its_temperature_and_judged_at_the_models(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[bool, list[float]] = {True: [], False: []}

    def watched(gate: Gate, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        temperatures = seen[gate.training]
        if not temperatures or temperatures[-1] != gate.temperature:
            temperatures.append(gate.temperature)
        return forward(gate, x)

    forward = Gate.forward
    monkeypatch.setattr(Gate, "forward", watched)
    trained = fit(store, GATED, ANNEALED)
    assert seen[True] == pytest.approx([1.6, 0.4, 0.1]) and seen[False] == [0.1]
    assert trained.history["temperature"].tolist() == pytest.approx([1.6, 0.4, 0.1, 0.1])
    assert trained.model.fusion.gate_audio.temperature == 0.1
    assert not same(trained, fit(store, GATED))
    assert "temperature" not in fit(store, GATED).history


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (MODEL, {"temperature_start": 1.0}, "fusion 'plain' has no gates"),
        (GATED, {"temperature_start": 0.0}, "temperature_start 0.0: expected a positive"),
        (GATED, {"temperature_start": 1.0, "anneal_epochs": 0}, "anneal_epochs 0: expected at"),
        (GATED, {"gate_rate": 0.0}, "gate_rate 0.0: expected a positive number"),
        (MODEL, {"gate_rate": 0.5}, "gate_rate 0.5: fusion 'plain' has no gates"),
        (
            replace(GATED, fusion="told_rule"),
            {"gate_rate": 2.0},
            "gate_rate 2.0: fusion 'told_rule' has no gates",
        ),
        (MODEL, {"epochs": 0}, "epochs 0: expected at least 1"),
        (MODEL, {"modality_dropout": 1.5}, "modality_dropout 1.5: expected a probability"),
        (MODEL, {"modality_dropout": math.nan}, "modality_dropout nan: expected a probability"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(
    store: RecordingStore, model: ModelConfig, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        fit(store, model, TrainingConfig(**changes))
