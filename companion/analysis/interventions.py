"""What a trained model's gates do, by taking them away: frozen at their mean, or permuted.

Both are done at evaluation, on weights that stay as they are. A model whose gates choose on the
fly loses by either; one whose gates act as constants does not. The gates that are put in come from
an undisturbed pass over the same recordings: permuting stage 1 does not move stage 2's gates by
way of the features that they read.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.windows import evaluation_windows
from iaca.learning.evaluation import EVALUATION_BATCH, Traces, predict
from iaca.models.gating import Gates, InconsistencyAware
from iaca.models.regressor import AffectRegressor

GATES = Gates._fields  # audio, visual, audio_visual
INTERVENTIONS = ("stage 1 frozen", "stage 2 frozen", "all frozen", "all permuted")

Over = Literal["recording", "all"]
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


def permute_gates(
    gates: GateTraces, seed: int, over: Over = "recording"
) -> dict[str, dict[str, Tensor]]:
    """Hand each clip another clip's gates; all gates of a clip stay together.

    Args:
        gates: what the model itself chose.
        seed: of the permutation.
        over: ``recording`` permutes clips within each recording, which keeps a recording's mean;
            ``all`` permutes the clips of all recordings together.

    Raises:
        ValueError: for an unknown ``over``.
    """
    if over not in get_args(Over):
        raise ValueError(f"over {over!r}: expected one of {', '.join(get_args(Over))}")
    lengths = {name: len(trace) for name, trace in next(iter(gates.values())).items()}
    order = _order([*lengths.values()], seed, over)
    permuted = {}
    for gate, traces in gates.items():
        rows = torch.cat([traces[name] for name in lengths])[order]
        permuted[gate] = dict(zip(lengths, rows.split([*lengths.values()]), strict=True))
    return permuted


def _order(lengths: list[int], seed: int, over: Over) -> Tensor:
    """Which clip's gates each clip gets, all recordings one after the other."""
    generator = torch.Generator().manual_seed(seed)
    if over == "all":
        return torch.randperm(sum(lengths), generator=generator)
    starts = torch.tensor(lengths).cumsum(0) - torch.tensor(lengths)
    parts = zip(starts, lengths, strict=True)
    return torch.cat([start + torch.randperm(n, generator=generator) for start, n in parts])


def predict_with_gates(
    model: AffectRegressor,
    store: RecordingStore,
    names: Iterable[str],
    gates: GateTraces,
    batch_size: int = EVALUATION_BATCH,
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
    fusion = _gated(model)
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


def predict_frozen(
    model: AffectRegressor,
    store: RecordingStore,
    names: Iterable[str],
    means: Mapping[str, Tensor],
) -> Traces:
    """Predict with some gates frozen at ``means``, gate -> ``(K,)``; see `freeze_gates`."""
    names = list(names)
    gates = _own_gates(model, store, names)
    return predict_with_gates(model, store, names, freeze_gates(gates, means))


def predict_permuted(
    model: AffectRegressor,
    store: RecordingStore,
    names: Iterable[str],
    seed: int,
    over: Over = "recording",
    which: Collection[str] = GATES,
) -> Traces:
    """Predict with some gates permuted over clips; see `permute_gates`.

    Args:
        model: a trained model with gates.
        store: the recordings.
        names: which of them.
        seed: of the permutation.
        over: clips of a ``recording``, or of ``all`` of them.
        which: the gates that are permuted; the others are the model's own.
    """
    names = list(names)
    _check_gates(which, GATES)
    permuted = permute_gates(_own_gates(model, store, names), seed, over)
    return predict_with_gates(model, store, names, {gate: permuted[gate] for gate in which})


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


def _own_gates(model: AffectRegressor, store: RecordingStore, names: list[str]) -> GateTraces:
    _gated(model)
    return predict(model, store, names).gates


def _gated(model: AffectRegressor) -> InconsistencyAware:
    if not isinstance(model.fusion, InconsistencyAware):
        raise ValueError(f"fusion {model.config.fusion!r} has no gates to intervene on")
    return model.fusion


def _check_gates(found: Collection[str] | Mapping[str, Any], known: Collection[str]) -> None:
    if unknown := [gate for gate in found if gate not in known]:
        raise ValueError(f"gates {', '.join(unknown)}: expected some of {', '.join(known)}")
