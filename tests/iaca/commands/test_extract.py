"""The command `iaca data extract`: what it prints, where it writes, and its exit status."""

import json
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import stand_ins, tone, write_video

from iaca.cli import main
from iaca.commands import datasets
from iaca.commands import extract as command
from iaca.data.recordings import RecordingStore
from iaca.data.splits import make_split
from iaca.extraction import making, pipeline
from iaca.sources.manifest import load_manifest


def test_aff_wild2_goes_below_private_with_its_notice(
    miniature: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(pipeline, "build_backbones", stand_ins)
    monkeypatch.setattr(command, "BUILD", tmp_path / "_build")
    listed = ["--test-list", str(miniature / "test.txt")]
    arguments = ["data", "extract", str(miniature), "--weights", "random", "--stride", "32"]
    assert main([*arguments, *listed]) == 0
    printed = capsys.readouterr()
    assert "7 recordings; videos: 3 train, 2 validation, 1 test" in printed.out
    assert "7 recordings in the store, 7 made now; 0 failed" in printed.out
    assert "Do not publish" in printed.out
    for warning in ("train: found 3 videos, the manifest expects 360", "test: found 1 videos"):
        assert f"iaca: warning: {warning}" in printed.err
    store = RecordingStore(tmp_path / "_build" / "private" / "data" / "affwild2")
    assert "Do not publish" in store.info.source["notice"]
    assert store.info.source["random_weights"].startswith("yes")
    assert str(miniature) not in str(store.info)
    # There is no terminal here: a line a recording, as a batch job's log has them.
    assert "7 of 7 recordings to make\n1 of 7: " in printed.err
    assert printed.err.count(" rows in ") == 7


@pytest.fixture
def arguments(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command on a miniature that may be damaged, with simple backbones."""
    monkeypatch.setattr(pipeline, "build_backbones", stand_ins)
    extract = ["data", "extract", str(copy), "--weights", "random", "--stride", "32"]
    return [*extract, "--out", str(tmp_path / "store")]


def test_what_the_layout_forbids_is_reported_and_the_rest_is_made(
    copy: Path, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    """A stray file, an unsafe name, a video in two folders, and a video on two sides."""
    training, validation = (copy / "annotations" / part for part in ("Train_Set", "Validation_Set"))
    (training / "._3.txt").write_bytes(b"\0")
    shutil.copy(training / "3.txt", training / "3 copy.txt")
    (training / "2_right.txt").rename(validation / "2_right.txt")
    (copy / "videos" / "more").mkdir()
    shutil.copy(copy / "videos" / "4.mov", copy / "videos" / "more" / "4.mov")
    out = tmp_path / "store"
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "4 recordings in the store, 4 made now; 2 failed, 1 with problems" in printed.out
    for line in ("failed: '3 copy': ", "failed: 4: ", "problem: 2_left: "):
        assert f"\n{line}" in printed.out
    assert "test: found" not in printed.err  # without a list no test videos are known
    for name in ("'3 copy'", "4", "2_left"):
        assert f"\niaca: warning: {name}: " in printed.err
    noted = json.loads((out / "extraction.json").read_text())
    assert list(noted["failed"]) == ["'3 copy'", "4"]
    store = RecordingStore(out)
    assert list(store.entries) == ["1-30-1280x720", "2_right", "3", "5"]
    assert store.info.source["not_extracted"] == {"train": ["'3 copy'"], "report": ["4"]}
    split = load_manifest("affwild2").split
    assert split is not None
    assert make_split(split, store).report == ("2_right", "5")


def test_what_the_machine_lacks_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    write_video(tmp_path / "videos" / "a.mkv", 5, 25, tone(0.2))
    arguments = ["data", "extract", "--videos", str(tmp_path / "videos"), "--weights", "random"]
    arguments += ["--out", str(tmp_path / "store")]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([*arguments, "--device", "cuda"]) == 2
    assert capsys.readouterr().err == "iaca: device 'cuda': torch sees no GPU\n"

    def exhausted(*_):
        raise torch.OutOfMemoryError("Tried to allocate 20 GiB\nand so on")

    monkeypatch.setattr(pipeline, "build_backbones", stand_ins)
    monkeypatch.setattr(making, "features", exhausted)
    assert main([*arguments, "--batch-size", "7"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "1 of 1 recordings to make"
    assert "7 clips a forward: choose --batch-size 3 or less" in said[1]
    assert len(said) == 2


def test_gated_data_are_not_written_into_the_project(
    miniature: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setattr(datasets, "ROOT", tmp_path)
    monkeypatch.setattr(datasets, "BUILD", tmp_path / "_build")
    arguments = ["data", "extract", str(miniature), "--weights", "random"]
    assert main([*arguments, "--out", str(tmp_path / "features")]) == 2
    assert "gated data belong below" in capsys.readouterr().err
    assert not (tmp_path / "features").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--videos", "v", "--weights", "random"], "--videos: expected --out beside it"),
        (["--videos", "v", "--weights", "a", "b", "c", "--out", "s"], "--weights: found a b c"),
        (["--videos", "v", "--weights", "x.pt", "--out", "s"], "--weights: found x.pt, expected"),
        (["--videos", "absent", "--weights", "random", "--out", "s"], "absent: no such folder"),
        (["absent", "--weights", "random"], "the folder Train_Set is missing"),
        (["f", "--weights", "random", "--labels", "l"], "--labels: expected --videos; Aff-Wild2"),
        (["f", "--weights", "random", "--max-gap", "1"], "--max-gap: expected --labels beside it"),
        (
            ["--videos", "v", "--weights", "random", "--out", "s", "--manifest", "m.yaml"],
            "--manifest: expected --labels beside it",
        ),
    ],
)
def test_bad_options_are_one_line_and_status_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["data", "extract", *arguments]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_plain_videos_through_the_real_networks(tmp_path: Path):
    """One clip each, of the same sound and of other pictures."""
    for name, frames in (("a", 40), ("b", 34)):
        write_video(tmp_path / "videos" / f"{name}.mkv", frames, 25, tone(3.0))
    options = ["--weights", "random", "--stride", "32", "--backbone", "r2plus1d_18"]
    where = ["--videos", str(tmp_path / "videos"), "--out", str(tmp_path / "store")]
    assert main(["data", "extract", *where, *options]) == 0
    store = RecordingStore(tmp_path / "store")
    store.verify()
    assert store.info.source["visual_backbone"] == "r2plus1d_18"
    assert (store.info.audio_dim, store.info.visual_dim) == (512, 512)
    a, b = store["a"], store["b"]
    assert len(a) == len(b) == 1
    assert torch.equal(a.audio, b.audio)
    null_audio, null_visual = store.null_features
    assert not torch.allclose(a.audio[0], null_audio, atol=1e-2)
    assert not torch.allclose(a.visual[0], null_visual, atol=1e-2)
