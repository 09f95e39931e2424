"""A recording store that grows recording by recording, in a folder that survives a kill.

While it grows, ``.<name>.growing/`` beside the store's place holds::

    settings.json                    what the features depend on; another choice is refused
    recordings/<name>.safetensors    whole, or absent
    done/<name>.json                 its entry in the index, and what it was made from
    aside/<name>.json                the same of one that the index must not name now

A file that is about to take an older one's place stands beside it, and ends in ``.new``.

The last step writes the index and renames the folder. The others stay in the finished store, so
that recordings that failed can be added later, and one that was set aside can be taken back.
"""

import json
import os
import secrets
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from iaca.base.files import DataError, read_json, sha256_of, sync_folder, write_json
from iaca.data.recordings import Entry, RecordingStore, StoreInfo
from iaca.sources.writing import write_index

# A decoder that is just being started inherits the lock for a moment, and may outlive its parent.
PATIENCE = 2.0  # seconds
_NEW = ".safetensors.new"  # ends the name of a file that is about to take an older one's place
_TYPES = {"int64": "I64", "float32": "F32", "float16": "F16"}  # safetensors' names


class GrowingStore:
    """Recordings that are done, and a place for more; made by :func:`growing_store`."""

    def __init__(self, folder: Path, path: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.path = path
        self.settings = settings
        # A killed extraction's decoder may outlive it for a moment: it must not write over the
        # sound that is being decoded anew.
        self.attempt = secrets.token_hex(4)

    @property
    def is_finished(self) -> bool:
        """Whether the store stands in its place already, with its index."""
        return self.folder == self.path

    def open_for_more(self) -> None:
        """Make the folder ready to be added to; a finished store is taken from its place.

        Raises:
            DataError: an empty folder stands in the store's place and cannot be removed.
        """
        if self.is_finished:
            self.folder = self.folder.rename(_growing(self.path))
            (self.folder / "index.json").unlink(missing_ok=True)
        else:
            _clear_place(self.path)
        # What a kill has left goes before anything is written: it may have filled the disk.
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        for file in self.folder.rglob(".*.partial"):
            file.unlink()
        write_json(self.folder / "settings.json", self.settings)  # first: nothing is without
        for name in ("recordings", "done"):
            (self.folder / name).mkdir(exist_ok=True)
        self._complete_adding()

    def facts(self, name: str) -> dict[str, Any] | None:
        """What :meth:`add` was told of a recording, also of one set aside; ``None`` if absent."""
        if not self.file(name).is_file():
            return None
        return next(
            (read_json(file) for file in (self._done(name), self._aside(name)) if file.is_file()),
            None,
        )

    def made_from(self, name: str) -> Any:
        """What a recording was made from, see :meth:`add`; ``None`` if it is not there."""
        facts = self.facts(name)
        return None if facts is None else facts["inputs"]

    def is_aside(self, name: str) -> bool:
        """Whether a recording is there, but the index does not name it."""
        return self._aside(name).is_file() and not self._done(name).is_file()

    def set_aside(self, name: str) -> None:
        """Keep a recording's files, but out of the index; does nothing if it is not in it."""
        if self._done(name).is_file():
            self._aside(name).parent.mkdir(exist_ok=True)
            self._done(name).replace(self._aside(name))

    def take_back(self, name: str) -> None:
        """Let the index name a recording again that was set aside."""
        self._aside(name).replace(self._done(name))

    def file(self, name: str) -> Path:
        """Where a recording's arrays are."""
        return self.folder / "recordings" / f"{name}.safetensors"

    def scratch(self, name: str) -> Path:
        """A folder for what is needed while a recording is being made; emptied at the next try."""
        folder = self._scratch(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def add(
        self,
        name: str,
        made: Path,
        entry: Mapping[str, Any],
        inputs: Mapping[str, Any],
        problems: Sequence[str] = (),
        silent: bool = False,
        frames: int | None = None,
    ) -> None:
        """Take a finished file in, in place of an older one.

        Args:
            name: the recording's.
            made: its arrays.
            entry: the fields of its `Entry` without the checksum.
            inputs: what it was made from, as JSON: :meth:`made_from` gives it again.
            problems: what was passed over in it.
            silent: its video has no sound, and silence was taken.
            frames: of its video.
        """
        complete = Entry(**entry, sha256=sha256_of(made))
        facts = {
            "inputs": dict(inputs),
            "problems": list(problems),
            "silent": silent,
            "frames": frames,
        }
        # Two files cannot be replaced at once: a kill in between is mended by `_complete_adding`.
        made.replace(self._new(name))
        write_json(self._done(name), {"entry": asdict(complete), **facts})
        self._new(name).replace(self.file(name))
        self._aside(name).unlink(missing_ok=True)
        self.clear(name)

    def clear(self, name: str) -> None:
        """Remove what was needed while a recording was made."""
        shutil.rmtree(self._scratch(name), ignore_errors=True)

    def done(self) -> dict[str, Any]:
        """What :meth:`add` was told of each recording that the index is to name."""
        return {file.stem: read_json(file) for file in sorted(self.folder.glob("done/*.json"))}

    def problems(self) -> dict[str, tuple[str, ...]]:
        """What was passed over, by recording, where anything was."""
        found = {name: tuple(done["problems"]) for name, done in self.done().items()}
        return {name: texts for name, texts in found.items() if texts}

    def finish(self, info: StoreInfo, nulls: tuple[Tensor, Tensor]) -> RecordingStore | None:
        """Write the index, rename the folder, and open the store; ``None`` without recordings."""
        entries = {name: done["entry"] for name, done in self.done().items()}
        if not entries:
            return None
        shutil.rmtree(self.folder / "scratch", ignore_errors=True)
        write_index(self.folder, entries, info, *nulls)
        sync_folder(self.folder)
        self.folder = self.folder.rename(self.path)
        return RecordingStore(self.path)

    def _complete_adding(self) -> None:
        """Put files in place that a kill has left beside it; drop those that nothing describes."""
        for new in sorted(self.folder.glob(f"recordings/*{_NEW}")):
            name = new.name.removesuffix(_NEW)
            done = self._done(name)
            if done.is_file() and read_json(done)["entry"]["sha256"] == sha256_of(new):
                new.replace(self.file(name))
            else:
                new.unlink()

    def _new(self, name: str) -> Path:
        return self.folder / "recordings" / f"{name}{_NEW}"

    def _done(self, name: str) -> Path:
        return self.folder / "done" / f"{name}.json"

    def _aside(self, name: str) -> Path:
        return self.folder / "aside" / f"{name}.json"

    def _scratch(self, name: str) -> Path:
        return self.folder / "scratch" / self.attempt / name


@contextmanager
def growing_store(path: Path, settings: Mapping[str, Any]) -> Iterator[GrowingStore]:
    """Begin a store at ``path``, or go on with one that an earlier call left unfinished.

    A finished store with the same settings can be taken up again, to add to it. Nothing is
    written before :meth:`GrowingStore.open_for_more`. Where ``path`` is a link, the store stands
    where it points to.

    Raises:
        DataError: another process is at it; what is there has other settings, or was made by
            something else; a finished and an unfinished store side by side; a mount point, which
            no folder can be renamed to.
    """
    path = Path(os.path.realpath(path))
    if os.path.ismount(path):
        raise DataError(
            f"{path}: is a mount point, and a finished store is renamed into its place: name a "
            "folder in it"
        )
    folder = _growing(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path.with_name(f".{path.name}.lock"), timeout=PATIENCE).acquire()
    except Timeout as error:
        raise DataError(f"{path}: another process is writing this store") from error
    with lock:
        settings = json.loads(json.dumps(settings))  # as it will be read
        for there in (path, folder):
            if (there / "settings.json").exists():
                _check_settings(there / "settings.json", settings)
            elif there == path and path.exists() and not _is_empty(path):
                raise DataError(f"{path}: exists already, and is no store made by extraction")
        finished = (path / "settings.json").exists()  # an empty folder may stand in its place
        if finished and folder.exists():
            raise DataError(
                f"{path}: a finished store, but {folder} holds an unfinished one of the same name: "
                "move one of the two away, and give the command again"
            )
        yield GrowingStore(path if finished else folder, path, settings)


def _growing(path: Path) -> Path:
    return path.with_name(f".{path.name}.growing")


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _clear_place(path: Path) -> None:
    """Remove an empty folder now: what keeps it in place would also stop the last step."""
    try:
        if path.exists():
            path.rmdir()
    except OSError as error:
        raise DataError(
            f"{path}: the finished store cannot take this folder's place ({error.strerror}): name "
            "another folder"
        ) from error


def _check_settings(file: Path, settings: Mapping[str, Any]) -> None:
    found = read_json(file)
    for key in sorted({*found, *settings}):
        if found.get(key) != settings.get(key):
            raise DataError(
                f"{file}: key {key!r}: was made with {found.get(key)!r}, now asked for "
                f"{settings.get(key)!r}; name another store, or remove this one"
            )


class RowWriter:
    """Collects a recording's rows on disk, so that memory does not grow with its length."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.rows = 0
        self.widths: dict[str, int] = {}

    def append(self, **features: Tensor) -> None:
        """Add rows ``(n, d)`` of each modality, stored as float16.

        Raises:
            DataError: naming the row, on a value that is not finite in float16.
        """
        for modality, values in features.items():
            stored = values.to(torch.float16).cpu()
            bad = (~torch.isfinite(stored)).any(dim=1).nonzero()
            if len(bad):
                raise DataError(
                    f"recording {self.name!r}, row {self.rows + int(bad[0])}: {modality} features "
                    "are not finite in float16"
                )
            self.widths[modality] = stored.shape[1]
            with self._part(modality).open("ab") as file:
                file.write(stored.contiguous().numpy().tobytes())
        self.rows += len(stored)

    def finish(self, labels: np.ndarray, end_frame: np.ndarray) -> Path:
        """Put the parts together as one safetensors file, copying piece by piece."""
        small: dict[str, np.ndarray] = {
            "end_frame": end_frame.astype(np.int64),
            "labels": labels.astype(np.float32),
        }
        header: dict[str, Any] = {}
        offset = 0
        shapes: list[tuple[str, str, tuple[int, ...]]]
        shapes = [(key, str(value.dtype), value.shape) for key, value in small.items()]
        shapes += [(key, "float16", (self.rows, self.widths[key])) for key in sorted(self.widths)]
        for key, dtype, shape in shapes:
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            header[key] = {
                "dtype": _TYPES[dtype],
                "shape": list(shape),
                "data_offsets": [offset, offset + size],
            }
            offset += size
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)  # the format wants the data aligned
        target = self.folder / "recording.safetensors"
        with target.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for array in small.values():
                file.write(np.ascontiguousarray(array).tobytes())
            for modality in sorted(self.widths):
                with self._part(modality).open("rb") as part:
                    shutil.copyfileobj(part, file)
            file.flush()
            os.fsync(file.fileno())
        return target

    def _part(self, modality: str) -> Path:
        return self.folder / f"{modality}.f16"
