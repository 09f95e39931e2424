"""A run on a video: the same numbers as evaluation gives, a table, a plot, clear refusals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import named_stand_ins, tone, write_clip, write_video
from PIL import Image
from toys import tiny_run

from iaca.base.files import DataError
from iaca.cli import main
from iaca.commands.predict import GATE_COLUMNS, doubts, predict_video
from iaca.data.recordings import Recording
from iaca.extraction import pipeline
from iaca.runs.execution import execute_run
from iaca.runs.runs import Run
from iaca.sources.loading import open_data


@pytest.fixture(autouse=True)
def simple_backbones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "build_backbones", named_stand_ins)


def test_a_video_of_the_data_set_gets_the_runs_own_predictions(miniature: Path, run: Run):
    found = predict_video(
        miniature / "videos" / "4.mov", run.folder, crops=miniature / "cropped_aligned" / "4"
    )
    table = found.table
    expected = run.predictions["4"].numpy()
    np.testing.assert_allclose(table[["valence", "arousal"]].to_numpy(), expected, atol=1e-6)
    assert table["frame"].tolist() == list(range(7, 64, 8))
    np.testing.assert_allclose(table["second"], table["frame"] / 30)
    for gate in GATE_COLUMNS.values():
        weights = table[[f"gate_{part}" for part in gate]]
        np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    written = pd.read_csv(found.folder / "trace.csv")
    pd.testing.assert_frame_equal(written, table, check_dtype=False)
    assert found.folder == run.folder.parent.parent / "predictions" / "4"
    with Image.open(found.folder / "trace.png") as picture:
        assert min(picture.size) > 300
    random, *others = found.warnings
    assert random == "the backbones' weights are random: these numbers mean nothing"
    store, split = open_data(run.config.data, run.folder.parents[1] / "data")
    report = run.metrics["report"]
    assert found.said == (
        f"trained on Aff-Wild2: {len(split.train)} recordings of "
        f"{len({store.entries[name].subject for name in split.train})} subjects, valence, arousal "
        "from -1 to 1, 1 epochs",
        f"CCC on {len(split.report)} subjects whom it has not seen: "
        f"valence {report['valence']:.2f}, arousal {report['arousal']:.2f}",
    )
    assert f"CCC was measured on {len(split.report)} subjects only" in others[-1]


def test_what_makes_a_trace_mean_little_is_said(run: Run):
    store, split = open_data(run.config.data, run.folder.parents[1] / "data")

    def said(valence: float, video: Recording) -> str:
        metrics = {"report": {"valence": valence, "arousal": 0.4}}
        return "\n".join(doubts(run._replace(metrics=metrics), store, split, video))

    unseen = store[split.report[0]]
    assert said(0.5, unseen).startswith("CCC was measured on")
    assert said(0.05, unseen).startswith("valence: CCC below 0.1")
    assert said(None, unseen).startswith("valence: CCC below 0.1")
    trained = store[split.train[0]]
    assert f"this is {split.train[0]!r}, which the run was trained on" in said(0.5, trained)
    strange = replace(unseen, visual=unseen.visual + 5000)
    assert "the video's visual features lie" in said(0.5, strange)
    assert "the video's audio features lie" not in said(0.5, strange)


def test_a_plain_video_by_the_command(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    video = write_video(tmp_path / "talk.mkv", 50, 25, tone(2.0))
    out = tmp_path / "out"
    assert main(["predict", str(video), "--run", str(run.folder), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    assert f"{out}: 6 clips" in printed.out
    assert printed.out.startswith("trained on Aff-Wild2: ")
    assert "trained on face crops; here it sees the middle square" in printed.err
    assert len(pd.read_csv(out / "trace.csv")) == 6


def test_the_trace_has_the_times_at_which_frames_are_shown(run: Run, tmp_path: Path):
    """Of a video whose frame rate varies, and whose name has spaces and other letters."""
    times = np.concatenate([np.arange(30) / 30, 1 + np.arange(20) / 10])
    video = write_clip(tmp_path / "Zoë am Morgen.mp4", times)
    found = predict_video(video, run.folder)
    assert found.table["frame"].tolist() == list(range(7, 50, 8))
    np.testing.assert_allclose(found.table["second"], times[7::8], atol=1e-3)
    written = pd.read_csv(found.folder / "trace.csv")
    np.testing.assert_allclose(written["second"], times[7::8], atol=1e-3)
    assert found.folder.name.startswith("Zoe-am-Morgen-")


def test_what_is_not_there_is_named(run: Run, miniature: Path, tmp_path: Path):
    video = miniature / "videos" / "4.mov"
    with pytest.raises(DataError, match=r"absent\.mp4: no such file"):
        predict_video(tmp_path / "absent.mp4", run.folder)
    with pytest.raises(DataError, match=r"config\.json: no such file"):
        predict_video(video, tmp_path)


def test_a_run_on_other_features_is_refused(miniature: Path, tmp_path: Path, one_thread: None):
    other = execute_run(tiny_run(tmp_path), tmp_path / "build", device="cpu")
    with pytest.raises(DataError, match="its features were not made by `iaca data extract`"):
        predict_video(miniature / "videos" / "4.mov", other.folder)
