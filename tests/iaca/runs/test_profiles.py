"""How much is trained: profiles and their folds."""

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


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(DataError, match="profile 'huge': expected one of smoke, quick, full"):
        get_profile("huge")
