"""How much is trained: profiles, their folds, and the arms of an attention."""

from dataclasses import asdict
from pathlib import Path

import pytest

from iaca.base.files import DataError
from iaca.models.regressor import ModelConfig
from iaca.runs.arms import ARMS, GATED_ARMS, Arm, arm_runs, model_runs
from iaca.runs.profiles import folds_of, get_profile, training_on
from iaca.sources.loading import DataConfig, open_data

QUICK = get_profile("quick")


def test_arms_differ_in_the_gates_alone(tmp_path: Path) -> None:
    model = ModelConfig("tca", encoder_norm="layer")
    arms = arm_runs(QUICK, DataConfig(share=0.2), tmp_path, model, modality_dropout=0.5)
    assert list(arms) == list(Arm) == list(ARMS)
    for runs in arms.values():
        assert [run.seed for run in runs] == list(QUICK.seeds)
        for run, plain in zip(runs, arms[Arm.PLAIN], strict=True):
            mine, theirs = asdict(run), asdict(plain)
            ours, other = mine.pop("model"), theirs.pop("model")
            assert mine == theirs
            assert {k for k in ours if ours[k] != other[k]} <= {"fusion", "gate_init"}
            assert (run.model.encoder_norm, run.model.dim) == ("layer", QUICK.dim)
            assert run.training.modality_dropout == 0.5
    starts = [arms[arm][0].model.gate_init for arm in GATED_ARMS]
    assert starts == ["xavier", "zero"], "as published, then ours"


def test_folds_report_on_every_speaker_once(mirror: Path, tmp_path: Path) -> None:
    data = DataConfig("hri_enjoyment")
    folds = folds_of(QUICK, data, tmp_path)
    assert len(folds) == QUICK.folds
    reported = [name for fold in folds for name in open_data(fold, tmp_path / "data")[1].report]
    assert len(reported) == len(set(reported)) == 25
    runs = model_runs(QUICK, data, tmp_path, ModelConfig())
    assert [run.data for run in runs] == [fold for fold in folds for _ in QUICK.seeds]
    small = training_on(QUICK, data)
    assert (small.hop, small.epochs) == (1, QUICK.small_epochs)
    assert {run.training for run in runs} == {small}
    assert training_on(QUICK, DataConfig()) == QUICK.training


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(DataError, match="profile 'huge': expected one of smoke, quick, full"):
        get_profile("huge")
