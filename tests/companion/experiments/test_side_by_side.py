"""Chapter 5: the paper's Table 1 and the record, the models side by side, and one more of them."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from toys import tiny_manifest

from companion.chapters.sota.paper import (
    NAMESAKE,
    PAPER_TABLE_1,
    PUBLISHED_TEST,
    VALIDATION_OF_26,
    Published,
)
from companion.experiments import side_by_side as sota
from companion.experiments.grids import PAPER_TABLE_2, table_2_runs
from companion.experiments.side_by_side import (
    CONCATENATION,
    FAMILY,
    MODELS,
    REFERENCES,
    first_runs,
    models_on,
    side_by_side,
    tuned_runs,
)
from iaca.base.paths import NOTEBOOKS, ROOT
from iaca.models.regressor import FAMILIES
from iaca.runs.arms import arm_runs
from iaca.runs.profiles import PROFILES, SHARED_RATE, get_profile
from iaca.runs.runs import Run, RunConfig, execute_run, find_run
from iaca.sources.loading import DataConfig

QUICK = get_profile("quick")
BY_REFERENCE = {entry.reference: entry for entry in PAPER_TABLE_1}


def cut_off(*values: float) -> tuple[float, ...]:
    """Three decimals, the rest dropped."""
    return tuple(math.floor(1000 * value + 1e-9) / 1000 for value in values)


def test_the_first_table_agrees_with_the_second_where_they_overlap() -> None:
    for row, reference, arm in (("JCA", 3, 0), ("RJCA", 2, 0), ("RJCA", None, 1)):
        assert BY_REFERENCE[reference].validation == tuple(
            pair[arm] for pair in PAPER_TABLE_2[row].values()
        )
    assert len(PAPER_TABLE_1) == len(BY_REFERENCE) == 8
    assert PAPER_TABLE_1[-1].fusion == "RJCA + IACA"


@pytest.mark.parametrize("found", [*PUBLISHED_TEST.values(), NAMESAKE])
def test_a_published_pair_has_its_published_mean(found: Published) -> None:
    mean = sum(found.test) / 2
    assert cut_off(10 * mean)[0] / 10 == pytest.approx(found.mean)  # four decimals, cut off as well


def test_where_the_two_rows_come_from() -> None:
    zhou, zhang = BY_REFERENCE[26], BY_REFERENCE[27]
    assert zhou.test == cut_off(PUBLISHED_TEST[26].mean, PUBLISHED_TEST[26].test[0])
    assert zhou.validation == cut_off(*VALIDATION_OF_26)
    assert tuple(round(value, 3) for value in VALIDATION_OF_26) != zhou.validation
    assert zhang.test == cut_off(*NAMESAKE.test)
    assert sum(zhang.test) / 2 == pytest.approx(0.534)
    assert zhang.test != cut_off(*PUBLISHED_TEST[27].test)


def test_what_the_chapter_says_of_the_drop_from_validation_to_test() -> None:
    def mean(pair: tuple[float, float]) -> float:
        return sum(pair) / 2

    published = {number: found.test for number, found in PUBLISHED_TEST.items()}
    drops = {
        entry.fusion + str(entry.reference or ""): mean(entry.validation)
        - mean(published.get(entry.reference or 0, entry.test))
        for entry in PAPER_TABLE_1
    }
    assert set(sorted(drops, key=drops.__getitem__)[-3:]) == {"JCA3", "RJCA2", "RJCA + IACA"}


def test_every_family_and_every_arm_stands_in_the_side_by_side(tmp_path: Path) -> None:
    grid = side_by_side(QUICK, DataConfig(), tmp_path)
    assert list(grid) == list(MODELS) == list(REFERENCES)
    fusions = {
        runs[0].model.fusion
        for arms in grid.values()
        for arm, runs in arms.items()
        if arm == FAMILY
    }
    assert fusions == {"plain", *FAMILIES}
    for label, arms in table_2_runs(QUICK, DataConfig(), tmp_path).items():
        assert grid[label] == arms  # shared, not trained again
    runs = first_runs(QUICK, DataConfig(), tmp_path)
    assert len(runs) == len(set(runs)) == 22 * len(QUICK.seeds)
    new = set(runs) - {
        run
        for arms in table_2_runs(QUICK, DataConfig(), tmp_path).values()
        for found in arms.values()
        for run in found
    }
    assert len(new) == 10 * 3
    # The cited works are the paper's: a number of its list, and each in one row only.
    cited = Counter(number for numbers in REFERENCES.values() for number in numbers)
    assert set(cited.values()) == {1} and set(cited) <= set(range(1, 30))
    assert {entry.reference for entry in PAPER_TABLE_1} - {None} <= set(cited)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_all_models_have_the_same_training_and_budget(profile, tmp_path: Path) -> None:
    trials = [
        sota.trial_runs(profile, DataConfig(), tmp_path, **options)
        for arms in MODELS.values()
        for options in arms.values()
    ]
    budgets = {
        tuple((run.data, run.training, run.seed, run.model.dim) for run in fold)
        for model in trials
        for fold in model
    }
    (budget,) = budgets
    assert [training.learning_rate for _, training, _, _ in budget] == [*profile.learning_rates]
    assert SHARED_RATE in profile.learning_rates
    assert len(budget) == (3 if profile.name == "full" else 1)
    assert {(m[0][0].model.encoder_norm, m[0][0].model.dropout) for m in trials} == {("l2", 0.1)}


def test_on_real_conversations_quick_trains_three_fusions_in_five_folds(
    mirror: Path, tmp_path: Path
) -> None:
    data = DataConfig("hri_enjoyment")
    grid = side_by_side(QUICK, data, tmp_path)
    assert list(grid) == [CONCATENATION, "Transformer", "CA"]
    assert grid["CA"] == arm_runs(QUICK, data, tmp_path)  # chapter 3's
    for arms in grid.values():
        for runs in arms.values():
            assert Counter((run.data.fold, run.seed) for run in runs) == Counter(
                (fold, seed) for fold in range(5) for seed in QUICK.seeds
            )
    assert models_on(get_profile("full"), data) == MODELS


def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: MODELS[name] for name in (CONCATENATION, "Gated multimodal unit")}
    monkeypatch.setattr(sota, "MODELS", few)


@pytest.mark.usefixtures("one_thread")
def test_a_tuned_model_has_the_rate_that_is_best_on_select(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_models(monkeypatch)
    data = DataConfig(str(tiny_manifest(tmp_path / "manifests")))
    rates = (1e-5, 1e-2)
    profile = replace(get_profile("smoke"), seeds=(3, 4), dim=8, learning_rates=rates)
    trials = first_runs(profile, data, tmp_path)
    assert [(run.seed, run.training.learning_rate) for run in trials] == [(3, r) for r in rates] * 2
    for trial in trials:
        execute_run(trial, tmp_path, "cpu", progress=False)

    def on_select(trial: RunConfig) -> float:
        run = find_run(trial, tmp_path, "cpu")
        assert run is not None
        found = json.loads((run.folder / "metrics.json").read_text("utf-8"))["select"]
        return sum(found.values()) / len(found)

    grid = side_by_side(profile, data, tmp_path, "cpu")
    for name, tried in zip(grid, (trials[:2], trials[2:]), strict=True):
        best = max(tried, key=on_select)
        assert grid[name][FAMILY] == [best, replace(best, seed=4)]
    tuned = tuned_runs(profile, data, tmp_path, "cpu")
    assert tuned == [run for arms in grid.values() for run in arms[FAMILY]]
    assert tuned_runs(replace(profile, learning_rates=rates[:1]), data, tmp_path) == []


def test_in_folds_each_fold_chooses_for_itself(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is reported in one fold selects in others: it must not choose for its own fold."""
    two_models(monkeypatch)
    best = {0: 1e-2, 1: 1e-3}  # fold -> rate

    def run_of(config: RunConfig) -> Run:
        fold, rate = config.data.fold, config.training.learning_rate
        assert fold is not None
        known = 0.5 if rate == best[fold] else None  # None: a CCC that is not defined
        return Run(config, tmp_path, {"select": {"enjoyment": known}})

    def obtain(configs: Sequence[RunConfig], *_: object) -> list[Run]:
        return [run_of(config) for config in configs]

    monkeypatch.setattr(sota, "obtain", obtain)
    profile = replace(get_profile("smoke"), learning_rates=(1e-3, 1e-2), small_models=())
    grid = side_by_side(profile, DataConfig("hri_enjoyment"), tmp_path)
    for arms in grid.values():
        assert {run.data.fold: run.training.learning_rate for run in arms[FAMILY]} == best


ONE_MORE = """
from pathlib import Path
import torch
from companion.experiments import side_by_side as sota
from companion.analysis.costs import count_regressor
from iaca.sources.loading import DataConfig
from iaca.runs.profiles import get_profile
from iaca.models.regressor import AffectRegressor, ModelConfig

profile = get_profile("smoke")
runs = sota.first_runs(profile, DataConfig(), Path("."))
(mine,) = [run for run in runs if run.model.fusion == "mean"]
assert sota.MODELS["Mean"] == {"family": {"attention": "none", "fusion": "mean"}}
model = AffectRegressor(mine.model, 3, 4, 2)
assert model(torch.randn(2, 16, 3), torch.randn(2, 16, 4)).values.shape == (2, 16, 2)
plain = count_regressor(ModelConfig("none", dim=mine.model.dim), 3, 4, 2)
d = mine.model.dim
print(len(runs), plain.parameters - count_regressor(mine.model, 3, 4, 2).parameters == d * d)
"""


def test_a_model_added_as_the_chapter_says_is_in_the_side_by_side(tmp_path: Path) -> None:
    cells = nbformat.read(NOTEBOOKS / "05_sota.ipynb", as_version=4).cells
    (text,) = [cell.source for cell in cells if cell.source.startswith("(sec-sota-add)=")]
    (module,) = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    (patch,) = re.findall(r"^```diff\n(.*?)^```", text, re.M | re.S)
    for folder in ("iaca", "data_manifests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    families, regressor = (
        tmp_path / "iaca" / "models" / f"{name}.py" for name in ("families", "regressor")
    )
    families.write_text(families.read_text("utf-8") + "\n\n" + module, "utf-8")
    lines, added = regressor.read_text("utf-8").splitlines(), 0
    after = ""
    for line in patch.splitlines():
        if line.startswith("+"):
            lines.insert(lines.index(after) + 1, line[1:])
            added += 1
        else:
            after = line[1:]
            assert lines.count(after) == 1, after
    assert added + sum(bool(line.strip()) for line in module.splitlines()) == 10  # ten lines
    regressor.write_text("\n".join(lines) + "\n", "utf-8")
    result = subprocess.run(
        [sys.executable, "-c", ONE_MORE],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["23", "True"]
