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
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch import Tensor

from iaca.base.files import DataError, read_json, sync_folder, write_json
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.sources.writing import write_index, write_recording

LEDGER = "extraction.json"
PATIENCE = 2.0  # seconds: a process that is just being started inherits the lock for a moment
_SCRATCH = ".scratch-"  # begins the names of folders that are removed


class StoreFolder:
    """Recordings that are made, and a place for more; see :func:`open_folder`.

    Attributes:
        path: of the folder.
        recordings: what was noted of each recording that was made.
        failed: what is wrong with each recording that could not be made.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, Any], recordings: dict[str, dict[str, Any]]
    ) -> None:
        self.path = path
        self.settings = settings
        self.recordings = recordings
        self.failed: dict[str, str] = {}
        self.lock = threading.Lock()

    def made_from(self, name: str) -> str | None:
        """The hash of the files that a recording was made from; ``None`` if it is not there."""
        there = name in self.recordings and self._file(name).is_file()
        return self.recordings[name]["inputs"] if there else None

    def is_finished(self, names: Collection[str]) -> bool:
        """Whether there is an index, and it names these recordings and no other."""
        indexed = (self.path / "index.json").is_file()
        return indexed and set(RecordingStore(self.path)) == set(names)

    def begin(self) -> None:
        """Make the folder ready to be added to: until :meth:`finish` it is no store."""
        (self.path / "index.json").unlink(missing_ok=True)
        for left in self.path.glob(f"{_SCRATCH}*"):  # by a kill; it may have filled the disk
            shutil.rmtree(left)
        for partial in self.path.glob(".*.partial"):
            partial.unlink()
        (self.path / "recordings").mkdir(exist_ok=True)
        self._note()

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder for what is needed while a recording is made."""
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=self.path) as name:
            yield Path(name)

    def add(
        self,
        recording: Recording,
        info: StoreInfo,
        inputs: str,
        problems: Sequence[str] = (),
        silent: bool = False,
    ) -> None:
        """Store a recording, in place of an older one of that name.

        Args:
            recording: with features of float16, or smaller than its largest number.
            info: of the store.
            inputs: hash of the files that it was made from.
            problems: what was passed over in them.
            silent: the video has no sound, and silence was taken.

        Raises:
            DataError: naming the row, on features that are not finite.
        """
        name = recording.name
        with self.scratch() as scratch:
            made = scratch / "recording.safetensors"
            entry = asdict(write_recording(made, recording, info))
            with made.open("rb") as file:
                os.fsync(file.fileno())
            with self.lock:
                # Killed after the file has changed, the old note would be wrong: it goes first.
                if self.recordings.pop(name, None) is not None:
                    self._note()
                made.replace(self._file(name))
                self.recordings[name] = {
                    "inputs": inputs,
                    "entry": entry,
                    "problems": list(problems),
                    "silent": silent,
                }
                self._note()

    def finish(
        self, names: Collection[str], info: StoreInfo, nulls: tuple[Tensor, Tensor]
    ) -> RecordingStore | None:
        """Write the index of some recordings, and open the store; ``None`` without recordings."""
        self._note()
        if not names:
            return None
        entries = {name: self.recordings[name]["entry"] for name in sorted(names)}
        write_index(self.path, entries, info, *nulls)
        sync_folder(self.path)
        return RecordingStore(self.path)

    def _file(self, name: str) -> Path:
        return self.path / "recordings" / f"{name}.safetensors"

    def _note(self) -> None:
        ledger = {"settings": self.settings, "recordings": self.recordings, "failed": self.failed}
        write_json(self.path / LEDGER, ledger)


@contextmanager
def open_folder(path: Path, settings: Mapping[str, Any]) -> Iterator[StoreFolder]:
    """Begin a store at ``path``, or go on with one that is there, finished or not.

    Nothing is changed before :meth:`StoreFolder.begin`. Where ``path`` is a link, the store stands
    where it points to.

    Raises:
        DataError: another process is at it; what is there has other settings, or was made by
            something else.
    """
    path = Path(os.path.realpath(path))
    ledger = path / LEDGER
    if path.exists() and not ledger.exists() and not _is_empty(path):
        raise DataError(f"{path}: exists already, and is no store made by extraction: no {LEDGER}")
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path / ".lock", timeout=PATIENCE).acquire()
    except Timeout as error:
        raise DataError(f"{path}: another process is writing this store") from error
    with lock:
        settings = json.loads(json.dumps(settings))  # as it will be read
        found: dict[str, Any] = {"settings": settings, "recordings": {}}
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


def _is_empty(path: Path) -> bool:
    """Whether a folder holds nothing but, perhaps, the lock of a process that begins."""
    return path.is_dir() and all(file.name.startswith(".") for file in path.iterdir())
