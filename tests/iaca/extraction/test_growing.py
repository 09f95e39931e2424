"""Recordings put together on disk are what safetensors would have written; kills lose nothing."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from iaca.base.files import DataError, sha256_of
from iaca.data.recordings import RecordingStore, StoreInfo
from iaca.extraction import growing
from iaca.extraction.growing import GrowingStore, RowWriter, growing_store

SETTINGS = {"features": "of tests"}


def test_the_file_is_the_one_that_safetensors_writes(tmp_path: Path):
    generator = torch.Generator().manual_seed(0)
    audio, visual = (torch.randn(11, width, generator=generator) for width in (3, 5))
    labels = np.arange(22, dtype=np.float32).reshape(11, 2)
    labels[4] = np.nan
    writer = RowWriter(tmp_path, "one")
    for start in (0, 4, 8):
        writer.append(audio=audio[start : start + 4], visual=visual[start : start + 4])
    made = writer.finish(labels, np.arange(7, 95, 8))
    whole = {
        "audio": audio.half(),
        "visual": visual.half(),
        "labels": torch.from_numpy(labels),
        "end_frame": torch.arange(7, 95, 8),
    }
    save_file(whole, tmp_path / "whole")
    found, expected = load_file(made), load_file(tmp_path / "whole")
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype
        np.testing.assert_array_equal(found[key].numpy(), value.numpy())
    assert made.stat().st_size == (tmp_path / "whole").stat().st_size


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70_000.0])
def test_features_that_float16_cannot_hold_name_the_row(tmp_path: Path, value: float):
    writer = RowWriter(tmp_path, "one")
    writer.append(audio=torch.zeros(3, 2), visual=torch.zeros(3, 2))
    bad = torch.zeros(3, 2)
    bad[1, 1] = value
    with pytest.raises(DataError, match=r"recording 'one', row 4: visual features are not finite"):
        writer.append(audio=torch.zeros(3, 2), visual=bad)


def test_an_empty_folder_in_the_stores_place_is_taken(tmp_path: Path):
    (tmp_path / "store").mkdir()
    with growing_store(tmp_path / "store", SETTINGS) as store:
        store.open_for_more()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [".store.growing"]
    grown = grow(tmp_path / "store", {"a": 1})
    assert grown is not None and list(grown) == ["a"]


def test_what_a_killed_extractions_decoder_still_writes_reaches_nobody(tmp_path: Path):
    """It outlives its parent for a moment, and may open its file only then."""
    path, settings = tmp_path / "store", SETTINGS
    with growing_store(path, settings) as killed:
        killed.open_for_more()
        late = killed.scratch("one") / "sound"
    with growing_store(path, settings) as store:
        store.open_for_more()
        mine = store.scratch("one") / "sound"
        mine.write_bytes(b"mine")
        with pytest.raises(FileNotFoundError):
            late.write_bytes(b"late")
        assert mine.read_bytes() == b"mine"


def test_a_link_to_a_folder_stays_and_the_store_stands_where_it_points(tmp_path: Path):
    """To an empty folder, and then to the store itself; to a place where nothing is yet."""
    (tmp_path / "large disk" / "there").mkdir(parents=True)
    (tmp_path / "one").symlink_to(tmp_path / "large disk" / "there")
    (tmp_path / "other").symlink_to(tmp_path / "large disk" / "elsewhere")
    for link in (tmp_path / "one", tmp_path / "other"):
        for wanted in ({"a": 1}, {"a": 1, "b": 2}, {"a": 1, "b": 2}):
            grown = grow(link, wanted)
            assert grown is not None and set(grown) == set(wanted)
        RecordingStore(link).verify()
        assert link.is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"large disk", "one", "other"}


def test_a_file_in_the_stores_place_is_refused(tmp_path: Path):
    (tmp_path / "store").touch()
    with pytest.raises(DataError, match=r"store: exists already, and is no store made by"):
        grow(tmp_path / "store", {"a": 1})


def test_a_mount_point_is_refused_before_any_work(tmp_path: Path):
    if not os.path.ismount("/proc"):
        pytest.skip("no mount point that is known")
    (tmp_path / "link").symlink_to("/proc")
    for path in (Path("/proc"), tmp_path / "link"):
        with pytest.raises(DataError, match=r"^/proc: is a mount point, .*: name a folder in it$"):
            grow(path, {"a": 1})


def test_a_folder_that_cannot_give_way_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As one that another is bound to: `ismount` sees no such mount on the same disk."""
    (tmp_path / "store").mkdir()

    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy", str(path))

    monkeypatch.setattr(Path, "rmdir", busy)
    with growing_store(tmp_path / "store", {}) as store:
        with pytest.raises(DataError, match=r"store: the finished .* \(Device or resource busy\)"):
            store.open_for_more()
        assert not (tmp_path / ".store.growing").exists()


def test_a_finished_store_beside_an_unfinished_one_is_refused(tmp_path: Path):
    grow(tmp_path / "store", {"a": 1})
    shutil.copytree(tmp_path / "store", tmp_path / ".store.growing")
    for wanted in ({"a": 1}, {"a": 1, "b": 2}):
        with pytest.raises(DataError, match=r"store: a finished .* \S+\.store\.growing holds"):
            grow(tmp_path / "store", wanted)
    shutil.rmtree(tmp_path / ".store.growing")
    grown = grow(tmp_path / "store", {"a": 1, "b": 2})
    assert grown is not None and list(grown) == ["a", "b"]


def test_what_a_kill_has_left_is_gone_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """It may be what fills the disk."""
    with growing_store(tmp_path / "store", {}) as killed:
        killed.open_for_more()
        left = killed.scratch("one") / "sound"
        left.write_bytes(b"gigabytes")

    def full(*_) -> None:
        assert not left.exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(growing, "write_json", full)
    with (
        growing_store(tmp_path / "store", {}) as store,
        pytest.raises(OSError, match="No space left"),
    ):
        store.open_for_more()


def test_what_is_set_aside_is_out_of_the_index_until_it_is_taken_back_or_made_again(
    tmp_path: Path,
):
    whole = grow(tmp_path / "store", {"a": 1, "b": 2})
    assert whole is not None

    def change(step: Callable[[GrowingStore], None]) -> RecordingStore | None:
        with growing_store(tmp_path / "store", SETTINGS) as store:
            store.open_for_more()
            step(store)
            return store.finish(INFO, (torch.zeros(3), torch.zeros(5)))

    fewer = change(lambda store: store.set_aside("b"))
    assert fewer is not None and list(fewer) == ["a"]
    with growing_store(tmp_path / "store", SETTINGS) as store:
        assert [store.is_aside(name) for name in ("a", "b", "c")] == [False, True, False]
        assert store.made_from("b") == {"number": 2}
    back = change(lambda store: store.take_back("b"))
    assert back is not None and back.key == whole.key
    change(lambda store: store.set_aside("b"))
    again = grow(tmp_path / "store", {"a": 1, "b": 3})
    assert again is not None and again["b"].audio[0, 0] == 3
    assert [*(tmp_path / "store" / "aside").iterdir()] == []


# --- a kill at any point -------------------------------------------------------------------

INFO = StoreInfo(3, 5, ("valence", "arousal"), (-1.0, 1.0))


def grow(path: Path, wanted: dict[str, int]) -> RecordingStore | None:
    """Make the recordings that are not there, or were made from another number."""
    with growing_store(path, SETTINGS) as store:
        pending = [name for name in wanted if store.made_from(name) != {"number": wanted[name]}]
        if store.is_finished and not pending:
            return RecordingStore(path)
        store.open_for_more()
        for name in pending:
            writer = RowWriter(store.scratch(name), name)
            value = float(wanted[name])
            writer.append(audio=torch.full((4, 3), value), visual=torch.full((4, 5), -value))
            made = writer.finish(np.zeros((4, 2), dtype=np.float32), np.arange(4))
            entry = {"subject": name, "rows": 4, "frame_rate": 25.0, "split": None}
            store.add(name, made, entry, {"number": wanted[name]})
        return store.finish(INFO, (torch.zeros(3), torch.zeros(5)))


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from test_growing import grow

folder, wanted = Path(sys.argv[1]), eval(sys.argv[2])
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
    place = folder / f"{last:03d}"
    shutil.copytree(folder / "begun", place)
    child = os.fork()
    if child == 0:
        die_before(last)
        grow(place / "store", wanted)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
else:
    sys.exit("killed at every try: it has more changes than were tried")
"""


@pytest.mark.parametrize("before", [{}, {"a": 1}, {"a": 2, "b": 2}, {"a": 1, "b": 2, "c": 3}])
def test_a_kill_before_any_change_on_the_disk_loses_nothing(tmp_path: Path, before: dict[str, int]):
    """From nothing, or with a finished store at hand that is opened for more."""
    after = {"a": 1, "b": 2, "d": 4}
    (tmp_path / "begun").mkdir()
    if before:
        grow(tmp_path / "begun" / "store", before)
    expected = grow(tmp_path / "expected", {**before, **after})
    assert expected is not None
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = {"PYTHONPATH": ":".join([*sys.path, str(Path(__file__).parent)])}
    subprocess.run(
        [sys.executable, str(script), str(tmp_path), repr(after)], env=environment, check=True
    )
    places = sorted(tmp_path.glob("[0-9]*"))
    assert len(places) > 20
    found = set()
    for place in places:
        there = (place / "store").exists()
        if there:
            store = RecordingStore(place / "store")
            store.verify()
            assert set(store) in (set(before), set(expected))
        found.add((there, (place / ".store.growing").exists()))
        with growing_store(place / "store", SETTINGS) as opened:
            opened.open_for_more()
            for name in before:  # it may be all there is: its files may be gone
                facts = opened.facts(name)
                assert facts is not None
                assert facts["inputs"]["number"] in (before[name], after.get(name))
                assert facts["entry"]["sha256"] == sha256_of(opened.file(name))
        store = grow(place / "store", after)
        assert store is not None
        store.verify()
        assert store.key == expected.key
        assert not (place / ".store.growing").exists()
        left = {file.name for file in (place / "store").iterdir()}
        assert left == {"recordings", "done", "settings.json", "index.json", "null.safetensors"}
        assert len([*(place / "store" / "done").iterdir()]) == len(store)
    assert {(False, True), (True, False)} <= found, "killed on the way, and at the end"
