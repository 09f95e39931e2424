"""Which prototype a clip belongs to, and whether features tell, on known recordings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from companion.chapters.data.recurrence import course, recognised, similarity
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.manifest import load_manifest


def test_labels_stay_near_their_prototype(tmp_path: Path) -> None:
    episodes = load_manifest("episodes").episodes
    assert episodes is not None
    store, _ = open_data(DataConfig("episodes", share=0.0, data_seed=2), tmp_path)
    jitter = np.sqrt(episodes.affect.variance - 1)
    left = []
    for recording in [*store.values()][:10]:
        order = course(episodes, 2, recording.name)
        assert order.shape == (episodes.sizes.clips,) and set(order) <= set(range(4))
        affect = np.arctanh(recording.labels.numpy().clip(-0.999, 0.999)) / episodes.affect.gain
        left += [affect[order == r] - np.median(affect[order == r], axis=0) for r in set(order)]
    assert np.concatenate(left).std() == pytest.approx(jitter, rel=0.25)


def test_similar_clips_of_one_prototype_are_recognised() -> None:
    order = np.array([0, 0, 1, 0, 1, 1])
    patterns = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 2.0, 1.0, 0.0]])
    features = patterns[torch.from_numpy(order)]
    assert similarity(features)[0, 3] == pytest.approx(1.0)
    assert recognised(features, order) == 1.0
    generator = torch.Generator().manual_seed(0)
    many = np.random.default_rng(0).integers(3, size=300)
    noise = torch.randn(300, 8, generator=generator)
    assert recognised(noise, many) == pytest.approx(0.5, abs=0.02)


def test_neighbours_within_an_episode_do_not_count() -> None:
    order = np.array([0, 0, 0, 1, 0])
    features = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0], [1.0, 0.1, 0], [0, 1.0, 0]])
    assert recognised(features, order) == 0.0  # the only pairs that count look the wrong way
