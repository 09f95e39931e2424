"""Submission files: the template's order, its videos, and a value for each of its frames."""

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from scipy.ndimage import uniform_filter1d
from toys import tiny_run, toy_info, toy_recording

from iaca.base.files import DataError
from iaca.cli import main
from iaca.commands import submit as submission
from iaca.commands.submit import Frames, Submission, submit, write_submission
from iaca.data.recordings import Recording, RecordingStore
from iaca.learning.evaluation import predict
from iaca.learning.protocol import Protocol
from iaca.runs.runs import Run, execute_run, open_run
from iaca.sources.loading import open_data
from iaca.sources.writing import write_store

# Videos and frames in no order that a sort would give.
ORDER = [("b_left", 2), ("b_left", 1), ("12-30-1280x720", 1), ("b_left", 3), ("12-30-1280x720", 2)]

pytestmark = pytest.mark.usefixtures("one_thread")


def predictions() -> dict[str, Frames]:
    """The value of a frame says which one it is; frames in an order of their own."""
    return {
        "12-30-1280x720": Frames(torch.tensor([[0.1, -0.1], [0.2, -0.2]]), torch.tensor([0, 1])),
        "b_left": Frames(
            torch.tensor([[0.53, -1.0], [0.51, 0.0], [0.52, 1 / 3]]), torch.tensor([2, 0, 1])
        ),
    }


def write_template(
    folder: Path, rows: list[tuple[str, int]] = ORDER, header: str = "image_location"
) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    file = folder / "template.csv"
    lines = [f"{video}/{frame:05d}.jpg,-5,-5" for video, frame in rows]
    file.write_text("\n".join([f"{header},valence,arousal", *lines]) + "\n", encoding="utf-8")
    return file


def test_rows_are_in_the_templates_order(tmp_path: Path) -> None:
    out = tmp_path / "made" / "submission.txt"
    made = write_submission(out, write_template(tmp_path), predictions())
    assert made == Submission(5, {}, {}, {})
    assert made.report() == "5 rows"
    assert out.read_text(encoding="utf-8") == (
        "image_location,valence,arousal\n"
        "b_left/00002.jpg,0.52000,0.33333\n"
        "b_left/00001.jpg,0.51000,0.00000\n"
        "12-30-1280x720/00001.jpg,0.10000,-0.10000\n"
        "b_left/00003.jpg,0.53000,-1.00000\n"
        "12-30-1280x720/00002.jpg,0.20000,-0.20000\n"
    )


def test_a_template_of_one_column_and_long_videos_will_do(tmp_path: Path) -> None:
    template = tmp_path / "template.csv"
    template.write_text("image_location\r\nx/123456.jpg\r\n", encoding="utf-8")
    given = {"x": Frames(torch.tensor([[0.5, 0.25]]), torch.tensor([123455]))}
    write_submission(tmp_path / "out.txt", template, given)
    assert (tmp_path / "out.txt").read_text().splitlines()[1] == "x/123456.jpg,0.50000,0.25000"


def without_a_video(given: dict[str, Frames]) -> None:
    del given["b_left"]


def with_a_video(given: dict[str, Frames]) -> None:
    given["zebra"] = given["b_left"]


def of_later_frames(given: dict[str, Frames]) -> None:
    given["b_left"] = Frames(torch.zeros(3, 2), torch.arange(10, 13))


def without_frames(given: dict[str, Frames]) -> None:
    given["b_left"] = Frames(torch.zeros(0, 2), torch.arange(0))


def with_a_frame_twice(given: dict[str, Frames]) -> None:
    given["b_left"] = Frames(torch.zeros(3, 2), torch.tensor([0, 1, 1]))


def with_nan(given: dict[str, Frames]) -> None:
    given["b_left"].values[1, 1] = torch.nan


def with_three_targets(given: dict[str, Frames]) -> None:
    given["b_left"] = Frames(torch.zeros(3, 3), torch.arange(3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_a_video, r"template.csv: videos: 1 without a prediction \(b_left\)"),
        (with_a_video, r"template.csv: videos: 1 not in it \(zebra\)"),
        (of_later_frames, r"prediction: 1: 'b_left', frames: 2 \(1, 2\), .* 9 frames"),
        (without_frames, r"'b_left': shape \(0, 2\), expected finite values, .* of some frames"),
        (with_a_frame_twice, "'b_left': a frame is predicted twice"),
        (with_nan, r"'b_left': shape \(3, 2\), expected finite values"),
        (with_three_targets, r"'b_left': shape \(3, 3\), expected finite values"),
    ],
)
def test_what_is_missing_or_too_much_is_named(
    tmp_path: Path, change: Callable[[dict[str, Frames]], None], message: str
) -> None:
    given, out = predictions(), tmp_path / "out.txt"
    change(given)
    with pytest.raises(DataError, match=message):
        write_submission(out, write_template(tmp_path), given)
    assert not out.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "template.csv: empty"),
        ("\ufeff", "template.csv, line 1: found an empty file, expected image_location,valence"),
        ("video,frame\n", r"line 1: found \['video', 'frame'\], expected image_location"),
        ("image_location\nb/1.jpg\nb-2.jpg\n", "line 3: found 'b-2.jpg', expected <video>/"),
        ("image_location\nb/1.png\n", "line 2: found 'b/1.png', expected <video>/<frame>.jpg"),
        ("image_location\nb/one.jpg\n", "line 2: found 'b/one.jpg'"),
        ("image_location\nb/00000.jpg\n", "line 2: found 'b/00000.jpg', .* counted from 1"),
        (f"image_location\nb/{10**20}.jpg\n", "line 2: found 'b/100000000000000000000.jpg'"),
        ("image_location\n", "template.csv: no frames"),
        ("image_location\n\n", "line 2: found '', expected"),
        ("image_location\n../1.jpg\n", r"line 2: video '\.\.': expected letters"),
        ("image_location\nb/1.jpg\nb/00001.jpg\n", "line 3: b/00001.jpg is there already"),
    ],
)
def test_a_template_that_is_none_is_named(tmp_path: Path, text: str, message: str) -> None:
    template = tmp_path / "template.csv"
    template.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        write_submission(tmp_path / "out.txt", template, predictions())
    with pytest.raises(DataError, match=r"none\.csv: no such file"):
        write_submission(tmp_path / "out.txt", tmp_path / "none.csv", predictions())


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    template = write_template(tmp_path)
    template.write_bytes(b"\xef\xbb\xbf" + template.read_bytes())
    assert write_submission(tmp_path / "out.txt", template, predictions()).rows == len(ORDER)
    assert (tmp_path / "out.txt").read_bytes().startswith(b"image_location")


def test_a_template_of_another_encoding_is_refused(tmp_path: Path) -> None:
    template = tmp_path / "template.csv"
    template.write_text("image_location\nb/1.jpg\n", encoding="utf-16")
    with pytest.raises(DataError, match=r"template\.csv: cannot be read"):
        write_submission(tmp_path / "out.txt", template, predictions())


def test_a_pipe_is_no_template(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: not a regular file"):
        write_submission(tmp_path / "out.txt", tmp_path / "pipe", predictions())


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    template = write_template(tmp_path)
    before = template.read_bytes()
    with pytest.raises(DataError, match=r"template\.csv: exists already"):
        write_submission(template, template, predictions())
    assert template.read_bytes() == before


# ---- Frames that have no row of their own -----------------------------------------------------


def rows_at(at: Iterable[int]) -> dict[str, Frames]:
    """Of one video: valence of the n-th row is n hundredths, arousal 0."""
    frames = torch.tensor(list(at))
    values = torch.stack([torch.arange(len(frames)) / 100, torch.zeros(len(frames))], dim=1)
    return {"v": Frames(values, frames)}


def fill(folder: Path, at: Iterable[int], frames: Iterable[int]) -> tuple[list[int], Submission]:
    """Which row each frame of a template, counted from 1, is given, and what is told of it."""
    out = folder / "filled.txt"
    template = write_template(folder, [("v", frame) for frame in frames])
    made = write_submission(out, template, rows_at(at))
    lines = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert made.rows == len(lines)
    assert {arousal for _, _, arousal in lines} == {"0.00000"}
    return [round(100 * float(valence)) for _, valence, _ in lines], made


def test_a_template_of_one_frame_more_repeats_the_last(tmp_path: Path) -> None:
    given, made = fill(tmp_path, range(100), range(1, 102))
    assert given == [*range(100), 99]
    assert made == Submission(101, {}, {"v": 1}, {})
    assert made.report() == (
        "101 rows\nframes beyond the store's rows, with the nearest value before, or the first: 1; "
        "videos: 1 (v)"
    )


def test_a_template_of_one_frame_less_drops_the_last(tmp_path: Path) -> None:
    given, made = fill(tmp_path, range(100), range(1, 100))
    assert given == list(range(99))
    assert made == Submission(99, {}, {}, {"v": 1})
    assert made.report() == (
        "99 rows\nframes predicted but not in the template, dropped: 1; videos: 1 (v)"
    )


def test_a_template_may_be_eight_frames_longer_and_no_more(tmp_path: Path) -> None:
    given, made = fill(tmp_path, range(100), range(1, 109))
    assert given == [*range(100), *[99] * 8]
    assert made == Submission(108, {}, {"v": 8}, {})
    for longest, count, named in ((109, 1, "109"), (200, 92, "109, 110, 111, 112, 113, ...")):
        template = write_template(tmp_path, [("v", frame) for frame in range(1, longest + 1)])
        with pytest.raises(DataError) as error:
            write_submission(tmp_path / "out.txt", template, rows_at(range(100)))
        assert f"prediction: 1: 'v', frames: {count} ({named}), expected" in str(error.value)
    assert not (tmp_path / "out.txt").exists()


def test_all_videos_with_frames_too_far_away_are_named(tmp_path: Path) -> None:
    names = [f"v{number}" for number in range(7)]
    given = {name: rows_at(range(2))["v"] for name in names}
    template = write_template(tmp_path, [(name, 10 + number) for number, name in enumerate(names)])
    with pytest.raises(DataError) as error:  # v0 is asked for frame 10, which is near enough
        write_submission(tmp_path / "out.txt", template, given)
    said = str(error.value)
    assert "videos with frames without a prediction: 6: 'v1', frames: 1 (11), expected" in said
    assert "'v5', frames: 1 (15)" in said and said.endswith("; and 1 more")
    assert "v0" not in said and "v6" not in said


def test_a_row_every_eighth_frame_stands_for_the_frames_after_it(tmp_path: Path) -> None:
    """Rows end at the frames 8, 16 and 24, counted from 1 as the template does."""
    at = (7, 15, 23)
    expected = [0] * 7 + [0] * 8 + [1] * 8 + [2] * 8  # frames 1-7, 8-15, 16-23, 24-31
    given, made = fill(tmp_path / "same", at, range(1, 32))
    assert given == expected
    assert made == Submission(31, {"v": 31 - 3}, {}, {})
    assert made.report() == (
        "31 rows\nframes between rows of the store, with the nearest value before, or the first: "
        "28; videos: 1 (v)"
    )
    given, made = fill(tmp_path / "longer", at, range(39, 0, -1))
    assert given == [*[2] * 8, *reversed(expected)]
    assert made == Submission(39, {"v": 28}, {"v": 8}, {})
    given, made = fill(tmp_path / "shorter", at, range(1, 23))
    assert given == expected[:22]
    assert made == Submission(22, {"v": 20}, {}, {"v": 1})
    with pytest.raises(DataError, match=r"frames: 1 \(40\)"):
        fill(tmp_path / "far", at, range(1, 41))


def test_frames_before_the_first_row_have_its_value(tmp_path: Path) -> None:
    given, made = fill(tmp_path / "near", range(5, 20), range(1, 21))
    assert given == [0] * 5 + list(range(15))
    assert made == Submission(20, {}, {"v": 5}, {})
    with pytest.raises(DataError, match=r"frames: 2 \(1, 2\)"):
        fill(tmp_path / "far", range(10, 20), range(1, 21))


def test_a_gap_between_rows_is_filled_only_if_it_is_short(tmp_path: Path) -> None:
    given, made = fill(tmp_path / "short", [*range(10), *range(18, 30)], range(1, 31))
    assert given == [*range(10), *[9] * 8, *range(10, 22)]
    assert made == Submission(30, {}, {"v": 8}, {})
    with pytest.raises(DataError, match=r"frames: 1 \(19\)"):
        fill(tmp_path / "long", [*range(10), *range(19, 30)], range(1, 31))


def test_the_single_row_of_a_short_video_stands_for_all_of_it(tmp_path: Path) -> None:
    """A video of 20 frames has one row at stride 32, at its last frame."""
    given, made = fill(tmp_path, [19], range(1, 21))
    assert given == [0] * 20
    assert made == Submission(20, {"v": 19}, {}, {})


# ---- From a run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoothing_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config = tiny_run(folder)
    training = replace(config.training, epochs=1)
    protocol = Protocol(clip=True, smooth_valence=4)
    return execute_run(replace(config, training=training, protocol=protocol), folder / "out", "cpu")


def unlabelled_store(folder: Path, run: Run, stride: int = 1) -> RecordingStore:
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
    return write_store(folder / "store", copies, store.info)


def test_a_run_predicts_a_templates_videos(
    smoothing_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = unlabelled_store(tmp_path, smoothing_run)
    rows = store.entries["b_left"].rows
    template = write_template(tmp_path, [("b_left", frame + 1) for frame in range(rows)])
    out = tmp_path / "out.txt"
    arguments = [str(smoothing_run.folder), "--store", str(store.path)]
    arguments += ["--template", str(template), "--out", str(out)]
    assert main(["submit", *arguments]) == 0
    assert f"out.txt: {rows} rows" in capsys.readouterr().out
    said = predict(smoothing_run.model(store), store, ["b_left"]).predictions["b_left"]
    said = said.clamp(-1.0, 1.0).numpy()
    written = [line.split(",")[1:] for line in out.read_text().splitlines()[1:]]
    smoothed = uniform_filter1d(said[:, 0], 4, mode="nearest")
    assert [float(valence) for valence, _ in written] == pytest.approx(smoothed, abs=1e-5)
    assert [float(arousal) for _, arousal in written] == pytest.approx(said[:, 1], abs=1e-5)

    before = out.read_bytes()
    assert main(["submit", str(tmp_path / "none"), *arguments[1:]]) == 2
    assert "out.txt: exists already" in capsys.readouterr().err  # said before anything is read
    assert out.read_bytes() == before
    arguments[-1] = str(tmp_path / "other.txt")
    assert main(["submit", str(tmp_path / "none"), *arguments[1:]]) == 2
    assert "no such file" in capsys.readouterr().err


def test_a_run_predicts_each_frame_of_a_store_with_a_row_every_eighth(
    smoothing_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The template has two frames more than the video has whole clips, and leaves one row out."""
    store = unlabelled_store(tmp_path, smoothing_run, stride=8)
    rows = store.entries["b_left"].rows
    frames = [frame for frame in range(1, 8 * rows + 3) if frame != 16]
    template = write_template(tmp_path, [("b_left", frame) for frame in frames])
    out = tmp_path / "out.txt"
    arguments = [str(smoothing_run.folder), "--store", str(store.path)]
    assert main(["submit", *arguments, "--template", str(template), "--out", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.rsplit("; ", 1)[0].rsplit(" ", 1)[1] for line in printed[1:]] == [
        str(7 * rows + 2),
        "1",
    ]
    assert printed[0] == f"{out}: {8 * rows + 1} rows"
    assert printed[1].startswith("frames between rows") and "dropped: 1" in printed[2]

    # The 4 frames of smoothing are less than a row here: predictions are only clipped.
    said = predict(smoothing_run.model(store), store, ["b_left"]).predictions["b_left"]
    expected = [said.clamp(-1.0, 1.0)[max(frame // 8 - 1, 0)].tolist() for frame in frames]
    written = [line.split(",") for line in out.read_text().splitlines()[1:]]
    assert [place for place, _, _ in written] == [f"b_left/{frame:05d}.jpg" for frame in frames]
    values = torch.tensor([[float(value) for value in line[1:]] for line in written])
    torch.testing.assert_close(values, torch.tensor(expected), atol=1e-5, rtol=0)


def test_what_does_not_fit_together_is_said(smoothing_run: Run, tmp_path: Path) -> None:
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
    assert not out.exists()


def test_frames_are_compared_with_the_store_before_predicting(
    smoothing_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = unlabelled_store(tmp_path, smoothing_run)
    rows = store.entries["b_left"].rows
    template = write_template(tmp_path, [("b_left", rows + 9), ("a", 1), ("a", rows + 10)])
    monkeypatch.setattr(submission, "predict", lambda *_: pytest.fail("predicted in vain"))
    with pytest.raises(DataError) as error:
        submit(smoothing_run.folder, store.path, template, tmp_path / "out.txt")
    assert f"prediction: 2: 'b_left', frames: 1 ({rows + 9})" in str(error.value)
    assert f"; 'a', frames: 1 ({rows + 10})" in str(error.value)


# What `iaca data extract` writes of the features that it made.
EXTRACTED = {
    "visual_backbone": "r3d_18",
    "visual_weights": "R3D_18_Weights.KINETICS400_V1",
    "audio_backbone": "resnet18",
    "audio_weights": "ResNet18_Weights.IMAGENET1K_V1",
    "pictures": "face crops",
    "clip": "8 of 32 frames, a row every 8",
    "visual_features": "average over the 7 x 7 map",
}


class Extracted(NamedTuple):
    """A run, and a store of the same dimensions to predict."""

    run: Path
    store: Path
    own: Path  # the store that the run was trained on

    def submit(self) -> Submission:
        folder = self.store.parent
        return submit(
            self.run, self.store, write_template(folder, [("b_left", 1)]), folder / "out.txt"
        )


def note(store: Path, **source: str) -> str:
    """Say other things of how a store's features were made; gives the store's new key."""
    file = store / "index.json"
    index = json.loads(file.read_text())
    index["info"]["source"] |= source
    file.write_text(json.dumps(index))
    return RecordingStore(store).key


@pytest.fixture
def extracted(smoothing_run: Run, tmp_path: Path) -> Extracted:
    """A copy of the run in which all features seem to be made by `iaca data extract`."""
    store = unlabelled_store(tmp_path, smoothing_run).path
    output = tmp_path / "copy"
    shutil.copytree(smoothing_run.folder.parents[1], output)
    run = output / "runs" / smoothing_run.folder.name
    (own,) = (output / "data").iterdir()
    note(store, **EXTRACTED)
    identity = json.loads((run / "config.json").read_text())
    identity["data"] = note(own, **EXTRACTED)
    (run / "config.json").write_text(json.dumps(identity))
    return Extracted(run, store, own)


def test_features_made_alike_are_predicted_without_a_warning(extracted: Extracted) -> None:
    assert extracted.submit().warnings == ()


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("visual_backbone", "r2plus1d_18"),
        ("visual_weights", "random, seed 0"),
        ("audio_weights", "mine.pt, sha256 0"),
        ("visual_features", "7 x 7 map"),
        ("clip", "8 of 32 frames, a row every 4"),
    ],
)
def test_features_made_in_another_way_are_refused(
    extracted: Extracted, key: str, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submission, "predict", lambda *_: pytest.fail("predicted in vain"))
    note(extracted.store, **{key: other})
    with pytest.raises(DataError) as error:
        extracted.submit()
    assert f"{key}: found {other!r}, the run was trained on {EXTRACTED[key]!r}" in str(error.value)
    assert not (extracted.store.parent / "out.txt").exists()


def test_extracted_features_are_refused_to_a_run_on_others(
    smoothing_run: Run, extracted: Extracted
) -> None:
    with pytest.raises(DataError, match="found 'r3d_18', the run was trained on 'not recorded'"):
        extracted._replace(run=smoothing_run.folder).submit()


def test_what_makes_numbers_doubtful_is_said(
    extracted: Extracted, capsys: pytest.CaptureFixture[str]
) -> None:
    note(extracted.store, pictures="middle square of each picture")
    for store in (extracted.store, extracted.own):
        note(store, random_weights="yes: for tests only")
    arguments = [str(extracted.run), "--store", str(extracted.store)]
    template = write_template(extracted.store.parent, [("b_left", 1)])
    out = extracted.store.parent / "out.txt"
    assert main(["submit", *arguments, "--template", str(template), "--out", str(out)]) == 0
    changed, pictures, random = capsys.readouterr().err.splitlines()
    assert f"warning: {extracted.own} has changed since the run was trained" in changed
    assert "trained on face crops; here it sees the middle square" in pictures
    assert "weights are random: these numbers mean nothing" in random


def test_features_of_unknown_making_are_predicted_with_a_warning(
    smoothing_run: Run, tmp_path: Path
) -> None:
    store = unlabelled_store(tmp_path, smoothing_run).path
    (own,) = (smoothing_run.folder.parents[1] / "data").iterdir()
    unknown = Extracted(smoothing_run.folder, store, own).submit().warnings
    assert len(unknown) == 1 and "nothing says that the features are made as" in unknown[0]


def test_a_run_whose_own_data_are_gone_is_refused(smoothing_run: Run, extracted: Extracted) -> None:
    """As of gated data, which cannot be made again here."""
    file = extracted.run / "config.json"
    identity = json.loads(file.read_text())
    identity["config"]["data"] |= {"manifest": "affwild2"}
    file.write_text(json.dumps(identity))
    with pytest.raises(DataError, match=r"the data that it was trained on: affwild2: .* missing"):
        extracted.submit()


def test_a_run_is_opened_by_its_folder(smoothing_run: Run, tmp_path: Path) -> None:
    assert open_run(smoothing_run.folder) == smoothing_run
    for name, text in (("config.json", '{"config": {}}'), ("metrics.json", "{}")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json: not a run of this version, KeyError"):
        open_run(tmp_path)
