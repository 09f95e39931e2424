"""When a recording's files count as changed, and when a copy of them counts as the same."""

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest

from iaca.base.files import DataError, check_name
from iaca.extraction.inputs import BLOCK, SAMPLES, Source, input_hash, plain_videos, safe_name

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


def test_a_copy_is_the_same_whatever_its_times_are(source: Source, tmp_path: Path):
    kept = at(Path(shutil.copytree(tmp_path / "data", tmp_path / "kept")))
    assert input_hash(kept) == input_hash(source)
    for number, file in enumerate(sorted((tmp_path / "kept").rglob("*"))):
        os.utime(file, ns=(number, number))
    (tmp_path / "kept" / "crops" / "._00001.jpg").write_bytes(b"an archiver's")
    assert input_hash(kept) == input_hash(source)


@pytest.mark.parametrize("file", ["v.mp4", "v.txt"])
def test_any_byte_of_a_small_video_or_an_annotation_counts(source: Source, file: str):
    before = input_hash(source)
    for position in (0, 70_001, 150_000, 299_999, -1):
        flip(source.video.with_name(file), position)
        assert input_hash(source) != before
        flip(source.video.with_name(file), position)
    assert input_hash(source) == before


def test_of_a_long_video_size_and_blocks_from_end_to_end_count(source: Source):
    def change(position: int, content: bytes) -> str:
        with source.video.open("r+b") as file:
            file.seek(position)
            file.write(content)
        return input_hash(source)

    with source.video.open("wb") as file:
        file.truncate(200 * MEGABYTE)  # sparse: it takes no room
    before = input_hash(source)
    for position in (0, BLOCK - 1, 200 * MEGABYTE - BLOCK, 200 * MEGABYTE - 1):
        assert change(position, b"x") != before
        assert change(position, b"\0") == before
    # A hole in its middle, as a broken-off download in several parts leaves it.
    assert change(90 * MEGABYTE, b"x" * 20 * MEGABYTE) != before
    with source.video.open("wb") as file:
        file.truncate(200 * MEGABYTE + 1)
    assert input_hash(source) != before


def test_a_crop_mended_in_place_added_removed_or_renamed_counts(source: Source):
    crops = source.video.with_name("crops")
    second = crops / "00002.jpg"
    found = [input_hash(source)]
    flip(second, 500)  # of few crops each is read
    found.append(input_hash(source))
    second.write_bytes(second.read_bytes() + b"more")
    found.append(input_hash(source))
    second.rename(crops / "00007.jpg")
    found.append(input_hash(source))
    (crops / "00007.jpg").unlink()
    found.append(input_hash(source))
    shutil.copy2(crops / "00001.jpg", crops / "00009.jpg")
    assert len({*found, input_hash(source)}) == 6


def test_of_many_crops_all_sizes_and_the_bytes_of_some_from_end_to_end_count(source: Source):
    assert source.crops is not None
    crops = [source.crops / f"{number:05d}.jpg" for number in range(1, 101)]
    for crop in crops:
        crop.write_bytes(b"a crop")
    before = input_hash(source)
    noticed = []
    for position, crop in enumerate(crops):
        crop.write_bytes(b"a CROP")
        noticed += [position] if input_hash(source) != before else []
        crop.write_bytes(b"a longer crop")
        assert input_hash(source) != before
        crop.write_bytes(b"a crop")
    assert len(noticed) == SAMPLES
    assert (noticed[0], noticed[-1]) == (0, 99)
    assert max(np.diff(noticed)) <= 7  # 99 / 15, rounded up
    assert input_hash(source) == before


def test_subject_and_part_count(source: Source):
    others = [source, source._replace(split="report"), source._replace(subject="w")]
    assert len({input_hash(other) for other in others}) == 3


def test_what_cannot_be_read_is_nothing(source: Source, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")  # reading from it would never end
    (tmp_path / "empty.mp4").touch()
    videos = ("pipe.mp4", "empty.mp4", "absent.mp4", ".")
    found = {input_hash(source._replace(video=tmp_path / video)) for video in videos}
    assert len(found) == 1 and input_hash(source) not in found
    (tmp_path / "no crops").mkdir()
    folders = ("absent", "no crops", "data/v.txt")
    found = {input_hash(source._replace(crops=tmp_path / crops)) for crops in folders}
    assert found == {input_hash(source._replace(crops=None))}


def test_folders_that_hold_no_videos(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent: no such folder"):
        plain_videos(tmp_path / "absent")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r": no videos, expected \.mp4"):
        plain_videos(tmp_path)
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.avi").touch()
    with pytest.raises(DataError, match=r"a\.mp4: also a\.avi"):
        plain_videos(tmp_path)


def test_every_container_is_taken_and_what_is_passed_over_is_named(tmp_path: Path):
    for name in ("a.MTS", "b.3gp", "c.ts", "d.WebM", "._a.MTS", ".DS_Store", "labels.csv", "e.mp3"):
        (tmp_path / name).touch()
    (tmp_path / "more.mp4").mkdir()
    said: list[str] = []
    assert [source.name for source in plain_videos(tmp_path, said.append)] == ["a", "b", "c", "d"]
    assert len(said) == 1
    assert ": 3 passed over" in said[0] and said[0].endswith("'e.mp3', 'labels.csv', 'more.mp4'")


def test_names_of_any_language_have_safe_ones_of_their_own():
    names = ["Zoë am Morgen 1", "Zoë am Morgen 2", "小明", "小红", "Zoe-am-Morgen", "-", "x" * 200]
    safe = [safe_name(name) for name in names]
    assert len(set(safe)) == len(names)
    for name in safe:
        assert check_name(name) == name and len(name) <= 200
    assert safe[0].startswith("Zoe-am-Morgen-1-")
    assert safe[4:7] == names[4:7]  # what is safe stays
    assert safe_name(unicodedata.normalize("NFD", names[0])) == safe[0]  # as some systems write it
    assert safe_name(os.fsdecode(b"a\xff")) != safe_name(os.fsdecode(b"a\xfe"))


def test_a_title_is_what_people_call_a_video(tmp_path: Path):
    for name in ("Zoë 1.mp4", "plain.mp4", os.fsdecode(b"a\xff.mp4")):
        (tmp_path / name).touch()
    titles = {source.title for source in plain_videos(tmp_path)}
    assert titles == {"Zoë 1", None, "a\ufffd"}
