"""A reader's own Table 2: differences of scores that are there, over their seeds."""

from pathlib import Path

import pytest
from toys import tiny_manifest

from companion.chapters.ablations import own_data
from companion.experiments.grids import own_data_runs
from iaca.learning.evaluation import score
from iaca.runs.profiles import get_profile
from iaca.runs.runs import finished_runs, identify_runs
from iaca.sources.loading import DataConfig, open_data

PROFILE = get_profile("smoke", [0, 1])


def test_delta_is_the_mean_difference_of_the_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    arms = own_data_runs(PROFILE, data, tmp_path)["CA"]
    arms = {arm: arms[arm] for arm in ("plain", "annealed")}
    monkeypatch.setattr(own_data, "own_data_runs", lambda *_: {"CA": arms})
    table = own_data.own_data_table(PROFILE, data, tmp_path, "cpu", 20)
    assert table["arm"].tolist() == ["plain", "annealed"]
    store, _ = open_data(data, tmp_path / "data")
    means = {}
    for arm, configs in arms.items():
        runs = finished_runs(identify_runs(configs, tmp_path, "cpu"), tmp_path)
        means[arm] = sum(score(run.predictions, store).mean for run in runs.values()) / 2
    plain, annealed = table.to_dict("records")
    difference = f"{means['annealed'] - means['plain']:+.3f}".replace("-", "−")
    assert annealed["Δ"].split()[0] == difference
    assert plain["Δ"] == plain["outcome"] == ""
    assert annealed["collapse"].endswith("of 2 runs")
    scores = [float(annealed[name].split()[0]) for name in store.info.labels]
    assert sum(scores) / 2 == pytest.approx(means["annealed"], abs=0.001)
