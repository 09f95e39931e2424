"""What a reference run leaves behind: its scores by state, its gates, and what a part asks for.

Numbers are rounded to `DIGITS` decimals. Scores are CCC, ``[valence, arousal]``, pooled over all
clips of ``report`` that are meant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from companion.analysis.detection import probe, within_recordings
from companion.analysis.entropy import relative_entropy
from companion.analysis.trained import opened
from companion.reference.gates import detection, interventions, noticing, under_corruption
from iaca.commands.score import groups_of
from iaca.data.recordings import RecordingStore
from iaca.data.splits import Split
from iaca.data.states import STATES
from iaca.data.windows import Batch
from iaca.learning.evaluation import Traces, batches_for, over_windows, predict
from iaca.learning.metrics import ccc
from iaca.models.attention import CrossAttention, TransformerCrossAttention
from iaca.models.fusions import PlainFusion
from iaca.models.regressor import AffectRegressor
from iaca.runs.runs import Run

DIGITS = 5
FEWER_DIGITS = 4  # of what a part asks for; the smallest threshold of a criterion is 0.005
ALL, WEAK = "all", "weak"
GROUPS = (ALL, *STATES, WEAK)


def measure(run: Run, measures: Sequence[str], output_dir: Path) -> dict[str, Any]:
    """Measure a finished run on ``report``.

    Returns:
        ``select`` (mean CCC there, of the best epoch), ``best_epoch``, ``scores`` (group of clips
        -> CCC a target; groups without clips are left out), ``gates`` if there are any (see
        `gate_means`), and an entry for each of ``measures``.
    """
    data = run.config.data
    store, split = opened(data, output_dir)
    truth, _ = opened(replace(data, swapped_states=False), output_dir)
    model = run.model(store)
    traces = predict(model, store, split.report)
    select = run.metrics["select"].values()
    found: dict[str, Any] = {
        "select": None if None in select else rounded(sum(select) / len(select)),
        "best_epoch": run.metrics["best_epoch"],
        "scores": score_groups(traces.predictions, truth),
    }
    if traces.gates:
        found["gates"] = gate_means(traces, truth)
    asked: dict[str, Callable[[], Any]] = {
        "evenness": lambda: evenness(model, truth, split),
        "probes": lambda: probes(model, truth, split),
        "interventions": lambda: interventions(model, store, split, run.config.seed),
        "detection": lambda: detection(traces, truth),
        "missing": lambda: under_corruption(model, data, output_dir),
        "noticing": lambda: noticing(model, data, output_dir),
    }
    for name in measures:
        value = asked[name]()
        if value is not None:
            found[name] = rounded(value, FEWER_DIGITS)
    return found


def briefly(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line without what a part with `brief` leaves out: scores by state, and gates."""
    kept = {key: value for key, value in line.items() if key != "gates"}
    if "scores" in kept:
        kept["scores"] = {ALL: kept["scores"][ALL]}
    return kept


def rounded(values: Any, digits: int = DIGITS) -> Any:
    """Numbers, tensors, lists and mappings of them, rounded; NaN is None."""
    if isinstance(values, Mapping):
        return {key: rounded(value, digits) for key, value in values.items()}
    if isinstance(values, Tensor):
        values = values.tolist()
    if isinstance(values, list):
        return [rounded(x, digits) for x in values]
    return None if values != values else round(values, digits)


def score_groups(predictions: Mapping[str, Tensor], store: RecordingStore) -> dict[str, Any]:
    """Group -> CCC of each target on its clips."""
    names = list(predictions)
    said = torch.cat([predictions[name] for name in names])
    labels = torch.cat([store[name].labels for name in names])
    groups = groups_of(store, names)
    return {name: rounded(ccc(said[rows], labels[rows])) for name, rows in groups.items()}


def gate_means(traces: Traces, store: RecordingStore) -> dict[str, Any]:
    """Group -> mean weights of its clips.

    In order: stage 1 of audio and of visual, the attended feature's; stage 2, audio and visual.
    What is missing to 1 is the un-attended feature's, and the joint one's.
    """
    names = list(traces.predictions)
    columns = [("audio", 1), ("visual", 1), ("audio_visual", 0), ("audio_visual", 1)]
    weights = torch.stack(
        [torch.cat([traces.gates[gate][n][:, k] for n in names]) for gate, k in columns], dim=1
    )
    groups = groups_of(store, names)
    return {name: rounded(weights[rows].mean(dim=0)) for name, rows in groups.items()}


def evenness(model: AffectRegressor, store: RecordingStore, split: Split) -> float | None:
    """Entropy of the attention over log L, mean over clips and both maps; CA and TCA have maps."""
    attention = getattr(model.fusion, "attention", None)
    if not isinstance(attention, CrossAttention | TransformerCrossAttention):
        return None

    def compute(batch: Batch) -> dict[str, Tensor]:
        encoded = model.encode(batch.audio, batch.visual)
        scores = attention(*encoded, return_scores=True).scores
        maps = torch.stack([scores["a_audio"], scores["a_visual"]], dim=1)  # (B, 2, ..., L, L)
        columns = maps if isinstance(attention, CrossAttention) else maps.mT  # rows sum to 1 there
        return {"even": relative_entropy(columns).flatten(1)}

    found = over_windows(model, batches_for(model, store, split.report, whole=True), compute)
    return found["even"].double().mean().item()


def probes(model: AffectRegressor, store: RecordingStore, split: Split) -> Any:
    """How well a linear probe sees each weak state in what gates around this attention would read.

    AUROC within recordings of weak against strong clips, probe fitted on ``train``: for stage 1 of
    each modality in its attended feature, for stage 2 in the joint feature. For plain attention.
    """
    fusion = model.fusion
    if not isinstance(fusion, PlainFusion) or WEAK not in groups_of(store, split.report):
        return None

    def compute(batch: Batch) -> dict[str, Tensor]:
        x = fusion.attention(*model.encode(batch.audio, batch.visual))
        joint = fusion.joint(fusion.rectify(x.audio), fusion.rectify(x.visual))
        return {"audio": x.audio, "visual": x.visual, "joint": joint}

    names = [*split.train, *split.report]
    batches = batches_for(model, store, names, whole=True)
    read = over_windows(model, batches, compute)
    found = {}
    for what, values in read.items():
        odds = probe(batches.by_recording(values), store, split.train, split.report)
        found[what] = {
            state: within_recordings(scores, store, state)
            for state, scores in odds.items()
            if what == "joint" or state.endswith(what)
        }
    return found
