"""A kill at any moment loses nothing that was made, and nothing half-written counts."""

import errno
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from iaca.base.files import DataError, sha256_of
from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.extraction import folder as folders
from iaca.extraction.folder import open_folder
from iaca.sources.writing import write_recording

SETTINGS = {"features": "of tests"}
INFO = StoreInfo(3, 5, ("valence", "arousal"), (-1.0, 1.0))


def grow(path: Path, wanted: dict[str, int]) -> RecordingStore | None:
    """Make the recordings that are not there, or were made from another number."""
    with open_folder(path, SETTINGS) as folder:
        pending = [name for name in wanted if folder.made_from(name) != str(wanted[name])]
        if not pending and (store := folder.finished(wanted)):
            return store
        folder.begin()
        for name in pending:
            audio, visual = (torch.full((4, width), float(wanted[name])) for width in (3, 5))
            frames = torch.arange(4)
            made = Recording(name, name, audio, visual, torch.zeros(4, 2), frames, 25.0)
            entry = asdict(write_recording(path / ".made", made, INFO))
            folder.add(name, path / ".made", {"inputs": str(wanted[name]), "entry": entry})
        return folder.finish(wanted, INFO, (torch.zeros(3), torch.zeros(5)))


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from test_folder import grow

place, wanted = Path(sys.argv[1]), eval(sys.argv[2])
CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def die_before(last):
    seen = 0

    def look(event, arguments):
        nonlocal seen
        if event in CHANGES and (event != "open" or arguments[1] in ("w", "wb", "ab")):
            seen += 1
            if seen == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


for last in range(1, 200):
    copy = place / f"{last:03d}"
    shutil.copytree(place / "begun", copy)
    child = os.fork()
    if child == 0:
        die_before(last)
        grow(copy / "store", wanted)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
else:
    sys.exit("killed at every try: it has more changes than were tried")
"""


def test_a_kill_before_any_change_on_the_disk_loses_nothing(tmp_path: Path):
    """A finished store is added to: of its recordings one is kept, one changed, one dropped."""
    before, after = {"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 2, "d": 4}
    (tmp_path / "begun").mkdir()
    grow(tmp_path / "begun" / "store", before)
    expected = grow(tmp_path / "expected", after)
    assert expected is not None
    environment = {"PYTHONPATH": ":".join([*sys.path, str(Path(__file__).parent)])}
    command = [sys.executable, "-c", KILLED, str(tmp_path), repr(after)]
    subprocess.run(command, env=environment, check=True)
    places = sorted(tmp_path.glob("[0-9]*"))
    assert len(places) > 10
    unfinished = 0
    for path in (place / "store" for place in places):
        if (path / "index.json").exists():
            store = RecordingStore(path)
            store.verify()
            assert set(store) in (set(before), set(after))
        else:
            unfinished += 1
        with open_folder(path, SETTINGS) as folder:
            for name in ("a", "c"):  # it may be all there is: its files may be gone
                assert folder.made_from(name) == "1"
            for name in {*before, *after}:  # what is noted is what is there
                if folder.made_from(name) is not None:
                    found = sha256_of(path / "recordings" / f"{name}.safetensors")
                    assert folder.recordings[name]["entry"]["sha256"] == found
        grown = grow(path, after)
        assert grown is not None and grown.key == expected.key
        grown.verify()
        left = {file.name for file in path.iterdir()} - {".lock", ".made"}
        assert left == {"recordings", "extraction.json", "index.json", "null.safetensors"}
    assert unfinished > 5


def test_what_a_kill_has_left_is_gone_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may be what fills the disk."""
    left = tmp_path / "store" / ".scratch-of-before" / "sound"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"gigabytes")

    def full(*_) -> None:
        assert not left.exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folders, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        grow(tmp_path / "store", {"a": 1})


def test_a_recording_that_is_not_wanted_leaves_the_index_and_can_come_back(tmp_path: Path):
    whole = grow(tmp_path, {"a": 1, "b": 2})
    fewer = grow(tmp_path, {"a": 1})
    assert fewer is not None and list(fewer) == ["a"]
    file = tmp_path / "recordings" / "b.safetensors"
    time = file.stat().st_mtime_ns
    back = grow(tmp_path, {"a": 1, "b": 2})
    assert whole is not None and back is not None and back.key == whole.key
    assert file.stat().st_mtime_ns == time
    assert grow(tmp_path, {}) is None
    with pytest.raises(DataError, match=r"index\.json: no such file"):
        RecordingStore(tmp_path)


def test_a_link_stays_and_the_store_stands_where_it_points(tmp_path: Path):
    """To an empty folder, and then to the store itself; to a place where nothing is yet."""
    (tmp_path / "large disk" / "there").mkdir(parents=True)
    (tmp_path / "one").symlink_to(tmp_path / "large disk" / "there")
    (tmp_path / "other").symlink_to(tmp_path / "large disk" / "elsewhere")
    for link in (tmp_path / "one", tmp_path / "other"):
        for wanted in ({"a": 1}, {"a": 1, "b": 2}):
            grown = grow(link, wanted)
            assert grown is not None and set(grown) == set(wanted)
        assert link.is_symlink()


def test_what_extraction_has_not_made_is_refused_and_kept(tmp_path: Path):
    (tmp_path / "file").touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.json").touch()
    for name, complaint in (
        ("file", "cannot be written: found a file"),
        ("other", "exists already, and is no"),
    ):
        with pytest.raises(DataError, match=rf"{name}: {complaint}"):
            grow(tmp_path / name, {"a": 1})
    assert [file.name for file in (tmp_path / "other").iterdir()] == ["index.json"]


def test_two_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folders, "PATIENCE", 0.1)
    with (
        open_folder(tmp_path / "store", SETTINGS),
        pytest.raises(DataError, match=r"store: another process is writing this store"),
        open_folder(tmp_path / "store", SETTINGS),
    ):
        pass
