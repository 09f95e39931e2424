"""One training: a model, its optimiser, its windows, and how far it has come."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from iaca.base.devices import Device, device_type
from iaca.base.files import whole_file
from iaca.data.batches import WindowBatches, evaluation_batches
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import Batch, feature_statistics, training_windows
from iaca.learning.config import TrainingConfig, TrainingError, adamw, dropout_seed, set_rate
from iaca.learning.evaluation import predict_batches, score
from iaca.learning.metrics import ccc_loss, unbiased_ccc_loss
from iaca.learning.modality_dropout import drop_modality
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.regressor import TOLD, AffectRegressor, ModelConfig

# What a resumed training must know besides the weights, the optimiser and the random streams.
PROGRESS = ("history", "best_epoch", "best_score", "best_weights")


class Placed(NamedTuple):
    """What trainings on the same data share: training windows, windows of `select`, statistics."""

    training: WindowBatches
    selecting: WindowBatches
    statistics: tuple[Any, Any]


class Training:
    """A training that some engine drives, epoch by epoch.

    An epoch is: enter `at_epoch`, `plan` its batches, take a step on each, and `end_epoch` with
    the losses. Whatever is drawn meanwhile is drawn within `randomness`.

    Args:
        model_config: the model.
        config: the optimiser and the windows.
        store: the recordings.
        split: names of the recordings in each role.
        seed: of initialisation, dropout and order.
        device: ``auto`` takes a GPU if there is one.
        attention: makes an attention of the reader's own; called once the seed is set.
        protocol: switches of training and selection.
        shared: where trainings in one process put what those on the same data can share.

    Raises:
        TrainingError: if the configuration makes no sense, there is no window to train on, or
            told gates lack the states.
    """

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        store: RecordingStore,
        split: Split,
        seed: int,
        device: Device = "auto",
        attention: Callable[[], nn.Module] | None = None,
        protocol: Protocol = STRICT,
        shared: dict[object, Placed] | None = None,
    ) -> None:
        self.config, self.store, self.protocol = config, store, protocol
        self.device = torch.device(device_type(device))
        config.check(model_config, self.device)
        torch.manual_seed(seed)  # nothing here uses another library's generator
        dims = store.info.audio_dim, store.info.visual_dim, len(store.info.labels)
        own = None if attention is None else attention()
        self.model = AffectRegressor(model_config, *dims, own)
        # Gates drew numbers above. Dropout shall not notice: its stream is the same in all arms.
        self.generator = torch.Generator(self.device).manual_seed(dropout_seed(seed))
        placed = self._place(split, {} if shared is None else shared)
        self.batches, self.selecting = placed.training, placed.selecting
        self.label_counts = self.batches.label_counts()
        self.model.standardise_audio.fit(placed.statistics[0])
        self.model.standardise_visual.fit(placed.statistics[1])
        self.model.to(self.device)
        self.parameters = [*self.model.parameters()]
        self.optimiser = adamw(self.model.named_parameters(), config, self.device)
        self.order = torch.Generator().manual_seed(seed)
        # A CUDA graph has one size; on a GPU all engines take the same batches.
        self.fixed_size = self.device.type == "cuda"
        self.history: list[dict[str, float]] = []  # a row per epoch
        self.best_epoch, self.best_score = -1, -math.inf
        self.best_weights: dict[str, Tensor] = {}

    def _place(self, split: Split, shared: dict[object, Placed]) -> Placed:
        store, length, protocol = self.store, self.model.config.window, self.protocol
        selecting = split.select if protocol.selection == "select" else split.report
        if self.model.config.fusion in TOLD:
            for name in (*split.train, *selecting):
                if store[name].state is None:
                    raise TrainingError(
                        f"fusion {self.model.config.fusion!r} reads the true state, of which "
                        f"recording {name!r} has none: expected data with known states"
                    )
        key = (store.key, split.train, selecting, length, self.config.hop, protocol.whole_windows)
        if key not in shared:
            whole = protocol.whole_windows
            windows = training_windows(store, split.train, self.config.hop, length, whole)
            if not windows:
                lacking = "is labelled throughout" if whole else "has a valid label"
                raise TrainingError(f"no training window {lacking}")
            shared[key] = Placed(
                WindowBatches(store, split.train, windows, length, self.device),
                evaluation_batches(store, selecting, length, self.device),
                feature_statistics(store, split.train),
            )
        return shared[key]

    @contextmanager
    def at_epoch(self, epoch: int) -> Iterator[dict[str, float]]:
        """Set an epoch's T and learning rate within the block; gives those that change.

        Both follow from the epoch's number alone: a resumed training needs to know no more.
        """
        noted: dict[str, float] = {}
        if self.protocol.learning_rate != "constant":
            noted["learning_rate"] = self.protocol.rate(epoch, self.config.learning_rate)
            set_rate(self.optimiser, noted["learning_rate"])
        if self.config.temperature_start is None:
            yield noted
            return
        noted["temperature"] = self.config.temperature(epoch, self.model.config.temperature)
        with self.model.gating.at_temperature(noted["temperature"]):
            yield noted

    @contextmanager
    def randomness(self) -> Iterator[None]:
        """Draw from this training's own stream within the block, and from the outer one after."""
        if self.device.type == "cuda":
            index = torch.cuda.current_device()
            default = torch.cuda.default_generators[index]
            outer = default.graphsafe_get_state()
            default.graphsafe_set_state(self.generator)
            try:
                yield
            finally:
                default.graphsafe_set_state(outer)
            return
        before = torch.get_rng_state()
        torch.set_rng_state(self.generator.get_state())
        try:
            yield
        finally:
            self.generator.set_state(torch.get_rng_state())
            torch.set_rng_state(before)

    def plan(self) -> dict[int, Tensor]:
        """The batches of the next epoch: number -> windows of it, on the device.

        A batch without the labels that a loss needs is left out. With ``fixed_size`` the last one
        is as long as the others, filled up with windows of padding.
        """
        count, size = len(self.batches), self.config.batch_size
        shuffled = self.protocol.shuffle
        order = torch.randperm(count, generator=self.order) if shuffled else torch.arange(count)
        least = 1 if self.protocol.loss == "biased" else 2  # labels of one target
        batches = {
            number: chosen
            for number, chosen in enumerate(order.split(size))
            if self.label_counts[chosen].sum(dim=0).max() >= least
        }
        if self.fixed_size:
            batches = {
                number: torch.cat([chosen, chosen.new_full((size - len(chosen),), count)])
                for number, chosen in batches.items()
            }
        return {number: chosen.to(self.device) for number, chosen in batches.items()}

    @cached_property
    def null_features(self) -> tuple[Tensor, Tensor]:
        """The store's, on the device: a CUDA graph cannot fetch them."""
        audio, visual = self.store.null_features
        return audio.to(self.device), visual.to(self.device)

    def batch(self, chosen: Tensor) -> Batch:
        """The training windows of these numbers, after modality dropout."""
        batch = self.batches.take(chosen)
        if self.config.modality_dropout > 0.0:
            return drop_modality(batch, self.null_features, self.config.modality_dropout)
        return batch

    def loss_of(self, values: Tensor, labels: Tensor) -> Tensor:
        """The protocol's loss of predictions ``(B, L, n)``."""
        loss = ccc_loss if self.protocol.loss == "biased" else unbiased_ccc_loss
        return loss(values.float(), labels)

    def step(self, chosen: Tensor) -> Tensor:
        """Train on one batch; returns its loss, which nobody has waited for."""
        batch = self.batch(chosen)
        mask = None if self.batches.whole and not self.fixed_size else batch.mask
        with torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"
        ):
            values = self.model(batch.audio, batch.visual, mask, batch.state).values  # (B, L, n)
        loss = self.loss_of(values, batch.labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        self.optimiser.step()
        return loss.detach()

    def end_epoch(
        self, plan: Mapping[int, Tensor], losses: list[float], noted: Mapping[str, float]
    ) -> dict[str, float]:
        """Check an epoch's losses, select, and return its row of the history.

        Evaluation is at the model's own T.

        Raises:
            TrainingError: for a loss or a prediction that is not finite.
        """
        epoch = len(self.history)
        for (number, chosen), loss in zip(plan.items(), losses, strict=True):
            if not math.isfinite(loss):
                windows = [self.batches.windows[i] for i in chosen if i < len(self.batches)]
                named = ", ".join(f"{window.recording}[{window.start}]" for window in windows)
                raise TrainingError(
                    f"epoch {epoch}, batch {number}: the loss is {loss}; windows {named}"
                )
        predictions = predict_batches(self.model, self.selecting).predictions
        for name, values in predictions.items():  # the last step can overflow the weights
            if not torch.isfinite(values).all():
                raise TrainingError(
                    f"epoch {epoch}, after its last batch: predictions of recording {name!r} hold "
                    "NaN or an infinite value"
                )
        selected = score(predictions, self.store, self.protocol)
        mean = sum(losses) / len(losses) if losses else math.nan
        skipped = -(-len(self.batches) // self.config.batch_size) - len(plan)
        row = {"epoch": epoch, "loss": mean, "skipped_batches": skipped, **noted}
        row |= {"select_mean": selected.mean}
        row |= {f"select_{name}": value for name, value in selected.pooled.items()}
        self.history.append(row)
        # A score of NaN (predictions and labels constant) is kept only until there is a number.
        if selected.mean > self.best_score or not self.best_weights:
            self.best_epoch = epoch
            self.best_score = -math.inf if math.isnan(selected.mean) else selected.mean
            self.best_weights = _copied(self.model.state_dict(), "cpu")
        return row

    def finish(self) -> AffectRegressor:
        """The model, with the weights of its best epoch."""
        self.model.load_state_dict(self.best_weights)
        return self.model

    def save(self, path: Path) -> None:
        """Write everything that a resumed training needs."""
        state = {
            "progress": {name: getattr(self, name) for name in PROGRESS},
            "model": _copied(self.model.state_dict()),
            "optimiser": _copied(self.optimiser.state_dict()),
            "order": self.order.get_state(),
            "random": self.generator.get_state(),
        }
        with whole_file(path) as file:
            torch.save(state, file)

    def resume(self, path: Path) -> None:
        """Go on from where :meth:`save` was called.

        Raises:
            TrainingError: if the file is damaged or another training's.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.order.set_state(state["order"])
            self.generator.set_state(state["random"])
            vars(self).update({name: state["progress"][name] for name in PROGRESS})
        except Exception as error:  # of any kind: torch reads foreign bytes as best it can
            raise TrainingError(
                f"{path}: damaged, or not of this training; delete it to start again ({error})"
            ) from error


def _copied(state: Any, device: str | None = None) -> Any:
    """Copies of all tensors in a state, which may be parts of larger ones that others share."""
    if isinstance(state, Tensor):
        return state.detach().to(device or state.device, copy=True)
    if isinstance(state, dict):
        return {key: _copied(value, device) for key, value in state.items()}
    return state
