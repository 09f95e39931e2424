"""From a data set's name to an open store: prepared once, and only what fits the data set."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from toys import TINY_SIZES, tiny_manifest, toy_store

from iaca.base.files import DataError
from iaca.sources import loading
from iaca.sources.loading import DataConfig, open_data


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    return str(tiny_manifest(tmp_path / "manifests"))


def stores_in(cache: Path) -> set[str]:
    return {folder.name for folder in cache.iterdir()}


def test_the_benchmark_is_generated_once(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    store, split = open_data(DataConfig(tiny), cache)
    assert [len(names) for names in split] == [TINY_SIZES[r] for r in ("train", "select", "report")]
    assert set().union(*split) == set(store)
    for role, names in zip(split._fields, split, strict=True):
        assert {store.entries[name].split for name in names} == {role}
    assert store.info.source["share"] == 0.46
    assert len(stores_in(cache)) == 1

    def again(*arguments: Any) -> None:
        raise AssertionError("generated a second time")

    monkeypatch.setattr(loading, "write_benchmark", again)
    assert open_data(DataConfig(tiny), cache)[0].key == store.key
    assert open_data(DataConfig(tiny, share=0.46), cache)[0].key == store.key


def test_factors_multiply_the_constants_that_they_name(tiny: str, tmp_path: Path) -> None:
    """A manifest with other constants, written by hand, gives the same data."""
    content = yaml.safe_load(Path(tiny).read_text())
    for modality in ("audio", "visual"):
        content["benchmark"][modality]["noise"] *= 0.5
    for target in ("valence", "arousal"):
        content["benchmark"]["latent"][f"{target}_time_constant"] *= 3.0
    by_hand = tmp_path / "manifests" / "by_hand.yaml"
    by_hand.write_text(yaml.safe_dump(content))
    config = DataConfig(tiny, noise_factor=0.5, time_factor=3.0)
    store, _ = open_data(config, tmp_path / "cache")
    expected, _ = open_data(DataConfig(str(by_hand)), tmp_path / "cache")
    for name in expected:
        for kind in ("audio", "visual", "labels"):
            assert torch.equal(getattr(store[name], kind), getattr(expected[name], kind))
    for bad in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(DataError, match=r"noise_factor .* expected a positive number"):
            open_data(DataConfig(tiny, noise_factor=bad), tmp_path / "cache")


def test_what_changes_the_data_changes_the_folder(tiny: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    configs = [
        DataConfig(tiny),
        DataConfig(tiny, share=0.0),
        DataConfig(tiny, data_seed=1),
        DataConfig(tiny, norm_matched=False),
        DataConfig(tiny, state_shown=True),
        DataConfig(tiny, noise_factor=0.5),
        DataConfig(tiny, time_factor=0.5),
    ]
    keys = {open_data(config, cache)[0].key for config in configs}
    assert len(keys) == len(stores_in(cache)) == len(configs)
    content = yaml.safe_load(Path(tiny).read_text())
    content["benchmark"]["audio"]["noise"] = 3.0
    Path(tiny).write_text(yaml.safe_dump(content))
    assert open_data(DataConfig(tiny), cache)[0].key not in keys
    assert len(stores_in(cache)) == len(configs) + 1


def test_code_that_makes_the_data_is_part_of_the_name(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_data(DataConfig(tiny), tmp_path / "cache")
    monkeypatch.setattr(loading, "syntax_hash", lambda *sources: "other code")
    open_data(DataConfig(tiny), tmp_path / "cache")
    assert len(stores_in(tmp_path / "cache")) == 2


def test_two_that_prepare_at_once_share_the_first_ones_store(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process finishes between the look for the folder and the writing of it."""
    write = loading.write_benchmark

    def late(path: Path, *arguments: Any) -> Any:
        write(path, *arguments)
        return write(path, *arguments)

    monkeypatch.setattr(loading, "write_benchmark", late)
    assert len(open_data(DataConfig(tiny), tmp_path / "cache")[0]) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": 1.0}, "share"),
        ({"fold": 0}, "fold 0"),
        ({"folds": 5}, "folds 5"),
        ({"manifest": "sythetic"}, "'sythetic': unknown"),
        ({"manifest": "absent.yaml"}, r"absent\.yaml: cannot be read"),
        ({"manifest": "cremad_votes"}, "cremad_votes: the package does not prepare it"),
        ({"manifest": "affwild2"}, "affwild2: .*affwild2 is missing or unfinished; make it"),
        ({"manifest": "affwild2", "share": 0.2}, "affwild2: .* only a bundled benchmark"),
        ({"manifest": "affwild2", "swapped_states": True}, "affwild2: swapped_states given"),
        (
            {"manifest": "hri_enjoyment", "data_seed": 1},
            "hri_enjoyment: .* only a bundled benchmark",
        ),
    ],
)
def test_settings_that_do_not_fit(
    tiny: str, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    config = DataConfig(**{"manifest": tiny, **changes})
    with pytest.raises(DataError, match=message):
        open_data(config, tmp_path / "cache")


def test_a_prepared_store_is_opened_where_it_is(tmp_path: Path) -> None:
    manifest = yaml.safe_load(
        """
        name: mine
        title: Mine
        description: Features of my own.
        licence: {name: CC0, url: "https://example.org/cc0"}
        access: gated
        licence_form: "https://example.org/form"
        how_to_ask: Write.
        split: {kind: subject_folds, folds: 3, select_share: 0.3, seed: 0}
        """
    )
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(manifest))
    made = toy_store(tmp_path / "store", [10] * 6)
    config = DataConfig(str(file), store=str(made.path), fold=1)
    store, split = open_data(config, tmp_path / "cache")
    assert store.key == made.key
    assert len(split.report) == 2
    alone = DataConfig(str(file), store=str(made.path), fold=1, folds="leave_one_out")
    assert len(open_data(alone, tmp_path / "cache")[1].report) == 1
    with pytest.raises(DataError, match="fold 6"):
        open_data(DataConfig(str(file), store=str(made.path), fold=6), tmp_path / "cache")
    with pytest.raises(DataError, match=r"nowhere.*no such file"):
        open_data(DataConfig(str(file), store=str(tmp_path / "nowhere"), fold=0))


def test_data_without_a_split_cannot_be_trained_on(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store")
    with pytest.raises(DataError, match="cremad_votes: nothing to train on"):
        open_data(DataConfig("cremad_votes", store=str(store.path)), tmp_path / "cache")


def test_hri_enjoyment_is_prepared_from_its_files(mirror: Path, tmp_path: Path) -> None:
    config = DataConfig("hri_enjoyment", fold=0)
    store, split = open_data(config, tmp_path / "cache")
    assert all(split)
    assert len(stores_in(tmp_path / "cache")) == 1
    assert open_data(config, tmp_path / "cache")[0].key == store.key
    everybody = DataConfig("hri_enjoyment", fold=0, folds="leave_one_out")
    assert len(store.subjects(open_data(everybody, tmp_path / "cache")[1].report)) == 1
