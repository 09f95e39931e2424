"""Chapter 5's models side by side: the same budget for all, and one more of them."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from toys import tiny_manifest

from companion.chapters.sota.paper import PAPER_TABLE_1
from companion.experiments import side_by_side as module
from companion.experiments.arms import arm_runs
from companion.experiments.breadth import BREADTHS, SHARED_RATE, breadth_of
from companion.experiments.grids import BENCHMARK, leaves, table_2_runs
from companion.experiments.side_by_side import (
    CONCATENATION,
    FAMILY,
    MODELS,
    REFERENCES,
    first_runs,
    models_on,
    side_by_side,
    trial_runs,
    tuned_runs,
)
from iaca.base.paths import ROOT
from iaca.models.related_work import FAMILIES
from iaca.runs.execution import execute_run
from iaca.runs.profiles import PROFILES, Profile, get_profile
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import DataConfig

QUICK, SMOKE = get_profile("quick"), get_profile("smoke")
Tune = Callable[..., None]


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> Tune:
    """Two models only, and other rates for `smoke`."""
    few = {name: MODELS[name] for name in (CONCATENATION, "Gated multimodal unit")}
    monkeypatch.setattr(module, "MODELS", few)

    def at(*rates: float) -> None:
        tuned = replace(BREADTHS["smoke"], learning_rates=rates, small_models=())
        monkeypatch.setitem(BREADTHS, "smoke", tuned)

    return at


def test_every_family_and_every_arm_stands_in_the_side_by_side(tmp_path: Path) -> None:
    grid = side_by_side(QUICK, BENCHMARK, tmp_path)
    assert list(grid) == list(MODELS) == list(REFERENCES)
    families = [arms[FAMILY][0].model.fusion for arms in grid.values() if FAMILY in arms]
    assert families == ["plain", *FAMILIES]
    table = table_2_runs(QUICK, BENCHMARK, tmp_path)
    assert all(grid[label] == arms for label, arms in table.items())  # not trained again
    runs = first_runs(QUICK, BENCHMARK, tmp_path)
    assert len(runs) == len(set(runs)) == 22 * len(QUICK.seeds)
    assert len(set(runs) - {*leaves(table)}) == 10 * 3
    # The cited works are the paper's: a number of its list, and each in one row only.
    cited = Counter(number for numbers in REFERENCES.values() for number in numbers)
    assert set(cited.values()) == {1} and set(cited) <= set(range(1, 30))
    assert {entry.reference for entry in PAPER_TABLE_1} - {None} <= set(cited)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_all_models_have_the_same_training_and_budget(profile: Profile, tmp_path: Path) -> None:
    trials = [
        fold
        for arms in MODELS.values()
        for model in arms.values()
        for fold in trial_runs(profile, BENCHMARK, tmp_path, model)
    ]
    budgets = {
        tuple((run.data, run.training, run.seed, run.model.dim) for run in f) for f in trials
    }
    (budget,) = budgets
    rates = breadth_of(profile).learning_rates
    assert [training.learning_rate for _, training, _, _ in budget] == [*rates]
    assert SHARED_RATE in rates and len(rates) == (3 if profile.name == "full" else 1)
    assert {(f[0].model.encoder_norm, f[0].model.dropout) for f in trials} == {("l2", 0.1)}


def test_on_real_conversations_quick_trains_three_fusions_in_five_folds(
    mirror: Path, tmp_path: Path
) -> None:
    data = DataConfig("hri_enjoyment")
    grid = side_by_side(QUICK, data, tmp_path)
    assert list(grid) == [CONCATENATION, "Transformer", "CA"]
    assert grid["CA"] == arm_runs(QUICK, data, tmp_path)  # chapter 3's
    everything = {(fold, seed): 1 for fold in range(5) for seed in QUICK.seeds}
    for arms in grid.values():
        for runs in arms.values():
            assert Counter((run.data.fold, run.seed) for run in runs) == everything
    assert models_on(get_profile("full"), data) == MODELS


@pytest.mark.usefixtures("one_thread")
def test_a_tuned_model_has_the_rate_that_is_best_on_select(tmp_path: Path, tune: Tune) -> None:
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    profile = replace(SMOKE, seeds=(3, 4), dim=8)
    assert tuned_runs(profile, data, tmp_path) == []  # one rate is no choice
    rates = (1e-5, 1e-2)
    tune(*rates)
    trials = first_runs(profile, data, tmp_path)
    assert [(run.seed, run.training.learning_rate) for run in trials] == [(3, r) for r in rates] * 2
    on_select = {
        trial: sum(execute_run(trial, tmp_path, "cpu").metrics["select"].values())
        for trial in trials
    }
    grid = side_by_side(profile, data, tmp_path, "cpu")
    for name, tried in zip(grid, (trials[:2], trials[2:]), strict=True):
        best = max(tried, key=on_select.__getitem__)
        assert grid[name][FAMILY] == [best, replace(best, seed=4)]
    assert tuned_runs(profile, data, tmp_path, "cpu") == [*leaves(grid)]


def test_in_folds_each_fold_chooses_for_itself(
    mirror: Path, tmp_path: Path, tune: Tune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is reported in one fold selects in others: it must not choose for its own fold."""
    best = {0: 1e-2, 1: 1e-3}  # fold -> rate
    tune(1e-3, 1e-2)

    def run_of(config: RunConfig) -> Run:
        fold, rate = config.data.fold, config.training.learning_rate
        assert fold is not None
        known = 0.5 if rate == best[fold] else None  # None: a CCC that is not defined
        return Run(config, tmp_path, {"select": {"enjoyment": known}})

    def obtain(configs: Sequence[RunConfig], *_: object) -> list[Run]:
        return [run_of(config) for config in configs]

    monkeypatch.setattr(module, "obtain", obtain)
    data = DataConfig("hri_enjoyment", folds=2)
    for arms in side_by_side(SMOKE, data, tmp_path).values():
        assert {run.data.fold: run.training.learning_rate for run in arms[FAMILY]} == best


ONE_MORE = """
from pathlib import Path
import torch
from companion.experiments.grids import BENCHMARK
from companion.experiments.side_by_side import MODELS, first_runs
from companion.analysis.costs import count_regressor
from iaca.runs.profiles import get_profile
from iaca.models.regressor import AffectRegressor, ModelConfig

runs = first_runs(get_profile("smoke"), BENCHMARK, Path("."))
(mine,) = [run for run in runs if run.model.fusion == "mean"]
assert MODELS["Mean"] == {"family": ModelConfig("none", "mean")}
model = AffectRegressor(mine.model, 3, 4, 2)
assert model(torch.randn(2, 16, 3), torch.randn(2, 16, 4)).values.shape == (2, 16, 2)
plain = count_regressor(ModelConfig("none", dim=mine.model.dim), 3, 4, 2)
d = mine.model.dim
print(len(runs), plain.parameters - count_regressor(mine.model, 3, 4, 2).parameters == d * d)
"""


def test_a_model_added_as_the_chapter_says_is_in_the_side_by_side(tmp_path: Path) -> None:
    cells = nbformat.read(ROOT / "notebooks" / "05_sota.ipynb", as_version=4).cells
    (text,) = [cell.source for cell in cells if cell.source.startswith("(sec-sota-add)=")]
    (added,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (patch,) = re.findall(r"^```diff\n(.*?)^```", text, re.M | re.S)
    for folder in ("iaca", "companion", "data_manifests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (path,) = re.findall(r"`(iaca/models/\w+\.py)`", text)
    families = tmp_path / path
    lines = families.read_text("utf-8").splitlines()
    after, new = "", [line for line in patch.splitlines() if line.startswith("+")]
    for line in patch.splitlines():
        if line.startswith("+"):
            lines.insert(lines.index(after) + 1, line[1:])
        else:
            after = line[1:]
            assert lines.count(after) == 1, after
    assert len(new) + sum(bool(line.strip()) for line in added.splitlines()) == 9  # nine lines
    families.write_text("\n".join([*lines, "", "", added]), "utf-8")
    result = subprocess.run(
        [sys.executable, "-c", ONE_MORE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["23", "True"]
