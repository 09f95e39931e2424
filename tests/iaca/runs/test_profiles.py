"""Which runs the book needs, and what may differ between them."""

from dataclasses import asdict
from pathlib import Path

import pytest

from companion.experiments.grids import VALIDITY_SHARES, validity_runs
from iaca.base.files import DataError
from iaca.models.regressor import ModelConfig
from iaca.runs.arms import ARMS, arm_runs, model_runs
from iaca.runs.profiles import PROFILES, get_profile
from iaca.sources.loading import DataConfig

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


def test_options_of_a_model_are_common_to_its_seeds(tmp_path: Path) -> None:
    profile = get_profile("quick")
    runs = model_runs(profile, DataConfig(share=0.2), tmp_path, attention="tca", fusion="iaca")
    assert [run.seed for run in runs] == [0, 1, 2]
    assert {run.model for run in runs} == {
        ModelConfig(attention="tca", fusion="iaca", dim=profile.dim)
    }
    assert {run.training for run in runs} == {profile.training}
    (annealed,) = {
        run.training
        for run in model_runs(profile, DataConfig(), tmp_path, fusion="iaca", anneal=True)
    }
    assert annealed.temperature(0, 0.1) == 1.0
    assert annealed.temperature(profile.training.epochs // 2, 0.1) == 0.1


def test_validity_is_of_ungated_models_alone() -> None:
    for share in VALIDITY_SHARES:
        rows = validity_runs(get_profile("quick"), share)
        runs = [run for row in rows.values() for run in row]
        assert {run.model.fusion for run in runs} == {"plain"}
        assert {run.data.share for run in runs} == {share}
        told = [label for label, row in rows.items() if row[0].data.oracle]
        assert told == ["Oracle: told the state"]


def test_folds_report_on_every_speaker_once(mirror: Path, tmp_path: Path) -> None:
    from iaca.sources.loading import open_data

    (runs, *_) = arm_runs(get_profile("quick"), DataConfig("hri_enjoyment"), tmp_path).values()
    folds = {run.data for run in runs}
    assert len(folds) == get_profile("quick").folds
    reported = [name for fold in folds for name in open_data(fold, tmp_path / "data")[1].report]
    assert len(reported) == len(set(reported)) == 25


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(DataError, match="profile 'huge': expected one of smoke, quick, full"):
        get_profile("huge")
