"""What a trained model's gates do, by taking them away: frozen at their mean, or permuted.

Both are done at evaluation, on weights that stay as they are. A model whose gates choose on the
fly loses by either; one whose gates act as constants does not. The gates that are put in come from
an undisturbed pass over the same recordings: permuting stage 1 does not move stage 2's gates by
way of the features that they read.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import evaluation_windows
from iaca.learning.evaluation import Traces, predict
from iaca.models.gating import Gates, InconsistencyAware
from iaca.models.regressor import AffectRegressor

GATES = Gates._fields  # audio, visual, audio_visual
INTERVENTIONS = ("stage 1 frozen", "stage 2 frozen", "all frozen", "all permuted")

GateTraces = Mapping[str, Mapping[str, Tensor]]  # gate -> recording -> (T, K), as in `Traces`


def mean_gates(gates: GateTraces) -> dict[str, Tensor]:
    """Average each gate over all clips of some recordings: gate -> ``(K,)``, summing to 1."""
    return {
        gate: torch.cat(list(traces.values())).double().mean(dim=0).float()
        for gate, traces in gates.items()
    }


def freeze_gates(gates: GateTraces, means: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Put ``means`` (gate -> ``(K,)``) at every clip; only the gates that they name are returned.

    Args:
        gates: says how many clips each recording has.
        means: usually `mean_gates` of recordings that are not reported.

    Raises:
        ValueError: for a gate that the model does not have.
    """
    _check_gates(means, gates)
    return {
        gate: {name: mean.expand_as(trace) for name, trace in gates[gate].items()}
        for gate, mean in means.items()
    }


def permute_gates(gates: GateTraces, seed: int) -> dict[str, dict[str, Tensor]]:
    """Hand each clip the gates of another clip of its recording; a clip's gates stay together.

    A recording's mean gate is kept.

    Args:
        gates: what the model itself chose.
        seed: of the permutation.
    """
    generator = torch.Generator().manual_seed(seed)
    lengths = {name: len(trace) for name, trace in next(iter(gates.values())).items()}
    orders = {name: torch.randperm(rows, generator=generator) for name, rows in lengths.items()}
    return {
        gate: {name: trace[orders[name]] for name, trace in traces.items()}
        for gate, traces in gates.items()
    }


def predict_with_gates(
    model: AffectRegressor,
    store: RecordingStore,
    names: Iterable[str],
    gates: GateTraces,
    batch_size: int | None = None,
) -> Traces:
    """Predict with the given gates in place of the model's own; gates not given are its own.

    With the gates of `predict` themselves, the predictions are those of `predict`. There is one
    exception: the last window of a recording can overlap the one before, and there a clip gets the
    gates of the window that predicted it; RJCA's joint BiLSTM sees the difference.

    Args:
        model: a trained model with `InconsistencyAware` fusion; it is left as it was.
        store: the recordings.
        names: which of them.
        gates: gate -> recording -> ``(T, K)``.
        batch_size: windows at a time; changes nothing else.

    Raises:
        ValueError: if the model has no gates, or none of the given names.
    """
    names = list(names)
    fusion = model.gating
    _check_gates(gates, GATES)
    windows = evaluation_windows(store, names, model.config.window)
    given: dict[str, nn.Module] = {}
    for gate, traces in gates.items():
        choices = next(iter(traces.values())).shape[-1]
        rows = torch.full((len(windows), model.config.window, choices), torch.nan)
        for number, window in enumerate(windows):
            rows[number, : window.length] = traces[window.recording][window.rows]
        given[gate] = _Given(rows, getattr(fusion, f"gate_{gate}"))
    with _in_place(fusion, given):
        return predict(model, store, names, batch_size)


def take_choice_away(
    model: AffectRegressor, store: RecordingStore, split: Split, seed: int
) -> dict[str, dict[str, Tensor]]:
    """Predict `split.report` with the model's own gates, and with their choice taken away.

    Frozen gates stand at their means over `split.select`, so that nothing reported is used.

    Args:
        model: a trained model with both stages of gates.
        store: the recordings.
        split: which of them are reported on.
        seed: of the permutation.

    Returns:
        ``own`` and every name of `INTERVENTIONS` -> recording -> ``(T, n)``.
    """
    own = predict(model, store, split.report)
    means = mean_gates(predict(model, store, split.select).gates)
    frozen = freeze_gates(own.gates, means)
    given = (
        {gate: frozen[gate] for gate in ("audio", "visual")},
        {"audio_visual": frozen["audio_visual"]},
        frozen,
        permute_gates(own.gates, seed),
    )
    predictions = {"own": own.predictions}
    for name, gates in zip(INTERVENTIONS, given, strict=True):
        predictions[name] = predict_with_gates(model, store, split.report, gates).predictions
    return predictions


class _Given(nn.Module):
    """A gate's place holder, that says what it was told window by window, in `predict`'s order.

    Rows that no clip stands behind (NaN: the padding of a short recording) are the gate's own.
    """

    def __init__(self, rows: Tensor, own: nn.Module) -> None:
        super().__init__()
        self.rows, self.own = rows, own
        self.next = 0

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, weights = self.own(x)
        rows = self.rows[self.next : self.next + len(x)].to(weights)
        self.next += len(x)
        return logits, torch.where(rows.isnan(), weights, rows)


@contextmanager
def _in_place(fusion: InconsistencyAware, given: Mapping[str, nn.Module]) -> Iterator[None]:
    own: dict[str, Any] = {gate: getattr(fusion, f"gate_{gate}") for gate in given}
    try:
        for gate, module in given.items():
            setattr(fusion, f"gate_{gate}", module)
        yield
    finally:
        for gate, module in own.items():
            setattr(fusion, f"gate_{gate}", module)


def _check_gates(found: Collection[str] | Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := [gate for gate in found if gate not in known]:
        raise ValueError(f"gates {', '.join(unknown)}: expected some of {', '.join(known)}")
