"""One visible training loop, on Lightning Fabric."""

import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import feature_statistics, gather, training_windows
from iaca.learning.evaluation import predict, score
from iaca.learning.metrics import ccc_loss, unbiased_ccc_loss
from iaca.learning.modality_dropout import drop_modality
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.regressor import GATED, AffectRegressor, ModelConfig

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]
Device = Literal["auto", "cpu", "cuda"]

# What a resumed training must know besides the weights and the optimiser.
PROGRESS = ("history", "best_epoch", "best_score", "best_weights")


class TrainingError(RuntimeError):
    """Training cannot start or go on.

    A configuration that makes no sense, no window to train on, a checkpoint that is damaged or
    another training's, or a loss or prediction that is not finite: the message names the field,
    the file, or the epoch, the batch and its windows.
    """


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
        modality_dropout: probability that a window loses clips, see `drop_modality`.
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
        start = self.temperature_start
        if start is None or epoch >= self.anneal_epochs:
            return final
        return start * (final / start) ** (epoch / self.anneal_epochs)


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

    `split.report` is never looked at, unless the protocol selects on it. After every epoch the
    model is evaluated at its own T, also where T is annealed: what is selected is what is used.
    The same seed, device and number of threads give the same weights, also when training was
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
        attention: makes an attention of the reader's own; called once the seed is set.
        protocol: switches of training and selection; the history's ``select_...`` are its scores.

    Raises:
        TrainingError: see there.
    """
    _check(training_config, model_config)
    training = _Training(
        model_config, training_config, store, split, seed, device, attention, protocol
    )
    return training.run(checkpoint, checkpoint_seconds, progress, after_epoch)


def dropout_seed(seed: int) -> int:
    """Seed of the random stream that training itself uses, apart from initialisation's."""
    return 2**32 + seed


class _Training:
    """One training: the model, its optimiser, its windows, and how far it has come."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        store: RecordingStore,
        split: Split,
        seed: int,
        device: Device,
        attention: Callable[[], nn.Module] | None,
        protocol: Protocol,
    ) -> None:
        # Imported here: it brings torch's compiler along, seconds that loading a run need not wait.
        from lightning_fabric import Fabric

        self.config, self.store, self.protocol = config, store, protocol
        self.fabric = Fabric(accelerator=device, devices=1, precision=config.precision)
        torch.manual_seed(seed)  # the GPUs' generators too; nothing here uses another library's
        dims = store.info.audio_dim, store.info.visual_dim, len(store.info.labels)
        own = None if attention is None else attention()
        self.model = AffectRegressor(model_config, *dims, own)
        # Gates drew numbers above. Dropout shall not notice: its stream is the same in all arms.
        torch.manual_seed(dropout_seed(seed))
        audio, visual = feature_statistics(store, split.train)
        self.model.standardise_audio.fit(audio)
        self.model.standardise_visual.fit(visual)
        optimiser = adamw(self.model, config, self.fabric.device)
        self.wrapped: Any
        self.wrapped, self.optimiser = self.fabric.setup(self.model, optimiser)
        self.order = torch.Generator().manual_seed(seed)
        self.windows = training_windows(
            store, split.train, config.hop, model_config.window, protocol.whole_windows
        )
        if not self.windows:
            lacking = "is labelled throughout" if protocol.whole_windows else "has a valid label"
            raise TrainingError(f"no training window {lacking}")
        self.selecting = split.select if protocol.selection == "select" else split.report
        self.history: list[dict[str, float]] = []  # a row per epoch
        self.best_epoch, self.best_score = -1, -math.inf
        self.best_weights: dict[str, Tensor] = {}

    def run(
        self,
        checkpoint: Path | None,
        checkpoint_seconds: float,
        show: bool,
        after_epoch: Callable[[int], None] | None,
    ) -> Trained:
        """Train the epochs that are left; arguments are those of `train`."""
        if checkpoint is not None and checkpoint.exists():
            self.resume(checkpoint)
        saved = time.monotonic()
        epochs = range(len(self.history), self.config.epochs)
        bar = tqdm(epochs, disable=not show, desc="epochs", leave=False)
        for epoch in bar:
            row = self.run_epoch(epoch)
            bar.set_postfix(loss=f"{row['loss']:.3f}", select=f"{row['select_mean']:.3f}")
            if checkpoint is not None and time.monotonic() - saved >= checkpoint_seconds:
                self.save(checkpoint)
                saved = time.monotonic()
            if after_epoch is not None:
                after_epoch(epoch)
        self.model.load_state_dict(self.best_weights)
        return Trained(self.model, pd.DataFrame(self.history), self.best_epoch)

    def run_epoch(self, epoch: int) -> dict[str, float]:
        """Train an epoch, select, and return its row of the history.

        T and the learning rate follow from the epoch's number alone, so that a resumed training
        needs to know no more.
        """
        noted: dict[str, float] = {}
        at_temperature: AbstractContextManager[None] = nullcontext()
        if self.config.temperature_start is not None:
            noted["temperature"] = self.config.temperature(epoch, self.model.config.temperature)
            at_temperature = self.model.gating.at_temperature(noted["temperature"])
        if self.protocol.learning_rate != "constant":
            noted["learning_rate"] = self.protocol.rate(epoch, self.config.learning_rate)
            for group in self.optimiser.param_groups:
                group["lr"] = noted["learning_rate"]
        with at_temperature:
            losses = self._train_epoch(epoch)
        predictions = predict(self.model, self.store, self.selecting).predictions
        for name, values in predictions.items():  # the last step can overflow the weights
            if not torch.isfinite(values).all():
                raise TrainingError(
                    f"epoch {epoch}, after its last batch: predictions of recording {name!r} hold "
                    "NaN or an infinite value"
                )
        selected = score(predictions, self.store, self.protocol)
        row = {"epoch": epoch, **losses, **noted, "select_mean": selected.mean}
        row |= {f"select_{name}": value for name, value in selected.pooled.items()}
        self.history.append(row)
        # A score of NaN (predictions and labels constant) is kept only until there is a number.
        if selected.mean > self.best_score or not self.best_weights:
            self.best_epoch = epoch
            self.best_score = -math.inf if math.isnan(selected.mean) else selected.mean
            weights = self.model.state_dict()
            self.best_weights = {k: v.detach().cpu().clone() for k, v in weights.items()}
        return row

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        config, fabric = self.config, self.fabric
        self.wrapped.train()
        windows = self.windows
        if self.protocol.shuffle:
            order = torch.randperm(len(windows), generator=self.order).tolist()
            windows = [windows[i] for i in order]
        loss_of = ccc_loss if self.protocol.loss == "biased" else unbiased_ccc_loss
        losses: list[float] = []
        skipped = 0
        for number, start in enumerate(range(0, len(windows), config.batch_size)):
            chosen = windows[start : start + config.batch_size]
            batch = gather(self.store, chosen, self.model.config.window)
            if config.modality_dropout > 0.0:
                batch = drop_modality(batch, self.store.null_features, config.modality_dropout)
            batch = fabric.to_device(batch)
            prediction = self.wrapped(batch.audio, batch.visual, batch.mask).values  # (B, L, n)
            loss = loss_of(prediction.float(), batch.labels)
            if loss is None:
                skipped += 1
                continue
            if not torch.isfinite(loss):
                named = ", ".join(f"{window.recording}[{window.start}]" for window in chosen)
                raise TrainingError(
                    f"epoch {epoch}, batch {number}: the loss is {loss.item()}; windows {named}"
                )
            self.optimiser.zero_grad(set_to_none=True)
            fabric.backward(loss)
            fabric.clip_gradients(
                self.wrapped, self.optimiser, max_norm=config.clip_norm, error_if_nonfinite=False
            )
            self.optimiser.step()
            losses.append(loss.item())
        mean = sum(losses) / len(losses) if losses else math.nan
        return {"loss": mean, "skipped_batches": skipped}

    def save(self, path: Path) -> None:
        """Write everything that a resumed training needs."""
        state = {
            "progress": {name: getattr(self, name) for name in PROGRESS},
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "precision": self.fabric.strategy.precision.state_dict(),  # the loss scale at 16 bits
            "order": self.order.get_state(),
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        partial = path.with_name(f"{path.name}.partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from where :meth:`save` was called."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
        except Exception as error:  # of any kind: torch reads foreign bytes as best it can
            raise TrainingError(
                f"{path}: damaged, or not of this training; delete it to start again ({error})"
            ) from error
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.order.set_state(state["order"])
        torch.set_rng_state(state["rng"])
        if self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state_all(state["rng_cuda"])
        vars(self).update(state["progress"])


def _check(config: TrainingConfig, model: ModelConfig) -> None:
    start, dropout, epochs = config.temperature_start, config.modality_dropout, config.anneal_epochs
    expected = [
        (config.epochs >= 1, f"epochs {config.epochs}: expected at least 1"),
        (0.0 <= dropout <= 1.0, f"modality_dropout {dropout}: expected a probability, 0 to 1"),
    ]
    if start is not None:
        expected += [
            (start > 0, f"temperature_start {start}: expected a positive number"),
            (epochs >= 1, f"anneal_epochs {epochs}: expected at least 1"),
            (model.fusion in GATED, f"temperature_start: fusion {model.fusion!r} has no gates"),
        ]
    for holds, message in expected:
        if not holds:
            raise TrainingError(message)
