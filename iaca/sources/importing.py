"""Anybody's features, as tables with one row a step, become a `RecordingStore`.

Three tables, audio, visual and labels, each with a column that names the recording; at least one
also names the subject. With a step column the tables are joined on recording and step; with times,
their rows are averaged in common cells; with neither, the n-th row of a recording in one table
belongs to its n-th row in the others. The other columns are features, or labels.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from iaca.base.files import DataError, check_one_of, check_output
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.sources.columns import Choice, choose_columns, lost_rows
from iaca.sources.grid import FEATURES, FLOAT32, Grid, cell_numbers, fill_missing, to_grid
from iaca.sources.tables import Table, TableSource, listed, read_table
from iaca.sources.writing import write_store

ROLES = ("train", "select", "report")
EVERYTHING, ROW_BY_ROW = Choice(), Grid()


class Columns(NamedTuple):
    """Which columns of the tables are keys; the others are features, or labels.

    Attributes:
        recording: in every table; letters, digits, ``.``, ``_``, ``-``.
        subject: in one table at least; the same subject throughout a recording.
        step: whole numbers from 0, in every table; stored as ``end_frame``. Without it the order
            of the rows counts, and ``end_frame`` is 0, 1, 2, ...
        split: in one table at least, if named: ``train``, ``select`` or ``report``.
        time: with a rate alone: names of columns of seconds, of which each table has one.
    """

    recording: str = "recording"
    subject: str = "subject"
    step: str | None = None
    split: str | None = None
    time: tuple[str, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The columns of names."""
        return [name for name in (self.recording, self.subject, self.split) if name]

    @property
    def required(self) -> list[str]:
        """The columns that every table has."""
        return [name for name in (self.recording, self.step) if name]

    @property
    def keys(self) -> list[str]:
        """The columns that are no features and no labels; the recording's comes first."""
        return [*self.required, *self.texts, *self.time]


def import_tables(
    audio: TableSource,
    visual: TableSource,
    labels: TableSource,
    out: Path | str,
    *,
    label_range: tuple[float, float],
    columns: Columns,
    invalid: float | None = None,
    frame_rate: float = 1.0,
    source: Mapping[str, Any] | None = None,
    choice: Choice = EVERYTHING,
    grid: Grid = ROW_BY_ROW,
    people: TableSource | None = None,
) -> RecordingStore:
    """Join three tables into a store of float32 features and open it.

    Args:
        audio: path of a CSV or NPZ file or of a folder of them, one a recording, or a frame; its
            ``d_a`` feature columns hold finite numbers.
        visual: likewise, ``d_v`` feature columns.
        labels: likewise, one column a target; an empty cell or NaN is a row without a valid label.
        out: where the store goes; must not exist.
        label_range: lowest and highest valid label.
        columns: names of the key columns.
        invalid: a number in the labels that also means "not valid", say -5.
        frame_rate: steps a second, where ``grid`` has no rate.
        source: free text by key, kept in the store's index and part of its hash.
        choice: which columns and rows are taken.
        grid: whether rows are brought to a rate, and what becomes of missing ones.
        people: a table that may hold subjects and splits, a row for each recording.

    Raises:
        DataError: naming the file, the 1-based line or row, the column or the recording concerned:
            no number, an unsafe name, a missing column, a repeated step, a step that another table
            lacks, a subject that changes, a label out of range; and what the functions below say.
    """
    if not 0 < frame_rate < np.inf:
        raise DataError(f"frame_rate {frame_rate}: expected a positive number of steps a second")
    check_output(Path(out), folder=True)
    rate = grid.rate or frame_rate
    tables = _read({"audio": audio, "visual": visual, "labels": labels}, columns, choice, grid)
    frames = _frames(tables, columns, choice, grid, label_range, invalid)
    names = frames["labels"].index.get_level_values("recording")
    subject, split = _people(tables, people, columns, names)
    training = np.array([split.get(name, "train") == "train" for name in names])
    frames, nulls, notes = fill_missing(frames, tables, grid, rate, training)
    info = _info(tables, columns, label_range, {**notes, **(source or {})})
    vectors = {f"null_{role}": torch.from_numpy(nulls[role]) for role in FEATURES}
    rows = _recordings(frames, subject, split, rate)
    return write_store(out, rows, info, **vectors, dtype=torch.float32)


def _info(
    tables: Mapping[str, Table],
    columns: Columns,
    label_range: tuple[float, float],
    notes: Mapping[str, Any],
) -> StoreInfo:
    left_out = {
        role: [n for n in table.frame.columns if n not in {*table.names, *columns.keys}]
        for role, table in tables.items()
    }
    return StoreInfo(
        audio_dim=len(tables["audio"].names),
        visual_dim=len(tables["visual"].names),
        labels=tuple(tables["labels"].names),
        label_range=label_range,
        source={
            **{role: Path(table.source).name for role, table in tables.items()},
            "features": {role: tables[role].names for role in FEATURES},
            "left_out": left_out,
            **notes,
        },
    )


def _people(
    tables: Mapping[str, Table], people: TableSource | None, columns: Columns, names: pd.Index
) -> tuple[dict[str, str], dict[str, str]]:
    """Subject and split of each recording; no splits where no column is named."""
    telling = dict(tables)
    if people is not None:
        telling["people"] = read_table(people, "people", columns.texts, [columns.recording])
    subject = per_recording(telling, columns, columns.subject, names)
    split = per_recording(telling, columns, columns.split, names) if columns.split else {}
    for name, role in split.items():
        check_one_of(f"recording {name!r}: {columns.split}", role, ROLES)
    return subject, split


def _read(
    given: Mapping[str, TableSource], columns: Columns, choice: Choice, grid: Grid
) -> dict[str, Table]:
    """Read the tables, and leave the columns that are features or labels."""
    grid.check()
    if grid.rate is not None and columns.step:
        raise DataError(f"rate {grid.rate:g}: expected times, found a step column {columns.step!r}")
    if grid.rate is None and columns.time:
        raise DataError(f"time column {columns.time[0]!r}: expected a rate beside it")
    keys = columns.texts, columns.required
    tables = {
        role: read_table(source, role, *keys, choice.format(role).recording)
        for role, source in given.items()
    }
    return choose_columns(tables, choice, columns.keys)


def _frames(
    tables: Mapping[str, Table],
    columns: Columns,
    choice: Choice,
    grid: Grid,
    label_range: tuple[float, float],
    invalid: float | None,
) -> dict[str, pd.DataFrame]:
    """The numbers of each table with the same index of recording and step; NaN where missing."""
    lost = lost_rows(tables, choice, columns.recording)
    values = _values(tables, label_range, invalid, lost, grid.missing != "refuse")
    keys = {role: _keys(table, role, columns, choice, grid) for role, table in tables.items()}
    frames = {role: pd.DataFrame(values[role], index=keys[role]) for role in tables}
    if grid.rate is not None:
        return to_grid(frames, tables, grid.rate)
    _check_joined(tables, keys)
    every = keys["audio"].sort_values()
    return {role: frame.reindex(every) for role, frame in frames.items()}


def _values(
    tables: Mapping[str, Table],
    label_range: tuple[float, float],
    invalid: float | None,
    lost: Mapping[str, np.ndarray],
    may_miss: bool,
) -> dict[str, np.ndarray]:
    """The numbers of each table; NaN in lost rows, in labels that are not valid and, if features
    may be missing, in rows without any.
    """
    values = {role: table.values for role, table in tables.items()}
    for role in FEATURES:
        gone = lost[role] | (may_miss & np.isnan(values[role]).all(axis=1))
        bad = ~(np.abs(values[role]) <= FLOAT32.max) & ~gone[:, None]
        tables[role].refuse(bad, "a finite float32")
        values[role][gone] = np.nan
    return {**values, "labels": valid_labels(tables["labels"], label_range, invalid)}


def valid_labels(
    table: Table, label_range: tuple[float, float], invalid: float | None
) -> np.ndarray:
    """The numbers of a table of labels, ``(rows, targets)`` float64, NaN where not valid.

    Raises:
        DataError: a range that is none; naming the line, a label outside of it.
    """
    low, high = label_range
    if not low < high:
        raise DataError(f"label_range {low:g} to {high:g}: expected the lower number first")
    values = table.values
    if invalid is not None:
        values = np.where(values == invalid, np.nan, values)
    table.refuse(
        (values < low) | (values > high),
        f"a label from {low:g} to {high:g}, or an empty cell where invalid",
    )
    return values


def _recordings(
    frames: Mapping[str, pd.DataFrame],
    subject: Mapping[str, str],
    split: Mapping[str, str],
    frame_rate: float,
) -> Iterator[Recording]:
    arrays = {role: frame.to_numpy(dtype=np.float32) for role, frame in frames.items()}
    index = frames["labels"].index
    steps = index.get_level_values("step").to_numpy(dtype=np.int64)
    for key, rows in pd.Series(range(len(index)), index).groupby(level="recording"):
        name, part = str(key), slice(rows.iloc[0], rows.iloc[-1] + 1)  # the index is sorted
        yield Recording(
            name=name,
            subject=subject[name],
            **{role: torch.from_numpy(values[part].copy()) for role, values in arrays.items()},
            end_frame=torch.from_numpy(steps[part].copy()),
            frame_rate=frame_rate,
            split=split.get(name),
        )


def _keys(table: Table, role: str, columns: Columns, choice: Choice, grid: Grid) -> pd.MultiIndex:
    """The recording and step of each row; only where times are averaged do rows share them."""
    recording = pd.Series(table.texts(columns.recording))
    if grid.rate is not None:
        times = [*columns.time, *choice.format(role).time]
        found = [name for name in times if name in table.frame.columns]
        if not found:
            what = f"expected one of times, {', '.join(times)}" if times else "and no time column"
            raise DataError(f"{table.source}: found {listed(table.frame.columns)}, {what}")
        step = cell_numbers(table, found[0], grid.rate)
    elif columns.step:
        step = table.whole_numbers(columns.step)
    else:
        step = recording.groupby(recording).cumcount().to_numpy()
    keys = pd.MultiIndex.from_arrays([recording, step], names=["recording", "step"])
    if grid.rate is None:
        check_distinct(table, keys)
    return keys


def check_distinct(table: Table, keys: pd.MultiIndex) -> None:
    """Raise `DataError`, naming both rows, if one has the recording and step of another."""
    if not keys.is_unique:
        row = int(keys.duplicated().argmax())
        before = int((keys == keys[row]).argmax())
        name, at = keys[row]
        raise DataError(
            f"{table.place(row)}: recording {name!r} has {keys.names[1]} {at} already "
            f"({table.place(before)})"
        )


def _check_joined(tables: Mapping[str, Table], keys: Mapping[str, pd.MultiIndex]) -> None:
    for role in ("visual", "labels"):
        for here, there in (("audio", role), (role, "audio")):
            alone = ~keys[here].isin(keys[there])
            if alone.any():
                row = int(alone.argmax())
                name, step = keys[here][row]
                raise DataError(
                    f"{tables[here].place(row)}: recording {name!r} has step {step}, "
                    f"which {tables[there].source} lacks"
                )


def per_recording(
    tables: Mapping[str, Table], columns: Columns, column: str, due: pd.Index
) -> dict[str, str]:
    """Read a column that says one thing about each recording, from every table that has it.

    Raises:
        DataError: no table has it, it changes within a recording, or one of ``due`` lacks it.
    """
    found: dict[str, str] = {}
    for table in tables.values():
        if column not in table.frame.columns:
            continue
        pairs = pd.DataFrame(
            {"name": table.texts(columns.recording), "value": table.texts(column)}
        ).drop_duplicates()
        for row, name, value in zip(pairs.index, pairs["name"], pairs["value"], strict=True):
            if found.setdefault(name, value) != value:
                raise DataError(
                    f"{table.place(row)}: recording {name!r} has {column} {value!r}, "
                    f"but {found[name]!r} before"
                )
    if not found:
        heads = "; ".join(f"{t.source} has {listed(t.frame.columns)}" for t in tables.values())
        raise DataError(f"no table has a column {column!r}: {heads}")
    if len(left := due[~due.isin(list(found))]):
        raise DataError(f"{tables['people'].source}: recording {left[0]!r} has no {column}")
    return found
