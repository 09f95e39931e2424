"""Submission files: the template's order, its videos, and a value for each of its frames."""

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from scipy.ndimage import uniform_filter1d
from toys import tiny_run, toy_info, toy_recording

from iaca.base.files import DataError
from iaca.cli import main
from iaca.commands import submit as submission
from iaca.commands.submit import read_template, rows_of, submit
from iaca.data.recordings import Recording, RecordingStore
from iaca.learning.evaluation import Traces, predict
from iaca.learning.protocol import Protocol
from iaca.runs.execution import execute_run
from iaca.runs.runs import Run
from iaca.sources.loading import open_data
from iaca.sources.writing import write_store

pytestmark = pytest.mark.usefixtures("one_thread")


def write_template(folder: Path, rows: Iterable[tuple[str, int]]) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / "template.csv"
    lines = [f"{video}/{frame:05d}.jpg,-5,-5" for video, frame in rows]
    file.write_text("\n".join(["image_location,valence,arousal", *lines]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize("mark", ["", "\ufeff"])  # spreadsheets begin a file with one
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_template_is_read_in_its_order(mark: str, end: str, tmp_path: Path) -> None:
    template = tmp_path / "template.csv"
    lines = [
        "image_location",
        "b_left/00002.jpg",
        "12-30-1280x720/1.jpg,-5,-5",
        "b_left/123456.jpg",
    ]
    template.write_text(mark + end.join(lines), encoding="utf-8")
    wanted = read_template(template)
    assert list(wanted["image_location"]) == ["b_left/00002.jpg", "12-30-1280x720/1.jpg", lines[3]]
    assert list(wanted["video"]) == ["b_left", "12-30-1280x720", "b_left"]
    assert list(wanted["frame"]) == [1, 0, 123455]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "template.csv: empty"),
        ("\ufeff", "template.csv, line 1: found '', expected image_location,valence"),
        ("video,frame\n", "line 1: found 'video', expected image_location"),
        ("image_location\nb/1.jpg\nb-2.jpg\n", "line 3: found 'b-2.jpg', expected <video>/"),
        ("image_location\nb/1.png\n", "line 2: found 'b/1.png', expected <video>/<frame>.jpg"),
        ("image_location\nb/00000.jpg\n", "line 2: found 'b/00000.jpg', .* counted from 1"),
        (f"image_location\nb/{10**20}.jpg\n", "line 2: found 'b/100000000000000000000.jpg'"),
        ("image_location\n", "template.csv: no frames"),
        ("image_location\n\n", "line 2: found '', expected"),
        ("image_location\n../1.jpg\n", r"line 2: found '\.\./1.jpg', expected"),
        ("image_location\nb/1.jpg\nb/00001.jpg\n", "line 3: found 'b/00001.jpg', which is there"),
    ],
)
def test_a_template_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    template = tmp_path / "template.csv"
    template.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_template(template)


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "template.csv"
    with pytest.raises(DataError, match=r"template\.csv: no such file"):
        read_template(template)
    template.write_text("image_location\nb/1.jpg\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"template\.csv: cannot be read"):
        read_template(template)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: not a regular file"):
        read_template(tmp_path / "pipe")


def find(at: Iterable[int], frames: Iterable[int]) -> pd.DataFrame:
    """The rows for frames of one video, counted from 1, where the store has rows ``at``."""
    wanted = pd.DataFrame({"video": "v", "frame": [frame - 1 for frame in frames]})
    return rows_of(Path("template.csv"), wanted, {"v": torch.tensor(list(at))})


EIGHTH = (7, 15, 23)  # rows that end at the frames 8, 16 and 24, counted from 1
OF_EIGHTHS = [0] * 7 + [0] * 8 + [1] * 8 + [2] * 8  # frames 1-7, 8-15, 16-23, 24-31


@pytest.mark.parametrize(
    ("at", "frames", "expected"),
    [
        pytest.param(range(99), range(1, 100), [*range(99)], id="each has its own"),
        pytest.param(range(100), range(1, 100), [*range(99)], id="one frame less"),
        pytest.param(range(100), range(1, 109), [*range(100), *[99] * 8], id="eight frames more"),
        pytest.param(EIGHTH, range(1, 32), OF_EIGHTHS, id="strides"),
        pytest.param(EIGHTH, range(39, 0, -1), [*[2] * 8, *OF_EIGHTHS[::-1]], id="any order"),
        pytest.param(range(5, 20), range(1, 21), [0] * 5 + [*range(15)], id="before the first"),
        pytest.param(
            [*range(10), *range(18, 30)],
            range(1, 31),
            [*range(10), *[9] * 8, *range(10, 22)],
            id="a short gap",
        ),
        pytest.param([19], range(1, 21), [0] * 20, id="a single row stands for all before it"),
    ],
)
def test_a_frame_has_the_row_at_or_before_it(
    at: Iterable[int], frames: Iterable[int], expected: list[int]
) -> None:
    found = find(at, frames)
    assert list(found["row"]) == expected
    ends = torch.tensor(list(at))[expected]
    distance = (torch.tensor(list(frames)) - 1 - ends).abs()
    assert list(found["distance"]) == distance.tolist()


@pytest.mark.parametrize(
    ("at", "frames", "named"),
    [
        (range(100), range(1, 110), "'v', frames: 1 (109), expected one less than 9 frames away"),
        (range(100), range(1, 201), "'v', frames: 92 (109, 110, 111, 112, 113, ...)"),
        (EIGHTH, range(1, 41), "'v', frames: 1 (40), expected one less than 16 frames away"),
        (range(10, 20), range(1, 21), "'v', frames: 2 (1, 2)"),
        ([*range(10), *range(19, 30)], range(1, 31), "'v', frames: 1 (19)"),
    ],
)
def test_frames_that_are_too_far_from_any_row_are_named(
    at: Iterable[int], frames: Iterable[int], named: str
) -> None:
    with pytest.raises(DataError) as error:
        find(at, frames)
    assert f"template.csv: videos with frames without a prediction: 1: {named}" in str(error.value)


def test_videos_are_kept_apart_and_all_bad_ones_are_counted() -> None:
    names = [f"v{number}" for number in range(7)]
    at = {name: torch.arange(2 + number) for number, name in enumerate(names)}
    wanted = pd.DataFrame({"video": ["v3", "v0", "v3", "v1"], "frame": [0, 1, 4, 2]})
    assert list(rows_of(Path("t"), wanted, at)["row"]) == [9, 1, 13, 4]
    wanted = pd.DataFrame({"video": names, "frame": [9, *range(11, 17)]})
    with pytest.raises(DataError) as error:  # v0 is asked for frame 10, which is near enough
        rows_of(Path("t"), wanted, at)
    said = str(error.value)
    assert "videos with frames without a prediction: 6: 'v1', frames: 1 (12), expected" in said
    assert "'v5', frames: 1 (16)" in said and said.endswith("; and 1 more")
    assert "v0" not in said and "v6" not in said


@pytest.fixture(scope="module")
def smoothing_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config = tiny_run(folder)
    training = replace(config.training, epochs=1)
    protocol = Protocol(clip=True, smooth_valence=4)
    return execute_run(replace(config, training=training, protocol=protocol), folder / "out", "cpu")


def unlabelled_store(folder: Path, run: Run, stride: int = 1, **source: str) -> RecordingStore:
    """The run's own recordings under other names, without labels, a row every some frames."""
    store, split = open_data(run.config.data, run.folder.parents[1] / "data")
    copies = [
        Recording(
            name,
            name,
            store[old].audio,
            store[old].visual,
            torch.full_like(store[old].labels, torch.nan),
            stride * (store[old].end_frame + 1) - 1,
        )
        for name, old in zip(("b_left", "a"), (split.report[0], split.train[0]), strict=True)
    ]
    return write_store(folder / "store", copies, replace(store.info, source=source))


def command(run: Path, store: Path, template: Path, out: Path) -> int:
    options = ["--store", str(store), "--template", str(template), "--out", str(out)]
    return main(["submit", str(run), *options])


@pytest.mark.parametrize("stride", [1, 8])
def test_a_run_predicts_each_frame_of_a_template(
    stride: int, smoothing_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The template has two frames more than the video has clips, and leaves the second row out."""
    store = unlabelled_store(tmp_path, smoothing_run, stride)
    rows = store.entries["b_left"].rows
    frames = [frame for frame in range(1, stride * rows + 3) if frame != 2 * stride]
    template = write_template(tmp_path, [("b_left", frame) for frame in frames])
    out = tmp_path / "out.txt"
    assert command(smoothing_run.folder, store.path, template, out) == 0
    filled = (stride - 1) * rows + 2  # and the second row's own frame is not asked for
    assert capsys.readouterr().out.startswith(
        f"{out}: {stride * rows + 1} rows; {filled} frames without a row of their own have the "
        "value of the row before, or the first; 1 predicted frames are not in the template"
    )
    said = predict(smoothing_run.model(store), store, ["b_left"]).predictions["b_left"]
    said = said.clamp(-1.0, 1.0).numpy()
    # A moving average over 4 frames is over as many rows, or over none where a row is 8.
    said[:, 0] = uniform_filter1d(said[:, 0], max(1, 4 // stride), mode="nearest")
    expected = said[[min(max(frame // stride - 1, 0), rows - 1) for frame in frames]]
    written = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert [place for place, _, _ in written] == [f"b_left/{frame:05d}.jpg" for frame in frames]
    assert [[float(value) for value in line[1:]] for line in written] == [
        pytest.approx(values, abs=1e-5) for values in expected.tolist()
    ]

    before = out.read_bytes()
    assert command(tmp_path / "none", store.path, template, out) == 2
    assert "out.txt: exists already" in capsys.readouterr().err  # said before anything is read
    assert out.read_bytes() == before


def test_what_does_not_fit_together_is_said(
    smoothing_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = unlabelled_store(tmp_path, smoothing_run)
    template = write_template(tmp_path, [("b_left", 1), ("c", 1), ("d", 1)])
    out = tmp_path / "out.txt"
    with pytest.raises(DataError, match=r"2 videos of .*template\.csv missing \(c, d\)"):
        submit(smoothing_run.folder, store.path, template, out)
    toy = write_store(tmp_path / "toy", [toy_recording("b_left")], toy_info())
    template = write_template(tmp_path, [("b_left", 1)])
    with pytest.raises(DataError, match="its model does not fit"):
        submit(smoothing_run.folder, toy.path, template, out)
    named = replace(toy_info(), labels=("valence", "joy"))
    other = write_store(tmp_path / "other", [toy_recording("b_left")], named)
    with pytest.raises(DataError, match="expected valence and arousal"):
        submit(smoothing_run.folder, other.path, template, out)
    nothing = torch.full((store.entries["b_left"].rows, 2), torch.nan)
    monkeypatch.setattr(submission, "predict", lambda *_: Traces({"b_left": nothing}, {}))
    with pytest.raises(DataError, match=r"not finite, videos: b_left"):
        submit(smoothing_run.folder, store.path, template, out)
    # What follows is told before predicting.
    monkeypatch.setattr(submission, "predict", lambda *_: pytest.fail("predicted in vain"))
    template = write_template(tmp_path, [("b_left", 100), ("a", 1), ("a", 200)])
    with pytest.raises(DataError, match=r"prediction: 2: 'b_left', .*; 'a', frames: 1 \(200\)"):
        submit(smoothing_run.folder, store.path, template, out)
    assert not out.exists()


def test_features_made_in_another_way_are_refused_before_predicting(
    smoothing_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is known of those that the run was trained on."""
    monkeypatch.setattr(submission, "predict", lambda *_: pytest.fail("predicted in vain"))
    store = unlabelled_store(tmp_path, smoothing_run, visual_backbone="r3d_18")
    template = write_template(tmp_path, [("b_left", 1)])
    with pytest.raises(DataError, match="found 'r3d_18', the run was trained on 'not recorded'"):
        submit(smoothing_run.folder, store.path, template, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()
