"""A trained model over recordings: predictions, gates and scores."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from iaca.data.batches import WindowBatches, evaluation_batches
from iaca.data.recordings import Recording, Recordings, StoreInfo
from iaca.data.windows import Batch
from iaca.learning.config import products
from iaca.learning.metrics import ccc, extremes
from iaca.learning.protocol import STRICT, Protocol, smooth
from iaca.models.regressor import AffectRegressor

if TYPE_CHECKING:
    import pandas as pd

# Windows at a time: JCA's maps of more than 64 leave a CPU's cache.
EVALUATION_BATCH = {"cpu": 64, "cuda": 256}


class Traces(NamedTuple):
    """What a model says about recordings, a row per clip.

    Attributes:
        predictions: recording -> ``(T, n)``.
        gates: gate name (``audio``, ``visual``, ``audio_visual``) -> recording -> ``(T, K)``;
            empty for a fusion without gates.
    """

    predictions: dict[str, Tensor]
    gates: dict[str, dict[str, Tensor]]


def predict(
    model: AffectRegressor,
    store: Recordings,
    names: Iterable[str],
    batch_size: int | None = None,
    temperature: float | None = None,
) -> Traces:
    """Predict every row of some recordings exactly once, in evaluation mode, on the model's device.

    Args:
        model: left as it was.
        store: the recordings.
        names: which of them.
        batch_size: windows at a time, by default `EVALUATION_BATCH`; changes nothing else.
        temperature: of all gates, in place of the model's own.

    Raises:
        ValueError: for a temperature that is not positive, or of a model without gates.
    """
    own = nullcontext() if temperature is None else model.gating.at_temperature(temperature)
    with own:
        return predict_batches(model, batches_for(model, store, names), batch_size)


def predict_batches(
    model: AffectRegressor, batches: WindowBatches, batch_size: int | None = None
) -> Traces:
    """Do as `predict`, on windows that can be used again: `batches_for` makes them."""

    def compute(batch: Batch) -> dict[str, Tensor]:
        mask = None if batches.whole else batch.mask
        output = model(batch.audio, batch.visual, mask, batch.state)
        gates = {} if output.gates is None else output.gates._asdict()
        return {"": output.values.float()} | {name: gate.float() for name, gate in gates.items()}

    found = over_windows(model, batches, compute, batch_size)
    traces = {key: batches.by_recording(values) for key, values in found.items()}
    return Traces(traces.pop("", {}), traces)


def batches_for(
    model: AffectRegressor, store: Recordings, names: Iterable[str], whole: bool = False
) -> WindowBatches:
    """The evaluation windows of some recordings, for a model and on its device.

    With ``whole``, those of recordings that are shorter than a window are left out.
    """
    device = next(model.parameters()).device
    return evaluation_batches(store, names, model.config.window, device, whole)


def over_windows(
    model: AffectRegressor,
    batches: WindowBatches,
    compute: Callable[[Batch], Mapping[str, Tensor]],
    batch_size: int | None = None,
) -> dict[str, Tensor]:
    """Compute something on windows, in float32, without gradients.

    Args:
        model: in evaluation mode meanwhile; its mode is restored afterwards.
        batches: W windows, on the model's device.
        compute: maps a batch to named tensors ``(B, L, ...)``.
        batch_size: windows at a time, by default `EVALUATION_BATCH`.

    Returns:
        Each named tensor for all windows, ``(W, L, ...)`` on the CPU.
    """
    size = batch_size or EVALUATION_BATCH[batches.device.type]
    found: dict[str, list[Tensor]] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), products("32", batches.device):
            for chosen in torch.arange(len(batches), device=batches.device).split(size):
                if len(chosen) == 0:
                    continue
                for name, values in compute(batches.take(chosen)).items():
                    found.setdefault(name, []).append(values)
    finally:
        model.train(was_training)
    return {name: torch.cat(parts).cpu() for name, parts in found.items()}


@dataclass(frozen=True)
class Scores:
    """CCC of some predictions.

    Attributes:
        pooled: target -> CCC over all valid clips of all recordings.
        pairs: recording -> predictions and labels as they were scored, ``(T, n)`` each.
        agreement: how they were scored.
    """

    pooled: dict[str, float]
    pairs: Mapping[str, tuple[Tensor, Tensor]]
    agreement: Callable[[Tensor, Tensor], Tensor]

    @property
    def mean(self) -> float:
        """Mean pooled CCC over targets, what model selection maximises."""
        return sum(self.pooled.values()) / len(self.pooled)

    @cached_property
    def per_recording(self) -> "pd.DataFrame":
        """One row per recording, one column per target."""
        import pandas as pd

        each = [self.agreement(said, labels).tolist() for said, labels in self.pairs.values()]
        return pd.DataFrame(each, pd.Index(self.pairs, name="recording"), list(self.pooled))


def post_process(
    values: Tensor,
    end_frame: Tensor,
    info: StoreInfo,
    protocol: Protocol,
    valid: Tensor | None = None,
) -> Tensor:
    """Clip and smooth a recording's predictions as a protocol says; under `STRICT`, neither.

    Args:
        values: ``(T, n)``.
        end_frame: ``(T,)``, the recording's: how many frames lie between rows.
        info: of the store: the targets and their range.
        protocol: its ``clip`` and what it says of smoothing.
        valid: ``(T, n)``, false where a value takes no part in an average; all do by default.
    """
    if protocol.clip:
        values = values.clamp(*info.label_range)
    spacing = end_frame.diff().double().median().item() if len(end_frame) > 1 else 1.0
    frames = {"valence": protocol.smooth_valence, "arousal": protocol.smooth_arousal}
    columns = []
    for column, target in enumerate(info.labels):
        size = max(1, round(frames.get(target, 1) / spacing))
        taking_part = None if valid is None else valid[:, column]
        columns.append(smooth(values[:, column], size, protocol.smoothing_padding, taking_part))
    return torch.stack(columns, dim=1)


def pairs_to_score(
    values: Tensor, recording: Recording, info: StoreInfo, protocol: Protocol
) -> tuple[Tensor, Tensor]:
    """A recording's predictions and labels as a protocol has them scored, ``(T, n)`` each.

    With ``zero_pairs``, rows with an invalid label are 0 in both before anything else; smoothing
    then carries their zeros into their neighbours, and their neighbours into them.
    """
    labels = recording.labels
    valid = ~labels.isnan()
    if protocol.invalid_frames == "zero_pairs":
        whole = valid.all(dim=1, keepdim=True)  # (T, 1)
        values, labels = torch.where(whole, values, 0.0), torch.where(whole, labels, 0.0)
        valid = torch.ones_like(valid)
    return post_process(values, recording.end_frame, info, protocol, valid), labels


def score(
    predictions: Mapping[str, Tensor], store: Recordings, protocol: Protocol = STRICT
) -> Scores:
    """Score raw predictions, ``recording -> (T, n)``, against the labels.

    The protocol decides what becomes of invalid rows, and on clipping, smoothing and scaling; by
    default nothing is done, and invalid labels do not count.
    """
    pairs = {
        name: pairs_to_score(values, store[name], store.info, protocol)
        for name, values in predictions.items()
    }
    agreement = _min_max_ccc if protocol.min_max else ccc
    said, labels = (torch.cat(parts) for parts in zip(*pairs.values(), strict=True))
    pooled = agreement(said, labels).tolist()
    return Scores(dict(zip(store.info.labels, pooled, strict=True)), pairs, agreement)


def _min_max_ccc(prediction: Tensor, label: Tensor) -> Tensor:
    """CCC once predictions and labels, ``(N, n)``, have each been scaled to [0, 1]."""

    def scaled(x: Tensor) -> Tensor:
        low, high = extremes(x, ~label.isnan())
        return (x - low) / torch.where(high > low, high - low, 1.0)

    return ccc(scaled(prediction.double()), scaled(label.double()))
