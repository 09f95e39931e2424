"""Reading of CSV and NPZ tables with one row a step, with errors that name the line and column.

A CSV file has a header line; of comma, semicolon, tab and ``|`` the one that divides the header
into most names divides the cells. An NPZ file has one array a column, all of the same length; an
array with two dimensions stands for as many columns as it has. A folder has one such file for each
recording. Spaces around names are taken off. Nothing is unpickled.
"""

import csv
import zipfile
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
import pandas as pd

from iaca.base.files import DataError, check_name

TableSource = Path | str | pd.DataFrame
SUFFIXES = (".csv", ".tsv", ".npz")
DELIMITERS = ",;\t|"
_MISSING = ["", "nan", "NaN", "NAN", "-nan", "NA"]  # of numbers; in a column of names NA is a name
# Of a damaged NPZ file; RuntimeError where it seems encrypted or packed by an unknown method.
_NPZ_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)


class Part(NamedTuple):
    """A file of a table.

    Attributes:
        file: what to call it in errors.
        start: number of its first row in the table.
        first_line: line of that row, or ``None`` where rows have no lines.
        arrays: column -> how an NPZ file has it; empty for other files.
    """

    file: str
    start: int = 0
    first_line: int | None = None
    arrays: Mapping[str, str] = {}


@dataclass(frozen=True)
class Table:
    """A table as read.

    Attributes:
        source: file or folder, or what to call a frame, in errors.
        parts: its files, in the order of their rows.
        frame: every column.
        names: the columns of numbers, in the file's order.
    """

    source: str
    parts: Sequence[Part]
    frame: pd.DataFrame
    names: list[str]

    def part(self, row: int) -> Part:
        """The file that a row comes from."""
        return [part for part in self.parts if part.start <= row][-1]

    def place(self, row: int) -> str:
        """Name a row as an editor would: by file and 1-based line (or 1-based row)."""
        part = self.part(row)
        row -= part.start
        if part.first_line is None:
            return f"{part.file}, row {row + 1}"
        return f"{part.file}, line {row + part.first_line}"

    def error(self, row: int, column: str, what: str) -> DataError:
        """What to raise about a cell."""
        called = self.part(row).arrays.get(column, f"column {column!r}")
        return DataError(f"{self.place(row)}, {called}: {what}")

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
        names = cells.where(cells.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
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
    source: TableSource,
    role: str,
    texts: Collection[str],
    required: Sequence[str],
    paths: Sequence[str] = (),
) -> Table:
    """Read a CSV or NPZ file, a folder of them, or a frame; all but the keys are numbers.

    Args:
        source: a path that ends as one of `SUFFIXES`, a folder of such files, or a frame.
        role: what to call a frame in errors.
        texts: key columns that hold names.
        required: key columns that must be there, the recording's first. Where the files of a
            folder lack that one, it is the name of the file.
        paths: columns that hold a path or a name, one of which stands in for the recording's.

    Raises:
        DataError: naming file, line and column: unreadable, no rows, missing or repeated column,
            rows of other lengths, files of a folder with other columns.
    """
    if isinstance(source, pd.DataFrame):
        frame, parts = source.reset_index(drop=True).rename(columns=str), [Part(f"{role} table")]
    elif Path(source).is_dir():
        frame, parts = _read_folder(Path(source), [*texts, *paths], required[0])
    else:
        frame, part = _read_file(Path(source), [*texts, *paths])
        parts = [part]
    name = parts[0].file if len(parts) == 1 else str(source)
    _check_names(parts[0], frame.columns)
    stand_ins = [column for column in paths if column in frame.columns]
    if stand_ins and required[0] not in frame.columns:
        cells = frame[stand_ins[0]].astype(str)
        frame[required[0]] = [PureWindowsPath(cell.strip(" '\"")).stem for cell in cells]
    kind = "array" if parts[0].arrays else "column"
    for column in required:
        if column not in frame.columns:
            raise DataError(f"{name}: no {kind} {column!r}; found {listed(frame.columns)}")
    if frame.empty:
        raise DataError(f"{name}: no rows")
    keys = {*required, *texts, *paths}
    return Table(name, parts, frame, [name for name in frame.columns if name not in keys])


def listed(names: Iterable[object]) -> str:
    """Write out column names, the first dozen if there are many."""
    shown = [str(name) for name in names]
    rest = f", ... ({len(shown)} columns)" if len(shown) > 12 else ""
    return ", ".join(shown[:12]) + rest


def _check_names(part: Part, names: Iterable[str]) -> None:
    columns = pd.Index(names)
    if not columns.is_unique:
        repeated = columns[columns.duplicated()][0]
        at = part.file if part.first_line is None else f"{part.file}, line 1"
        raise DataError(f"{at}: column {repeated!r} is given twice")


def _read_folder(
    folder: Path, texts: Collection[str], recording: str
) -> tuple[pd.DataFrame, list[Part]]:
    """Read each file of a folder, sorted by name, but other kinds, and those of systems."""
    found = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    files = [file for file in found if file.suffix.lower() in SUFFIXES]
    frames: dict[str, pd.DataFrame] = {}
    parts: list[Part] = []
    for file in files:
        frame, part = _read_file(file, texts)
        if frame.empty:
            raise DataError(f"{file}: no rows")
        if recording not in frame.columns:
            frame.insert(0, recording, file.stem)
        if file.stem in frames:
            raise DataError(f"{file}: recording {file.stem!r} has a file already, {parts[-1].file}")
        frames[file.stem] = frame
        first = frames[files[0].stem].columns
        if odd := set(first) ^ set(frame.columns):
            name = min(odd)
            lacks, has = (file, files[0]) if name in first else (files[0], file)
            raise DataError(f"{lacks}: no column {name!r}, which {has} has")
        parts.append(part._replace(start=sum(map(len, frames.values())) - len(frame)))
    if not files:
        raise DataError(f"{folder}: no file in it ends in {', '.join(SUFFIXES)}")
    return pd.concat(frames.values(), ignore_index=True), parts


def _read_file(path: Path, texts: Collection[str]) -> tuple[pd.DataFrame, Part]:
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}, or a folder")
    if path.suffix.lower() == ".npz":
        frame, arrays = _read_npz(path)
        return frame, Part(str(path), arrays=arrays)
    return _read_csv(path, texts), Part(str(path), first_line=2)


def _read_csv(path: Path, texts: Collection[str]) -> pd.DataFrame:
    try:
        header, delimiter, rows = _measure_csv(path)
        _check_names(Part(str(path), first_line=2), header)  # pandas would rename the second one
        frame = pd.read_csv(
            path,
            sep=delimiter,
            names=header,
            skiprows=1,
            nrows=rows,
            index_col=False,
            encoding="utf-8-sig",
            dtype={name: str for name in header if name in texts},
            keep_default_na=False,
            na_values={name: [""] if name in texts else _MISSING for name in header},
            skipinitialspace=True,
            skip_blank_lines=False,  # so that rows and lines stay in step
            low_memory=False,
        )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not a CSV table ({str(error).strip()})") from error
    if len(frame) != rows:
        raise DataError(f"{path}: not a CSV table (read {len(frame)} rows of {rows})")
    return frame


def _measure_csv(path: Path) -> tuple[list[str], str, int]:
    """Names, delimiter and number of rows of a file whose lines all have as many cells.

    Names are without spaces around them; a column without one is called as pandas calls it.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        line = file.readline()
        heads = {mark: next(csv.reader([line], delimiter=mark), []) for mark in DELIMITERS}
        delimiter = max(heads, key=lambda mark: len(heads[mark]))
        header = [name.strip() or f"Unnamed: {i}" for i, name in enumerate(heads[delimiter])]
        if not header:
            raise DataError(f"{path}: not a CSV table (line 1 is empty)")
        rows = 0
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        for number, cells in enumerate(reader, 1):
            if reader.line_num != number:
                raise DataError(f"{path}, line {rows + 2}: a quote that this line does not close")
            if not cells:  # at the end, blank lines are no harm
                continue
            found = 0 if number > rows + 1 else len(cells)
            if found != len(header):
                raise DataError(
                    f"{path}, line {rows + 2}: {found} cells, expected {len(header)} "
                    f"(divided by {delimiter!r})"
                )
            rows = number
    return header, delimiter, rows


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read an NPZ file, which is never unpickled.

    Raises:
        DataError: naming the file and the array, if it is not one of plain arrays.
    """
    name = None
    arrays: dict[str, np.ndarray] = {}
    try:
        with np.load(path, allow_pickle=False) as stored:  # a lone array (.npy) is a TypeError
            for name in stored.files:
                arrays[name] = stored[name]
    except _NPZ_ERRORS as error:
        at = "" if name is None else f", array {name!r}"
        raise DataError(f"{path}{at}: not an NPZ file of plain arrays ({error})") from error
    return arrays


def _read_npz(path: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """The columns, and how messages call each."""
    columns: dict[str, np.ndarray] = {}
    called: dict[str, str] = {}
    arrays = read_arrays(path)
    for key, array in arrays.items():
        if array.ndim not in (1, 2):
            raise DataError(f"{path}: array {key!r} has {array.ndim} dimensions, expected 1 or 2")
        parts = {key.strip(): (array, f"array {key!r}")}
        if array.ndim == 2:
            parts = {
                f"{key.strip()}.{i}": (column, f"array {key!r}, column {i}")
                for i, column in enumerate(array.T)
            }
        for name, (column, text) in parts.items():
            if name in columns:
                raise DataError(f"{path}: {text} and {called[name]} would both be named {name!r}")
            native = column.dtype.newbyteorder("=")
            columns[name], called[name] = column.astype(native), text
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"{path}: arrays of different lengths, {lengths}")
    return pd.DataFrame(columns), called
