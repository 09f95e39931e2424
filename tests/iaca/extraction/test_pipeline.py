"""From media to a store, with backbones whose features can be told from the media by hand."""

import errno
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

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

from iaca.base.files import DataError, OutputError
from iaca.commands.extract import report
from iaca.data.recordings import RecordingStore
from iaca.extraction import making, pipeline
from iaca.extraction.affwild2 import scan_folder
from iaca.extraction.clips import CLIP_SAMPLES
from iaca.extraction.making import Effort, ExtractionConfig
from iaca.extraction.pipeline import Extraction

TRAINING, VALIDATION = Path("annotations", "Train_Set"), Path("annotations", "Validation_Set")


@pytest.fixture(autouse=True, scope="module")
def simple_backbones() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_backbones", stand_ins)
        yield


def extract(
    root: Path, out: Path, stride: int = 8, only: str | None = None, silent: bool = False, **options
) -> Extraction:
    """Extract a miniature, or of it only the recordings named."""
    found = scan_folder(root, root / "test.txt")
    sources = [each for each in found.sources if only is None or each.name in only.split()]
    config = ExtractionConfig(stride=stride, allow_silent=silent)
    return pipeline.extract(sources, out, config, left_out=found.left_out, **options)


@pytest.fixture(scope="module")
def extracted(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    result = extract(miniature, tmp_path_factory.mktemp("out") / "store")
    assert result.failed == {}
    assert result.store is not None
    return result.store


def test_every_recording_has_its_rows_subject_and_role(extracted: RecordingStore):
    extracted.verify()
    assert extracted.info.clip_spacing == 4
    null_audio, null_visual = extracted.null_features  # of silence, and of black
    assert 100 * null_audio[0].item() == pytest.approx(CLIP_SAMPLES, abs=50)
    assert not (null_audio[1:].any() or null_visual.any())
    roles = {"Train_Set": "train", "Validation_Set": "report", "Test_Set": None}
    people = [
        (name, side, film, person.part)
        for name, film in MINIATURE.items()
        for side, person in film.people.items()
    ]
    assert set(extracted) == {name + side for name, side, _, _ in people}
    for name, side, film, part in people:
        entry = extracted.entries[name + side]
        assert (entry.subject, entry.split) == (name, roles[part])
        assert entry.frame_rate == pytest.approx(film.rate)
        # A row every 8 frames.
        assert extracted[name + side].end_frame.tolist() == list(range(7, film.frames, 8))


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


def test_rows_of_a_wide_stride_are_among_those_of_every_frame(
    miniature: Path, extracted: RecordingStore, tmp_path: Path
):
    every = extract(miniature, tmp_path / "every", stride=1, effort=Effort(batch_size=7)).store
    assert every is not None
    assert every.info.clip_spacing == 32
    for name in extracted:
        wide, close = extracted[name], every[name]
        assert close.end_frame.tolist() == list(range(len(close)))
        for key in ("audio", "visual"):
            assert torch.equal(getattr(wide, key), getattr(close, key)[wide.end_frame])
    short = extract(miniature, tmp_path / "short", stride=32, only="3 4").store
    assert short is not None
    assert short["3"].end_frame.tolist() == [19]  # 20 frames: one clip all the same
    assert short["4"].end_frame.tolist() == [31, 63]


def test_batches_and_workers_change_nothing(
    miniature: Path, extracted: RecordingStore, tmp_path: Path
):
    again = extract(miniature, tmp_path / "again", effort=Effort(batch_size=3, workers=3)).store
    assert again is not None
    assert again.key == extracted.key


# --- bad input -----------------------------------------------------------------------------


def truncate_video(root: Path, name: str) -> None:
    file = root / "videos" / f"{name}.mov"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def test_bad_files_are_reported_and_the_rest_is_done(copy: Path, tmp_path: Path):
    """Each recording but one has something else that is wrong."""
    write_annotation(copy / VALIDATION / "4.txt", [*wave_labels(3), (7, 0)])
    write_annotation(copy / TRAINING / "3.txt", wave_labels(29))
    truncate_video(copy, "5")
    write_video(copy / "videos" / "1-30-1280x720.mov", 96, 30)
    shutil.rmtree(copy / "cropped_aligned" / "2_left")
    (copy / "videos" / "6.mov").unlink()
    result = extract(copy, tmp_path / "store", stride=32)
    complaints = {
        "4": "4.txt, line 5: '7,0', expected values from -1 to 1",
        "3": "3.txt: 29 annotated frames, but the video has 20, expected 8 more at most",
        "5": "5.mov: cannot be decoded, truncated or no video",
        "1-30-1280x720": "1-30-1280x720.mov: no audio stream",
        "2_left": "2_left: no folder of face crops",
        "6": "6.mp4: no such file",
    }
    assert result.failed.keys() == complaints.keys()
    assert all(text in result.failed[name] for name, text in complaints.items())
    assert result.store is not None and list(result.store) == ["2_right"]
    result.store.verify()
    said = report(result).splitlines()
    assert said[0] == "1 recordings in the store, 1 made now; 6 failed, 0 with problems"
    assert said[2].startswith("failed: 2_left: ")
    written = json.loads((tmp_path / "store" / "extraction.json").read_text())
    assert written["failed"] == result.failed


def test_crops_that_cannot_be_read_are_passed_over_and_reported(copy: Path, tmp_path: Path):
    crops = copy / "cropped_aligned" / "3"
    whole = (crops / "00002.jpg").read_bytes()
    for number in (2, 3, 4, 5):
        (crops / f"{number:05d}.jpg").write_bytes(b"no picture")
    write_crops(crops, [30])
    result = extract(copy, tmp_path / "store", only="3")
    assert result.failed == {}
    texts = result.problems["3"]
    assert len(texts) == 5
    for text, number in zip(texts, (2, 3, 4), strict=False):
        assert f"{number:05d}.jpg: unreadable crop" in text
    assert texts[3] == "and 1 more like that"
    assert "00031.jpg: the video has 20 frames; 1 such crops" in texts[4]
    assert result.store is not None
    shown = [0, 5, 6, 7, 7, 7, 7, 7]
    assert greys(result.store, "3", 7) == pytest.approx(crop_greys(2, shown), abs=1.5)
    assert extract(copy, tmp_path / "store", only="3").problems == result.problems  # still
    (crops / "00002.jpg").write_bytes(whole)
    mended = extract(copy, tmp_path / "store", only="3")
    assert (mended.made, len(mended.problems["3"])) == (("3",), 4)


def test_silence_can_be_allowed_and_a_notice_reworded_once_a_store_is_there(
    copy: Path, tmp_path: Path
):
    write_video(copy / "videos" / "3.mov", 20, 25)
    first = extract(copy, tmp_path / "store", only="3 4", notes={"notice": "Keep it."})
    assert first.store is not None and list(first.store) == ["4"]
    again = {"only": "3 4", "notes": {"notice": "Keep it to yourself."}}
    result = extract(copy, tmp_path / "store", silent=True, **again)
    assert result.made == ("3",)
    assert "3.mov: no audio stream, taken as silence" in result.problems["3"][0]
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
    wanted = {"train": 4, "report": 2, "test": 1}
    assert extracted.info.source["wanted"] == wanted
    assert "not_extracted" not in extracted.info.source
    shutil.copytree(extracted.path, tmp_path / "store")
    videos = copy / "videos"
    videos.rename(copy / "elsewhere")  # say a disk that is not mounted
    videos.mkdir()
    for name in ("1-30-1280x720", "5"):
        shutil.copy(copy / "elsewhere" / f"{name}.mov", videos)
    store = extract(copy, tmp_path / "store").store
    assert store is not None and list(store) == ["1-30-1280x720", "5"]
    assert store.info.source["wanted"] == wanted
    absent = {"train": ["2_left", "2_right", "3"], "report": ["4"], "test": ["6"]}
    assert store.info.source["not_extracted"] == absent
    shutil.rmtree(videos)
    (copy / "elsewhere").rename(videos)
    back = extract(copy, tmp_path / "store")
    assert back.made == () and back.store is not None
    assert back.store.key == extracted.key


def test_features_that_float16_cannot_hold_name_the_row(
    miniature: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def large(backbones, heard, clips):
        features = torch.ones(len(clips.ends), 512)
        features[clips.ends == 15, 7] = 70_000.0
        return torch.ones(len(clips.ends), 512), features

    monkeypatch.setattr(making, "features", large)
    failed = extract(miniature, tmp_path / "store", only="3").failed
    assert "recording '3', row 1: visual holds NaN or an infinite value" in failed["3"]


# --- what has changed ----------------------------------------------------------------------

SOME = "2_left 2_right 3 4"


@pytest.fixture(scope="module")
def begun(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature's store of a few recordings; nobody changes it."""
    out = tmp_path_factory.mktemp("begun") / "store"
    extract(miniature, out, only=SOME)
    return out


@pytest.fixture
def store(begun: Path, tmp_path: Path) -> Path:
    """The same, to be added to."""
    return Path(shutil.copytree(begun, tmp_path / "store"))


def test_a_changed_video_is_made_again_and_the_old_one_comes_back_undecoded(
    copy: Path, store: Path, monkeypatch: pytest.MonkeyPatch
):
    before = RecordingStore(store).key
    videos, kept = copy / "videos", copy / "kept"
    shutil.copytree(videos, kept)
    truncate_video(copy, "3")
    write_video(videos / "4.mov", 70, 30, tone(70 / 30))
    said: list[str] = []
    result = extract(copy, store, only=SOME, notify=said.append)
    assert said[:2] == [
        "checking 4 recordings for changes",
        "2 of 4 recordings to make, 2 of them again because their files have changed or are gone: "
        "3, 4",
    ]
    assert (list(result.failed), result.made) == (["3"], ("4",))
    assert result.store is not None
    result.store.verify()
    assert set(result.store) == {"2_left", "2_right", "4"}
    assert result.store.info.source["not_extracted"] == {"train": ["3"]}
    assert result.store["4"].end_frame.tolist() == list(range(7, 64, 8))
    shutil.copy(kept / "4.mov", videos)
    assert extract(copy, store, only=SOME).made == ("4",)
    shutil.copy(kept / "3.mov", videos)

    def decode_nothing(*_, **__):
        raise AssertionError("was decoded")

    monkeypatch.setattr(making, "decode", decode_nothing)
    result = extract(copy, store, only=SOME)
    assert (result.made, result.failed) == ((), {})
    assert RecordingStore(store).key == before


def other_labels(root: Path) -> None:
    write_annotation(root / VALIDATION / "4.txt", wave_labels(60, 1.0, gaps=(7, 20)))


def other_part(root: Path) -> None:
    (root / VALIDATION / "4.txt").rename(root / TRAINING / "4.txt")


@pytest.mark.parametrize("change", [other_labels, other_part])
def test_other_labels_and_parts_give_the_store_that_is_made_from_nothing(
    copy: Path, store: Path, tmp_path: Path, change: Callable[[Path], None]
):
    change(copy)
    fresh = extract(copy, tmp_path / "fresh", only=SOME).store
    result = extract(copy, store, only=SOME)
    assert (result.made, result.failed) == (("4",), {})
    assert fresh is not None and RecordingStore(store).key == fresh.key


def test_a_copied_data_set_is_the_same_and_changes_are_announced_in_time(
    miniature: Path, store: Path, tmp_path: Path
):
    """Copied without its times, that is; and the store is touched only after the announcement."""
    before = (store / "index.json").stat().st_mtime_ns
    root = shutil.copytree(miniature, tmp_path / "data", copy_function=shutil.copyfile)
    assert extract(root, store, only=SOME).made == ()
    for name in SOME.split():
        (root / "cropped_aligned" / name / "00007.jpg").unlink()

    def stop(line: str) -> None:
        if "4 of 4 recordings to make, 4 of them again because" in line:
            raise KeyboardInterrupt(line)

    with pytest.raises(KeyboardInterrupt, match=r": 2_left, 2_right, 3, \.\.\.$"):
        extract(root, store, only=SOME, notify=stop)
    assert (store / "index.json").stat().st_mtime_ns == before


def test_what_must_not_be_trained_on_leaves_and_can_come_back(copy: Path, store: Path):
    before = RecordingStore(store).key
    (copy / TRAINING / "2_right.txt").rename(copy / VALIDATION / "2_right.txt")
    result = extract(copy, store, only=SOME)
    assert (result.made, result.failed) == (("2_right",), {})
    assert "'2_right' in" in result.problems["2_left"][0]
    roles = {name: entry.split for name, entry in RecordingStore(store).entries.items()}
    assert roles == {"2_right": "report", "3": "train", "4": "report"}
    (copy / VALIDATION / "2_right.txt").rename(copy / TRAINING / "2_right.txt")
    result = extract(copy, store, only=SOME)
    assert (result.made, result.failed, result.problems) == (("2_right",), {}, {})
    assert RecordingStore(store).key == before


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
    environment = {"PYTHONPATH": ":".join([*sys.path, str(Path(__file__).parent)])}
    command = [sys.executable, "-c", KILLED, str(miniature), str(out)]
    process = subprocess.Popen(command, env=environment)
    until = time.monotonic() + 60
    while process.poll() is None and len(list(out.glob("recordings/*"))) < 3:
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "index.json").exists()
    noted = json.loads((out / "extraction.json").read_text())["recordings"]
    before = {name: (out / "recordings" / f"{name}.safetensors").stat() for name in noted}
    assert len(before) >= 2
    result = extract(miniature, out)
    assert result.store is not None
    assert result.store.key == extracted.key
    assert len(result.made) == 7 - len(before)
    for name, found in before.items():
        file = out / "recordings" / f"{name}.safetensors"
        assert file.stat().st_mtime_ns == found.st_mtime_ns
    assert not list(out.glob(".scratch*"))


def test_without_a_bar_each_recording_has_its_line(copy: Path, tmp_path: Path):
    truncate_video(copy, "3")
    out = tmp_path / "store"
    said: list[str] = []

    def note(line: str) -> None:
        said.append(line)
        assert not list(out.glob(".scratch*")), "what a recording needed is gone when it has ended"

    extract(copy, out, only="2_left 3 4", notify=note)
    assert said[0] == "3 of 3 recordings to make"
    assert re.fullmatch(r"1 of 3: 2_left: 10 rows in \d+\.\d s; 0:00:\d\d left", said[1])
    assert re.fullmatch(r"2 of 3: 3: failed: .*3\.mov: .*truncated.*; 0:00:\d\d left", said[2])
    assert re.fullmatch(r"3 of 3: 4: 8 rows in \d+\.\d s", said[3])
    assert len(said) == 4


def test_a_bar_takes_the_place_of_the_lines(
    miniature: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    said: list[str] = []
    extract(miniature, tmp_path / "store", only="3", notify=said.append, progress=True)
    assert said == ["1 of 1 recordings to make"]
    assert "100% |" in capsys.readouterr().err


def test_other_settings_and_options_without_sense_are_refused(miniature: Path, begun: Path):
    for option in ({"batch_size": 0}, {"workers": 0}):
        with pytest.raises(DataError, match="expected at least 1"):
            Effort(**option)
    with pytest.raises(DataError, match="stride 5: expected a divisor of 32"):
        extract(miniature, begun, stride=5)
    with pytest.raises(DataError, match=r"extraction\.json: key 'clip': was made with .*every 8'"):
        extract(miniature, begun, stride=16)
    assert len(RecordingStore(begun)) == 4


def test_a_gpu_gets_the_clips_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An R(2+1)D-18 holds 50 MB a clip."""
    assert making.fitting_batch("r2plus1d_18", Effort(device="cpu")) == 32
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for free, workers, clips in ((0, 1, 1), (4, 1, 32), (4, 4, 8), (79, 4, 128), (79, 1, 256)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=free: (free * 10**9, 80e9))
        assert making.fitting_batch("r2plus1d_18", Effort(workers=workers)) == clips


NOTHING_LOST = "the same command goes on, what is done is kept"
FULL = rf"store: the disk is full: free some of it; {NOTHING_LOST}$"


@pytest.mark.parametrize(
    ("place", "error", "raised", "text"),
    [
        ("making.features", RuntimeError("what is this"), RuntimeError, "^what is this$"),
        (
            "making.features",
            torch.OutOfMemoryError("Tried to allocate\n20 GiB"),
            DataError,
            rf"^the GPU has .* 32 clips .* --batch-size 16 or less, .*; {NOTHING_LOST}$",
        ),
        ("making.write_recording", OSError(errno.ENOSPC, "No space left"), DataError, FULL),
        ("folder.write_index", OutputError(errno.EDQUOT, "Quota", "index.json"), DataError, FULL),
    ],
)
def test_an_unexpected_error_stops_all_and_keeps_what_is_done(
    miniature: Path, tmp_path: Path, place: str, error: Exception, raised: type, text: str
):
    calls: list[str] = []

    def fail(*_):
        raise error

    def later(line: str) -> None:
        """The first recording is done."""
        calls.append(line)
        if len(calls) == 2:
            patch.setattr(f"iaca.extraction.{place}", fail)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(raised, match=text):
        extract(miniature, tmp_path / "store", only="3 4", notify=later)
    assert not (tmp_path / "store" / "index.json").exists()
    assert not list((tmp_path / "store").glob(".scratch*"))  # it fills no disk
    result = extract(miniature, tmp_path / "store", only="3 4")
    assert result.store is not None and len(result.store) == 2
    assert result.made == (() if place == "folder.write_index" else ("4",))
