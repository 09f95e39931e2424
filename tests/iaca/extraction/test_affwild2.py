"""Aff-Wild2's layout: annotations, crops, official parts, and every way they can be wrong."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from iaca.base.files import DataError
from iaca.data.schema import Counts
from iaca.extraction.affwild2 import (
    Folder,
    list_crops,
    read_annotations,
    scan_folder,
    video_of,
)

TEXT = "valence,arousal\n0.5,-0.25\n-5,0.1\n0.1,-5.0\n-1,1\n-5,-5\n"


def lay_out(root: Path, train: str = "a b_left b_right", validation: str = "c", sub: str = ""):
    for part, names in (("Train_Set", train), ("Validation_Set", validation)):
        folder = root / "annotations" / sub / part
        folder.mkdir(parents=True)
        for name in names.split():
            (folder / f"{name}.txt").write_text(TEXT)
    (root / "videos" / "batch1").mkdir(parents=True)
    (root / "videos" / "a.mp4").touch()
    (root / "videos" / "batch1" / "b.avi").touch()
    return root


@pytest.mark.parametrize(
    "content", [TEXT.encode(), b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode() + b" \r\n\n"]
)
def test_a_line_is_a_frame_and_minus_five_in_either_column_is_no_label(
    tmp_path: Path, content: bytes
):
    """A byte order mark and blank lines at the end are no lines."""
    (tmp_path / "a.txt").write_bytes(content)
    labels = read_annotations(tmp_path / "a.txt").values
    nan = np.nan
    expected = [[0.5, -0.25], [nan, nan], [nan, nan], [-1, 1], [nan, nan]]
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.float32(expected))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"a\.txt: empty"),
        ("\n \n", r"a\.txt, line 1: found '', expected 'valence,arousal'"),
        ("0.1,0.2\n", r"a\.txt, line 1: found '0\.1,0\.2', expected 'valence,arousal'"),
        ("valence,arousal\n", r"a\.txt, line 2: the file ends"),
        ("valence,arousal\n0,0\n0\n", r"a\.txt, line 3: '0', expected two numbers"),
        ("valence,arousal\n0,0\n\n0,0\n", r"a\.txt, line 3: '', expected two numbers"),
        ("valence,arousal\n0,x\n", r"a\.txt, line 2: '0,x', expected two numbers"),
        ("valence,arousal\n1.01,0\n", r"a\.txt, line 2: '1\.01,0', expected values from -1 to 1"),
        ("valence,arousal\n0,-4\n", r"a\.txt, line 2: '0,-4', expected values"),
        ("valence,arousal\nnan,0\n", r"a\.txt, line 2: 'nan,0', expected values"),
    ],
)
def test_a_wrong_annotation_names_file_and_line(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_annotations(tmp_path / "a.txt")


def test_broken_annotations_are_labels_or_one_line(tmp_path: Path):
    file = tmp_path / "a.txt"
    for seed in range(200):
        rng, content = np.random.default_rng(seed), bytearray(TEXT.encode())
        for at in rng.integers(len(content), size=rng.integers(1, 4)):
            content[at : at + rng.integers(3)] = rng.bytes(rng.integers(3))
        file.write_bytes(content)
        try:
            labels = read_annotations(file).values
        except DataError as error:
            assert str(error).startswith(str(file)) and "\n" not in str(error)
        else:
            assert not (np.abs(labels) > 1).any()


def test_annotations_and_lists_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(DataError, match=r"gone\.txt: no such file"):
        read_annotations(tmp_path / "gone.txt")
    (tmp_path / "a.txt").write_bytes(b"valence,arousal\n\xff\n")
    with pytest.raises(DataError, match=r"a\.txt: cannot be read"):
        read_annotations(tmp_path / "a.txt")
    os.mkfifo(tmp_path / "pipe")  # reading from it would wait for ever
    with pytest.raises(DataError, match=r"pipe: not a regular file"):
        read_annotations(tmp_path / "pipe")
    with pytest.raises(DataError, match=r"pipe: not a regular file"):
        scan_folder(lay_out(tmp_path / "root"), tmp_path / "pipe")


def test_two_subjects_share_a_video_and_count_once(tmp_path: Path):
    folder = scan_folder(lay_out(tmp_path))
    assert [source.name for source in folder.sources] == ["a", "b_left", "b_right", "c"]
    a, left, right, c = folder.sources
    assert left.video == right.video == tmp_path / "videos" / "batch1" / "b.avi"
    assert left.subject == right.subject == "b"
    assert left.crops == tmp_path / "cropped_aligned" / "b_left"
    assert [source.split for source in folder.sources] == ["train", "train", "train", "report"]
    assert a.annotation == tmp_path / "annotations" / "Train_Set" / "a.txt"
    assert c.video == tmp_path / "videos" / "c.mp4"  # missing, which is found out at extraction
    assert folder.videos == Counts(train=2, validation=1, test=0)


def test_test_videos_have_neither_labels_nor_a_role(tmp_path: Path):
    (tmp_path / "test.txt").write_text("t_left\nt_right\n\nu\n")
    folder = scan_folder(lay_out(tmp_path, sub="VA_Set"), tmp_path / "test.txt")
    tests = [(each.name, each.annotation) for each in folder.sources if each.split is None]
    assert tests == [("t_left", None), ("t_right", None), ("u", None)]
    assert folder.videos == Counts(train=2, validation=1, test=2)


def test_only_a_suffix_is_taken_off():
    found = [video_of(name) for name in ("1_left", "1_right", "left_1", "1_left_2", "_left")]
    assert found == ["1", "1", "left_1", "1_left_2", "_left"]


def test_a_layout_that_is_not_the_official_one(tmp_path: Path):
    with pytest.raises(DataError, match=r"annotations: the folder Train_Set is missing"):
        scan_folder(tmp_path)
    root = lay_out(tmp_path / "empty", validation="")
    (root / "annotations" / "Validation_Set" / "._c.txt").write_text(TEXT)
    with pytest.raises(DataError, match=r"Validation_Set: no annotation files"):
        scan_folder(root)
    (root / "annotations" / "VA_Set" / "Train_Set").mkdir(parents=True)
    with pytest.raises(DataError, match=r"the folder Train_Set is in 2 places"):
        scan_folder(root)
    root = lay_out(tmp_path / "unseen")
    shutil.rmtree(root / "videos")
    with pytest.raises(DataError, match=r"videos: no such folder"):
        scan_folder(root)


def names(folder: Folder) -> list[str]:
    """Of the recordings that can be extracted."""
    return [source.name for source in folder.sources if source.problem is None]


def problems(folder: Folder) -> dict[str, str]:
    return {source.name: source.problem for source in folder.sources if source.problem}


def test_a_name_in_both_parts_fails_that_recording_alone(tmp_path: Path):
    folder = scan_folder(lay_out(tmp_path, validation="c a"))
    assert names(folder) == ["b_left", "b_right", "c"]
    assert list(problems(folder)) == ["a"]
    assert re.search(r"Validation_Set/a\.txt: also .*/Train_Set/a\.txt", problems(folder)["a"])
    assert folder.left_out == {}
    (tmp_path / "test.txt").write_text("t\nc\n")
    found = problems(scan_folder(tmp_path, tmp_path / "test.txt"))
    assert re.search(r"test.txt: also .*/Validation_Set/c.txt", found["c"])
    folder = scan_folder(lay_out(tmp_path / "side", validation="c b_left"))
    assert names(folder) == ["a", "c"]
    assert list(problems(folder)) == ["b_left"]
    assert list(folder.left_out) == ["b_right"]  # the other side may be meant for validation


def test_an_unsafe_name_fails_that_recording_alone(tmp_path: Path):
    root = lay_out(tmp_path)
    (root / "annotations" / "Train_Set" / "a b.txt").write_text(TEXT)
    (root / "annotations" / "Train_Set" / os.fsdecode(b"a\xff.txt")).write_text(TEXT)
    folder = scan_folder(root)
    assert names(folder) == ["a", "b_left", "b_right", "c"]
    failed = problems(folder)
    assert list(failed) == ["'a b'", r"'a\udcff'"]
    assert "Train_Set: annotation file 'a b': expected letters" in failed["'a b'"]
    "\n".join([*failed, *failed.values()]).encode()  # it can be printed


def test_a_video_or_crops_in_two_places_fail_their_recordings_alone(tmp_path: Path):
    root = lay_out(tmp_path)
    (root / "videos" / "b.mp4").touch()
    crops_of(root, "batch1/a", "batch2/a", "batch1/b_left")
    folder = scan_folder(root)
    assert names(folder) == ["c"]
    failed = problems(folder)
    assert list(failed) == ["a", "b_left", "b_right"]
    for name, first, second, what in (
        ("a", "cropped_aligned/batch1/a", "cropped_aligned/batch2/a", "folder of crops"),
        ("b_left", "videos/b.mp4", "videos/batch1/b.avi", "video"),
    ):
        expected = f"{root / second}: also at {root / first}, expected one {what} of that name"
        assert failed[name] == expected
    assert folder.videos == Counts(train=2, validation=1, test=0)  # what the official folders say


def test_what_other_systems_leave_behind_is_passed_over(tmp_path: Path):
    root = lay_out(tmp_path)
    for part in ("Train_Set", "Validation_Set"):
        for name in ("._3.txt", "._a.txt", ".DS_Store"):
            (root / "annotations" / part / name).write_bytes(b"\0\5\x16\7")
    (root / "videos" / "._a.mp4").touch()
    for folder in (".trash", "__MACOSX", "__MACOSX/batch1"):
        (root / "videos" / folder).mkdir()
        (root / "videos" / folder / "a.mp4").touch()
    crops_of(root, "a", "batch1/b_left", ".trash/a", "__MACOSX/a", "__MACOSX/batch1/b_left")
    folder = scan_folder(root)
    assert names(folder) == ["a", "b_left", "b_right", "c"]
    assert (problems(folder), folder.left_out) == ({}, {})
    assert folder.sources[0].video == root / "videos" / "a.mp4"


def crops_of(root: Path, *folders: str) -> None:
    for folder in folders:
        (root / "cropped_aligned" / folder).mkdir(parents=True)
        (root / "cropped_aligned" / folder / "00001.jpg").touch()


def test_links_in_a_circle_or_to_what_is_there_find_nothing_twice(tmp_path: Path):
    root = lay_out(tmp_path)
    crops_of(root, "batch1/a", "b_left", "../a")
    (root / "a.avi").touch()  # it and the crops stand above the folders that are searched
    for part in ("videos", "cropped_aligned"):
        (root / part / "batch1" / "up").symlink_to(root / part)
        (root / part / "batch1" / "out").symlink_to(root)
        (root / part / "again").symlink_to("batch1")
        (root / part / "itself").symlink_to("itself")
    (root / "videos" / "batch1" / "a.mp4").symlink_to("../a.mp4")
    (root / "cropped_aligned" / "batch1" / "b_left").symlink_to("../b_left")
    folder = scan_folder(root)
    assert problems(folder) == {}
    a, left, *_ = folder.sources
    for found, real in (
        (a.video, "videos/a.mp4"),
        (left.video, "videos/batch1/b.avi"),
        (a.crops, "cropped_aligned/batch1/a"),
        (left.crops, "cropped_aligned/b_left"),
    ):
        assert found is not None and found.resolve() == (root / real).resolve()


def test_crops_are_not_listed_to_find_their_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = lay_out(tmp_path)
    crops_of(root, "batch1/a", "batch1/of_another_challenge")
    listed: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(Path(path).name) or scandir(path))
    assert scan_folder(root).sources[0].crops == root / "cropped_aligned" / "batch1" / "a"
    assert "of_another_challenge" in listed and "a" not in listed


def test_a_video_on_two_sides_is_left_out_of_training(tmp_path: Path):
    root = lay_out(tmp_path, train="a b_left d_right", validation="b_right c")
    (root / "test.txt").write_text("d_left\ne\n")
    folder = scan_folder(root, root / "test.txt")
    assert {source.name: source.split for source in folder.sources} == {
        **{"a": "train", "b_right": "report", "c": "report", "d_left": None, "e": None}
    }
    assert problems(folder) == {}
    assert list(folder.left_out) == ["b_left", "d_right"]
    assert "Train_Set/b_left.txt: not extracted" in folder.left_out["b_left"]
    reason = r"'b_right' in .*/Validation_Set/b_right\.txt is of"
    assert re.search(reason, folder.left_out["b_left"])
    assert re.search(r"'d_left' in .*/test\.txt is of", folder.left_out["d_right"])
    assert folder.videos == Counts(train=3, validation=2, test=2)


def test_a_wrong_test_list_names_the_line(tmp_path: Path):
    root = lay_out(tmp_path)
    for text, complaint in (
        ("../x", r"name '\.\./x': expected letters"),
        ("t", "'t' is given twice"),
    ):
        (tmp_path / "test.txt").write_text(f"t\n{text}\n")
        with pytest.raises(DataError, match=rf"line 2: {complaint}"):
            scan_folder(root, tmp_path / "test.txt")


def test_crops_are_numbered_from_one_and_may_be_missing(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent: no folder of face crops"):
        list_crops(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no face crops, expected 00001\.jpg"):
        list_crops(tmp_path)
    found = {0: "00001.jpg", 3: "00004.jpg", 123455: "123456.jpg"}
    for name in (*found.values(), ".DS_Store", "1.jpg", "00002.png"):
        (tmp_path / name).touch()
    assert list_crops(tmp_path) == {frame: tmp_path / name for frame, name in found.items()}
    (tmp_path / "00000.jpg").touch()
    with pytest.raises(DataError, match=r"00000\.jpg: crops are numbered from 1"):
        list_crops(tmp_path)
