"""What a derived store changes, and that it changes nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from toys import tiny_manifest

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.data.states import MODALITIES, STATES
from iaca.sources.loading import DataConfig, open_data

SIZES = {"train": 3, "select": 2, "report": 2, "recordings": 2, "clips": 60}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """The benchmark with two or three subjects a split, two recordings each."""
    file = tiny_manifest(tmp_path)
    content = yaml.safe_load(file.read_text())
    content["benchmark"]["sizes"] = SIZES
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def store(manifest: Path, tmp_path: Path) -> RecordingStore:
    return open_data(DataConfig(str(manifest), share=0.6), tmp_path / "cache")[0]


def stacked(store: RecordingStore, part: str) -> np.ndarray:
    return torch.cat([getattr(recording, part) for recording in store.values()]).double().numpy()


def assert_alike(left: RecordingStore, right: RecordingStore, *parts: str) -> None:
    assert list(left) == list(right) and left.key != right.key
    for part in parts:
        assert np.array_equal(stacked(left, part), stacked(right, part))


def test_shown_states_stand_behind_features_that_stay_as_they_are(
    store: RecordingStore, manifest: Path, tmp_path: Path
) -> None:
    config = DataConfig(str(manifest), share=0.6, state_shown=True)
    shown, split = open_data(config, tmp_path / "cache")
    assert shown.info.source["state_shown"] is True
    assert split == open_data(DataConfig(str(manifest), share=0.6), tmp_path / "cache")[1]
    assert_alike(shown, store, "labels", "end_frame", "state")
    state, width = stacked(store, "state").astype(int), len(STATES)
    assert len(set(state)) > 1
    for modality in MODALITIES:
        features = stacked(shown, modality)
        assert getattr(shown.info, f"{modality}_dim") == features.shape[1]
        assert np.array_equal(features[:, :-width], stacked(store, modality))
        assert np.array_equal(features[:, -width:], np.eye(width)[state])
    both, _ = open_data(replace(config, swapped_states=True), tmp_path / "cache")
    said = stacked(both, "audio")[:, -width:].argmax(axis=1)
    assert np.array_equal(said, stacked(both, "state")) and not np.array_equal(said, state)


def test_swapped_states_are_those_of_another_subject_of_the_split(
    store: RecordingStore, manifest: Path, tmp_path: Path
) -> None:
    config = DataConfig(str(manifest), share=0.6, swapped_states=True)
    swapped, _ = open_data(config, tmp_path / "cache")
    assert swapped.info.source["swapped_states"] is True
    assert_alike(swapped, store, "audio", "visual", "labels", "end_frame")
    for role in ("train", "select", "report"):
        count = SIZES[role]
        for subject in range(count):
            for take in range(2):
                name, other = (f"{role}_{s % count:03d}_{take}" for s in (subject, subject + 1))
                assert torch.equal(swapped[name].known_state, store[other].known_state)
                assert not torch.equal(swapped[name].known_state, store[name].known_state)


def test_states_of_a_single_subject_cannot_be_swapped(tmp_path: Path) -> None:
    config = DataConfig(str(tiny_manifest(tmp_path)), swapped_states=True)
    with pytest.raises(DataError, match="split 'report' has subject 'report_000' alone"):
        open_data(config, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 1
