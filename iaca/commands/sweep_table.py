"""The table of a grid: one row per cell (data x model x training), means and sd over its seeds."""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from math import inf
from operator import attrgetter
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

import pandas as pd

from iaca.learning.evaluation import score
from iaca.learning.protocol import protocol_name
from iaca.models.regressor import GATED, TOLD, FusionName
from iaca.runs.arms import ARMS, by_seed
from iaca.runs.runs import Run, RunConfig, with_options
from iaca.sources.loading import open_data
from iaca.sources.manifest import load_manifest

Runs = Mapping[RunConfig, Run]
Cells = Mapping[RunConfig, Sequence[RunConfig]]  # what a row's runs have in common -> its runs
Key = TypeVar("Key", bound=Hashable)

# The command line's names of the arms -> the options that make them.
ARM_OPTIONS = {
    name: {f"model.{field}": value for field, value in fields.items()}
    for name, fields in zip(("plain", "sibling", "zero"), ARMS.values(), strict=True)
}
# What only gates read, see `ModelConfig`, and a training of them.
_SIZES = ("model.gate_bias", "model.gate_input", "model.joint_gate_input")
_STAGES = ("model.stages", "model.fallback")
_TRAINED = (
    "model.temperature",
    "training.temperature_start",
    "training.anneal_epochs",
    "training.gate_rate",
)
_START = ("model.gate_init",)
_LABELS = ("data", "share", "attention", "arm")
_IN_LABELS = ("data.manifest", "data.share", "model.attention", "model.fusion", "model.gate_init")


def unread_options(fusion: FusionName) -> tuple[str, ...]:
    """Options that a fusion never reads, ``section.name``.

    They are the gates', for a fusion that has none; `ResidualFusion` is as large as the gates of
    its configuration would be, and reads what their size depends on. Gates that are told the state
    have an input and a start of their own; those that follow a rule have no temperature either.
    """
    if fusion == "told":
        return _START + _SIZES
    if fusion == "told_rule":
        return _TRAINED + _START + _SIZES
    if fusion in GATED:
        return ()
    return _TRAINED + _START + (() if fusion == "residual_mlp" else _SIZES + _STAGES)


def as_read(config: RunConfig) -> RunConfig:
    """A run with the options that mean nothing to its model at their defaults.

    So that a grid over options of the gates trains its plain model once.
    """
    return _at_defaults(config, unread_options(config.model.fusion))


def _at_defaults(config: RunConfig, keys: Iterable[str]) -> RunConfig:
    return with_options(config, {key: attrgetter(key)(RunConfig()) for key in keys})


def cells_of(configs: Iterable[RunConfig], searched: Iterable[str] = ()) -> Cells:
    """Put runs together that differ in seed, fold and ``searched`` options alone."""
    pooled = ("data.fold", *searched)
    return _grouped(configs, lambda config: replace(_at_defaults(config, pooled), seed=0))


def best_cells(configs: Iterable[RunConfig], runs: Runs, searched: Iterable[str]) -> Cells:
    """For each model, its runs at those searched options that score best on `select`.

    Each fold has its own choice: on whom one fold selects, another reports. Options that failed
    with a seed are chosen only if all did.
    """

    def merit(wanted: Sequence[RunConfig]) -> float:
        return _select([runs[config] for config in wanted]) if runs.keys() >= {*wanted} else -inf

    best = {}
    for cell, wanted in cells_of(configs, searched).items():
        folds = _grouped(wanted, lambda config: config.data.fold).values()
        tried = [_grouped(fold, lambda config: replace(config, seed=0)).values() for fold in folds]
        best[cell] = [config for options in tried for config in max(options, key=merit)]
    return best


def _grouped(
    configs: Iterable[RunConfig], key: Callable[[RunConfig], Key]
) -> dict[Key, list[RunConfig]]:
    groups: dict[Key, list[RunConfig]] = {}
    for config in dict.fromkeys(configs):
        groups.setdefault(key(config), []).append(config)
    return groups


def table(
    cells: Cells, runs: Runs, output_dir: Path, searched: Collection[str] = ()
) -> pd.DataFrame:
    """One row per cell: CCC on the reported split, its sd over seeds, and how far from plain.

    A seed counts if all its folds are there; their predictions are pooled. Differences from the
    cell that is plain, and the same in all that plain reads, are taken seed by seed. Cells that
    differ in ``searched`` options alone stand together, the best on `select` first.

    Returns:
        Columns ``data``, ``share``, ``attention``, ``arm``, every option that is searched or
        differs between cells (none where it means nothing), ``seeds`` (n), ``select``
        (`Run.on_select`, mean over runs), ``failed`` (runs), ``stale``, and for each target ``x``,
        ``x sd``, ``x delta``, ``x delta sd``.
    """
    whole = {cell: _whole_seeds(wanted, runs) for cell, wanted in cells.items()}
    scores = {cell: _scores(there, output_dir) for cell, there in whole.items()}
    select = {cell: _select(there) for cell, there in whole.items()}
    values = {cell: _values(wanted) for cell, wanted in cells.items()}
    drawn = {"protocol" if key.startswith("protocol.") else key for key in searched}
    options = [
        key
        for key in next(iter(values.values()))
        if key not in (*_LABELS, *_IN_LABELS)
        and (key in drawn or len({each[key] for each in values.values()}) > 1)
    ]
    rows = []
    for alike in cells_of(cells, searched).values():
        for cell in sorted(alike, key=lambda cell: -select[cell]):
            wanted = cells[cell]
            row = {key: values[cell][key] for key in (*_LABELS, *options)}
            row |= {key: None for key in unread_options(wanted[0].model.fusion) if key in row}
            row["seeds"] = len(scores[cell])
            row["select"] = None if select[cell] == -inf else select[cell]
            row["failed"] = sum(config not in runs for config in wanted)
            row["stale"] = any(runs[config].stale for config in wanted if config in runs)
            plain = as_read(with_options(cell, {"model.fusion": "plain"}))
            compared = scores[plain] if plain != cell and plain in cells else pd.DataFrame()
            rows.append({**row, **_summary(scores[cell], compared)})
    frame = pd.DataFrame(rows)
    for key in options:  # as they are: None would make a column of whole numbers one of floats
        frame[key] = pd.Series([row[key] for row in rows], dtype=object)
    return frame


def _whole_seeds(wanted: Sequence[RunConfig], runs: Runs) -> list[Run]:
    """The runs of those seeds of a cell whose folds are all there."""
    incomplete = {config.seed for config in wanted if config not in runs}
    return [runs[config] for config in wanted if config.seed not in incomplete]


def _select(there: Sequence[Run]) -> float:
    return fmean(run.on_select for run in there) if there else -inf


def _scores(there: Sequence[Run], output_dir: Path) -> pd.DataFrame:
    """CCC of a cell: one row per seed, one column per target."""
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


def _arm(cell: RunConfig) -> str:
    fusion = cell.model.fusion
    if fusion not in GATED or fusion in TOLD:
        return fusion
    named = (name for name, options in ARM_OPTIONS.items() if with_options(cell, options) == cell)
    return next(named, f"{fusion}, {cell.model.gate_init} gates")


def _values(wanted: Iterable[RunConfig]) -> dict[str, Any]:
    """Label or option -> its value in a cell's runs, or all of them if folds chose differently."""
    each = [_flat(cell) for cell in cells_of(wanted)]
    found = {key: list(dict.fromkeys(flat[key] for flat in each)) for key in each[0]}
    return {
        key: values[0] if len(values) == 1 else " / ".join(map(str, values))
        for key, values in found.items()
    }


def _flat(cell: RunConfig) -> dict[str, Any]:
    manifest = load_manifest(cell.data.manifest)
    central = None if manifest.made is None else manifest.made.central_share
    labels = (
        manifest.name,
        central if cell.data.share is None else cell.data.share,
        cell.model.attention,
        _arm(cell),
    )
    flat = {
        f"{section}.{name}": value
        for section in ("data", "model", "training")
        for name, value in asdict(getattr(cell, section)).items()
    }
    named = dict(zip(_LABELS, labels, strict=True))
    return {**named, **flat, "protocol": protocol_name(cell.protocol)}


def render(rows: pd.DataFrame) -> str:
    """The table as text. What failed is said in its row, and what is stale is marked by ``*``.

    A target that a data set does not have is left empty.
    """
    columns = list(rows.columns)
    shown = rows[columns[: columns.index("seeds")]].astype(object).fillna("")
    shown["seeds"] = rows["seeds"].astype(str) + rows["stale"].map({True: "*", False: ""})
    shown["select"] = rows["select"].map("{:.3f}".format, na_action="ignore").fillna("")
    for target in columns[columns.index("stale") + 1 :: 4]:
        shown[target] = _spread(rows, target, "").mask(rows["seeds"] == 0, "failed")
        shown[f"Δ {target}"] = _spread(rows, f"{target} delta", "+")
    if rows["failed"].any():
        shown["failed"] = [f"{count} FAILED" if count else "" for count in rows["failed"]]
    text = shown.to_string(index=False)
    text += "\nCCC on the reported split, mean ± sd over seeds; Δ against plain, seed by seed."
    text += "\nselect: CCC on the part that choices are made on, mean of targets and seeds."
    if rows["stale"].any():
        text += "\n* STALE: made by other code than today's, or another torch."
    return text


def _spread(rows: pd.DataFrame, name: str, sign: str) -> "pd.Series[str]":
    means = rows[name].map(f"{{:{sign}.3f}}".format)
    deviations = rows[f"{name} sd"].map(" ± {:.3f}".format).mask(rows[f"{name} sd"].isna(), "")
    return (means + deviations).mask(rows[name].isna(), "")
