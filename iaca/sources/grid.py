"""Rows of several tables brought to common cells in time, and what is done where one has none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from iaca.base.files import DataError, check_one_of
from iaca.sources.tables import Table, read_arrays

MISSING = ("refuse", "mask", "null")
FEATURES = ("audio", "visual")
FLOAT32 = np.finfo(np.float32)
ACCURACY = 1e-3  # seconds; times are printed as 0.033 where 1/30 is meant
LATEST = 1e13  # seconds; beyond, cells could not be counted
SPARSEST = 100  # cells for each that has a row; beyond that, times are not in seconds


class Grid(NamedTuple):
    """How rows become rows of the store.

    Attributes:
        rate: cells a second. A cell has the mean of the rows that begin in it. Without a rate, the
            rows are cells themselves.
        max_gap: seconds. An empty cell takes the last value before it that is not older.
        missing: what becomes of a cell that still lacks a modality. ``refuse`` raises; ``null``
            gives it the null vector; ``mask`` does so and takes away the label, so that the cell
            counts in no loss and in no score.
        null: ``mean`` of the rows for training (of all rows where no column names the split),
            ``zeros``, or an NPZ file with the arrays ``audio`` and ``visual``.
    """

    rate: float | None = None
    max_gap: float = 0.0
    missing: str = "refuse"
    null: Path | str = "mean"

    def check(self) -> None:
        """Raise `DataError` unless the numbers make sense."""
        if self.rate is not None and not 0 < self.rate < np.inf:
            raise DataError(f"rate {self.rate}: expected a positive number of cells a second")
        if not 0 <= self.max_gap < np.inf:
            raise DataError(f"max_gap {self.max_gap}: expected seconds, at least 0")
        check_one_of("missing", self.missing, MISSING)


def seconds_in(table: Table, column: str) -> np.ndarray:
    """A column of times, float64: numbers of seconds, or texts like ``00:01:30.5``.

    Raises:
        DataError: naming line and column of a time that is no number from 0.
    """
    cells = table.frame[column]
    if cells.dtype.kind not in "iuf" and cells.astype(str).str.contains(":").all():
        seconds = pd.to_timedelta(cells, errors="coerce").dt.total_seconds().to_numpy()
    else:
        seconds = table.numbers(column)
    good = (seconds >= 0) & (seconds < LATEST)
    if not good.all():
        row = int(good.argmin())
        found = cells.iloc[row]
        raise table.error(row, column, f"{found}, expected a time in seconds from 0")
    return seconds


def cell_numbers(table: Table, column: str, rate: float) -> np.ndarray:
    """The cell in which each row begins, int64: cell k is from k / rate to (k + 1) / rate seconds.

    Raises:
        DataError: see `seconds_in`.
    """
    shifted = seconds_in(table, column) * rate + min(ACCURACY * rate, 0.1)
    return np.floor(np.minimum(shifted, 2.0**53)).astype(np.int64)


def to_grid(
    frames: Mapping[str, pd.DataFrame], tables: Mapping[str, Table], rate: float
) -> dict[str, pd.DataFrame]:
    """Average the rows of each cell, and give every table the same cells.

    They go, recording by recording, from the first to the last cell that both modalities reach.
    Cells without a row, or outside that a label's, are NaN.

    Args:
        frames: by role, indexed by recording and cell, in any order and repeated.
        tables: where they come from, for errors.
        rate: cells a second.

    Raises:
        DataError: a recording that a table lacks, modalities that share no time, times so far
            apart that they cannot be seconds.
    """
    means = {role: frame.groupby(level=[0, 1]).mean() for role, frame in frames.items()}
    ends = {
        role: mean.index.to_frame().groupby(level=0)["step"].agg(["min", "max", "size"])
        for role, mean in means.items()
    }
    for role, found in ends.items():
        for other, there in ends.items():
            if len(alone := found.index.difference(there.index)):
                raise DataError(
                    f"{tables[role].source}: recording {alone[0]!r}, "
                    f"which {tables[other].source} lacks"
                )
    spans = []
    for name in ends["audio"].index:
        said = ", ".join(
            f"{role} {ends[role]['min'][name] / rate:g} to {ends[role]['max'][name] / rate:g} s"
            for role in ends
        )
        first = max(ends[role]["min"][name] for role in FEATURES)
        last = min(ends[role]["max"][name] for role in FEATURES)
        if last < first:
            raise DataError(f"recording {name!r}: audio and visual share no time ({said})")
        if any(last - first + 1 > SPARSEST * ends[role]["size"][name] for role in FEATURES):
            raise DataError(f"recording {name!r}: hardly a row in these times ({said}): seconds?")
        spans.append(pd.DataFrame({"recording": name, "step": np.arange(first, last + 1)}))
    every = pd.MultiIndex.from_frame(pd.concat(spans, ignore_index=True))
    return {role: mean.reindex(every) for role, mean in means.items()}


def hold(frame: pd.DataFrame, cells: float) -> pd.DataFrame:
    """Give an empty cell the last value of its recording, if that is at most so many cells old."""
    if cells < 1:
        return frame
    step = frame.index.get_level_values("step").to_numpy(dtype=float)[:, None]
    known = pd.DataFrame(np.where(frame.notna(), step, np.nan), frame.index, frame.columns)
    last = known.groupby(level=0).ffill()
    return frame.groupby(level=0).ffill().where(step - last <= cells)


def fill_missing(
    frames: Mapping[str, pd.DataFrame],
    tables: Mapping[str, Table],
    grid: Grid,
    rate: float,
    training: np.ndarray,
) -> tuple[dict[str, pd.DataFrame], dict[str, np.ndarray], dict[str, Any]]:
    """Hold values over short gaps, and do with the rest as is said in ``grid``.

    Args:
        frames: by role, all with the same index of recording and step; NaN where empty.
        tables: where they come from, for errors.
        grid: what is to be done.
        rate: cells a second.
        training: ``(T,)``, the rows that the mean is taken of.

    Returns:
        The frames, without an empty feature; the null vectors of audio and visual; and what to
        remember: of both how many rows hold an earlier value or are missing, and what null is.

    Raises:
        DataError: a modality without a row to take the mean of; no valid label; with ``refuse``, a
            missing row.
    """
    held = {role: hold(frame, grid.max_gap * rate + 1e-6) for role, frame in frames.items()}
    gone = {role: held[role].isna().any(axis=1).to_numpy() for role in FEATURES}
    counts = {}
    for role in FEATURES:
        lacked, missing = int(frames[role].isna().any(axis=1).sum()), int(gone[role].sum())
        counts[role] = {"held": lacked - missing, "missing": missing}
        if missing and grid.missing == "refuse":
            name, step = frames[role].index[gone[role]][0]
            raise DataError(
                f"{tables[role].source}: recording {name!r} has no {role} features at "
                f"{step / rate:g} s (step {step}; {missing} of {len(gone[role])} rows in all): "
                "found none, or too little confidence; say what to do with --missing mask or null, "
                "or hold earlier values with --max-gap"
            )
    present = {role: held[role].to_numpy()[training & ~gone[role]] for role in FEATURES}
    nulls = _null_vectors(present, grid.null)
    for role in FEATURES:
        held[role] = held[role].fillna(dict(enumerate(nulls[role])))
    if grid.missing == "mask":
        held["labels"] = held["labels"].copy()
        held["labels"][gone["audio"] | gone["visual"]] = np.nan
    if held["labels"].isna().all(axis=None):
        raise DataError(f"{tables['labels'].source}: no valid label where the features are")
    of = "mean of all rows" if training.all() else "mean of the rows for training"
    notes = {"null": of if grid.null == "mean" else str(grid.null)}
    return held, nulls, {**notes, "missing": {"option": grid.missing, **counts}}


def _null_vectors(present: Mapping[str, np.ndarray], null: Path | str) -> dict[str, np.ndarray]:
    """What stands for a missing modality, given the rows for training that have it."""
    if null == "zeros":
        return {role: np.zeros(rows.shape[1]) for role, rows in present.items()}
    if null == "mean":
        for role, rows in present.items():
            if not len(rows):
                raise DataError(f"{role}: no row for training is left to take the mean of")
        return {role: rows.mean(axis=0) for role, rows in present.items()}
    arrays = read_arrays(Path(null))
    for role, rows in present.items():
        found = arrays.get(role, np.empty(0, dtype=bool))
        numbers = found.dtype.kind in "iuf" and bool((abs(found) < FLOAT32.max).all())
        if found.shape != rows.shape[1:] or not numbers:
            what = f"{found.dtype} {found.shape}" if role in arrays else "nothing"
            raise DataError(
                f"{null}: array {role!r}: found {what}, expected {rows.shape[1]} finite numbers"
            )
    return {role: arrays[role] for role in present}
