"""Atomic file writes, and names and hashes that can be trusted."""

import ast
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

BLOCK = 4096  # bytes: of a full disk less may be left
_SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class DataError(ValueError):
    """Bad input. The message names the file, the line or key, what was found and what was due."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the message says all, so where it was raised is left out."""
        return [f"{type(self).__name__}: {self}"]


class OutputError(OSError):
    """A file or folder that cannot be written; ``filename`` is what was asked for."""

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written ({self.strerror})"


def check_name(name: str, what: str = "name") -> str:
    """Return ``name`` if it can be a file's name that stays inside its folder.

    Raises:
        DataError: unless it matches ``[A-Za-z0-9._-]+`` without a leading dot.
    """
    if not isinstance(name, str) or not is_safe(name):
        raise DataError(
            f"{what} {name!r}: expected letters, digits, '.', '_' and '-' only, no leading dot"
        )
    return name


def is_safe(name: str) -> bool:
    """Whether a name matches ``[A-Za-z0-9._-]+`` without a leading dot."""
    return _SAFE_NAME.fullmatch(name) is not None


def check_one_of(what: str, value: object, choices: Iterable[object]) -> None:
    """Raise `DataError`, naming the choices, unless ``value`` is one of them."""
    choices = list(choices)
    if value not in choices:
        raise DataError(f"{what} {value!r}: expected one of {', '.join(map(str, choices))}")


def check_regular(path: Path | str) -> None:
    """Raise `DataError` unless the path is a regular file with something in it, say no device."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise DataError(f"{path}: no such file ({error.strerror})") from error
    if not stat.S_ISREG(found.st_mode):
        raise DataError(f"{path}: not a regular file")
    if found.st_size == 0:
        raise DataError(f"{path}: empty")
    if not os.access(path, os.R_OK):
        raise DataError(f"{path}: may not be read")


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """One text a value: sorted keys, no spaces. Hashes of configurations are taken of it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def short_hash(text: str) -> str:
    """Return the first 16 hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def syntax_hash(*sources: Path) -> str:
    """Hash Python sources by their syntax tree, docstrings and comments left out.

    Rewording a docstring therefore invalidates no run; changing a constant does.
    Folders are searched for ``*.py``.
    """
    parts = []
    for source in sources:
        files = sorted(source.rglob("*.py")) if source.is_dir() else [source]
        for file in files:
            parts.append(f"{source.name}/{file.name}:{_syntax(file.read_text(encoding='utf-8'))}")
    return short_hash("\n".join(parts))


@functools.lru_cache(maxsize=256)  # a grid of runs asks for the same few files at every run
def _syntax(text: str) -> str:
    tree = ast.parse(text)
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Make an `OutputError` of this path of whatever the system says within."""
    try:
        yield
    except OSError as error:
        raise OutputError(error.errno, error.strerror or str(error), str(path)) from error


def check_output(path: Path, folder: bool = False) -> None:
    """Find out before the work whether a file can be written at ``path``, or in a folder there.

    The nearest folder that is there is tried with a file that has no name.

    Raises:
        DataError: a folder stands where a file must, or the other way round.
        OutputError: the system does not allow it, or the disk is full.
    """
    place = path.absolute() if folder else path.absolute().parent
    with writing(path):
        if path.exists() and path.is_dir() != folder:
            found, expected = ("a file", "a folder") if folder else ("a folder", "a file")
            raise DataError(f"{path}: cannot be written: found {found}, expected {expected}")
        while not place.exists():
            place = place.parent
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(BLOCK))


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Write a file so that a reader sees the old one or the new one, never a half.

    Several may write it at once, on several machines: the last one's stays.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through :func:`whole_file`."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON through :func:`write_text`."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: naming the file and the line, if it is missing or malformed.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error})") from error


def sync_folder(folder: Path) -> None:
    """Make sure that a folder and everything in it has reached the disk."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def free_space(path: Path) -> int:
    """Bytes that are free on the disk where a folder is, or where it would be made."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Fill a temporary folder beside ``path`` and rename it into place when the block succeeds.

    If the block raises, or the process dies, ``path`` is what it was before. A folder that another
    process put there first, here or on another machine, is kept: the inputs were the same.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        try:
            yield partial
            sync_folder(partial)
            try:
                partial.rename(path)
            except OSError as error:  # a shared disk's folders may be seen late, so ask the error
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process is in such a block, so that work is not done twice.

    The lock is the kernel's: it is gone with the process that held it, whatever killed it. A disk
    that machines share may have no locks, or locks that the others do not see. The block then runs
    at once, so it must be safe beside another.
    """
    import fcntl  # here, because Windows lacks it

    with path.open("ab") as file:
        with suppress(OSError):  # the disk has no locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
