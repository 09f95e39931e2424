"""A trained model over recordings: predictions, gates and scores."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from iaca.data.recordings import Recording, Recordings, StoreInfo
from iaca.data.windows import Batch, Window, evaluation_windows, gather
from iaca.learning.metrics import ccc, extremes
from iaca.learning.protocol import STRICT, Protocol, smooth
from iaca.models.regressor import AffectRegressor

EVALUATION_BATCH = 256  # windows; bounds memory, changes nothing else


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
    batch_size: int = EVALUATION_BATCH,
    temperature: float | None = None,
) -> Traces:
    """Predict every row of some recordings exactly once, in evaluation mode, on the model's device.

    Args:
        model: left as it was.
        store: the recordings.
        names: which of them.
        batch_size: windows at a time; changes nothing else.
        temperature: of all gates, in place of the model's own.

    Raises:
        ValueError: for a temperature that is not positive, or of a model without gates.
    """
    names = list(names)

    def compute(batch: Batch) -> dict[str, Tensor]:
        output = model(batch.audio, batch.visual, batch.mask)
        gates = {} if output.gates is None else output.gates._asdict()
        return {"": output.values.float()} | {name: gate.float() for name, gate in gates.items()}

    own = nullcontext() if temperature is None else model.gating.at_temperature(temperature)
    with own:
        windows, found = over_windows(model, store, names, compute, batch_size)
    traces = {key: by_recording(windows, values, store, names) for key, values in found.items()}
    return Traces(traces.pop("", {}), traces)


def over_windows(
    model: AffectRegressor,
    store: Recordings,
    names: Iterable[str],
    compute: Callable[[Batch], Mapping[str, Tensor]],
    batch_size: int = EVALUATION_BATCH,
    whole: bool = False,
) -> tuple[list[Window], dict[str, Tensor]]:
    """Compute something on the evaluation windows of some recordings, without gradients.

    Args:
        model: in evaluation mode meanwhile; its mode is restored afterwards.
        store: the recordings.
        names: which of them.
        compute: maps a batch, on the model's device, to named tensors ``(B, L, ...)``.
        batch_size: windows at a time.
        whole: leave out recordings that are shorter than a window.

    Returns:
        The W windows, and each named tensor for all of them, ``(W, L, ...)`` on the CPU.
    """
    length = model.config.window
    windows = evaluation_windows(store, names, length)
    if whole:
        windows = [window for window in windows if window.length == length]
    device = next(model.parameters()).device
    found: dict[str, list[Tensor]] = {}
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(windows), batch_size):
                batch = gather(store, windows[start : start + batch_size], length)
                for name, values in compute(Batch(*(x.to(device) for x in batch))).items():
                    found.setdefault(name, []).append(values.cpu())
    finally:
        model.train(was_training)
    return windows, {name: torch.cat(parts) for name, parts in found.items()}


def by_recording(
    windows: Sequence[Window], values: Tensor, store: Recordings, names: Iterable[str]
) -> dict[str, Tensor]:
    """Put what `over_windows` computed, ``(W, L, ...)``, back in place: name -> ``(T, ...)``.

    Each row is of the one window that is to predict it; rows of no window are NaN.
    """
    traces = {
        name: values.new_full((store.entries[name].rows, *values.shape[2:]), torch.nan)
        for name in names
    }
    for row, window in zip(values, windows, strict=True):
        kept = slice(window.fresh, window.length)
        traces[window.recording][window.rows][kept] = row[kept]
    return traces


class Scores(NamedTuple):
    """CCC of some predictions.

    Attributes:
        pooled: target -> CCC over all valid clips of all recordings.
        per_recording: one row a recording, one column a target.
    """

    pooled: dict[str, float]
    per_recording: pd.DataFrame

    @property
    def mean(self) -> float:
        """Mean pooled CCC over targets, what model selection maximises."""
        return sum(self.pooled.values()) / len(self.pooled)


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
    targets = store.info.labels
    names = list(predictions)
    pairs = [pairs_to_score(predictions[name], store[name], store.info, protocol) for name in names]
    agreement = _min_max_ccc if protocol.min_max else ccc
    pooled = agreement(torch.cat([said for said, _ in pairs]), torch.cat([y for _, y in pairs]))
    each = [agreement(said, labels).tolist() for said, labels in pairs]
    return Scores(
        dict(zip(targets, pooled.tolist(), strict=True)),
        pd.DataFrame(each, index=pd.Index(names, name="recording"), columns=list(targets)),
    )


def _min_max_ccc(prediction: Tensor, label: Tensor) -> Tensor:
    """CCC once predictions and labels, ``(N, n)``, have each been scaled to [0, 1]."""

    def scaled(x: Tensor) -> Tensor:
        low, high = extremes(x, ~label.isnan())
        return (x - low) / torch.where(high > low, high - low, 1.0)

    return ccc(scaled(prediction.double()), scaled(label.double()))
