"""Labels and subjects of somebody's own videos, in every form, and what does not fit."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iaca.base.files import DataError
from iaca.extraction.inputs import plain_videos
from iaca.extraction.own import Own, label_videos
from iaca.sources.columns import Choice
from iaca.sources.importing import Columns

TABLE = """recording,time,valence,arousal
talk 1.MP4,0,0.1,0.2
talk 1.MP4,0.5,,0.3
clips/Zoë,0,0.4,-5
clips/Zoë,0.6,0.5,-5
b,1.5,-0.6,0.7
"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Own]:
    """Read labels of three videos, from texts by file name."""
    for name in ("talk 1.mp4", "Zoë.mov", "b.mkv"):
        (tmp_path / "clips").mkdir(exist_ok=True)
        (tmp_path / "clips" / name).touch()

    def label(files: dict[str, str], **options) -> Own:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        paths = {"labels": tmp_path / next(iter(files)).split("/")[0]}
        if "people.csv" in files:
            paths["subjects"] = tmp_path / "people.csv"
        given = {"columns": Columns(), "label_range": (-1.0, 1.0), "choice": Choice(), **options}
        return label_videos(plain_videos(tmp_path / "clips"), **paths, **given)

    return label


def test_a_table_of_all_videos_with_times_and_people(read: Callable[..., Own]):
    """Named with suffix, folder or neither; `-5` is no label."""
    people = "file,subject\nb.mkv,ann\nZoë.mov,Bo Li\ntalk 1,ann\n"
    found = read({"labels.csv": TABLE, "people.csv": people}, invalid=-5)
    assert found.targets == (("valence", "arousal"), (-1, 1))
    by_title = {source.title or source.name: source for source in found.sources}
    assert set(by_title) == {"talk 1", "Zoë", "b"}
    assert {source.track.kind for source in found.sources} == {"time"}
    np.testing.assert_array_equal(by_title["talk 1"].track.at, [0, 0.5])
    np.testing.assert_allclose(by_title["talk 1"].track.values, [[0.1, 0.2], [np.nan, 0.3]])
    np.testing.assert_allclose(by_title["Zoë"].track.values, [[0.4, np.nan], [0.5, np.nan]])
    assert by_title["b"].track.gap == pytest.approx(0.55)  # the median distance of two labels
    assert by_title["b"].subject == by_title["talk 1"].subject == "ann"
    assert by_title["Zoë"].subject.startswith("Bo-Li-")
    assert found.left_out == {}
    assert found.notes[0] == "labels: valence, arousal of 3 videos, every 0.55 s"
    assert found.notes[1].startswith("subjects: Bo-Li-") and found.notes[1].endswith(", ann")


def test_a_file_for_each_video_with_frames_or_a_line_a_frame(read: Callable[..., Own]):
    """In one of them nothing is valid, and one is of no video; what systems add is passed over."""
    files = {
        "labels/talk 1.csv": "frame,smile\n0,0.5\n10,0.25\n",
        "labels/b.csv": "frame,smile\n0,\n",
        "labels/other.csv": "frame,smile\n0,1\n",
        "labels/._b.csv": "\0\0",
    }
    found = read(files, max_gap=4)
    (source,) = found.sources
    assert (source.title, source.track.kind, source.track.gap) == ("talk 1", "frame", 4)
    assert source.subject == source.name  # somebody else in each
    assert any("each video is taken as somebody else" in note for note in found.notes)
    assert any("labels without a video: other" in note for note in found.notes)
    assert {name[:3] for name in found.left_out} == {"b", "Zoe"}
    assert all("has no label of it" in text for text in found.left_out.values())

    lines = {"lines/b.csv": "smile\n0.5\n0.25\n", "lines/talk 1.csv": "smile\n1\n"}
    found = read(lines)
    assert {source.track.kind for source in found.sources} == {"line"}
    track = next(source.track for source in found.sources if source.name == "b")
    assert (track.at.tolist(), track.values.tolist()) == ([0, 1], [[0.5], [0.25]])


def test_of_time_and_frame_the_one_asked_for_counts(read: Callable[..., Own]):
    text = "video,time,frame,rater,v\nb,0,3,x,0.1\nb,1,28,y,0.2\n"
    for columns, kind, at in (
        (Columns(), "time", [0, 1]),
        (Columns(step="frame"), "frame", [3, 28]),
        (Columns(time=("time",)), "time", [0, 1]),
    ):
        found = read({"labels.csv": text}, columns=columns, choice=Choice(drop=["rater"]))
        (source,) = found.sources
        assert (source.track.kind, source.track.at.tolist()) == (kind, at)
        assert found.targets.names == ("v",)


@pytest.mark.parametrize(
    ("text", "options", "complaint"),
    [
        (
            "recording,time,v\nq.mp4,0,1\n",
            {},
            r"labels\.csv: names 'q', none of the videos 'Zoë', ",
        ),
        ("recording,time,v\nb,-1,1\n", {}, r"labels\.csv, line 2, column 'time': -1, expected"),
        ("recording,time,v\nb,0,1\nb,0,1\n", {}, "line 3: recording 'b' has time 0.0 already"),
        ("recording,time,v\nb,0,1.5\n", {}, "line 2, column 'v': 1.5, expected a label from -1"),
        ("recording,time,v\nb,0,x\n", {}, "line 2, column 'v': 'x' is not a number"),
        ("recording,time,a b\nb,0,1\n", {}, r"labels\.csv: label 'a b': expected letters"),
        ("recording,frame,v\nb,0.5,1\n", {}, "column 'frame': 0.5, expected a whole number"),
        ("recording,v\nb,1\n", {"columns": Columns(step="f")}, "no column 'f'; found recording, v"),
        ("who,v\nb,1\n", {}, "no column 'recording'; found who, v"),
        ("recording,v\nb,1\n", {"max_gap": -1.0}, "max_gap -1: expected a number from 0"),
        ("recording,subject,v\nb,,1\n", {}, r"labels\.csv, line 2, column 'subject'"),
    ],
)
def test_what_does_not_fit_is_named(
    text: str, options: dict, complaint: str, read: Callable[..., Own]
):
    with pytest.raises(DataError, match=complaint):
        read({"labels.csv": text}, **options)


def test_a_video_without_a_subject_is_named(read: Callable[..., Own]):
    with pytest.raises(DataError, match=r"people\.csv: recording '(b|Zoe|talk).*' has no subject"):
        read({"labels.csv": TABLE, "people.csv": "recording,subject\nb,x\n"}, invalid=-5)
