"""Aff-Wild2's layout: annotations, crops, official parts, and every way they can be wrong."""

from pathlib import Path

import numpy as np
import pytest

from iaca.data.affwild2 import (
    check_length,
    count_warnings,
    labels_at,
    list_crops,
    read_annotations,
    scan_folder,
    video_of,
)
from iaca.data.schema import Counts
from iaca.files import DataError

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


def test_a_line_is_a_frame_and_minus_five_in_either_column_is_no_label(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text(TEXT)
    labels = read_annotations(file)
    nan = np.nan
    expected = [[0.5, -0.25], [nan, nan], [nan, nan], [-1, 1], [nan, nan]]
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels, np.float32(expected))


def test_rows_take_the_label_of_their_last_frame(tmp_path: Path):
    file = tmp_path / "a.txt"
    file.write_text(TEXT)
    labels = labels_at(read_annotations(file), np.array([0, 3, 4, 5, 90]))
    nan = np.nan
    np.testing.assert_array_equal(
        labels, np.float32([[0.5, -0.25], [-1, 1], [nan, nan], [nan, nan], [nan, nan]])
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"a\.txt, line 1: found 'an empty file', expected 'valence,arousal'"),
        ("0.1,0.2\n", r"a\.txt, line 1: found '0\.1,0\.2', expected 'valence,arousal'"),
        ("valence,arousal\n", r"a\.txt, line 2: the file ends"),
        ("valence,arousal\n0,0\n0\n", r"a\.txt, line 3: 1 columns in '0', expected 2"),
        ("valence,arousal\n0,0,0\n", r"a\.txt, line 2: 3 columns in '0,0,0', expected 2"),
        ("valence,arousal\n0,0\n\n0,0\n", r"a\.txt, line 3: 1 columns in '', expected 2"),
        ("valence,arousal\n0,x\n", r"a\.txt, line 2, column 'arousal': 'x' is not a number"),
        ("valence,arousal\n1.01,0\n", r"a\.txt, line 2, column 'valence': 1\.01, expected -1 to 1"),
        ("valence,arousal\n0,-4\n", r"a\.txt, line 2, column 'arousal': -4, expected"),
        ("valence,arousal\nnan,0\n", r"a\.txt, line 2, column 'valence': nan, expected"),
    ],
)
def test_a_wrong_annotation_names_file_and_line(tmp_path: Path, text: str, complaint: str):
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_annotations(tmp_path / "a.txt")


def test_annotations_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(DataError, match=r"gone\.txt: cannot be read"):
        read_annotations(tmp_path / "gone.txt")
    (tmp_path / "a.txt").write_bytes(b"valence,arousal\n\xff\n")
    with pytest.raises(DataError, match=r"a\.txt: cannot be read"):
        read_annotations(tmp_path / "a.txt")


def test_more_lines_than_frames_names_the_first_line_too_many(tmp_path: Path):
    annotations = np.zeros((10, 2))
    check_length("a.txt", annotations, 10)
    check_length("a.txt", annotations, 11)
    # Frames 0 to 7 stand on lines 2 to 9.
    with pytest.raises(
        DataError, match=r"a\.txt, line 10: 10 annotated frames, but the video has 8"
    ):
        check_length("a.txt", annotations, 8)


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
    names = tmp_path / "test.txt"
    names.write_text("t_left\nt_right\n\nu\n")
    folder = scan_folder(lay_out(tmp_path, sub="VA_Set"), names)
    tests = [source for source in folder.sources if source.split is None]
    assert [source.name for source in tests] == ["t_left", "t_right", "u"]
    assert all(source.annotation is None for source in tests)
    assert folder.videos == Counts(train=2, validation=1, test=2)


def test_only_a_suffix_is_taken_off():
    assert [video_of(name) for name in ("1_left", "1_right", "left_1", "1_left_2", "_left")] == [
        *("1", "1", "left_1", "1_left_2", "_left")
    ]


def test_counts_that_differ_are_warned_about():
    expected = Counts(train=360, validation=72, test=162)
    assert count_warnings(expected, expected) == []
    assert count_warnings(Counts(train=360, validation=72, test=0), expected) == []
    warnings = count_warnings(Counts(train=356, validation=76, test=162), expected)
    assert len(warnings) == 2
    assert warnings[0].startswith("train: found 356 videos, the manifest expects 360")


def test_a_layout_that_is_not_the_official_one(tmp_path: Path):
    with pytest.raises(DataError, match=r"annotations: the folder Train_Set is missing"):
        scan_folder(tmp_path)
    root = lay_out(tmp_path / "twice", validation="c a")
    with pytest.raises(DataError, match=r"Validation_Set/a\.txt: also in .*Train_Set/a\.txt"):
        scan_folder(root)
    root = lay_out(tmp_path / "same")
    (root / "videos" / "batch1" / "a.mp4").touch()
    with pytest.raises(DataError, match=r"videos/batch1/a\.mp4: also at|videos/a\.mp4: also at"):
        scan_folder(root)
    root = lay_out(tmp_path / "empty", validation="")
    with pytest.raises(DataError, match=r"Validation_Set: no annotation files"):
        scan_folder(root)
    root = lay_out(tmp_path / "spaced")
    (root / "annotations" / "Train_Set" / "a b.txt").write_text(TEXT)
    with pytest.raises(DataError, match=r"Train_Set: annotation file 'a b': expected letters"):
        scan_folder(root)
    root = lay_out(tmp_path / "two")
    (root / "annotations" / "VA_Set" / "Train_Set").mkdir(parents=True)
    with pytest.raises(DataError, match=r"the folder Train_Set is in 2 places"):
        scan_folder(root)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("t\n../x\n", r"line 2: name '\.\./x': expected letters"),
        ("t\nt\n", r"line 2: 't' is given twice"),
        ("a\n", r"line 1: 'a' stands elsewhere already"),
    ],
)
def test_a_wrong_test_list_names_the_line(tmp_path: Path, text: str, complaint: str):
    names = tmp_path / "test.txt"
    names.write_text(text)
    with pytest.raises(DataError, match=complaint):
        scan_folder(lay_out(tmp_path), names)


def test_crops_are_numbered_from_one_and_may_be_missing(tmp_path: Path):
    for name in ("00001.jpg", "00004.jpg", "123456.jpg", ".DS_Store", "1.jpg", "00002.png"):
        (tmp_path / name).touch()
    assert list_crops(tmp_path) == {
        0: tmp_path / "00001.jpg",
        3: tmp_path / "00004.jpg",
        123455: tmp_path / "123456.jpg",
    }
    (tmp_path / "00000.jpg").touch()
    with pytest.raises(DataError, match=r"00000\.jpg: crops are numbered from 1"):
        list_crops(tmp_path)


def test_no_crops_at_all(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent: no folder of face crops"):
        list_crops(tmp_path / "absent")
    with pytest.raises(DataError, match=r"no face crops, expected 00001\.jpg"):
        list_crops(tmp_path)
