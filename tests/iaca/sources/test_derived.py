"""What a derived store changes, and that it changes nothing else."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from toys import tiny_manifest

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
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


def test_swapped_states_are_those_of_another_subject_of_the_split(
    store: RecordingStore, manifest: Path, tmp_path: Path
) -> None:
    config = DataConfig(str(manifest), share=0.6, swapped_states=True)
    swapped, _ = open_data(config, tmp_path / "cache")
    assert list(swapped) == list(store) and swapped.key != store.key
    assert swapped.info.source["swapped_states"] is True
    for part in ("audio", "visual", "labels", "end_frame"):
        assert np.array_equal(stacked(swapped, part), stacked(store, part))
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
