"""A trained model over recordings: predictions, gates and scores."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from iaca.data.recordings import Recordings
from iaca.data.windows import Window, evaluation_windows, gather
from iaca.metrics import ccc
from iaca.models.gating import Gates
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
) -> Traces:
    """Predict every row of some recordings exactly once, in evaluation mode, on the CPU or GPU.

    The model's own device is used; its mode is restored afterwards.
    """
    names = list(names)
    targets = len(store.info.labels)
    device = next(model.parameters()).device
    predictions = {
        name: torch.full((store.entries[name].rows, targets), torch.nan) for name in names
    }
    gates: dict[str, dict[str, Tensor]] = {}
    windows = evaluation_windows(store, names, model.config.window)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for start in range(0, len(windows), batch_size):
                chunk = windows[start : start + batch_size]
                batch = gather(store, chunk, model.config.window)
                output = model(*(x.to(device) for x in (batch.audio, batch.visual, batch.mask)))
                _scatter(predictions, output.values.float().cpu(), chunk)
                for gate, weights in _named(output.gates):
                    traces = gates.setdefault(gate, {})
                    for window in chunk:
                        rows = store.entries[window.recording].rows
                        traces.setdefault(
                            window.recording, torch.full((rows, weights.shape[-1]), torch.nan)
                        )
                    _scatter(traces, weights.float().cpu(), chunk)
    finally:
        model.train(training)
    return Traces(predictions, gates)


def _named(gates: Gates | None) -> list[tuple[str, Tensor]]:
    return [] if gates is None else list(gates._asdict().items())


def _scatter(traces: dict[str, Tensor], values: Tensor, windows: Sequence[Window]) -> None:
    for row, window in zip(values, windows, strict=True):
        kept = slice(window.fresh, window.length)
        traces[window.recording][window.rows][kept] = row[kept]


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


def score(predictions: Mapping[str, Tensor], store: Recordings) -> Scores:
    """Score ``recording -> (T, n)`` predictions against the store's labels."""
    targets = store.info.labels
    names = list(predictions)
    pooled = ccc(
        torch.cat([predictions[name] for name in names]),
        torch.cat([store[name].labels for name in names]),
    )
    each = [ccc(predictions[name], store[name].labels).tolist() for name in names]
    return Scores(
        dict(zip(targets, pooled.tolist(), strict=True)),
        pd.DataFrame(each, index=pd.Index(names, name="recording"), columns=list(targets)),
    )
