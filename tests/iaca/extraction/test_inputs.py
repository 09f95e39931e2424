"""When a recording's files count as changed, and when a copy of them counts as the same."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from iaca.extraction.affwild2 import Source
from iaca.extraction.inputs import BLOCK, SAMPLES, fingerprint, unreadable

MEGABYTE = 1 << 20


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Files of random bytes: a video of 600 kB, an annotation of 300 kB, five crops."""
    bytes_of = np.random.default_rng(0).bytes
    folder = tmp_path / "data"
    (folder / "crops").mkdir(parents=True)
    (folder / "v.mp4").write_bytes(bytes_of(600_000))
    (folder / "v.txt").write_bytes(bytes_of(300_000))
    for number in range(1, 6):
        (folder / "crops" / f"{number:05d}.jpg").write_bytes(bytes_of(1000))
    return at(folder)


def at(folder: Path) -> Source:
    return Source("v", "v", folder / "v.mp4", folder / "crops", folder / "v.txt", "train")


def flip(file: Path, position: int) -> None:
    """Change one byte and leave the file's time as it was."""
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def changed(before: dict, after: dict) -> list[str]:
    """Names of the files, or ``part``, in which two fingerprints differ."""
    return [
        f"{group} {key}"
        for group, contents in before.items()
        for key in contents
        if contents[key] != after[group][key]
    ]


def test_a_copy_is_the_same_whatever_its_times_are(source: Source, tmp_path: Path):
    kept = at(Path(shutil.copytree(tmp_path / "data", tmp_path / "kept")))
    assert fingerprint(kept) == fingerprint(source)
    for number, file in enumerate(sorted((tmp_path / "kept").rglob("*"))):
        os.utime(file, ns=(number, number))
    (tmp_path / "kept" / "crops" / "._00001.jpg").write_bytes(b"an archiver's")
    assert fingerprint(kept) == fingerprint(source)


@pytest.mark.parametrize("file", ["v.mp4", "v.txt"])
@pytest.mark.parametrize("position", [0, 70_001, 150_000, 299_999, -1])
def test_any_byte_of_a_small_video_or_an_annotation_counts(
    source: Source, tmp_path: Path, file: str, position: int
):
    before = fingerprint(source)
    flip(tmp_path / "data" / file, position)
    after = fingerprint(source)
    assert changed(before, after) == ["media video" if file == "v.mp4" else "labels annotation"]


def test_of_a_long_video_size_and_blocks_from_end_to_end_count(source: Source):
    with source.video.open("wb") as file:
        file.truncate(200 * MEGABYTE)  # sparse: it takes no room
    before = fingerprint(source)
    for position in (0, BLOCK - 1, 200 * MEGABYTE - BLOCK, 200 * MEGABYTE - 1):
        with source.video.open("r+b") as file:
            file.seek(position)
            file.write(b"x")
        assert fingerprint(source) != before
        with source.video.open("r+b") as file:
            file.seek(position)
            file.write(b"\0")
        assert fingerprint(source) == before
    # A hole in its middle, as a broken-off download in several parts leaves it.
    with source.video.open("r+b") as file:
        file.seek(90 * MEGABYTE)
        file.write(b"x" * 20 * MEGABYTE)
    assert fingerprint(source) != before
    with source.video.open("wb") as file:
        file.truncate(200 * MEGABYTE + 1)
    assert fingerprint(source) != before


def mend(crops: Path) -> None:
    file = crops / "00002.jpg"
    file.write_bytes(file.read_bytes() + b"more")


def mend_to_the_same_size(crops: Path) -> None:
    flip(crops / "00002.jpg", 500)  # of few crops each is read


def add(crops: Path) -> None:
    shutil.copy2(crops / "00001.jpg", crops / "00009.jpg")


def remove(crops: Path) -> None:
    (crops / "00002.jpg").unlink()


def rename(crops: Path) -> None:
    (crops / "00002.jpg").rename(crops / "00007.jpg")


@pytest.mark.parametrize("change", [mend, mend_to_the_same_size, add, remove, rename])
def test_a_crop_mended_in_place_added_removed_or_renamed_counts(
    source: Source, change: Callable[[Path], None]
):
    before = fingerprint(source)
    assert source.crops is not None
    change(source.crops)
    assert changed(before, fingerprint(source)) == ["media crops"]


def test_of_many_crops_all_sizes_and_the_bytes_of_some_from_end_to_end_count(source: Source):
    assert source.crops is not None
    crops = [source.crops / f"{number:05d}.jpg" for number in range(1, 101)]
    for crop in crops:
        crop.write_bytes(b"a crop")
    before = fingerprint(source)
    noticed = []
    for position, crop in enumerate(crops):
        crop.write_bytes(b"a CROP")
        noticed += [position] if fingerprint(source) != before else []
        crop.write_bytes(b"a longer crop")
        assert fingerprint(source) != before
        crop.write_bytes(b"a crop")
    assert len(noticed) == SAMPLES
    assert (noticed[0], noticed[-1]) == (0, 99)
    assert max(np.diff(noticed)) <= 7  # 99 / 15, rounded up
    assert fingerprint(source) == before


def test_another_part_is_another_label(source: Source):
    after = fingerprint(source._replace(split="report"))
    assert changed(fingerprint(source), after) == ["labels part"]


def test_what_cannot_be_read_is_nothing_and_is_named(source: Source, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")  # reading from it would never end
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "no crops").mkdir()
    assert unreadable(source, fingerprint(source)) == ()
    for video in ("pipe.mp4", "empty.mp4", "absent.mp4", "."):
        here = source._replace(video=tmp_path / video)
        found = fingerprint(here)
        assert found["media"]["video"] is None and found["labels"]["annotation"] is not None
        assert unreadable(here, found) == ("video",)
    for crops in ("absent", "no crops", "data/v.txt"):
        here = source._replace(crops=tmp_path / crops, annotation=None)
        found = fingerprint(here)
        assert found["media"]["crops"] is found["labels"]["annotation"] is None
        assert unreadable(here, found) == ("crops",)  # it should have no annotation
    here = source._replace(annotation=tmp_path / "absent")
    assert unreadable(here, fingerprint(here)) == ("annotation",)
