"""When a recording's files count as changed, and when a copy of them counts as the same."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from iaca.data.affwild2 import Source
from iaca.extraction.inputs import BLOCK, fingerprint

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


def test_a_copy_is_the_same_unless_its_crops_have_other_times(source: Source, tmp_path: Path):
    kept = at(Path(shutil.copytree(tmp_path / "data", tmp_path / "kept")))
    assert fingerprint(kept) == fingerprint(source)
    for file in (kept.video, kept.annotation):
        assert file is not None
        os.utime(file, ns=(1, 1))
    assert fingerprint(kept) == fingerprint(source)
    newer = (tmp_path / "kept" / "crops" / "00003.jpg").stat().st_mtime_ns + 10**9
    os.utime(tmp_path / "kept" / "crops" / "00003.jpg", ns=(newer, newer))
    assert fingerprint(kept) != fingerprint(source)


@pytest.mark.parametrize("file", ["v.mp4", "v.txt"])
@pytest.mark.parametrize("position", [0, 70_001, 150_000, 299_999, -1])
def test_any_byte_of_a_small_video_or_an_annotation_counts(
    source: Source, tmp_path: Path, file: str, position: int
):
    before = fingerprint(source)
    flip(tmp_path / "data" / file, position)
    after = fingerprint(source)
    assert [key for key in before if before[key] != after[key]] == [
        "video" if file == "v.mp4" else "annotation"
    ]


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
    file.write_bytes(file.read_bytes()[::-1])  # of the same size
    later = file.stat().st_mtime_ns + 10**9
    os.utime(file, ns=(later, later))


def mend_with_an_old_one(crops: Path) -> None:
    file = crops / "00002.jpg"
    file.write_bytes(file.read_bytes() + b"more")
    os.utime(file, ns=(1, 1))


def add(crops: Path) -> None:
    shutil.copy2(crops / "00001.jpg", crops / "00009.jpg")


def remove(crops: Path) -> None:
    (crops / "00002.jpg").unlink()


def rename(crops: Path) -> None:
    (crops / "00002.jpg").rename(crops / "00007.jpg")


@pytest.mark.parametrize("change", [mend, mend_with_an_old_one, add, remove, rename])
def test_a_crop_mended_in_place_added_removed_or_renamed_counts(
    source: Source, change: Callable[[Path], None]
):
    before = fingerprint(source)
    assert source.crops is not None
    folder = source.crops.stat()
    change(source.crops)
    os.utime(source.crops, ns=(folder.st_atime_ns, folder.st_mtime_ns))
    after = fingerprint(source)
    assert [key for key in before if before[key] != after[key]] == ["crops"]


def test_another_part_is_another_recording(source: Source):
    assert fingerprint(source) != fingerprint(source._replace(split="report"))


def test_what_cannot_be_read_is_nothing(source: Source, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")  # reading from it would never end
    for video in (tmp_path / "pipe.mp4", tmp_path / "absent.mp4", tmp_path):
        found = fingerprint(source._replace(video=video))
        assert found["video"] is None and found["annotation"] is not None
    found = fingerprint(source._replace(crops=tmp_path / "absent", annotation=None))
    assert found["crops"] is found["annotation"] is None
