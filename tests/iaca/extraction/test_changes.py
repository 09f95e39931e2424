"""What a store keeps, makes again, relabels or leaves out when its files are not what they were."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import stand_ins, tone, wave_labels, write_annotation, write_video

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.extraction import making, pipeline
from iaca.extraction.affwild2 import Source, scan_folder
from iaca.extraction.inputs import plain_videos
from iaca.extraction.pipeline import Extraction, ExtractionConfig

TRAINING, VALIDATION = Path("annotations", "Train_Set"), Path("annotations", "Validation_Set")


@pytest.fixture(autouse=True)
def simple_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "build_backbones", stand_ins)


@pytest.fixture(scope="module")
def begun(miniature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature, and beside it a store of the recordings 2_left, 2_right, 3 and 4."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_backbones", stand_ins)
        folder = tmp_path_factory.mktemp("begun")
        shutil.copytree(miniature, folder / "data")
        extract(folder, "2_left 2_right 3 4")
    return folder


@pytest.fixture
def place(begun: Path, tmp_path: Path) -> Path:
    """The same, to be damaged."""
    return Path(shutil.copytree(begun, tmp_path / "place"))


def sources(place: Path, only: str) -> tuple[tuple[Source, ...], Mapping[str, str]]:
    found = scan_folder(place / "data", place / "data" / "test.txt")
    names = only.split()
    return tuple(source for source in found.sources if source.name in names), found.left_out


def extract(place: Path, only: str = "2_left 2_right 3 4", **options) -> Extraction:
    chosen, left_out = sources(place, only)
    config = ExtractionConfig(stride=8)
    return pipeline.extract(chosen, place / "store", config, left_out=left_out, **options)


def store_of(place: Path) -> RecordingStore:
    store = RecordingStore(place / "store")
    store.verify()
    return store


def decode_nothing(*_, **__):
    raise AssertionError("was decoded")


# --- what is missing -----------------------------------------------------------------------


def remove_video(data: Path) -> None:
    (data / "videos" / "4.mov").unlink()


def empty_video(data: Path) -> None:
    (data / "videos" / "4.mov").write_bytes(b"")


def remove_crops(data: Path) -> None:
    shutil.rmtree(data / "cropped_aligned" / "4")


def empty_crops(data: Path) -> None:
    for crop in (data / "cropped_aligned" / "4").iterdir():
        crop.unlink()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (remove_video, "video"),
        (empty_video, "video"),
        (remove_crops, "crops"),
        (empty_crops, "crops"),
    ],
)
@pytest.mark.parametrize("more", [False, True])
def test_features_whose_files_are_gone_are_kept_and_it_is_said(
    place: Path, change: Callable[[Path], None], what: str, more: bool
):
    """With nothing else to do, and beside a recording that is made."""
    before = store_of(place)
    change(place / "data")
    result = extract(place, "2_left 2_right 3 4" + " 5" * more)
    assert result.failed == {}
    assert result.made == (("5",) if more else ())
    assert result.problems == {
        "4": (f"its {what} cannot be found or read any more; its features are kept",)
    }
    after = store_of(place)
    assert after.entries["4"] == before.entries["4"]
    assert set(after) == {*before, *(["5"] if more else [])}
    report = json.loads((place / "store" / "report.json").read_text())
    assert report == {"failed": {}, "problems": {"4": list(result.problems["4"])}}


def test_videos_that_are_not_mounted_cost_nothing_and_come_back(place: Path):
    before = store_of(place).key
    (place / "data" / "videos").rename(place / "elsewhere")
    (place / "data" / "videos").mkdir()
    result = extract(place)
    assert (result.made, result.failed, list(result.problems)) == ((), {}, list(store_of(place)))
    assert store_of(place).key == before
    (place / "data" / "videos").rmdir()
    (place / "elsewhere").rename(place / "data" / "videos")
    result = extract(place)
    assert (result.made, result.failed, result.problems) == ((), {}, {})
    assert json.loads((place / "store" / "report.json").read_text())["problems"] == {}


def test_what_is_not_asked_for_any_more_is_kept_and_it_is_said(place: Path):
    before = store_of(place).key
    result = extract(place, "3 4")
    assert list(result.problems) == ["2_left", "2_right"]
    assert "what was made of it before is kept" in result.problems["2_left"][0]
    assert store_of(place).key == before


# --- what is different ---------------------------------------------------------------------


def test_a_changed_video_is_made_again_and_a_mended_one_added(place: Path):
    whole = (place / "data" / "videos" / "3.mov").read_bytes()
    (place / "data" / "videos" / "3.mov").write_bytes(whole[: len(whole) // 2])
    write_video(place / "data" / "videos" / "4.mov", 70, 30, tone(70 / 30))
    said: list[str] = []
    result = extract(place, notify=said.append)
    assert said[:2] == [
        "checking 4 recordings for changes",
        "2 of 4 recordings to make, 2 of them again because their files have changed: 3, 4",
    ]
    assert (list(result.failed), result.made) == (["3"], ("4",))
    assert "3.mov: cannot be decoded" in result.failed["3"]
    store = store_of(place)
    assert set(store) == {"2_left", "2_right", "4"}
    assert store.info.source["not_extracted"] == {"train": ["3"]}
    assert len(store["4"].labels) == 8 and store["4"].end_frame[-1] == 63
    write_video(place / "data" / "videos" / "3.mov", 24, 25, tone(1.0))
    result = extract(place)
    assert (result.failed, result.made) == ({}, ("3",))
    assert store_of(place)["3"].end_frame.tolist() == [7, 15, 23]


def test_a_bad_file_is_no_loss_if_the_good_one_comes_back(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    before = store_of(place).key
    whole = (place / "data" / "videos" / "3.mov").read_bytes()
    (place / "data" / "videos" / "3.mov").write_bytes(whole[: len(whole) // 2])
    assert list(extract(place).failed) == ["3"]
    (place / "data" / "videos" / "3.mov").unlink()  # what left the store is not in it again
    assert "3.mp4: no such file" in extract(place).failed["3"]
    assert set(store_of(place)) == {"2_left", "2_right", "4"}
    (place / "data" / "videos" / "3.mov").write_bytes(whole)
    monkeypatch.setattr(making, "decode", decode_nothing)
    result = extract(place)
    assert (result.made, result.failed) == ((), {})
    assert store_of(place).key == before


@pytest.mark.parametrize("error", [RuntimeError("stop"), DataError("the disk is gone")])
def test_the_old_features_stay_until_the_new_ones_are_whole(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    """An extraction that is stopped, and a file that is lost while it is read."""
    before = store_of(place).entries["4"]
    video = place / "data" / "videos" / "4.mov"
    write_video(video, 70, 30, tone(70 / 30))

    def stop(*_):
        video.unlink()
        raise error

    monkeypatch.setattr(making, "features", stop)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError, match="stop"):
            extract(place)
    else:
        assert extract(place).failed == {"4": "the disk is gone"}
    monkeypatch.undo()
    monkeypatch.setattr(pipeline, "build_backbones", stand_ins)
    result = extract(place)
    assert (result.failed, list(result.problems)) == ({}, ["4"])
    assert store_of(place).entries["4"] == before


def test_a_crop_mended_in_place_is_noticed(place: Path):
    crop = place / "data" / "cropped_aligned" / "3" / "00001.jpg"
    whole = crop.read_bytes()
    before = store_of(place)["3"].visual.clone()
    crop.write_bytes(b"no picture")
    result = extract(place)
    assert result.made == ("3",)
    assert "00001.jpg: unreadable" in result.problems["3"][0]
    assert not torch.equal(store_of(place)["3"].visual, before)
    crop.write_bytes(whole)
    result = extract(place)
    assert (result.made, result.problems) == (("3",), {})
    assert torch.equal(store_of(place)["3"].visual, before)


def test_a_copied_data_set_is_the_same_and_changes_are_announced_in_time(place: Path):
    """Copied without its times, that is; and the store is touched only after the announcement."""
    before = (place / "store" / "index.json").stat().st_mtime_ns
    (place / "data").rename(place / "old")
    shutil.copytree(place / "old", place / "data", copy_function=shutil.copyfile)
    assert extract(place).made == ()
    assert (place / "store" / "index.json").stat().st_mtime_ns == before
    for name in ("2_left", "2_right", "3", "4"):
        (place / "data" / "cropped_aligned" / name / "00007.jpg").unlink()
    said: list[str] = []

    class Enough(Exception):  # noqa: N818 (no error: it was announced in time)
        pass

    def stop(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            raise Enough

    with pytest.raises(Enough):
        extract(place, notify=stop)
    assert said == [
        "checking 4 recordings for changes",
        "4 of 4 recordings to make, 4 of them again because their files have changed: "
        "2_left, 2_right, 3, ...",
    ]
    assert len(store_of(place)) == 4


def test_a_store_whose_inputs_were_noted_in_another_way_is_refused_and_kept(place: Path):
    """Nothing in it could be compared: it would all be made again."""
    file = place / "store" / "settings.json"
    settings = json.loads(file.read_text())
    del settings["fingerprints"]
    file.write_text(json.dumps(settings))
    with pytest.raises(DataError, match=r"key 'fingerprints': was made with None, now asked for"):
        extract(place)
    assert len(store_of(place)) == 4


# --- labels and parts ----------------------------------------------------------------------


def other_labels(data: Path) -> None:
    write_annotation(data / VALIDATION / "4.txt", wave_labels(60, 1.0, gaps=(7, 20)))


def other_part(data: Path) -> None:
    (data / VALIDATION / "4.txt").rename(data / TRAINING / "4.txt")


def no_labels(data: Path) -> None:
    (data / VALIDATION / "4.txt").unlink()
    with (data / "test.txt").open("a") as file:
        file.write("4\n")


@pytest.mark.parametrize("change", [other_labels, other_part, no_labels])
def test_other_labels_and_parts_need_no_decoding(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
):
    """The store is the one that is made from nothing, to the last byte."""
    change(place / "data")
    chosen, _ = sources(place, "2_left 2_right 3 4")
    fresh = pipeline.extract(chosen, tmp_path / "fresh", ExtractionConfig(stride=8)).store
    monkeypatch.setattr(making, "decode", decode_nothing)
    said: list[str] = []
    result = extract(place, notify=said.append)
    assert said[1] == "0 of 4 recordings to make; 1 get other labels or another part: 4"
    assert (result.made, result.relabelled, result.failed) == ((), ("4",), {})
    assert result.report().startswith("4 recordings in the store, 0 made now, 1 relabelled; 0 fail")
    assert fresh is not None and store_of(place).key == fresh.key
    assert extract(place).relabelled == ()


def test_labels_change_even_where_the_video_is_gone(place: Path):
    """A recording must not be trained on that is held out now."""
    visual = store_of(place)["3"].visual.clone()
    shutil.rmtree(place / "data" / "cropped_aligned" / "3")
    (place / "data" / TRAINING / "3.txt").rename(place / "data" / VALIDATION / "3.txt")
    result = extract(place)
    assert (result.failed, result.relabelled, list(result.problems)) == ({}, ("3",), ["3"])
    assert store_of(place).entries["3"].split == "report"
    assert torch.equal(store_of(place)["3"].visual, visual)


@pytest.mark.parametrize("gone", [False, True])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("valence,arousal\n0,0\n2,0\n", "4.txt, line 3, column 'valence'"),
        # 64 frames, of which the last row shows number 63: the video's length is remembered.
        ("valence,arousal\n" + "0,0\n" * 65, "line 66: 65 annotated frames, but the video has 64"),
    ],
)
def test_an_annotation_that_is_bad_now_is_a_failure(
    place: Path, text: str, complaint: str, gone: bool
):
    file = place / "data" / VALIDATION / "4.txt"
    good = file.read_text()
    before = store_of(place).key
    file.write_text(text)
    if gone:
        (place / "data" / "videos" / "4.mov").rename(place / "4.mov")
    result = extract(place)
    assert complaint in result.failed["4"]
    assert "4" not in store_of(place)
    assert "4" not in result.problems
    file.write_text(good)
    if gone:
        (place / "4.mov").rename(place / "data" / "videos" / "4.mov")
    assert extract(place).failed == {}
    assert store_of(place).key == before


def test_an_annotation_that_cannot_be_read_is_no_failure_unless_the_part_is_another(place: Path):
    file = place / "data" / VALIDATION / "4.txt"
    file.write_bytes(b"")
    result = extract(place)
    assert (result.failed, list(result.problems)) == ({}, ["4"])
    assert store_of(place).entries["4"].split == "report"
    file.rename(place / "data" / TRAINING / "4.txt")
    result = extract(place)
    assert list(result.failed) == ["4"]
    assert "4" not in store_of(place)


def test_a_damaged_recording_says_how_to_mend_it(place: Path):
    other_labels(place / "data")
    file = place / "store" / "recordings" / "4.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    failure = extract(place).failed["4"]
    assert "4.safetensors: damaged (" in failure and "remove it" in failure
    (place / "store" / "recordings" / "4.safetensors").unlink()
    assert extract(place).made == ("4",)
    assert len(store_of(place)) == 4


# --- what must not be in the store ---------------------------------------------------------


def test_a_recording_left_out_leaves_the_store_and_can_come_back(place: Path):
    before = store_of(place)
    (place / "data" / TRAINING / "2_right.txt").rename(place / "data" / VALIDATION / "2_right.txt")
    result = extract(place)
    assert (result.made, result.relabelled, result.failed) == ((), ("2_right",), {})
    assert "'2_right' in" in result.problems["2_left"][0]
    store = store_of(place)
    assert {name: entry.split for name, entry in store.entries.items()} == {
        "2_right": "report",
        "3": "train",
        "4": "report",
    }
    assert store.info.source["wanted"] == {"train": 1, "report": 2}
    (place / "data" / VALIDATION / "2_right.txt").rename(place / "data" / TRAINING / "2_right.txt")
    result = extract(place)
    assert (result.made, result.failed, result.problems) == ((), {}, {})
    assert store_of(place).key == before.key


def test_what_must_not_be_trained_on_leaves_even_if_nothing_is_to_be_made(place: Path):
    chosen, _ = sources(place, "2_right 3 4")
    config = ExtractionConfig(stride=8)
    for _ in range(2):  # the second time it is out already
        result = pipeline.extract(
            chosen, place / "store", config, left_out={"2_left": "held out", "7": "never made"}
        )
        assert (result.made, result.failed) == ((), {})
        assert result.problems == {"2_left": ("held out",), "7": ("never made",)}
        assert set(store_of(place)) == {"2_right", "3", "4"}


@pytest.mark.parametrize("kept", ["2_left", "2_right"])
def test_no_one_is_trained_on_beside_a_kept_recording_of_the_same_video(
    place: Path, tmp_path: Path, kept: str
):
    """A list of test recordings that is not given again, say."""
    left, right = sources(place, "2_left 2_right")[0]
    right = right._replace(annotation=None, split=None)
    order = (left, right) if kept == "2_left" else (right, left)
    config = ExtractionConfig(stride=32)
    for source in order:
        result = pipeline.extract([source], tmp_path / "store", config)
    assert "'2_right' is in the store, is of the same video" in result.problems["2_left"][0]
    assert list(RecordingStore(tmp_path / "store")) == ["2_right"]
    assert result.failed == {}


def test_a_problem_known_beforehand_is_a_failure_even_if_it_was_made_before(place: Path):
    before = store_of(place).key
    chosen, _ = sources(place, "2_left 2_right 3 4")
    troubled = [
        source._replace(problem="3.mov: also elsewhere") if source.name == "3" else source
        for source in chosen
    ]
    again = pipeline.extract(troubled, place / "store", ExtractionConfig(stride=8))
    assert again.failed == {"3": "3.mov: also elsewhere"}
    assert set(store_of(place)) == {"2_left", "2_right", "4"}
    assert extract(place).made == ()
    assert store_of(place).key == before


def test_plain_videos_that_were_moved_away_stay_in_the_store(tmp_path: Path):
    for name in ("a", "b"):
        write_video(tmp_path / "videos" / f"{name}.mkv", 10, 25, tone(0.4))
    config = ExtractionConfig(stride=32)
    pipeline.extract(plain_videos(tmp_path / "videos"), tmp_path / "store", config)
    (tmp_path / "videos" / "a.mkv").unlink()
    result = pipeline.extract(plain_videos(tmp_path / "videos"), tmp_path / "store", config)
    assert (result.made, result.failed, list(result.problems)) == ((), {}, ["a"])
    assert list(RecordingStore(tmp_path / "store")) == ["a", "b"]
