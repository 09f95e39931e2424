"""From media to a store, with backbones whose features can be told from the media by hand."""

import errno
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from safetensors import SafetensorError

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import (
    MINIATURE,
    stand_ins,
    tone,
    wave_labels,
    write_annotation,
    write_crops,
    write_video,
)

from iaca.base.files import DataError
from iaca.commands.submit import submit
from iaca.data.recordings import RecordingStore
from iaca.extraction import making, pipeline
from iaca.extraction.affwild2 import scan_folder
from iaca.extraction.audio import CLIP_SAMPLES
from iaca.extraction.growing import RowWriter
from iaca.extraction.inputs import plain_videos
from iaca.extraction.pipeline import Extraction, ExtractionConfig
from iaca.learning.evaluation import predict, score
from iaca.learning.loop import TrainingConfig
from iaca.models.regressor import ModelConfig
from iaca.runs.runs import RunConfig, execute_run
from iaca.sources.loading import DataConfig, open_data

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def simple_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "build_backbones", stand_ins)


def extract(
    root: Path,
    out: Path,
    stride: int = 8,
    only: str | None = None,
    allow_silent: bool = False,
    **options,
) -> Extraction:
    """Extract a miniature, or of it only the recordings named: each starts a decoder."""
    sources = scan_folder(root, root / "test.txt").sources
    if only is not None:
        sources = tuple(source for source in sources if source.name in only.split())
    config = ExtractionConfig(stride=stride, allow_silent=allow_silent)
    return pipeline.extract(sources, out, config, **options)


@pytest.fixture(scope="module")
def extracted(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_backbones", stand_ins)
        result = extract(miniature, tmp_path_factory.mktemp("out") / "store")
    assert result.failed == {}
    assert result.store is not None
    return result.store


def test_every_recording_has_its_rows_subject_and_role(extracted: RecordingStore):
    extracted.verify()
    assert extracted.info.clip_spacing == 4
    entries = extracted.entries
    rows = {name: entry.rows for name, entry in entries.items()}
    # A row every 8 frames; 20 frames end at rows 7 and 15.
    assert rows == {
        **{"1-30-1280x720": 12, "2_left": 10, "2_right": 10, "3": 2, "4": 8, "5": 6, "6": 5}
    }
    assert {name: entry.split for name, entry in entries.items()} == {
        **{"1-30-1280x720": "train", "2_left": "train", "2_right": "train", "3": "train"},
        **{"4": "report", "5": "report", "6": None},
    }
    assert entries["2_left"].subject == entries["2_right"].subject == "2"
    for name, entry in entries.items():
        film = MINIATURE[name.removesuffix("_left").removesuffix("_right")]
        assert entry.frame_rate == pytest.approx(film.rate)
        assert extracted[name].end_frame.tolist() == list(range(7, film.frames, 8))


def test_labels_are_those_of_the_last_frame(extracted: RecordingStore):
    for name, number in (("1-30-1280x720", 0), ("2_left", 1), ("4", 3)):
        film = MINIATURE[name.removesuffix("_left")]
        side = "_left" if name.endswith("_left") else ""
        written = np.array(wave_labels(film.frames, number, film.people[side].gaps), dtype=float)
        written[(written == -5).any(axis=1)] = np.nan
        recording = extracted[name]
        expected = written[recording.end_frame.numpy()]
        np.testing.assert_allclose(recording.labels.numpy(), expected, rtol=1e-6)
        assert np.isnan(expected).any(), "a gap is tested"
    assert extracted["6"].labels.isnan().all()


def greys(store: RecordingStore, name: str, frame: int) -> list[float]:
    recording = store[name]
    row = recording.end_frame.tolist().index(frame)
    return recording.visual[row, :8].tolist()


def crop_greys(number: int, frames: list[int]) -> list[int]:
    return [(60 + 2 * frame + number) % 256 for frame in frames]


def test_a_clip_shows_the_crops_of_its_frames(extracted: RecordingStore):
    def shown(name: str, number: int, end: int, frames: list[int]) -> None:
        expected = crop_greys(number, frames)
        assert greys(extracted, name, end) == pytest.approx(expected, abs=1.5)

    shown("1-30-1280x720", 0, 39, [11, 15, 19, 23, 27, 31, 35, 39])
    shown("1-30-1280x720", 0, 95, [67, 71, 75, 79, 83, 87, 91, 95])
    shown("3", 2, 7, list(range(8)))
    shown("2_right", 1, 7, [0, 1, 2, 6, 7, 7, 7, 7])  # crops 3 to 5 are missing
    # Of the frames 16 to 47, those from 40 on are missing: 24 are left, every third is shown.
    shown("2_left", 1, 47, [18, 21, 24, 27, 30, 33, 36, 39])
    assert greys(extracted, "2_left", 71) == [0.0] * 8  # frames 40 to 71 have no face


def test_the_sound_ends_with_the_clip_and_starts_late_where_it_does(extracted: RecordingStore):
    """The sound of video 2 begins 0.4 s after its first frame."""
    for name, start in (("2_left", 0.4), ("4", 0.0)):
        recording = extracted[name]
        for row, end in enumerate(recording.end_frame.tolist()):
            heard = round((end / recording.frame_rate - start) * 44_100)
            first, loud = (100 * recording.audio[row, :2].float()).tolist()
            if heard <= 0:
                assert (first, loud) == (pytest.approx(CLIP_SAMPLES, abs=50), 0)
                continue
            # The tone's zero crossings are not loud; float16 holds about three digits.
            assert loud == pytest.approx(min(heard, CLIP_SAMPLES), rel=0.01)
            assert first == pytest.approx(max(0, CLIP_SAMPLES - heard), abs=50)


def test_null_features_are_those_of_silence_and_black(extracted: RecordingStore):
    null_audio, null_visual = extracted.null_features
    assert 100 * null_audio[0].item() == pytest.approx(CLIP_SAMPLES, abs=50)
    assert not null_audio[1:].any()
    assert not null_visual.any()


@pytest.fixture(scope="module")
def every(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    """The miniature with a row for each frame."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_backbones", stand_ins)
        folder = tmp_path_factory.mktemp("every")
        store = extract(miniature, folder / "affwild2", stride=1, batch_size=7).store
    assert store is not None
    return store


def test_rows_of_a_wide_stride_are_among_those_of_every_frame(
    miniature: Path, extracted: RecordingStore, every: RecordingStore, tmp_path: Path
):
    assert every.info.clip_spacing == 32
    for name in extracted:
        wide, close = extracted[name], every[name]
        assert close.end_frame.tolist() == list(range(len(close)))
        for key in ("audio", "visual"):
            assert torch.equal(getattr(wide, key), getattr(close, key)[wide.end_frame])
    short = extract(miniature, tmp_path / "short", stride=32).store
    assert short is not None
    assert short["3"].end_frame.tolist() == [19]  # 20 frames: one clip all the same
    assert short["4"].end_frame.tolist() == [31, 63]


def test_batches_and_workers_change_nothing(
    miniature: Path, extracted: RecordingStore, tmp_path: Path
):
    again = extract(miniature, tmp_path / "again", batch_size=3, workers=3).store
    assert again is not None
    assert again.key == extracted.key


def test_train_evaluate_and_submit_end_to_end(
    every: RecordingStore, tmp_path: Path, one_thread: None
):
    output = tmp_path / "private"
    shutil.copytree(every.path, output / "data" / "affwild2")
    store, split = open_data(DataConfig("affwild2"), output / "data")
    assert split.report == ("4", "5")
    assert {store.entries[name].subject for name in split.select}.isdisjoint(
        store.entries[name].subject for name in split.train
    )
    config = RunConfig(
        DataConfig("affwild2"),
        ModelConfig(dim=8, window=3),
        TrainingConfig(epochs=2, batch_size=16, hop=4),
    )
    run = execute_run(config, output, device="cpu")
    assert set(run.predictions) == {"4", "5"}
    assert run.predictions["4"].shape == (64, 2)
    scores = score(predict(run.model(store), store, split.report).predictions, store)
    assert run.metrics["report"]["valence"] == pytest.approx(scores.pooled["valence"], abs=1e-6)

    template = tmp_path / "template.txt"
    lines = [f"6/{frame:05d}.jpg,0,0" for frame in range(40, 0, -1)]
    template.write_text("\n".join(["image_location,valence,arousal", *lines]), encoding="utf-8")
    assert submit(run.folder, store.path, template, tmp_path / "submission.txt").rows == 40
    written = (tmp_path / "submission.txt").read_text().splitlines()
    said = predict(run.model(store), store, ["6"]).predictions["6"]
    assert written[1].startswith("6/00040.jpg,")
    values = [float(value) for value in written[1].split(",")[1:]]
    assert values == pytest.approx(said[39].tolist(), abs=1e-5)


# --- bad input -----------------------------------------------------------------------------


def damage_annotation(line: int, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        file = root / "annotations" / "Train_Set" / "3.txt"
        lines = file.read_text().splitlines()
        lines[line - 1] = text
        file.write_text("\n".join(lines) + "\n")

    return change


def lengthen_annotation(root: Path) -> None:
    write_annotation(root / "annotations" / "Train_Set" / "3.txt", wave_labels(23))


def truncate_video(root: Path) -> None:
    file = root / "videos" / "3.mov"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def take_sound_away(root: Path) -> None:
    write_video(root / "videos" / "3.mov", 20, 25)


def take_frames_away(root: Path) -> None:
    import av

    (root / "videos" / "3.mov").unlink()
    with av.open(str(root / "videos" / "3.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=44_100)
        stream.layout = "mono"
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 128, 112, "yuv420p"
        block = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        block.sample_rate = 44_100
        container.mux(stream.encode(block))


def remove_crops(root: Path) -> None:
    shutil.rmtree(root / "cropped_aligned" / "3")


def remove_video(root: Path) -> None:
    (root / "videos" / "3.mov").unlink()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (damage_annotation(5, "0.1"), "3.txt, line 5: 1 columns in '0.1', expected 2"),
        (damage_annotation(6, "1.5,0"), "3.txt, line 6, column 'valence': 1.5, expected -1 to 1"),
        (lengthen_annotation, "3.txt, line 22: 23 annotated frames, but the video has 20"),
        (truncate_video, "3.mov: cannot be decoded, truncated or no video"),
        (take_sound_away, "3.mov: no audio stream"),
        (take_frames_away, "3.mkv: the video stream has no frames"),
        (remove_crops, "3: no folder of face crops"),
        (remove_video, "3.mp4: no such file"),
    ],
)
def test_one_bad_file_is_reported_and_the_rest_is_done(
    copy: Path, tmp_path: Path, change: Callable[[Path], None], complaint: str
):
    change(copy)
    result = extract(copy, tmp_path / "store", only="2_left 3 4")
    assert list(result.failed) == ["3"]
    assert complaint in result.failed["3"]
    assert result.store is not None
    assert list(result.store) == ["2_left", "4"]
    result.store.verify()
    report = result.report().splitlines()
    assert report[0] == "2 recordings in the store, 2 made now; 1 failed, 0 with problems"
    assert report[1].startswith("failed: 3: ")
    written = json.loads((tmp_path / "store" / "report.json").read_text())
    assert written["failed"] == result.failed


def test_crops_that_cannot_be_read_are_passed_over_and_reported(copy: Path, tmp_path: Path):
    crops = copy / "cropped_aligned" / "3"
    for number in (2, 3, 4, 5):
        (crops / f"{number:05d}.jpg").write_bytes(b"no picture")
    write_crops(crops, [30])
    result = extract(copy, tmp_path / "store", only="3")
    assert result.failed == {}
    texts = result.problems["3"]
    assert len(texts) == 5
    for text, number in zip(texts, (2, 3, 4), strict=False):
        assert f"{number:05d}.jpg: unreadable crop" in text
    assert texts[3] == "and 1 more unreadable crops"
    assert "00031.jpg: the video has 20 frames; 1 such crops" in texts[4]
    assert result.store is not None
    shown = [0, 5, 6, 7, 7, 7, 7, 7]
    assert greys(result.store, "3", 7) == pytest.approx(crop_greys(2, shown), abs=1.5)


def test_nothing_that_can_be_done_leaves_no_store(tmp_path: Path):
    videos = tmp_path / "videos"
    write_video(videos / "a.mp4", 5)
    result = pipeline.extract(plain_videos(videos), tmp_path / "store", ExtractionConfig())
    assert result.store is None
    assert "a.mp4: no audio stream" in result.failed["a"]
    assert not (tmp_path / "store").exists()


def test_silent_videos_are_taken_where_allowed(tmp_path: Path):
    videos = tmp_path / "videos"
    write_video(videos / "a.mp4", 5)
    config = ExtractionConfig(allow_silent=True)
    result = pipeline.extract(plain_videos(videos), tmp_path / "store", config)
    assert result.store is not None
    assert torch.equal(result.store["a"].audio[4], result.store.null_features[0])
    assert "a.mp4: no audio stream, taken as silence" in result.problems["a"][0]


def test_silence_can_be_allowed_and_a_notice_reworded_once_a_store_is_there(
    copy: Path, tmp_path: Path
):
    take_sound_away(copy)
    first = extract(copy, tmp_path / "store", only="3 4", notes={"notice": "Keep it."})
    assert first.store is not None and list(first.store) == ["4"]
    assert "silent_recordings" not in first.store.info.source
    again = {"only": "3 4", "notes": {"notice": "Keep it to yourself."}}
    result = extract(copy, tmp_path / "store", allow_silent=True, **again)
    assert result.made == ("3",)
    assert result.store is not None
    assert result.store.info.source["silent_recordings"] == 1
    assert result.store.info.source["notice"] == "Keep it to yourself."
    assert torch.equal(result.store["3"].audio[0], result.store.null_features[0])
    last = extract(copy, tmp_path / "store", only="3 4")  # what is there stays
    assert last.store is not None
    assert (last.made, last.store.key) == ((), result.store.key)


def test_the_store_says_which_recordings_of_each_part_it_lacks(
    copy: Path, tmp_path: Path, extracted: RecordingStore
):
    parts = [p.part for film in MINIATURE.values() for p in film.people.values()]
    wanted = {
        "train": parts.count("Train_Set"),
        "report": parts.count("Validation_Set"),
        "test": parts.count("Test_Set"),
    }
    assert extracted.info.source["wanted"] == wanted
    assert "not_extracted" not in extracted.info.source
    remove_video(copy)
    whole = {name: (copy / "videos" / f"{name}.mov").read_bytes() for name in "246"}
    for name in whole:
        (copy / "videos" / f"{name}.mov").write_text("no video")
    store = extract(copy, tmp_path / "store", stride=32).store
    assert store is not None
    assert store.info.source["wanted"] == wanted
    absent = {"train": ["2_left", "2_right", "3"], "report": ["4"], "test": ["6"]}
    assert store.info.source["not_extracted"] == absent
    for name, content in whole.items():
        (copy / "videos" / f"{name}.mov").write_bytes(content)
    mended = extract(copy, tmp_path / "store", stride=32).store
    assert mended is not None
    assert mended.info.source["not_extracted"] == {"train": ["3"]}
    assert mended.key != store.key


def test_plain_videos_are_seen_in_their_middle(tmp_path: Path):
    videos = tmp_path / "videos"
    write_video(videos / "a.mkv", 70, 25, tone(2.8))
    (videos / "notes.txt").write_text("no video")
    result = pipeline.extract(
        plain_videos(videos), tmp_path / "store", ExtractionConfig(stride=32), batch_size=1
    )
    assert result.store is not None
    assert result.store["a"].end_frame.tolist() == [31, 63]
    assert result.store["a"].labels.isnan().all()
    expected = [40 + 2 * frame for frame in range(35, 64, 4)]
    assert greys(result.store, "a", 63) == pytest.approx(expected, abs=3)


def test_folders_that_hold_no_videos(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent: no such folder"):
        plain_videos(tmp_path / "absent")
    with pytest.raises(DataError, match=r": no videos, expected \.mp4"):
        plain_videos(tmp_path)
    (tmp_path / "a b.mp4").touch()
    with pytest.raises(DataError, match=r"video 'a b': expected letters"):
        plain_videos(tmp_path)
    (tmp_path / "a b.mp4").rename(tmp_path / "a.mp4")
    (tmp_path / "a.avi").touch()
    with pytest.raises(DataError, match=r"a\.mp4: also a\.avi"):
        plain_videos(tmp_path)


# --- going on ------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
from media import stand_ins
from iaca.extraction import pipeline
from test_pipeline import extract

if __name__ == "__main__":
    pipeline.build_backbones = stand_ins
    extract(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_extraction_goes_on_to_the_same_bytes(
    miniature: Path, extracted: RecordingStore, tmp_path: Path
):
    out = tmp_path / "store"
    done = tmp_path / ".store.growing" / "done"
    environment = {"PYTHONPATH": ":".join([*sys.path, str(TESTS), str(TESTS / "extraction")])}
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    for wanted in (1, 3):  # killed as soon as that many recordings are done
        process = subprocess.Popen(
            [sys.executable, str(script), str(miniature), str(out)], env=environment
        )
        until = time.monotonic() + 60
        while process.poll() is None and len(list(done.glob("*.json"))) < wanted:
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
    before = {file.name: file.stat().st_mtime_ns for file in done.glob("*.json")}
    assert len(before) >= 3
    result = extract(miniature, out)
    assert result.store is not None
    assert result.store.key == extracted.key
    assert len(result.made) == 7 - len(before)
    kept = {file.name: file.stat().st_mtime_ns for file in (out / "done").glob("*.json")}
    assert before.items() <= kept.items()
    assert not (out / "scratch").exists()


def test_the_same_call_again_changes_nothing(miniature: Path, tmp_path: Path):
    first = extract(miniature, tmp_path / "store", only="3")
    before = (tmp_path / "store" / "index.json").stat()
    again = extract(miniature, tmp_path / "store", only="3")
    assert first.store is not None and again.store is not None
    assert again.made == ()
    assert (tmp_path / "store" / "index.json").stat().st_mtime_ns == before.st_mtime_ns


def test_without_a_bar_each_recording_has_its_line(copy: Path, tmp_path: Path):
    truncate_video(copy)
    growing = tmp_path / ".store.growing"
    said: list[str] = []

    def note(line: str) -> None:
        said.append(line)
        if len(said) > 1:  # what a recording needed while it was made is gone
            assert [path for path in (growing / "scratch").rglob("*") if path.is_file()] == []

    extract(copy, tmp_path / "store", only="2_left 3 4", notify=note)
    assert said[0] == "3 of 3 recordings to make"
    took = r"\d+ rows in \d+\.\d s"
    assert re.fullmatch(rf"1 of 3: 2_left: {took}; 0:00:\d\d left", said[1])
    assert re.fullmatch(r"2 of 3: 3: failed: .*3\.mov: .*truncated.*; 0:00:\d\d left", said[2])
    assert re.fullmatch(rf"3 of 3: 4: {took}", said[3])
    assert "2_left: 10 rows" in said[1] and "4: 8 rows" in said[3]
    assert len(said) == 4


def test_a_bar_takes_the_place_of_the_lines(
    miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said: list[str] = []
    extract(miniature, tmp_path / "store", only="3", notify=said.append, progress=True)
    assert said == ["1 of 1 recordings to make"]
    assert "100% |" in capsys.readouterr().err


def test_other_settings_and_other_stores_are_refused(miniature: Path, tmp_path: Path):
    extract(miniature, tmp_path / "store", stride=32, only="3")
    with pytest.raises(DataError, match=r"settings\.json: key 'clip': was made with .*every 32'"):
        extract(miniature, tmp_path / "store", stride=16)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(DataError, match=r"other: exists already, and is no store made by"):
        extract(miniature, tmp_path / "other")
    assert (tmp_path / "other" / "file").exists()


def test_two_at_once_are_refused(miniature: Path, tmp_path: Path):
    with (
        FileLock(tmp_path / ".store.lock"),
        pytest.raises(DataError, match=r"store: another process is writing this store"),
    ):
        extract(miniature, tmp_path / "store")


NOTHING_LOST = "the same command goes on, what is done is kept"


@pytest.mark.parametrize(
    ("error", "raised", "text"),
    [
        (RuntimeError("what is this"), RuntimeError, "^what is this$"),
        (PermissionError(errno.EACCES, "denied"), PermissionError, "denied"),
        (
            torch.OutOfMemoryError("Tried to allocate\n20 GiB"),
            DataError,
            rf"^the GPU has .* 32 clips .* smaller --batch-size, .*; {NOTHING_LOST}$",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            DataError,
            rf"store: the disk is full: free some of it; {NOTHING_LOST}$",
        ),
    ],
)
@pytest.mark.parametrize("place", ["backbones", "writer"])
def test_an_unexpected_error_stops_all_and_keeps_what_is_done(
    miniature: Path, tmp_path: Path, place: str, error: Exception, raised: type, text: str
):
    compute, append = making.features, RowWriter.append

    def features(backbones, track, clips):
        if place == "backbones" and track.file.parent.name == "3":
            raise error
        return compute(backbones, track, clips)

    def write(self, **features):
        if place == "writer" and self.name == "3":
            raise error
        append(self, **features)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "features", features)
        patch.setattr(RowWriter, "append", write)
        with pytest.raises(raised, match=text):
            extract(miniature, tmp_path / "store", stride=32, only="2_left 3 4")
    assert not (tmp_path / "store").exists()
    scratch = tmp_path / ".store.growing" / "scratch"
    assert [path for path in scratch.rglob("*") if path.is_file()] == []  # it fills no disk
    result = extract(miniature, tmp_path / "store", stride=32, only="2_left 3 4")
    assert result.store is not None
    assert result.made == ("3", "4")
    assert len(result.store) == 3


def test_a_disk_that_fills_up_at_the_last_step_says_so(
    miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The null features are written by safetensors, whose error is none of the system's."""

    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("iaca.sources.writing.save_file", full)
        with pytest.raises(DataError, match="store: the disk is full"):
            extract(miniature, tmp_path / "store", only="3")
    result = extract(miniature, tmp_path / "store", only="3")
    assert result.made == ()
    assert result.store is not None and list(result.store) == ["3"]


def test_real_talking_faces(mirror: Path, tmp_path: Path):
    clips = sorted((mirror / "clips").glob("*.mpg"))[:3]
    if not clips:
        pytest.skip("no real clips")
    for clip in clips:
        (tmp_path / "videos").mkdir(exist_ok=True)
        shutil.copy(clip, tmp_path / "videos")
    result = pipeline.extract(
        plain_videos(tmp_path / "videos"), tmp_path / "store", ExtractionConfig(stride=8)
    )
    assert result.failed == {}
    assert result.store is not None
    for name in result.store:
        recording = result.store[name]
        assert recording.end_frame.tolist() == list(range(7, 75, 8))
        assert recording.frame_rate == 25
        assert 20 < recording.visual[:, :8].float().mean() < 235
        assert recording.audio[:, 1].max() > 10  # somebody speaks


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"workers": 0}])
def test_options_have_limits(miniature: Path, tmp_path: Path, option: dict[str, int]):
    with pytest.raises(DataError, match="expected at least 1"):
        extract(miniature, tmp_path / "store", **option)
    with pytest.raises(DataError, match="stride 5: expected a divisor of 32"):
        extract(miniature, tmp_path / "store", stride=5)
