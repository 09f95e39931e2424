"""One visible training loop, on Lightning Fabric."""

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import Window, feature_statistics, gather, training_windows
from iaca.learning.corruption import drop_modality
from iaca.learning.evaluation import predict, score
from iaca.learning.metrics import ccc_loss, unbiased_ccc_loss
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.regressor import GATED, AffectRegressor, ModelConfig

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Device = Literal["auto", "cpu", "cuda"]


class TrainingError(RuntimeError):
    """Training cannot go on; the message names the epoch, the batch and its windows."""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; the same for all models.

    Attributes:
        epochs: passes over the training windows.
        batch_size: windows a step.
        hop: rows between the starts of training windows.
        learning_rate: AdamW's; constant, unless the protocol lets it jump.
        weight_decay: AdamW's.
        clip_norm: largest gradient norm.
        precision: as Fabric names it.
        temperature_start: T of the gates in the first epoch; it then falls (or rises) by the same
            factor every epoch to the model's own T. Without it, T is the model's throughout.
        anneal_epochs: epochs until the model's own T is reached.
        modality_dropout: probability that a training window loses clips of one modality, see
            `drop_modality`.
    """

    epochs: int = 20
    batch_size: int = 32
    hop: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    precision: Precision = "32-true"
    temperature_start: float | None = None
    anneal_epochs: int = 10
    modality_dropout: float = 0.0

    def temperature(self, epoch: int, final: float) -> float:
        """T in an epoch (counted from 0) of a model whose own T is ``final``."""
        if self.temperature_start is None or epoch >= self.anneal_epochs:
            return final
        return self.temperature_start * (final / self.temperature_start) ** (
            epoch / self.anneal_epochs
        )


def adamw(
    model: nn.Module, config: TrainingConfig, device: torch.device | str
) -> torch.optim.AdamW:
    """The optimiser of a model that trains on ``device``, wherever its parameters are now."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        # On a CPU the default takes a parameter at a time, in Python. On a GPU it does not, and
        # Fabric cannot clip a fused optimiser's gradients at 16 bits.
        fused=torch.device(device).type == "cpu" or None,
    )


class Trained(NamedTuple):
    """A model with the weights of its best epoch on `select`, and how it got there."""

    model: AffectRegressor
    history: pd.DataFrame
    best_epoch: int


@dataclass
class _Progress:
    """What a resumed training must know besides the weights and the optimiser."""

    epoch: int
    best_epoch: int
    best_score: float
    best_weights: dict[str, Tensor]
    history: list[dict[str, float]]


def train(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    store: RecordingStore,
    split: Split,
    seed: int,
    checkpoint: Path | None = None,
    device: Device = "auto",
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
    after_epoch: Callable[[int], None] | None = None,
    attention: Callable[[], nn.Module] | None = None,
    protocol: Protocol = STRICT,
) -> Trained:
    """Train a model on `split.train` and keep the epoch that scores best on `split.select`.

    `split.report` is never looked at, unless the protocol selects on it. With a temperature that
    is annealed, the model is evaluated at its own T after every epoch: what is selected is what is
    used. The same seed, device and number of threads give the same weights, also when training was
    interrupted and goes on from ``checkpoint``.

    Args:
        model_config: the model.
        training_config: the optimiser and the windows.
        store: the recordings.
        split: names of the recordings in each role.
        seed: of initialisation, dropout and order.
        checkpoint: where to keep the state of an unfinished training; resumed if it exists.
        device: ``auto`` takes a GPU if there is one.
        progress: show a bar.
        checkpoint_seconds: least time between two checkpoints.
        after_epoch: called with the epoch's number once it is complete and checkpointed.
        attention: makes an attention of the reader's own, in place of the configuration's; called
            once the seed is set.
        protocol: the windows, their order, the loss, the learning rate, and what the best epoch is
            chosen on and how that is scored: the history's ``select_...`` are these scores.

    Raises:
        TrainingError: on a loss or a prediction that is not finite, if no window has a valid
            label (or is whole, if the protocol wants that), if there are no epochs, if modality
            dropout is no probability, if a temperature is annealed that does not exist or is not
            positive, or on a checkpoint that is damaged or another training's.
    """
    _check(training_config, model_config)
    # Imported here: it brings torch's compiler along, seconds that loading a run need not wait.
    from lightning_fabric import Fabric

    fabric = Fabric(accelerator=device, devices=1, precision=training_config.precision)
    torch.manual_seed(seed)  # the GPUs' generators too; nothing here uses another library's
    info = store.info
    model = AffectRegressor(
        model_config,
        info.audio_dim,
        info.visual_dim,
        len(info.labels),
        attention() if attention is not None else None,
    )
    # Gates drew numbers above. Dropout shall not notice: its stream is the same in all arms.
    torch.manual_seed(dropout_seed(seed))
    audio_statistics, visual_statistics = feature_statistics(store, split.train)
    model.standardise_audio.fit(audio_statistics)
    model.standardise_visual.fit(visual_statistics)
    optimiser = adamw(model, training_config, fabric.device)
    wrapped, optimiser = fabric.setup(model, optimiser)
    order = torch.Generator().manual_seed(seed)
    windows = training_windows(
        store, split.train, training_config.hop, model_config.window, protocol.whole_windows
    )
    if not windows:
        lacking = "is labelled throughout" if protocol.whole_windows else "has a valid label"
        raise TrainingError(f"no training window {lacking}")
    selecting = split.select if protocol.selection == "select" else split.report

    state = _Progress(0, -1, -torch.inf, {}, [])
    if checkpoint is not None and checkpoint.exists():
        state = _resume(checkpoint, model, optimiser, order, fabric)
    saved = time.monotonic()
    epochs = range(state.epoch, training_config.epochs)
    bar = tqdm(epochs, disable=not progress, desc="epochs", leave=False)
    for epoch in bar:
        rate = _set_rate(optimiser, training_config, protocol, epoch)
        with _annealed(model, training_config, epoch) as temperature:
            losses = _train_epoch(
                fabric, wrapped, optimiser, store, windows, order, training_config, epoch, protocol
            )
        predictions = predict(model, store, selecting).predictions
        _check_finite(predictions, epoch)
        selected = score(predictions, store, protocol)
        state.epoch = epoch + 1
        state.history.append(
            {"epoch": epoch, **losses, **temperature, **rate, "select_mean": selected.mean}
            | {f"select_{name}": value for name, value in selected.pooled.items()}
        )
        # A score of NaN (predictions and labels constant) is kept only until there is a number.
        if selected.mean > state.best_score or not state.best_weights:
            state.best_epoch = epoch
            state.best_score = -math.inf if math.isnan(selected.mean) else selected.mean
            state.best_weights = {
                k: v.detach().cpu().clone() for k, v in model.state_dict().items()
            }
        bar.set_postfix(loss=f"{losses['loss']:.3f}", select=f"{selected.mean:.3f}")
        if checkpoint is not None and time.monotonic() - saved >= checkpoint_seconds:
            _save(checkpoint, state, model, optimiser, order, fabric)
            saved = time.monotonic()
        if after_epoch is not None:
            after_epoch(epoch)
    model.load_state_dict(state.best_weights)
    return Trained(model, pd.DataFrame(state.history), state.best_epoch)


def dropout_seed(seed: int) -> int:
    """Seed of the random stream that training itself uses, apart from initialisation's."""
    return 2**32 + seed


def _train_epoch(
    fabric: "Fabric",
    model: Any,
    optimiser: Any,
    store: RecordingStore,
    windows: Sequence[Window],
    order: torch.Generator,
    config: TrainingConfig,
    epoch: int,
    protocol: Protocol,
) -> dict[str, float]:
    model.train()
    permutation = list(range(len(windows)))
    if protocol.shuffle:
        permutation = torch.randperm(len(windows), generator=order).tolist()
    loss_of = ccc_loss if protocol.loss == "biased" else unbiased_ccc_loss
    losses: list[float] = []
    skipped = 0
    for number, start in enumerate(range(0, len(windows), config.batch_size)):
        chosen = [windows[i] for i in permutation[start : start + config.batch_size]]
        batch = gather(store, chosen, model.config.window)
        if config.modality_dropout > 0.0:
            batch = drop_modality(batch, store.null_features, config.modality_dropout)
        batch = fabric.to_device(batch)
        prediction = model(batch.audio, batch.visual, batch.mask).values  # (B, L, n)
        loss = loss_of(prediction.float(), batch.labels)
        if loss is None:
            skipped += 1
            continue
        if not torch.isfinite(loss):
            raise TrainingError(_describe(loss, epoch, number, chosen))
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(loss)
        fabric.clip_gradients(model, optimiser, max_norm=config.clip_norm, error_if_nonfinite=False)
        optimiser.step()
        losses.append(loss.item())
    mean = sum(losses) / len(losses) if losses else float("nan")
    return {"loss": mean, "skipped_batches": skipped}


def _set_rate(
    optimiser: Any, config: TrainingConfig, protocol: Protocol, epoch: int
) -> dict[str, float]:
    """Set the learning rate of an epoch, unless it is constant; give what the history says of it.

    It follows from the epoch's number alone, so that a resumed training needs to know no more.
    """
    if protocol.learning_rate == "constant":
        return {}
    rate = protocol.rate(epoch, config.learning_rate)
    for group in optimiser.param_groups:
        group["lr"] = rate
    return {"learning_rate": rate}


def _describe(loss: Tensor, epoch: int, number: int, windows: Sequence[Window]) -> str:
    named = ", ".join(f"{window.recording}[{window.start}]" for window in windows[:4])
    more = f" and {len(windows) - 4} more" if len(windows) > 4 else ""
    return f"epoch {epoch}, batch {number}: the loss is {loss.item()}; windows {named}{more}"


def _check_finite(predictions: Mapping[str, Tensor], epoch: int) -> None:
    """An epoch's last step can overflow the weights after its last loss was computed."""
    for name, values in predictions.items():
        if not torch.isfinite(values).all():
            raise TrainingError(
                f"epoch {epoch}, after its last batch: predictions of recording {name!r} hold NaN "
                "or an infinite value"
            )


def _check(config: TrainingConfig, model: ModelConfig) -> None:
    if config.epochs < 1:
        raise TrainingError(f"epochs {config.epochs}: expected at least 1")
    if not 0.0 <= config.modality_dropout <= 1.0:
        raise TrainingError(
            f"modality_dropout {config.modality_dropout}: expected a probability, 0 to 1"
        )
    if config.temperature_start is not None:
        if not config.temperature_start > 0:
            raise TrainingError(
                f"temperature_start {config.temperature_start}: expected a positive number"
            )
        if config.anneal_epochs < 1:
            raise TrainingError(f"anneal_epochs {config.anneal_epochs}: expected at least 1")
        if model.fusion not in GATED:
            raise TrainingError(
                f"temperature_start {config.temperature_start}: fusion {model.fusion!r} has no "
                "gates, expected None"
            )


@contextmanager
def _annealed(
    model: AffectRegressor, config: TrainingConfig, epoch: int
) -> Iterator[dict[str, float]]:
    """Set T for an epoch and the model's own afterwards; give what the history says of it.

    T follows from the epoch's number alone, so that a resumed training needs to know no more.
    """
    if config.temperature_start is None:
        yield {}
        return
    temperature = config.temperature(epoch, model.config.temperature)
    with model.gating.at_temperature(temperature):
        yield {"temperature": temperature}


def _save(
    path: Path,
    state: _Progress,
    model: AffectRegressor,
    optimiser: Any,
    order: torch.Generator,
    fabric: "Fabric",
) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        torch.save(
            {
                "progress": vars(state),
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "precision": fabric.strategy.precision.state_dict(),  # the loss scale at 16 bits
                "order": order.get_state(),
                "rng": torch.get_rng_state(),
                "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            },
            file,
        )
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _resume(
    path: Path,
    model: AffectRegressor,
    optimiser: Any,
    order: torch.Generator,
    fabric: "Fabric",
) -> _Progress:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    except Exception as error:  # of any kind: torch reads foreign bytes as best it can
        raise TrainingError(
            f"{path}: damaged, or not of this training; delete it to start again ({error})"
        ) from error
    fabric.strategy.precision.load_state_dict(state["precision"])
    order.set_state(state["order"])
    torch.set_rng_state(state["rng"])
    if fabric.device.type == "cuda":
        torch.cuda.set_rng_state_all(state["rng_cuda"])
    return _Progress(**state["progress"])
