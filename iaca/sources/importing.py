"""Anybody's features, as CSV or NPZ tables with one row a step, become a `RecordingStore`.

Three tables, audio, visual and labels, each with a column that names the recording; at least one
also names the subject. With a step column the tables are joined on recording and step; without
one, the n-th row of a recording in one table belongs to its n-th row in the others. Every column
that is not one of these is a feature, or a label.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from iaca.base.files import DataError, check_one_of
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.sources.tables import Table, TableSource, listed, read_table
from iaca.sources.writing import write_store

ROLES = ("train", "select", "report")


class Columns(NamedTuple):
    """Which columns of the tables are keys; the others are features, or labels.

    Attributes:
        recording: in every table; letters, digits, ``.``, ``_``, ``-``.
        subject: in one table at least; the same subject throughout a recording.
        step: whole numbers from 0, in every table; stored as ``end_frame``. Without it the order
            of the rows counts, and ``end_frame`` is 0, 1, 2, ...
        split: in one table at least, if named: ``train``, ``select`` or ``report``.
    """

    recording: str = "recording"
    subject: str = "subject"
    step: str | None = None
    split: str | None = None


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
) -> RecordingStore:
    """Join three tables into a store of float32 features and open it.

    Args:
        audio: path of a CSV or NPZ file, or a frame; ``d_a`` feature columns of finite numbers.
        visual: likewise, ``d_v`` feature columns.
        labels: likewise, one column a target; an empty cell or NaN is a row without a valid label.
        out: where the store goes; must not exist.
        label_range: lowest and highest valid label.
        columns: names of the key columns.
        invalid: a number in the labels that also means "not valid", say -5.
        frame_rate: steps a second.
        source: free text by key, kept in the store's index and part of its hash.

    Raises:
        DataError: naming the file, the 1-based line or row, the column or the recording concerned:
            a cell that is not a number, a NaN or infinite feature, an unsafe name, a missing
            column, a repeated step, a step or a recording that another table lacks, a subject
            that changes within a recording, a label out of range.
    """
    if not frame_rate > 0:
        raise DataError(f"frame_rate {frame_rate}: expected a positive number of steps a second")
    given = {"audio": audio, "visual": visual, "labels": labels}
    required = [name for name in (columns.recording, columns.step) if name]
    texts = [name for name in (columns.recording, columns.subject, columns.split) if name]
    tables = {role: read_table(given[role], role, texts, required) for role in given}
    info = StoreInfo(
        audio_dim=len(tables["audio"].names),
        visual_dim=len(tables["visual"].names),
        labels=tuple(tables["labels"].names),
        label_range=label_range,
        source={**{role: Path(t.source).name for role, t in tables.items()}, **(source or {})},
    )
    recordings = _recordings(tables, columns, _values(tables, label_range, invalid), frame_rate)
    return write_store(out, recordings, info, dtype=torch.float32)


def _values(
    tables: Mapping[str, Table], label_range: tuple[float, float], invalid: float | None
) -> dict[str, np.ndarray]:
    """The numbers of each table, float32; labels are NaN where invalid."""
    low, high = label_range
    if not low < high:
        raise DataError(f"label_range {low:g} to {high:g}: expected the lower number first")
    values = {role: table.values for role, table in tables.items()}
    for role in ("audio", "visual"):
        bad = ~(np.abs(values[role]) <= float(np.finfo(np.float32).max))
        tables[role].refuse(bad, "a finite float32")
    if invalid is not None:
        values["labels"] = np.where(values["labels"] == invalid, np.nan, values["labels"])
    tables["labels"].refuse(
        (values["labels"] < low) | (values["labels"] > high),
        f"a label from {low:g} to {high:g}, or an empty cell where invalid",
    )
    return {role: value.astype(np.float32) for role, value in values.items()}


def _recordings(
    tables: Mapping[str, Table],
    columns: Columns,
    values: Mapping[str, np.ndarray],
    frame_rate: float,
) -> Iterator[Recording]:
    keys = {role: _keys(table, columns) for role, table in tables.items()}
    rows = _joined(tables, keys)
    names = {role: index.get_level_values("recording") for role, index in keys.items()}
    subject = _per_recording(tables, names, columns.subject)
    split = _per_recording(tables, names, columns.split) if columns.split else {}
    for name, found in split.items():
        check_one_of(f"recording {name!r}: {columns.split}", found, ROLES)
    for key, chosen in rows.groupby("recording"):
        name = str(key)
        steps = chosen.index.get_level_values("step").to_numpy(copy=True)
        yield Recording(
            name=name,
            subject=subject[name],
            **{role: torch.from_numpy(values[role][chosen[role]]) for role in values},
            end_frame=torch.from_numpy(steps),
            frame_rate=frame_rate,
            split=split.get(name),
        )


def _keys(table: Table, columns: Columns) -> pd.MultiIndex:
    """The recording and step of each row, which no two rows share."""
    recording = pd.Series(table.texts(columns.recording))
    step = recording.groupby(recording).cumcount().to_numpy()
    if columns.step:
        step = table.whole_numbers(columns.step)
    keys = pd.MultiIndex.from_arrays([recording, step], names=["recording", "step"])
    if not keys.is_unique:
        row = int(keys.duplicated().argmax())
        before = int((keys == keys[row]).argmax())
        name, at = keys[row]
        raise DataError(
            f"{table.place(row)}: recording {name!r} has step {at} already ({table.place(before)})"
        )
    return keys


def _joined(tables: Mapping[str, Table], keys: Mapping[str, pd.MultiIndex]) -> pd.DataFrame:
    """Where each recording and step stands, sorted: one column of row numbers for each table."""
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
    every = keys["audio"].sort_values()
    return pd.DataFrame({role: index.get_indexer(every) for role, index in keys.items()}, every)


def _per_recording(
    tables: Mapping[str, Table], names: Mapping[str, pd.Index], column: str
) -> dict[str, str]:
    """Read a column that says one thing about each recording, from every table that has it."""
    found: dict[str, str] = {}
    for role, table in tables.items():
        if column not in table.frame.columns:
            continue
        pairs = pd.DataFrame({"name": names[role], "value": table.texts(column)}).drop_duplicates()
        for row, name, value in zip(pairs.index, pairs["name"], pairs["value"], strict=True):
            if found.setdefault(name, value) != value:
                raise DataError(
                    f"{table.place(row)}: recording {name!r} has {column} {value!r}, "
                    f"but {found[name]!r} before"
                )
    if not found:
        heads = "; ".join(f"{t.source} has {listed(t.frame.columns)}" for t in tables.values())
        raise DataError(f"no table has a column {column!r}: {heads}")
    return found
