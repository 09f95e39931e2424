"""Anybody's features, as CSV or NPZ tables with one row a step, become a `RecordingStore`.

Three tables, audio, visual and labels, each with a column that names the recording; at least one
also names the subject. With a step column the tables are joined on recording and step; without
one, the n-th row of a recording in one table belongs to its n-th row in the others. Every column
that is not one of these is a feature, or a label.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from iaca.base.files import DataError
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.sources.tables import Table, TableSource, listed, read_table
from iaca.sources.writing import write_store

ROLES = ("train", "select", "report")


class _Steps(NamedTuple):
    """The steps of one recording in one table, increasing, and the rows that hold them."""

    steps: np.ndarray  # (T,) int64
    rows: np.ndarray  # (T,) int64


def import_tables(
    audio: TableSource,
    visual: TableSource,
    labels: TableSource,
    out: Path | str,
    *,
    label_range: tuple[float, float],
    recording_column: str = "recording",
    subject_column: str = "subject",
    step_column: str | None = None,
    split_column: str | None = None,
    invalid: float | None = None,
    frame_rate: float = 1.0,
    source: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> RecordingStore:
    """Join three tables into a store and open it.

    Args:
        audio: path of a CSV or NPZ file, or a frame; ``d_a`` feature columns of finite numbers.
        visual: likewise, ``d_v`` feature columns.
        labels: likewise, one column a target; an empty cell or NaN is a row without a valid label.
        out: where the store goes; must not exist.
        label_range: lowest and highest valid label.
        recording_column: in every table; letters, digits, ``.``, ``_``, ``-``.
        subject_column: in one table at least; the same subject throughout a recording.
        step_column: whole numbers from 0, in every table; stored as ``end_frame``. Without it the
            order of the rows counts, and ``end_frame`` is 0, 1, 2, ...
        split_column: in one table at least, if named: ``train``, ``select`` or ``report``.
        invalid: a number in the labels that also means "not valid", say -5.
        frame_rate: steps a second.
        source: free text by key, kept in the store's index and part of its hash.
        dtype: type of the stored features.

    Raises:
        DataError: naming the file, the 1-based line or row, the column and the recording concerned:
            a cell that is not a number, a NaN or infinite feature, an unsafe name, a missing
            column, a repeated step, a step or a recording that another table lacks, lengths that
            differ, a subject that changes within a recording, a label out of range.
    """
    if not frame_rate > 0:
        raise DataError(f"frame_rate {frame_rate}: expected a positive number of steps a second")
    tables = {}
    keys = {recording_column, subject_column, split_column} - {None}
    for role, given in (("audio", audio), ("visual", visual), ("labels", labels)):
        tables[role] = read_table(
            given,
            role,
            required=[name for name in (recording_column, step_column) if name is not None],
            optional=[name for name in (subject_column, split_column) if name is not None],
            texts={name for name in keys if name is not None},
        )
    recording_of = {
        role: table.texts(recording_column, "recording") for role, table in tables.items()
    }
    for role in ("audio", "visual"):
        _require_finite(tables[role], recording_of[role])
    targets = _valid_labels(tables["labels"], label_range, invalid)
    steps = {
        role: _steps_by_recording(table, recording_of[role], step_column)
        for role, table in tables.items()
    }
    for role in ("visual", "labels"):
        _require_same_steps(tables, steps, role, by_order=step_column is None)
    subject = _per_recording(tables, recording_of, subject_column)
    split = _per_recording(tables, recording_of, split_column) if split_column else {}
    for name, found in split.items():
        if found not in ROLES:
            raise DataError(
                f"recording {name!r}: {split_column} {found!r}, expected one of {ROLES}"
            )

    def recordings() -> Iterator[Recording]:
        for name, (when, rows) in sorted(steps["audio"].items()):
            yield Recording(
                name=name,
                subject=subject[name],
                audio=_float32(tables["audio"].values[rows]),
                visual=_float32(tables["visual"].values[steps["visual"][name].rows]),
                labels=_float32(targets[steps["labels"][name].rows]),
                end_frame=torch.from_numpy(when),
                frame_rate=frame_rate,
                split=split.get(name),
            )

    info = StoreInfo(
        audio_dim=len(tables["audio"].names),
        visual_dim=len(tables["visual"].names),
        labels=tuple(tables["labels"].names),
        label_range=label_range,
        source={**{role: Path(t.source).name for role, t in tables.items()}, **(source or {})},
    )
    return write_store(out, recordings(), info, dtype=dtype)


def _float32(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _require_finite(table: Table, recording_of: np.ndarray) -> None:
    bad = np.argwhere(~(np.abs(table.values) <= float(np.finfo(np.float32).max)))
    if len(bad):
        row, column = map(int, bad[0])
        nth = int((recording_of[: row + 1] == recording_of[row]).sum())
        raise DataError(
            f"{table.place(row)}, column {table.names[column]!r} (row {nth} of recording "
            f"{recording_of[row]!r}): {table.values[row, column]:g}, expected a finite float32 "
            f"({len(set(bad[:, 0]))} such rows)"
        )


def _valid_labels(
    table: Table, label_range: tuple[float, float], invalid: float | None
) -> np.ndarray:
    values = (
        table.values if invalid is None else np.where(table.values == invalid, np.nan, table.values)
    )
    low, high = label_range
    if not low < high:
        raise DataError(f"label_range {low:g} to {high:g}: expected the lower number first")
    bad = np.argwhere((values < low) | (values > high))
    if len(bad):
        row, column = map(int, bad[0])
        raise DataError(
            f"{table.place(row)}, column {table.names[column]!r}: label {values[row, column]:g}, "
            f"expected {low:g} to {high:g}, or an empty cell where invalid"
        )
    return values


def _steps_by_recording(
    table: Table, recording_of: np.ndarray, step_column: str | None
) -> dict[str, _Steps]:
    step_of = None if step_column is None else table.whole_numbers(step_column)
    found = {}
    for name, indices in pd.Series(recording_of).groupby(recording_of).indices.items():
        rows = np.asarray(indices)
        if step_of is None:
            found[str(name)] = _Steps(np.arange(len(rows)), rows)
            continue
        ordered = rows[np.argsort(step_of[rows], kind="stable")]
        for before, row in pairwise(ordered):
            if step_of[before] == step_of[row]:
                raise DataError(
                    f"{table.place(row)}: recording {name!r} has step {step_of[row]} already "
                    f"({table.place(before)})"
                )
        found[str(name)] = _Steps(step_of[ordered], ordered)
    return found


def _require_same_steps(
    tables: Mapping[str, Table],
    steps: Mapping[str, Mapping[str, _Steps]],
    role: str,
    by_order: bool,
) -> None:
    """Compare a table with the audio table, recording by recording."""
    for here, there in (("audio", role), (role, "audio")):
        for name, (when, rows) in steps[here].items():
            if name not in steps[there]:
                raise DataError(
                    f"{tables[here].place(rows[0])}: recording {name!r} is missing from "
                    f"{tables[there].source}"
                )
            other = steps[there][name].steps
            if by_order and len(when) != len(other):
                raise DataError(
                    f"recording {name!r}: lengths differ, {len(when)} rows in "
                    f"{tables[here].source}, {len(other)} in {tables[there].source}"
                )
            alone = np.flatnonzero(~np.isin(when, other))
            if len(alone):
                raise DataError(
                    f"{tables[here].place(rows[alone[0]])}: recording {name!r} has step "
                    f"{when[alone[0]]}, which {tables[there].source} lacks"
                )


def _per_recording(
    tables: Mapping[str, Table], recording_of: Mapping[str, np.ndarray], column: str
) -> dict[str, str]:
    """Read a column that says one thing about each recording, from every table that has it."""
    found: dict[str, str] = {}
    for role, table in tables.items():
        if column not in table.frame.columns:
            continue
        values = table.texts(column, column)
        pairs = pd.DataFrame({"recording": recording_of[role], "value": values}).drop_duplicates()
        for row, name, value in pairs.itertuples():
            if found.setdefault(name, value) != value:
                raise DataError(
                    f"{table.place(row)}: recording {name!r} has {column} {value!r}, "
                    f"but {found[name]!r} before"
                )
    if not found:
        heads = "; ".join(f"{t.source} has {listed(t.frame.columns)}" for t in tables.values())
        raise DataError(f"no table has a column {column!r}: {heads}")
    return found
