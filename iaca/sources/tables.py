"""Reading of CSV and NPZ tables with one row a step, with errors that name the line and column.

A CSV file has a header line. An NPZ file has one array a column, all of the same length; an array
with two dimensions stands for as many columns as it has. Nothing is unpickled.
"""

import csv
import zipfile
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path

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
    """

    source: str
    first_line: int | None
    frame: pd.DataFrame
    names: list[str]

    def place(self, row: int) -> str:
        """Name a row as an editor would: by file and 1-based line (or 1-based row)."""
        if self.first_line is None:
            return f"{self.source}, row {row + 1}"
        return f"{self.source}, line {row + self.first_line}"

    def error(self, row: int, column: str, what: str) -> DataError:
        """What to raise about a cell."""
        return DataError(f"{self.place(row)}, column {column!r}: {what}")

    @cached_property
    def values(self) -> np.ndarray:
        """The columns of numbers, ``(rows, len(names))`` float64, NaN where a cell is empty."""
        return np.column_stack([self.numbers(column) for column in self.names])

    def numbers(self, column: str) -> np.ndarray:
        """Return a column as float64, NaN where a cell is empty."""
        cells = self.frame[column]
        if cells.dtype.kind in "iuf":
            return cells.to_numpy(dtype=np.float64, na_value=np.nan)
        found = pd.to_numeric(cells.astype(object), errors="coerce")
        kind = cells.map(lambda cell: isinstance(cell, str | Real) and not isinstance(cell, bool))
        bad = cells.notna() & (found.isna() | ~kind)
        if bad.any():
            row = int(bad.to_numpy().argmax())
            raise self.error(row, column, f"{cells.iloc[row]!r} is not a number")
        return found.to_numpy(dtype=np.float64)

    def texts(self, column: str) -> np.ndarray:
        """Return a column of names, each checked to be safe as a file's name."""
        cells = self.frame[column].astype(object)
        names = cells.where(cells.notna(), "").astype(str).to_numpy(dtype=object)
        for row in pd.Series(names).drop_duplicates().index:
            check_name(names[row], f"{self.place(row)}, column {column!r}:")
        return names

    def whole_numbers(self, column: str) -> np.ndarray:
        """Return a column of whole numbers from 0 as int64."""
        values = self.numbers(column)
        good = (values >= 0) & (values < 2**53) & (values == np.floor(values))
        if not good.all():
            row = int(good.argmin())
            raise self.error(row, column, f"{values[row]:g}, expected a whole number from 0")
        return values.astype(np.int64)

    def refuse(self, bad: np.ndarray, expected: str) -> None:
        """Raise `DataError` at the first of ``values`` that a mask marks, unless it marks none."""
        if bad.any():
            row, column = np.argwhere(bad)[0]
            what = f"{self.values[row, column]:g}, expected {expected}"
            rows = bad.any(axis=1).sum()
            raise self.error(row, self.names[column], f"{what} ({rows} such rows)")


def read_table(
    source: TableSource, role: str, texts: Collection[str], required: Collection[str]
) -> Table:
    """Read a CSV or NPZ file, or take a frame; whatever is no key column is one of numbers.

    Args:
        source: a path that ends in ``.csv`` or ``.npz``, or a frame.
        role: what to call a frame in errors.
        texts: key columns that hold names.
        required: key columns that must be there.

    Raises:
        DataError: naming file, line and column: unreadable, no rows, missing or repeated column,
            rows of other lengths.
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
    values = [column for column in frame.columns if column not in {*required, *texts}]
    if not values:
        raise DataError(f"{name}: found {listed(frame.columns)}, expected columns of values too")
    return Table(name, first_line, frame, values)


def listed(names: Iterable[object]) -> str:
    """Write out column names, the first dozen if there are many."""
    shown = [str(name) for name in names]
    rest = f", ... ({len(shown)} columns)" if len(shown) > 12 else ""
    return ", ".join(shown[:12]) + rest


def _refuse_repeated(place: str, names: Iterable[str]) -> None:
    columns = pd.Index(names)
    if not columns.is_unique:
        repeated = columns[columns.duplicated()][0]
        raise DataError(f"{place}: column {repeated!r} is given twice")


def _read_csv(path: Path, texts: Collection[str]) -> pd.DataFrame:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file), [])
        _refuse_repeated(f"{path}, line 1", header)  # pandas would rename the second one
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


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an NPZ file, which is never unpickled.

    Raises:
        DataError: naming the file, if it is not one of plain arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:  # a lone array (.npy) is a TypeError
            return dict(stored)
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path}: not an NPZ file of plain arrays ({error})") from error


def _read_npz(path: Path) -> pd.DataFrame:
    arrays = read_arrays(path)
    columns: dict[str, np.ndarray] = {}
    for key, array in arrays.items():
        if array.ndim not in (1, 2):
            raise DataError(f"{path}: array {key!r} has {array.ndim} dimensions, expected 1 or 2")
        flat = array.ndim == 1
        columns |= {key: array} if flat else {f"{key}.{i}": c for i, c in enumerate(array.T)}
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: arrays of different lengths, {lengths}")
    return pd.DataFrame(columns)
