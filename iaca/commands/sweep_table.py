"""The table of a grid: one row per cell (data x model x training), means and sd over its seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from iaca.learning.config import TrainingConfig
from iaca.learning.evaluation import score
from iaca.learning.protocol import protocol_name
from iaca.models.regressor import GATED, TOLD, FusionName, ModelConfig
from iaca.runs.arms import ARMS, by_seed
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import open_data
from iaca.sources.manifest import load_manifest

# The command line's names of the arms -> the fields of `ModelConfig` that make them.
ARM_OPTIONS = dict(zip(("plain", "published", "zero"), ARMS.values(), strict=True))
# What only gates read, see `ModelConfig`, and a training of them.
_OF_GATES_VALUES = ("temperature", "gate_init")
_OF_GATES_SIZE = ("gate_bias", "stages", "gate_input", "joint_gate_input", "fallback")
_OF_GATES_INPUT = ("gate_init", "gate_bias", "gate_input", "joint_gate_input")
_OF_TRAINED_GATES = ("temperature_start", "anneal_epochs", "gate_rate")
_IN_LABELS = ("data.manifest", "data.share", "model.attention", "model.fusion", "model.gate_init")


def unread_options(fusion: FusionName) -> dict[str, tuple[str, ...]]:
    """Options that a fusion never reads, of ``model`` and of ``training``.

    They are the gates', for a fusion that has none; `ResidualFusion` is as large as the gates of
    its configuration would be, and reads what their size depends on. Gates that are told the state
    have an input and a start of their own; those that follow a rule have no temperature either.
    """
    if fusion == "told":
        return {"model": _OF_GATES_INPUT}
    if fusion == "told_rule":
        return {"model": ("temperature", *_OF_GATES_INPUT), "training": _OF_TRAINED_GATES}
    if fusion in GATED:
        return {}
    of_size = () if fusion == "residual_mlp" else _OF_GATES_SIZE
    return {"model": _OF_GATES_VALUES + of_size, "training": _OF_TRAINED_GATES}


def as_read(config: RunConfig) -> RunConfig:
    """A run with the options that mean nothing to its model at their defaults.

    So that a grid over options of the gates trains its plain model once.
    """
    unread = unread_options(config.model.fusion)
    model = {name: getattr(ModelConfig, name) for name in unread.get("model", ())}
    training = {name: getattr(TrainingConfig, name) for name in unread.get("training", ())}
    return replace(
        config, model=replace(config.model, **model), training=replace(config.training, **training)
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
    cells: dict[RunConfig, list[RunConfig]] = {}  # what seeds and folds have in common -> its runs
    for config in dict.fromkeys(configs):
        cell = replace(config, data=replace(config.data, fold=None), seed=0)
        cells.setdefault(cell, []).append(config)
    scores = {cell: _scores(wanted, runs, output_dir) for cell, wanted in cells.items()}
    flat = {cell: _flat(cell) for cell in cells}
    options = [
        key
        for key in flat[next(iter(cells))]
        if key not in _IN_LABELS and len({options[key] for options in flat.values()}) > 1
    ]
    rows = []
    for cell, wanted in cells.items():
        unread = unread_options(cell.model.fusion).items()
        flat[cell] |= {f"{section}.{name}": None for section, names in unread for name in names}
        there = [runs[config] for config in wanted if config in runs]
        row = {**_labels(cell), **{key: flat[cell][key] for key in options}}
        row["seeds"] = len(scores[cell])
        row["failed"] = len(wanted) - len(there)
        row["stale"] = any(run.stale for run in there)
        plain = as_read(replace(cell, model=replace(cell.model, fusion="plain")))
        has_plain = plain != cell and plain in cells
        compared = scores[plain] if has_plain else pd.DataFrame()
        rows.append({**row, **_summary(scores[cell], compared)})
    frame = pd.DataFrame(rows)
    for key in options:  # as they are: None would make a column of whole numbers one of floats
        frame[key] = pd.Series([row[key] for row in rows], dtype=object)
    return frame


def _scores(
    wanted: Sequence[RunConfig], runs: Mapping[RunConfig, Run], output_dir: Path
) -> pd.DataFrame:
    """CCC of a cell: one row per seed whose folds are all there, one column per target."""
    incomplete = {config.seed for config in wanted if config not in runs}
    there = [runs[config] for config in wanted if config.seed not in incomplete]
    if not there:
        return pd.DataFrame()
    config = there[0].config
    store, _ = open_data(config.data, output_dir / "data")
    return pd.DataFrame(
        [score(predictions, store, config.protocol).pooled for predictions in by_seed(there)],
        index=sorted({run.config.seed for run in there}),
    )


def _summary(scores: pd.DataFrame, plain: pd.DataFrame) -> dict[str, float]:
    """Means and sd over seeds, of each target and of its difference from plain."""
    deltas = (scores - plain).loc[scores.index.intersection(plain.index)]
    row = {}
    for target in map(str, scores):
        for name, sample in ((target, scores[target]), (f"{target} delta", deltas[target])):
            row[name] = sample.mean(skipna=False)
            row[f"{name} sd"] = sample.std(skipna=False)
    return row


def _labels(cell: RunConfig) -> dict[str, Any]:
    manifest = load_manifest(cell.data.manifest)
    central = None if manifest.made is None else manifest.made.central_share
    return {
        "data": manifest.name,
        "share": central if cell.data.share is None else cell.data.share,
        "attention": cell.model.attention,
        "arm": _arm(cell.model),
    }


def _arm(model: ModelConfig) -> str:
    if model.fusion not in GATED or model.fusion in TOLD:
        return model.fusion
    for name, options in ARM_OPTIONS.items():
        if replace(model, **options) == model:
            return name
    return f"{model.fusion}, {model.gate_init} gates"


def _flat(cell: RunConfig) -> dict[str, Any]:
    sections: dict[str, Any] = {"data": cell.data, "model": cell.model, "training": cell.training}
    flat = {
        f"{section}.{name}": value
        for section, options in sections.items()
        for name, value in asdict(options).items()
    }
    return {**flat, "protocol": protocol_name(cell.protocol)}


def render(rows: pd.DataFrame) -> str:
    """The table as text. What failed is said in its row, and what is stale is marked by ``*``.

    A target that a data set does not have is left empty.
    """
    columns = list(rows.columns)
    shown = rows[columns[: columns.index("seeds")]].astype(object).fillna("")
    shown["seeds"] = rows["seeds"].astype(str) + rows["stale"].map({True: "*", False: ""})
    for target in columns[columns.index("stale") + 1 :: 4]:
        shown[target] = _spread(rows, target, "").mask(rows["seeds"] == 0, "failed")
        shown[f"Δ {target}"] = _spread(rows, f"{target} delta", "+")
    if rows["failed"].any():
        shown["failed"] = [f"{count} FAILED" if count else "" for count in rows["failed"]]
    text = shown.to_string(index=False)
    text += "\nCCC on the reported split, mean ± sd over seeds; Δ against plain, seed by seed."
    if rows["stale"].any():
        text += "\n* STALE: made by other code than today's, or another torch."
    return text


def _spread(rows: pd.DataFrame, name: str, sign: str) -> "pd.Series[str]":
    means = rows[name].map(f"{{:{sign}.3f}}".format)
    deviations = rows[f"{name} sd"].map(" ± {:.3f}".format).mask(rows[f"{name} sd"].isna(), "")
    return (means + deviations).mask(rows[name].isna(), "")
