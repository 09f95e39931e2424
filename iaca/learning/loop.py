"""One visible training loop, for one model or for several at once."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from torch import nn
from tqdm.auto import tqdm

from iaca.base.devices import Device
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.learning.config import TrainingConfig, TrainingError, products
from iaca.learning.engines import ENGINES, EngineName
from iaca.learning.protocol import STRICT, Protocol
from iaca.learning.training import Training
from iaca.models.regressor import AffectRegressor, ModelConfig

if TYPE_CHECKING:
    import pandas as pd


class Trained(NamedTuple):
    """A model with the weights of its best epoch on `select`, and how it got there.

    ``rows`` is what `history` is made of, a dictionary per epoch.
    """

    model: AffectRegressor
    rows: list[dict[str, float]]
    best_epoch: int

    @property
    def history(self) -> "pd.DataFrame":
        """One row per epoch: loss, batches skipped, T and learning rate if they change, scores."""
        import pandas as pd

        return pd.DataFrame(self.rows)


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
    engine: EngineName = "sequential",
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
        engine: how steps are carried out, see `iaca.learning.engines`.

    Raises:
        TrainingError: see there.
    """
    training = Training(
        model_config, training_config, store, split, seed, device, attention, protocol
    )
    if checkpoint is not None and checkpoint.exists():
        training.resume(checkpoint)
    checkpoints = [checkpoint]
    (outcome,) = train_together(
        [training], engine, checkpoints, progress, checkpoint_seconds, after_epoch
    )
    if isinstance(outcome, TrainingError):
        raise outcome
    return outcome


def train_together(
    trainings: Sequence[Training],
    engine: EngineName,
    checkpoints: Sequence[Path | None],
    progress: bool = False,
    checkpoint_seconds: float = 30.0,
    after_epoch: Callable[[int], None] | None = None,
) -> list[Trained | TrainingError]:
    """Carry out trainings that have come equally far, and are of equal length, as one.

    Args:
        trainings: with the same configuration but for seeds, the gates' start and data.
        engine: how steps are carried out.
        checkpoints: where to keep each training's state; see `train` for this and what follows.
        progress: show a bar.
        checkpoint_seconds: least time between two checkpoints.
        after_epoch: called with the epoch's number.

    Returns:
        each training's result, or why it failed: one that fails takes no other with it.
    """
    first = trainings[0]
    failed: dict[int, TrainingError] = {}
    driver = ENGINES[engine](trainings)
    saved = time.monotonic()
    epochs = range(len(first.history), first.config.epochs)
    bar = tqdm(epochs, disable=not progress, desc="epochs", leave=False)
    for epoch in bar:
        with ExitStack() as stack:
            stack.enter_context(products(first.config.precision, first.device))
            noted = [stack.enter_context(each.at_epoch(epoch)) for each in trainings]
            plans = [training.plan() for training in trainings]
            losses = [each.tolist() for each in driver.run_epoch(plans)]
        for k, training in enumerate(trainings):
            if k in failed:
                continue
            try:
                row = training.end_epoch(plans[k], losses[k], noted[k])
            except TrainingError as error:
                failed[k] = error
                continue
            bar.set_postfix(loss=f"{row['loss']:.3f}", select=f"{row['select_mean']:.3f}")
        if len(failed) == len(trainings):
            break
        if time.monotonic() - saved >= checkpoint_seconds:
            for k, path in enumerate(checkpoints):
                if path is not None and k not in failed:
                    trainings[k].save(path)
            saved = time.monotonic()
        if after_epoch is not None:
            after_epoch(epoch)
    return [
        failed.get(k) or Trained(training.finish(), training.history, training.best_epoch)
        for k, training in enumerate(trainings)
    ]
