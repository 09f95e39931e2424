"""Reading of CSV and NPZ tables with one row a step, with errors that name the line and column.

A CSV file has a header line. An NPZ file has one array a column, all of the same length; an array
with two dimensions stands for as many columns as it has. Nothing is unpickled.
"""

import csv
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from iaca.base.files import DataError, check_name

TableSource = Path | str | pd.DataFrame
_MISSING = ["", "nan", "NaN", "NAN"]  # in columns of numbers; in a column of names NaN is a name


@dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes:
        source: file, or what to call a frame, in errors.
        first_line: line of row 0, or ``None`` where rows have no lines.
        frame: every column.
        names: the columns of numbers, in the file's order.
        values: ``(rows, len(names))`` float64, NaN where a cell is empty.
    """

    source: str
    first_line: int | None
    frame: pd.DataFrame
    names: list[str]
    values: np.ndarray

    def place(self, row: int) -> str:
        """Name a row as an editor would: by file and 1-based line (or 1-based row)."""
        if self.first_line is None:
            return f"{self.source}, row {row + 1}"
        return f"{self.source}, line {row + self.first_line}"

    def texts(self, column: str, what: str) -> np.ndarray:
        """Return a column of names, each checked to be safe as a file's name."""
        cells = self.frame[column].astype(object)
        names = cells.where(cells.notna(), "").astype(str).to_numpy(dtype=object)
        for row in pd.Series(names).drop_duplicates().index:
            check_name(names[row], f"{self.place(row)}, column {column!r}: {what}")
        return names

    def whole_numbers(self, column: str) -> np.ndarray:
        """Return a column of whole numbers from 0 as int64."""
        values = numbers_of(self, column)
        good = (values >= 0) & (values < 2**53) & (values == np.floor(values))
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise DataError(
                f"{self.place(row)}, column {column!r}: {values[row]:g}, "
                "expected a whole number from 0"
            )
        return values.astype(np.int64)


def read_table(
    source: TableSource,
    role: str,
    required: Sequence[str],
    optional: Sequence[str],
    texts: set[str],
) -> Table:
    """Read a CSV or NPZ file, or take a frame, and turn its value columns into numbers.

    Args:
        source: a path that ends in ``.csv`` or ``.npz``, or a frame.
        role: what to call a frame in errors.
        required: key columns that must be there; not values.
        optional: key columns that may be there; not values.
        texts: the key columns that hold names.

    Raises:
        DataError: naming file, line and column: unreadable, no rows, missing or repeated column,
            rows of other lengths, a cell that is not a number.
    """
    first_line = None
    if isinstance(source, pd.DataFrame):
        name, frame = f"{role} table", source.reset_index(drop=True).rename(columns=str)
        _refuse_repeated(name, frame.columns)
    else:
        name, suffix = str(source), Path(source).suffix.lower()
        if suffix == ".npz":
            frame = _read_npz(Path(source))
        elif suffix == ".csv":
            frame, first_line = _read_csv(Path(source), texts), 2
        else:
            raise DataError(f"{name}: expected a file that ends in .csv or .npz")
    for column in required:
        if column not in frame.columns:
            raise DataError(f"{name}: no column {column!r}; found {listed(frame.columns)}")
    if frame.empty:
        raise DataError(f"{name}: no rows")
    value_names = [column for column in frame.columns if column not in {*required, *optional}]
    if not value_names:
        raise DataError(f"{name}: found {listed(frame.columns)}, expected columns of values too")
    empty = Table(name, first_line, frame, value_names, np.empty((len(frame), 0)))
    values = np.column_stack([numbers_of(empty, column) for column in value_names])
    return Table(name, first_line, frame, value_names, values)


def listed(names: Iterable[Any]) -> str:
    """Write out column names, the first dozen if there are many."""
    shown = [str(name) for name in names]
    rest = f", ... ({len(shown)} columns)" if len(shown) > 12 else ""
    return ", ".join(shown[:12]) + rest


def _refuse_repeated(place: str, names: Iterable[str]) -> None:
    columns = list(names)
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise DataError(f"{place}: column {repeated[0]!r} is given twice")


def _read_csv(path: Path, texts: set[str]) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        _refuse_repeated(f"{path}, line 1", header)
        frame = pd.read_csv(
            path,
            encoding="utf-8-sig",
            dtype={name: str for name in header if name in texts},
            keep_default_na=False,
            na_values={name: [""] if name in texts else _MISSING for name in header},
            skip_blank_lines=False,  # so that rows and lines stay in step
            low_memory=False,
        )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not a CSV table ({str(error).strip()})") from error
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path}, line 2: more cells than the {len(header)} columns of line 1")
    return frame


def _read_npz(path: Path) -> pd.DataFrame:
    try:
        with path.open("rb") as file, zipfile.ZipFile(file):
            pass  # an .npy file or a pickle under this name stops here
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not an NPZ file of plain arrays ({error})") from error
    columns: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        if array.ndim not in (1, 2):
            raise DataError(f"{path}: array {key!r} has {array.ndim} dimensions, expected 1 or 2")
        parts = (
            {key: array} if array.ndim == 1 else {f"{key}.{i}": c for i, c in enumerate(array.T)}
        )
        columns |= parts
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: arrays of different lengths, {lengths}")
    return pd.DataFrame(columns)


def numbers_of(table: Table, column: str) -> np.ndarray:
    """Return a column as float64, NaN where a cell is empty.

    Raises:
        DataError: naming the line, the column and the cell that is not a number.
    """
    cells = table.frame[column]
    kind = pd.api.types
    odd = kind.is_bool_dtype(cells) or kind.is_complex_dtype(cells)
    if kind.is_numeric_dtype(cells) and not odd:
        return cells.to_numpy(dtype=np.float64, na_value=np.nan)
    plain = cells.astype(object).where(cells.notna(), np.nan)
    for row, cell in enumerate(plain):
        if not _is_number(cell):
            raise DataError(f"{table.place(row)}, column {column!r}: {cell!r} is not a number")
    return np.array([float(cell) for cell in plain])


def _is_number(cell: Any) -> bool:
    if isinstance(cell, str):
        try:
            return "_" not in cell and isinstance(float(cell), float)
        except ValueError:
            return False
    return isinstance(cell, Real) and not isinstance(cell, bool)
