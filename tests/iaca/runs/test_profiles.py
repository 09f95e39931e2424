"""How much is trained: profiles and their folds."""

from dataclasses import replace
from pathlib import Path

import pytest

from iaca.base.files import DataError
from iaca.runs.profiles import folds_of, get_profile, training_on
from iaca.sources.loading import DataConfig, open_data

QUICK = get_profile("quick")


def test_folds_report_on_every_speaker_once(mirror: Path, tmp_path: Path) -> None:
    data = DataConfig("hri_enjoyment")
    folds = folds_of(QUICK, data, tmp_path)
    assert len(folds) == QUICK.folds
    reported = [name for fold in folds for name in open_data(fold, tmp_path / "data")[1].report]
    assert len(reported) == len(set(reported)) == 25
    small = training_on(QUICK, data)
    assert (small.hop, small.epochs) == (1, QUICK.small_epochs)
    assert training_on(QUICK, DataConfig()) == QUICK.training


def test_every_training_of_a_profile_is_at_its_precision() -> None:
    low = get_profile("quick", precision="bf16")
    for name in ("synthetic", "hri_enjoyment"):
        plain, found = (training_on(each, DataConfig(name)) for each in (QUICK, low))
        assert found == replace(plain, precision="bf16") != plain
    assert get_profile("quick", precision=32) == QUICK  # a whole number, as papermill gives it
    for wrong in (16, "fp16", True):
        with pytest.raises(DataError, match=f"precision '{wrong}': expected one of 32, tf32, bf16"):
            get_profile("quick", precision=wrong)
