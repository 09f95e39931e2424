"""The table of a grid: one row per cell (data x model x training), means and sd over its seeds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import pandas as pd

from iaca.learning.evaluation import score
from iaca.learning.loop import TrainingConfig
from iaca.learning.protocol import Protocol, protocol_name
from iaca.models.regressor import GATED, FusionName, ModelConfig
from iaca.runs.arms import ARMS, by_seed
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.manifest import load_manifest

ARM_NAMES = dict(zip(("plain", "published", "zero"), ARMS, strict=True))
# What only gates read, see `ModelConfig`, and a training that anneals their temperature.
_OF_GATES_VALUES = ("temperature", "gate_init")
_OF_GATES_SIZE = ("gate_bias", "stages", "gate_input", "joint_gate_input", "fallback")
_OF_ANNEALING = ("temperature_start", "anneal_epochs")
_IN_LABELS = ("data.manifest", "data.share", "model.attention", "model.fusion", "model.gate_init")
SeedCcc = dict[int, dict[str, float]]  # seed -> target -> CCC


class Cell(NamedTuple):
    """What the seeds, and the folds of a data set, have in common."""

    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    protocol: Protocol


def means_nothing(fusion: FusionName) -> tuple[list[str], list[str]]:
    """Options of the model, and of its training, that a fusion never reads.

    They are the gates', for a fusion that has none; ``residual_mlp`` is as large as the gates of
    its configuration would be, and reads what their size depends on.
    """
    if fusion in GATED:
        return [], []
    of_size = () if fusion == "residual_mlp" else _OF_GATES_SIZE
    return [*_OF_GATES_VALUES, *of_size], [*_OF_ANNEALING]


def as_read(model: ModelConfig, training: TrainingConfig) -> tuple[ModelConfig, TrainingConfig]:
    """A model and its training with the options that mean nothing to it at their defaults.

    So that a grid over options of the gates trains its plain model once.
    """
    of_model, of_training = means_nothing(model.fusion)
    return (
        replace(model, **{name: getattr(ModelConfig, name) for name in of_model}),
        replace(training, **{name: getattr(TrainingConfig, name) for name in of_training}),
    )


def table(
    configs: Iterable[RunConfig], runs: Mapping[RunConfig, Run], output_dir: Path
) -> pd.DataFrame:
    """One row per cell: CCC on the reported split, its sd over seeds, and how far from plain.

    A seed counts if all its folds are there; their predictions are pooled. Differences from the
    cell that is plain, and the same in all that plain reads, are taken seed by seed. Columns:
    ``data``, ``share``, ``attention``, ``arm``, every option that differs between cells (none where
    it means nothing), ``seeds`` (n), ``failed`` (runs), ``stale``, and for each target ``x``,
    ``x sd``, ``x delta``, ``x delta sd``.
    """
    cells: dict[Cell, list[RunConfig]] = {}
    for config in dict.fromkeys(configs):
        data = replace(config.data, fold=None)
        cell = Cell(data, config.model, config.training, config.protocol)
        cells.setdefault(cell, []).append(config)
    scores = {cell: _ccc(wanted, runs, output_dir) for cell, wanted in cells.items()}
    plain = {_ungated(cell): cell for cell in reversed(cells) if cell.model.fusion == "plain"}
    options = _differing(list(cells))
    rows = []
    for cell, wanted in cells.items():
        of_model, of_training = means_nothing(cell.model.fusion)
        unread = {f"model.{name}" for name in of_model} | {f"training.{x}" for x in of_training}
        flat = {key: None if key in unread else value for key, value in _flat(cell).items()}
        row = {**_labels(cell), **{key: flat[key] for key in options}}
        row["seeds"] = len(scores[cell])
        row["failed"] = sum(config not in runs for config in wanted)
        row["stale"] = any(runs[config].stale for config in wanted if config in runs)
        base = plain.get(_ungated(cell))
        compared = {} if base is None or cell.model.fusion == "plain" else scores[base]
        rows.append({**row, **_summary(scores[cell], compared)})
    frame = pd.DataFrame(rows)
    for key in options:  # as they are: None would make a column of whole numbers one of floats
        frame[key] = pd.Series([row[key] for row in rows], dtype=object)
    return frame


def _ccc(wanted: Sequence[RunConfig], runs: Mapping[RunConfig, Run], output_dir: Path) -> SeedCcc:
    incomplete = {config.seed for config in wanted if config not in runs}
    there = [runs[config] for config in wanted if config.seed not in incomplete]
    if not there:
        return {}
    store, _ = open_data(there[0].config.data, output_dir / "data")
    seeds = sorted({run.config.seed for run in there})
    return {
        seed: score(predictions, store, there[0].config.protocol).pooled
        for seed, predictions in zip(seeds, by_seed(there), strict=True)
    }


def _ungated(cell: Cell) -> Cell:
    """The cell's plain counterpart."""
    model, training = as_read(replace(cell.model, fusion="plain"), cell.training)
    return cell._replace(model=model, training=training)


def _summary(scores: SeedCcc, plain: SeedCcc) -> dict[str, float]:
    row: dict[str, float] = {}
    for target in next(iter(scores.values()), {}):
        values = [score[target] for score in scores.values()]
        deltas = [scores[seed][target] - plain[seed][target] for seed in scores if seed in plain]
        for name, sample in ((target, values), (f"{target} delta", deltas)):
            row[name] = fmean(sample) if sample else math.nan
            row[f"{name} sd"] = stdev(sample) if len(sample) > 1 else math.nan
    return row


def _labels(cell: Cell) -> dict[str, Any]:
    manifest = load_manifest(cell.data.manifest)
    share = cell.data.share
    if share is None and manifest.benchmark is not None:
        share = manifest.benchmark.central_share
    return {
        "data": manifest.name,
        "share": share,
        "attention": cell.model.attention,
        "arm": _arm(cell.model),
    }


def _arm(model: ModelConfig) -> str:
    if model.fusion not in GATED:
        return model.fusion
    for name, label in ARM_NAMES.items():
        if replace(model, **ARMS[label]) == model:
            return name
    return f"{model.fusion}, {model.gate_init} gates"


def _flat(cell: Cell) -> dict[str, Any]:
    sections: dict[str, Any] = {"data": cell.data, "model": cell.model, "training": cell.training}
    flat = {
        f"{section}.{name}": value
        for section, options in sections.items()
        for name, value in asdict(options).items()
    }
    return {**flat, "protocol": protocol_name(cell.protocol)}


def _differing(cells: Sequence[Cell]) -> list[str]:
    """The options that differ between cells and stand in no label."""
    flat = [_flat(cell) for cell in cells]
    return [
        key for key in flat[0] if key not in _IN_LABELS and len({cell[key] for cell in flat}) > 1
    ]


def render(rows: pd.DataFrame) -> str:
    """The table as text. What failed is said in its row, and what is stale is marked by ``*``.

    A target that a data set does not have is left empty.
    """
    columns = list(rows.columns)
    targets = columns[columns.index("stale") + 1 :: 4]
    shown = []
    for row in rows.to_dict("records"):
        labels = {str(key): row[key] for key in columns[: columns.index("seeds")]}
        line = {key: "" if pd.isna(value) else value for key, value in labels.items()}
        line["seeds"] = f"{row['seeds']}{'*' if row['stale'] else ''}"
        for target in targets:
            shown_score = _spread(row[target], row[f"{target} sd"], "")
            line[target] = shown_score if row["seeds"] else "failed"
            line[f"Δ {target}"] = _spread(row[f"{target} delta"], row[f"{target} delta sd"], "+")
        line["failed"] = f"{row['failed']} FAILED" if row["failed"] else ""
        shown.append(line)
    frame = pd.DataFrame(shown)
    if not rows["failed"].any():
        frame = frame.drop(columns="failed")
    text = frame.to_string(index=False)
    text += "\nCCC on the reported split, mean ± sd over seeds; Δ against plain, seed by seed."
    if rows["stale"].any():
        text += "\n* STALE: made by other code than today's, or another torch."
    return text


def _spread(value: float, deviation: float, sign: str) -> str:
    if math.isnan(value):
        return ""
    return f"{value:{sign}.3f}" + ("" if math.isnan(deviation) else f" ± {deviation:.3f}")
