"""How much is trained: profiles and their folds."""

from dataclasses import replace
from pathlib import Path

import pytest
from toys import toy_store

from iaca.base.files import DataError
from iaca.runs.profiles import folds_of, get_profile, training_on
from iaca.sources.loading import DataConfig, open_data

QUICK = get_profile("quick")


def test_folds_report_on_every_speaker_once(mirror: Path, tmp_path: Path) -> None:
    data = DataConfig("hri_enjoyment")
    folds = folds_of(data, tmp_path)
    assert [(each.fold, each.folds) for each in folds] == [(fold, 5) for fold in range(5)]
    reported = [name for fold in folds for name in open_data(fold, tmp_path / "data")[1].report]
    assert len(reported) == len(set(reported)) == 25
    small = training_on(QUICK, data)
    assert (small.hop, small.epochs) == (1, QUICK.small_epochs)
    assert training_on(QUICK, DataConfig()) == QUICK.training
    film = training_on(QUICK, DataConfig("studyforrest"))  # no row is in two of its windows
    assert film == replace(QUICK.training, hop=16, epochs=8)


def test_the_manifest_says_how_many_folds_and_the_configuration_overrides_it(
    tmp_path: Path,
) -> None:
    toy_store(tmp_path / "rows", rows=[8] * 9)
    for said, count in ((7, 7), ("leave_one_out", 9)):
        file = tmp_path / f"{said}.yaml"
        file.write_text(
            "name: mine\ntitle: Mine\ndescription: Mine.\naccess: local\nstore: rows\n"
            'licence: {name: none, url: "https://example.org/licence"}\n'
            f"split: {{kind: subject_folds, folds: {said}, select_share: 0.2, seed: 0}}\n"
        )
        data = DataConfig(str(file))
        folds = folds_of(data, tmp_path)
        assert folds == [replace(data, fold=fold, folds=said) for fold in range(count)]
        assert len(folds_of(replace(data, folds=4), tmp_path)) == 4
    assert folds_of(DataConfig("episodes"), tmp_path) == [DataConfig("episodes")]


def test_every_training_of_a_profile_is_at_its_precision() -> None:
    low = get_profile("quick", precision="bf16")
    for name in ("synthetic", "hri_enjoyment"):
        plain, found = (training_on(each, DataConfig(name)) for each in (QUICK, low))
        assert found == replace(plain, precision="bf16") != plain
    assert get_profile("quick", precision=32) == QUICK  # a whole number, as papermill gives it
    for seeds in (7, "[0, 1]", [True], [0.5], [], {0: 1}):
        with pytest.raises(DataError, match=r"seeds .*: expected a list of distinct whole numbers"):
            get_profile("quick", seeds)  # type: ignore[arg-type]
    for wrong in (16, "fp16", True):
        with pytest.raises(DataError, match=f"precision '{wrong}': expected one of 32, tf32, bf16"):
            get_profile("quick", precision=wrong)
