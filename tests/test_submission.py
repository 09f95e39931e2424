"""Submission files: the template's order and nothing but its videos and frames."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.ndimage import uniform_filter1d
from toys import tiny_run, toy_info, toy_recording

from iaca.cli import main
from iaca.data.loading import open_data
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.writing import write_store
from iaca.evaluation import predict
from iaca.files import DataError
from iaca.protocol import Protocol
from iaca.runs import Run, execute_run, open_run
from iaca.submission import Frames, submit, write_submission

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
    assert write_submission(out, write_template(tmp_path), predictions()) == 5
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


def without_a_frame(given: dict[str, Frames]) -> None:
    values, at = given["b_left"]
    given["b_left"] = Frames(values[1:], at[1:])


def with_frames(given: dict[str, Frames]) -> None:
    given["b_left"] = Frames(torch.zeros(12, 2), torch.arange(12))


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
        (without_a_frame, r"video 'b_left', frames: 1 without a prediction \(3\)"),
        (with_frames, r"video 'b_left', frames: 9 not in it \(4, 5, 6, 7, 8, ...\)"),
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
        ("", "template.csv, line 1: found an empty file, expected image_location,valence"),
        ("video,frame\n", r"line 1: found \['video', 'frame'\], expected image_location"),
        ("image_location\nb/1.jpg\nb-2.jpg\n", "line 3: found 'b-2.jpg', expected <video>/"),
        ("image_location\nb/1.png\n", "line 2: found 'b/1.png', expected <video>/<frame>.jpg"),
        ("image_location\nb/one.jpg\n", "line 2: found 'b/one.jpg'"),
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
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        write_submission(tmp_path / "out.txt", tmp_path / "none.csv", predictions())


# ---- From a run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smoothing_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    config = tiny_run(folder)
    training = replace(config.training, epochs=1)
    protocol = Protocol(clip=True, smooth_valence=4)
    return execute_run(replace(config, training=training, protocol=protocol), folder / "out", "cpu")


def unlabelled_store(folder: Path, run: Run) -> RecordingStore:
    """The run's own recordings under other names, without their labels."""
    store, split = open_data(run.config.data, run.folder.parents[1] / "data")
    copies = [
        Recording(
            name,
            name,
            store[old].audio,
            store[old].visual,
            torch.full_like(store[old].labels, torch.nan),
            store[old].end_frame,
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

    assert main(["submit", str(tmp_path / "none"), *arguments[1:]]) == 2
    assert "no such file" in capsys.readouterr().err


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


def test_a_run_is_opened_by_its_folder(smoothing_run: Run, tmp_path: Path) -> None:
    assert open_run(smoothing_run.folder) == smoothing_run
    for name, text in (("config.json", '{"config": {}}'), ("metrics.json", "{}")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"config\.json: not a run of this version, KeyError"):
        open_run(tmp_path)
