"""The work on Aff-Wild2 is counted, and a GPU's figures are shown as they were measured."""

import json
from pathlib import Path

import pytest

from companion.chapters.training import affwild2
from iaca.runs.profiles import get_profile
from iaca.sources.manifest import load_manifest


def test_the_work_is_counted_from_frames_and_videos() -> None:
    table = affwild2.work_table(get_profile("full"), load_manifest("affwild2"))
    assert table.loc["features on disk"].tolist() == ["6.2 GB", "0.8 GB"]  # 2,064 bytes a row
    # 90 % of 360 of the 594 videos learn, a window begins every 8 rows, 32 windows make a step.
    learned_from = 0.9 * 360 / (360 + 72 + 162) * affwild2.FRAMES
    per_run, of_chapter = (
        [int(text.replace(",", "")) for text in table.iloc[row]] for row in (3, 4)
    )
    assert per_run[0] == pytest.approx(learned_from / 8 / 32 * 40, abs=1)
    assert of_chapter[0] == pytest.approx(15 * per_run[0], abs=15)
    assert per_run[0] == pytest.approx(8 * per_run[1], abs=8)


def test_a_gpus_figures_are_shown_once_measured(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    absent = "not measured yet"
    assert affwild2.gpu_table(file)[0]["figure"].tolist() == [absent]
    figure = {"name": "epoch, CA", "unit": "s", "n": 5, "median": 1.25, "lower": 1.2, "upper": 1.3}
    figure |= {"target": "at most 2", "met": True}
    part = {"figures": [figure, {**figure, "name": "step", "met": False}]}
    content = {"date": "2027-01-02", "device": "cuda", "tiny": False, "machine": "H100"}
    content |= {"parts": {"epoch": part, "table": {"error": "stopped after 9 s"}}}
    file.write_text(json.dumps(content))
    rows, where = affwild2.gpu_table(file)
    assert rows["median"].tolist() == ["1.25 [1.2, 1.3]"] * 2
    assert rows["target"].tolist() == ["at most 2: met", "at most 2: missed"]
    assert where == "H100, 2027-01-02; failed: table (stopped after 9 s)"
    file.write_text(json.dumps(content | {"device": "cpu"}))
    assert affwild2.gpu_table(file)[0]["figure"].tolist() == [absent]
