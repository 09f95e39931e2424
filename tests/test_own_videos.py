"""The page *From your own videos to a trace*, walked on made clips."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import named_stand_ins, tone, write_video
from prose import commands

from iaca.base.paths import ROOT
from iaca.cli import main
from iaca.data.recordings import RecordingStore
from iaca.extraction import pipeline

PAGE = (ROOT / "book" / "own_videos.md").read_text(encoding="utf-8")
SECONDS = {"anna 1.mov": 10, "Zoë.mov": 8, "IMG_0003.mov": 9}
FOREIGN = ("aff-wild2", "affwild2", "do not publish", "gated")  # none of it is said of these videos


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has: three clips, a table of ratings, and who is who."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "build_backbones", named_stand_ins)
    ratings = []
    for number, (name, seconds) in enumerate(SECONDS.items()):
        write_video(Path("clips") / name, seconds * 25, 25, tone(seconds, 300 + 100 * number))
        time = np.arange(0, seconds, 0.5)
        told = {"valence": np.sin(time + number), "arousal": np.cos(time / 2 + number)}
        ratings.append(pd.DataFrame({"recording": name, "time": time, **told}).round(3))
    write_video(Path("new clip.mov"), 100, 25, tone(4))
    pd.concat(ratings).to_csv("labels.csv", index=False)
    people = pd.DataFrame({"recording": list(SECONDS), "subject": ["anna", "Zoë", "carla"]})
    people.to_csv("people.csv", index=False)
    return tmp_path


def words_of(action: str, **instead: str) -> list[str]:
    """The page's command of that name, with other words for what is not here."""
    (words,) = (words for words in commands(PAGE) if action in words[:3])
    assert words[0] == ".venv/bin/iaca"
    return [instead.get(word, word) for word in words[1:]]


def test_the_page_leads_from_clips_to_a_trace(here: Path, capsys: pytest.CaptureFixture[str]):
    extract = words_of("extract", pretrained="random")
    assert main(extract) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(
        "labels: valence, arousal of 3 videos, every 0.5 s\nsubjects: Zoe-"
    )
    for part in ("3 recordings of 3 subjects", "mine.yaml: written; next: iaca sweep --manifest"):
        assert part in printed.out
    store = RecordingStore(here / "_build" / "data" / "mine")
    store.verify()
    for name, recording in store.items():
        (file,) = (file for file in SECONDS if name in file or file[:2] == name[:2])
        table = pd.read_csv("labels.csv").query("recording == @file")
        rated = table.set_index("time")["valence"]
        time = np.arange(7, SECONDS[file] * 25, 8) / 25  # shown at the end of each row's clip
        expected = rated.loc[np.floor(time * 2 + 1e-6) / 2].to_numpy()
        np.testing.assert_allclose(recording.labels[:, 0].numpy(), expected, atol=1e-6)

    assert main(extract) == 0  # nothing is made again, and nothing written over
    printed_again = capsys.readouterr().out
    assert "0 made now; 0 failed" in printed_again and "mine.yaml: there already" in printed_again

    small = ["--profile", "smoke", "--device", "cpu", "--jobs", "1"]
    assert main([*words_of("sweep"), *small, "--output-dir", str(here / "_build")]) == 0
    swept = capsys.readouterr().out
    (run,) = re.findall(r"^The run that is best on select.*: (.*)$", swept, re.M)
    table = [line.split() for line in swept.splitlines() if line.strip().startswith("mine ")]
    assert [line[2] for line in table] == ["plain", "sibling", "zero"]

    assert main(words_of("predict", RUN=run)) == 0
    told = capsys.readouterr()
    assert re.match(
        r"trained on mine: 1 recordings of 1 subjects, valence, arousal from -1 to 1, 2 epochs\n"
        r"CCC on 1 subjects whom it has not seen: valence -?\d\.\d\d, arousal -?\d\.\d\d\n",
        told.out,
    )
    assert "weights are random: these numbers mean nothing" in told.err
    trace = pd.read_csv(here / "trace" / "trace.csv")
    assert trace["second"].tolist() == pytest.approx(np.arange(7, 100, 8) / 25)
    assert trace[["valence", "arousal"]].notna().all(axis=None)
    assert (here / "trace" / "trace.png").stat().st_size > 1000
    said = "".join([*printed, printed_again, swept, *told, Path("mine.yaml").read_text()]).lower()
    assert not [word for word in FOREIGN if word in said]


def test_the_tables_look_as_the_page_says(here: Path) -> None:
    for name, text in re.findall(r"^`(\w+\.csv)`\n\n```text\n(.*?)^```", PAGE, re.M | re.S):
        assert text.splitlines()[0] == Path(name).read_text(encoding="utf-8").splitlines()[0]


def test_a_manifest_is_refused_before_the_work_where_it_cannot_be_written(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    extract = words_of("extract", pretrained="random")
    Path("other.yaml").write_text((ROOT / "data_manifests" / "hri_enjoyment.yaml").read_text())
    for name, complaint in (
        ("mine.txt", "expected a name that ends in .yaml"),
        ("synthetic.yaml", "'synthetic' is a data set of the project's own"),
        ("other.yaml", "exists already, and is not of the store _build/data/mine"),
    ):
        assert main([name if word == "mine.yaml" else word for word in extract]) == 2
        assert complaint in capsys.readouterr().err
    Path("clips/Zoë.mov").unlink()
    assert main(extract) == 2
    assert "mine.yaml: found 2 subjects, expected 3 at least" in capsys.readouterr().err
    assert not Path("_build").exists()


def test_labels_that_change_reach_the_store_and_renamed_ones_cost_no_decoding(
    here: Path, capsys: pytest.CaptureFixture[str]
):
    extract = words_of("extract", pretrained="random")
    assert main(extract) == 0
    labels = pd.read_csv("labels.csv")
    labels.loc[labels["recording"] == "Zoë.mov", "valence"] = 0.25
    labels.to_csv("labels.csv", index=False)
    assert main(extract) == 0
    assert "3 recordings in the store, 1 made now" in capsys.readouterr().out
    labels.rename(columns={"valence": "smile"}).to_csv("labels.csv", index=False)
    Path("mine.yaml").unlink()
    assert main(extract) == 0
    assert "3 recordings in the store, 0 made now" in capsys.readouterr().out
    assert RecordingStore("_build/data/mine").info.labels == ("smile", "arousal")
    assert yaml.safe_load(Path("mine.yaml").read_text())["labels"]["names"] == ["smile", "arousal"]
