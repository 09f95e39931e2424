"""Which runs the book needs, and what may differ between them."""

from dataclasses import asdict
from pathlib import Path

import pytest
from toys import tiny_manifest

from iaca.data.loading import DataConfig
from iaca.experiments import (
    ARMS,
    PROFILES,
    VALIDITY_SHARES,
    arm_runs,
    book_runs,
    compute_runs,
    get_profile,
    norm_runs,
    sensitivity_runs,
    validity_runs,
)
from iaca.files import DataError
from iaca.runs import RunConfig

GATES = {"fusion", "gate_init"}


@pytest.mark.parametrize("name", PROFILES)
def test_arms_differ_in_the_gates_alone(name: str, tmp_path: Path) -> None:
    arms = arm_runs(get_profile(name), DataConfig(), tmp_path)
    assert set(arms) == set(ARMS)
    plain = arms["plain"]
    for runs in arms.values():
        assert [run.seed for run in runs] == list(get_profile(name).seeds)
        for run, baseline in zip(runs, plain, strict=True):
            assert (run.data, run.training, run.seed) == (
                baseline.data,
                baseline.training,
                baseline.seed,
            )
            ours, theirs = asdict(run.model), asdict(baseline.model)
            assert {key for key in ours if ours[key] != theirs[key]} <= GATES
    starts = [runs[0].model.gate_init for arm, runs in arms.items() if arm != "plain"]
    assert starts == ["xavier", "zero"], "as published, then ours"


def test_validity_is_of_ungated_models_alone() -> None:
    for share in VALIDITY_SHARES:
        rows = validity_runs(get_profile("quick"), share)
        runs = [run for row in rows.values() for run in row]
        assert {run.model.fusion for run in runs} == {"plain"}
        assert {run.data.share for run in runs} == {share}
        told = [label for label, row in rows.items() if row[0].data.oracle]
        assert told == ["Oracle: told the state"]


def test_folds_report_on_every_speaker_once(mirror: Path, tmp_path: Path) -> None:
    from iaca.data.loading import open_data

    (runs, *_) = arm_runs(get_profile("quick"), DataConfig("hri_enjoyment"), tmp_path).values()
    folds = {run.data for run in runs}
    assert len(folds) == get_profile("quick").folds
    reported = [name for fold in folds for name in open_data(fold, tmp_path / "data")[1].report]
    assert len(reported) == len(set(reported)) == 25


def test_the_book_needs_every_run_of_every_chapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str) -> None:
        raise DataError("no network")

    monkeypatch.setattr("iaca.data.loading.fetch", gone)
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
    assert set(needed) == set(runs)
    data = {run.data for run in runs}
    assert {d.data_seed for d in data} == {0, 1, 2} and {d.norm_matched for d in data} == {
        True,
        False,
    }


def test_what_the_notebooks_are_given_is_computed_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RunConfig] = []
    monkeypatch.setattr("iaca.experiments.execute_runs", lambda configs, *_: asked.extend(configs))
    manifest = str(tiny_manifest(tmp_path / "manifests"))
    compute_runs("smoke", tmp_path, manifest=manifest, seeds=[7, 8])
    assert {run.seed for run in asked} == {7, 8}
    on_it = [run for run in asked if run.data.manifest == manifest]
    assert len(on_it) == len(ARMS) * 2


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(DataError, match="profile 'huge': expected one of smoke, quick, full"):
        get_profile("huge")
