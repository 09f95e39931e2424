"""The folder that an extraction fills, recording by recording; it survives a kill.

::

    extraction.json                 what the features depend on, and which recordings were made:
                                    of each the hash of its files, and what the index says of it
    recordings/<name>.safetensors   whole, or absent
    null.safetensors, index.json    written last, and absent while recordings are made

Recordings that the index does not name, say because their files are bad now, keep their features
here. Once their files are again what they were, nothing is decoded.
"""

import json
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from iaca.base.files import (
    DataError,
    check_output,
    read_json,
    sync_folder,
    write_json,
    writing,
)
from iaca.data.recordings import RecordingStore, StoreInfo
from iaca.sources.writing import write_index

LEDGER = "extraction.json"
SCRATCH = ".scratch-"  # begins the names of folders that nobody needs after a kill
PATIENCE = 2.0  # seconds: a process that is just being started inherits the lock for a moment


class StoreFolder:
    """Recordings that are made, and a place for more; see :func:`open_folder`.

    Attributes:
        path: of the folder.
        recordings: by name: ``inputs``, the hash of the files that it was made from; ``entry``,
            what the index says of it; and what else was noted.
        failed: what is wrong with each recording that could not be made.
    """

    def __init__(self, path: Path, settings: Any, recordings: dict[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.recordings = recordings
        self.failed: dict[str, str] = {}
        self.lock = threading.Lock()

    def made_from(self, name: str) -> str | None:
        """The hash of the files that a recording was made from; ``None`` if it is not there."""
        there = name in self.recordings and self._file(name).is_file()
        return self.recordings[name]["inputs"] if there else None

    def finished(self, names: Collection[str]) -> RecordingStore | None:
        """The store, if there is an index that names these recordings and no other."""
        store = RecordingStore(self.path) if (self.path / "index.json").is_file() else None
        return store if store is not None and set(store) == set(names) else None

    def begin(self) -> None:
        """Make the folder ready to be added to: until :meth:`finish` it is no store."""
        (self.path / "index.json").unlink(missing_ok=True)
        for left in self.path.glob(f"{SCRATCH}*"):  # by a kill; it may have filled the disk
            shutil.rmtree(left)
        for partial in self.path.glob(".*.partial"):
            partial.unlink()
        self._write()  # first: it says that the folder is one of ours
        (self.path / "recordings").mkdir(exist_ok=True)

    def add(self, name: str, made: Path, facts: Mapping[str, Any]) -> None:
        """Take in a recording's file, made on the same disk, in place of an older one."""
        with made.open("rb") as file:
            os.fsync(file.fileno())
        with self.lock:
            # Killed after the file has changed, the old facts would be wrong: they go first.
            if self.recordings.pop(name, None) is not None:
                self._write()
            made.replace(self._file(name))
            self.recordings[name] = dict(facts)
            self._write()

    def finish(
        self, names: Collection[str], info: StoreInfo, nulls: tuple[Tensor, Tensor]
    ) -> RecordingStore | None:
        """Write the index of some recordings, and open the store; ``None`` without recordings."""
        self._write()
        if not names:
            return None
        entries = {name: self.recordings[name]["entry"] for name in sorted(names)}
        write_index(self.path, entries, info, *nulls)
        sync_folder(self.path)
        return RecordingStore(self.path)

    def _file(self, name: str) -> Path:
        return self.path / "recordings" / f"{name}.safetensors"

    def _write(self) -> None:
        ledger = {"settings": self.settings, "recordings": self.recordings, "failed": self.failed}
        write_json(self.path / LEDGER, ledger)


@contextmanager
def open_folder(path: Path, settings: Mapping[str, Any]) -> Iterator[StoreFolder]:
    """Begin a store at ``path``, or go on with one that is there, finished or not.

    Nothing is changed before :meth:`StoreFolder.begin`. Where ``path`` is a link, the store stands
    where it points to.

    Raises:
        DataError: another process is at it; what is there is no extraction with these settings.
    """
    path = Path(os.path.realpath(path))
    ledger = path / LEDGER
    check_output(path, folder=True)
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
    # A process that has just begun has its lock there, whose name begins with a dot.
    if not ledger.exists() and not all(file.name.startswith(".") for file in path.iterdir()):
        raise DataError(f"{path}: exists already, and is no store made by extraction")
    try:
        lock = FileLock(path / ".lock", timeout=PATIENCE).acquire()
    except Timeout as error:
        raise DataError(f"{path}: another process is writing this store") from error
    with lock:
        settings = json.loads(json.dumps(settings))  # as it will be read
        found: Any = {"settings": settings, "recordings": {}}
        if ledger.exists():
            found = read_json(ledger)
        for key in sorted({*found["settings"], *settings}):
            before, now = (each.get(key) for each in (found["settings"], settings))
            if before != now:
                raise DataError(
                    f"{ledger}: key {key!r}: was made with {before!r}, now asked for {now!r}; "
                    "name another store, or remove this one"
                )
        yield StoreFolder(path, settings, found["recordings"])
