"""What is computed before the notebooks are executed."""

from dataclasses import replace
from pathlib import Path

import pytest
from toys import tiny_manifest

from companion.experiments.book_runs import book_runs, compute_runs, tuned_book_runs
from companion.experiments.grids import (
    VALIDITY_SHARES,
    ablation_runs,
    audit_runs,
    diagnosis_runs,
    norm_runs,
    robustness_runs,
    sensitivity_runs,
    validity_runs,
)
from companion.experiments.side_by_side import CONCATENATION, first_runs, side_by_side
from iaca.base.files import DataError
from iaca.runs.arms import arm_runs
from iaca.runs.profiles import get_profile
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig

MODULE = "companion.experiments.book_runs"


def test_the_book_needs_every_run_of_every_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str) -> None:
        raise DataError("no network")

    monkeypatch.setattr("iaca.sources.loading.fetch", gone)
    profile = get_profile("smoke")
    runs = book_runs(profile, tmp_path)
    assert "none on hri_enjoyment" in capsys.readouterr().out
    needed: list[RunConfig] = [*norm_runs(profile, "layer"), *norm_runs(profile, "none")]
    needed += [run for row in arm_runs(profile, DataConfig(), tmp_path).values() for run in row]
    needed += [
        run for s in VALIDITY_SHARES for row in validity_runs(profile, s).values() for run in row
    ]
    needed += [
        run
        for version in sensitivity_runs(profile, tmp_path).values()
        for row in version.values()
        for run in row
    ]
    needed += ablation_runs(profile, tmp_path)
    needed += [run for row in audit_runs(profile, tmp_path).values() for run in row]
    needed += robustness_runs(profile, tmp_path)
    needed += first_runs(profile, DataConfig(), tmp_path)
    assert set(needed) == set(runs)
    assert tuned_book_runs(profile, tmp_path) == []  # nobody is tuned below `full`
    data = {run.data for run in runs}
    assert {d.data_seed for d in data} == {0, 1, 2} and {d.norm_matched for d in data} == {
        True,
        False,
    }


@pytest.mark.parametrize("manifest", ["hri_enjoyment", "nowhere.yaml"])
def test_the_readers_data_that_cannot_be_had_are_left_out_with_one_line(
    manifest: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def gone(name: str) -> None:
        raise DataError("no network")

    monkeypatch.setattr("iaca.sources.loading.fetch", gone)
    runs = book_runs(get_profile("smoke"), tmp_path, manifest)
    assert capsys.readouterr().out.count(f"none on {manifest}") == 1
    assert {run.data.manifest for run in runs} == {"synthetic"}
    assert set(diagnosis_runs(get_profile("smoke"), tmp_path)) <= set(runs)


def test_what_the_notebooks_are_given_is_computed_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunConfig] = []
    monkeypatch.setattr(f"{MODULE}.execute_runs", lambda configs, *_: asked.extend(configs))
    manifest = str(tiny_manifest(tmp_path / "manifests"))
    compute_runs("smoke", tmp_path, manifest=manifest, seeds=[7, 8])
    assert {run.seed for run in asked} == {7, 8}
    on_it = [run for run in asked if run.data.manifest == manifest]
    profile = replace(get_profile("smoke"), seeds=(7, 8))
    assert set(ablation_runs(profile, tmp_path, manifest)) <= set(on_it)
    assert set(first_runs(profile, DataConfig(manifest), tmp_path)) <= set(on_it)
    # Gates are diagnosed where the states are known, whatever the reader's data.
    assert set(diagnosis_runs(profile, tmp_path)) <= set(asked) - set(on_it)
    assert {run.model.attention for run in on_it} == {"none", "ca", "jca", "rjca", "tca"}


def test_the_open_data_are_part_of_the_side_by_side(mirror: Path, tmp_path: Path) -> None:
    profile, data = get_profile("smoke"), DataConfig("hri_enjoyment")
    runs = set(book_runs(profile, tmp_path))
    grid = side_by_side(profile, data, tmp_path)
    assert len(grid) == 3
    assert {run for arms in grid.values() for found in arms.values() for run in found} <= runs


def test_a_profile_that_tunes_computes_trials_first_and_then_what_they_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[RunConfig]] = []

    def gone(name: str) -> None:
        raise DataError("no network")

    monkeypatch.setattr("iaca.sources.loading.fetch", gone)
    monkeypatch.setattr(f"{MODULE}.execute_runs", lambda configs, *_: asked.append([*configs]))
    monkeypatch.setattr("companion.experiments.side_by_side.choose", lambda trials, *_: trials[-1])
    rates = (1e-4, 1e-3)
    tuning = replace(get_profile("smoke"), learning_rates=rates)
    monkeypatch.setattr("companion.experiments.book_runs.get_profile", lambda name: tuning)
    compute_runs("smoke", tmp_path, seeds=[5, 6])
    first, then = asked
    concatenated = [
        [run for run in runs if run.model.attention == "none" and run.model.fusion == "plain"]
        for runs in ([run for run in first if run.training.learning_rate in rates], then)
    ]
    assert [(run.seed, run.training.learning_rate) for run in concatenated[0]] == [
        (5, 1e-4),
        (5, 1e-3),
    ], CONCATENATION
    assert [(run.seed, run.training.learning_rate) for run in concatenated[1]] == [
        (5, 1e-3),
        (6, 1e-3),
    ]
    assert len(then) == 22 * 2 and concatenated[1][0] in first
