"""The page *From openSMILE and OpenFace to a chapter*, walked on files in these tools' formats."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prose import commands
from tool_tables import CHOSEN, LLDS, write_openface, write_opensmile

from iaca.base.paths import ROOT
from iaca.cli import main
from iaca.learning.config import TrainingConfig
from iaca.models.regressor import ModelConfig
from iaca.runs.execution import execute_run
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig, open_data

SECONDS = 6
PEOPLE = {f"talk_{i:02d}": f"person_{i // 2}" for i in range(8)}
FAILED = range(60, 120)  # frames of talk_03: two seconds without a face


@pytest.fixture
def page() -> str:
    return (ROOT / "book" / "own_tables.md").read_text(encoding="utf-8")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has: two folders, labels and people."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = []
    for folder in ("egemaps", "openface"):
        (tmp_path / folder).mkdir()
    for name in PEOPLE:
        audio = rng.normal(size=(SECONDS * 100, len(LLDS)))
        visual = rng.normal(size=(SECONDS * 30, len(CHOSEN)))
        write_opensmile(tmp_path / "egemaps" / f"{name}.csv", audio)
        failed = FAILED if name == "talk_03" else ()
        write_openface(tmp_path / "openface" / f"{name}.csv", visual, failed=failed)
        told = rng.uniform(-1, 1, size=(SECONDS * 2, 2)).round(2)
        times = {"recording": name, "time": np.arange(SECONDS * 2) / 2}
        labels.append(pd.DataFrame({**times, "valence": told[:, 0], "arousal": told[:, 1]}))
    pd.concat(labels).to_csv("labels.csv", index=False)
    pd.Series(PEOPLE, name="subject").rename_axis("recording").reset_index().to_csv(
        "people.csv", index=False
    )
    return tmp_path


def test_the_page_leads_from_the_tools_files_to_a_run(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (words,) = (words for words in commands(page) if "opensmile" in words)
    assert words[0] == ".venv/bin/iaca" and main(words[1:]) == 0
    printed = capsys.readouterr().out
    for part in (
        "8 recordings of 4 subjects, 480 rows, audio 3, visual 5, labels valence, arousal",
        "rows a recording: 60; a second: 10",
        f"audio features: {', '.join(LLDS)}",
        f"visual features: {', '.join(CHOSEN)}",
        "visual: 5 rows hold an earlier value, 15 are missing",
        "what stands for a missing modality: mean of all rows",
    ):
        assert part in printed
    assert main(["data", "describe", "_build/data/talks"]) == 0
    assert capsys.readouterr().out == printed

    (block,) = re.findall(r"^`talks\.yaml`\n\n```yaml\n(.*?)^```", page, re.M | re.S)
    (here / "talks.yaml").write_text(block, encoding="utf-8")
    data = DataConfig("talks.yaml", fold=0)
    store, split = open_data(data)
    assert {len(part) for part in split} == {2, 4}
    masked = store["talk_03"].labels.isnan().all(dim=1).nonzero()[:, 0].tolist()
    assert masked == [*range(25, 40)]
    rows = pd.read_csv("egemaps/talk_01.csv", sep=";")[LLDS[0]].to_numpy()
    assert np.allclose(store["talk_01"].audio[:, 0], rows.reshape(-1, 10).mean(axis=1), atol=1e-5)

    config = RunConfig(data, ModelConfig(dim=8), TrainingConfig(epochs=1), seed=0)
    run = execute_run(config, here / "_build", device="cpu")
    assert set(run.metrics["report"]) == {"valence", "arousal"}


def test_the_tables_look_as_the_page_says(page: str, here: Path) -> None:
    for name, text in re.findall(r"^`(\w+\.csv)`\n\n```text\n(.*?)^```", page, re.M | re.S):
        assert text.splitlines()[0] == Path(name).read_text().splitlines()[0]
    for folder in ("egemaps", "openface"):
        (told,) = re.findall(rf"^{folder}/talk_01\.csv +(\S.*?)\.\.\.", page, re.M)
        assert (here / folder / "talk_01.csv").read_text().startswith(told)


def test_other_tables_are_read_as_the_page_says(page: str, here: Path) -> None:
    (words,) = (words for words in commands(page) if "_build/data/others" in words)
    rng = np.random.default_rng(1)
    for role, clock, names in (
        ("audio", "seconds", ["loud"]),
        ("visual", "time", ["smile_left", "brow", "confidence"]),
        ("labels", "time", ["valence"]),
    ):
        keys = {"recording": np.repeat(["a", "b"], 50), clock: np.tile(np.arange(50) / 10, 2)}
        table = pd.DataFrame({**keys, **{name: rng.random(100) for name in names}})
        more = {"audio": {"subject": table["recording"]}, "labels": {"comment": "fine"}}
        table.assign(**more.get(role, {})).to_csv(f"{role}.csv", index=False)
    assert main(words[1:]) == 0


def test_a_manifest_whose_labels_are_not_the_stores_is_refused(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (words,) = (words for words in commands(page) if "opensmile" in words)
    assert main(words[1:]) == 0
    (block,) = re.findall(r"^`talks\.yaml`\n\n```yaml\n(.*?)^```", page, re.M | re.S)
    for old, new, said in (
        ("[valence, arousal]", "[arousal, valence]", "arousal, valence from -1 to 1"),
        ("[-1, 1]", "[0, 1]", "valence, arousal from 0 to 1"),
    ):
        (here / "talks.yaml").write_text(block.replace(old, new), encoding="utf-8")
        capsys.readouterr()
        assert main(["data", "describe", "talks.yaml", "--fold", "0"]) == 2
        assert f"the manifest has the labels {said}, the store" in capsys.readouterr().err
