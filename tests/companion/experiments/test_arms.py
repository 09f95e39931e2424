"""Runs of a model and of its arms."""

from dataclasses import asdict
from pathlib import Path

import pytest

from companion.experiments.arms import arm_runs, model_runs
from iaca.models.regressor import ModelConfig
from iaca.runs.arms import ARMS, GATED_ARMS, Arm
from iaca.runs.profiles import folds_of, get_profile, training_on
from iaca.sources.loading import DataConfig

QUICK = get_profile("quick")


def test_arms_differ_in_the_gates_alone(tmp_path: Path) -> None:
    model = ModelConfig("tca", encoder_norm="layer")
    arms = arm_runs(QUICK, DataConfig(share=0.2), tmp_path, model)
    assert list(arms) == list(Arm) == list(ARMS)
    for runs in arms.values():
        assert [run.seed for run in runs] == list(QUICK.seeds)
        for run, plain in zip(runs, arms[Arm.PLAIN], strict=True):
            mine, theirs = asdict(run), asdict(plain)
            ours, other = mine.pop("model"), theirs.pop("model")
            assert mine == theirs
            assert {k for k in ours if ours[k] != other[k]} <= {"fusion", "gate_init"}
            assert (run.model.encoder_norm, run.model.dim) == ("layer", QUICK.dim)
    starts = [arms[arm][0].model.gate_init for arm in GATED_ARMS]
    assert starts == ["xavier", "zero"], "the sibling's, then ours"


@pytest.mark.usefixtures("mirror")
def test_a_model_has_one_run_per_fold_and_seed(tmp_path: Path) -> None:
    data = DataConfig("hri_enjoyment")
    runs = model_runs(QUICK, data, tmp_path, ModelConfig())
    folds = folds_of(data, tmp_path)
    assert [run.data for run in runs] == [fold for fold in folds for _ in QUICK.seeds]
    assert {run.training for run in runs} == {training_on(QUICK, data)}
