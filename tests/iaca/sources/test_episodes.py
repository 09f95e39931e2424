"""The benchmark with recurring affect does what its manifest says.

That it is its formulas, number by number, is tested on what `iaca data export` writes.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Episodes
from iaca.data.states import MODALITIES, STATES
from iaca.sources.episodes import draw_affect, write_episodes
from iaca.sources.loading import DataConfig, open_data
from iaca.sources.manifest import load_manifest
from iaca.sources.synthetic import draw_states


def episodes(**changes: Any) -> Episodes:
    found = load_manifest("episodes").episodes
    assert found is not None
    return Episodes.model_validate({**found.model_dump(), **changes})


def small(**changes: Any) -> Episodes:
    """Little data, and no bound on the realised share."""
    sizes = {"train": 6, "select": 2, "report": 2, "recordings": 2, "clips": 96}
    return episodes(**{"sizes": sizes, "tolerance": 1.0, **changes})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[float, RecordingStore]:
    folder = tmp_path_factory.mktemp("episodes")
    return {share: write_episodes(folder / f"{share}", small(), share, 3) for share in (0.0, 0.46)}


def stacked(store: RecordingStore, part: str) -> np.ndarray:
    return torch.cat([getattr(r, part) for r in store.values()]).double().numpy()


def test_affect_recurs_and_its_jitter_is_stationary() -> None:
    constants, rng = episodes().affect, np.random.default_rng(0)
    prototypes = rng.standard_normal((4, 6))
    affect = draw_affect(rng, constants, prototypes, 60_000)
    nearest = np.linalg.norm(affect[:, None] - prototypes, axis=2).argmin(axis=1)
    jitter = affect - prototypes[nearest]
    assert np.bincount(nearest, minlength=4) / 60_000 == pytest.approx(0.25, abs=0.02)
    changes = np.flatnonzero(np.diff(nearest))
    assert np.diff(changes).mean() == pytest.approx(3.0, abs=0.1)
    assert jitter.std() == pytest.approx(0.3, abs=0.01)
    assert np.mean(jitter[1:] * jitter[:-1]) / jitter.var() == pytest.approx(0.8, abs=0.02)


def test_labels_and_strong_clips_are_the_same_at_every_share(
    stores: dict[float, RecordingStore],
) -> None:
    for name in stores[0.0]:
        none, some = (store[name] for store in stores.values())
        assert torch.equal(none.labels, some.labels)
        for modality in MODALITIES:
            weak = torch.tensor([f" {modality}" in STATES[state] for state in some.known_state])
            same = (getattr(none, modality) == getattr(some, modality)).all(dim=1)
            assert torch.equal(same, ~weak)


def test_corrupted_clips_keep_their_variance_if_asked_to(tmp_path: Path) -> None:
    for matched, expected in ((True, 2.0), (False, 0.2**2 + 1.5**2)):
        store = write_episodes(tmp_path / f"{matched}", small(), 0.6, norm_matched=matched)
        rows = stacked(store, "state") == STATES.index("corrupted visual")
        assert stacked(store, "visual")[rows].var() == pytest.approx(expected, rel=0.06)


def test_the_dial_is_met_in_every_split() -> None:
    for role in ("train", "select", "report"):
        for share in (0.2, 0.46, 0.8):
            states = draw_states(episodes(), role, share, 1, "episodes")
            assert abs((states > 0).mean() - share) <= 0.03
            counts = np.bincount(states[states > 0], minlength=7)[1:]
            assert counts.min() > (0.7 if role == "train" else 0.4) * counts.mean()


def test_worlds_differ_in_everything_but_the_constants(tmp_path: Path) -> None:
    one, two = (write_episodes(tmp_path / f"{seed}", small(), 0.46, seed) for seed in (1, 2))
    for part in ("audio", "visual", "labels"):
        related = np.corrcoef(stacked(one, part).ravel(), stacked(two, part).ravel())[0, 1]
        assert abs(related) < 0.1
    assert not np.array_equal(stacked(one, "state"), stacked(two, "state"))


def test_it_is_opened_by_name_and_scaled_for_sensitivity(tmp_path: Path) -> None:
    store, split = open_data(DataConfig("episodes", share=0.0), tmp_path)
    assert (len(split.train), len(split.select), len(split.report)) == (128, 32, 96)
    louder, _ = open_data(DataConfig("episodes", share=0.0, noise_factor=2.0), tmp_path)
    assert stacked(louder, "audio").var() / stacked(store, "audio").var() == pytest.approx(
        (1 + 4) / (1 + 1), rel=0.05
    )
    slower, _ = open_data(DataConfig("episodes", share=0.0, time_factor=3.0), tmp_path)

    def steadiness(store: RecordingStore) -> float:
        each = [r.labels[:, 0].double().numpy() for r in store.values()]
        return float(np.mean([np.corrcoef(x[1:], x[:-1])[0, 1] for x in each]))

    assert steadiness(slower) > steadiness(store) + 0.15


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    for share in (1.0, -0.1):
        with pytest.raises(DataError, match=r"share .*: expected 0 <= share < 1"):
            write_episodes(tmp_path / "store", small(), share)
    both = load_manifest("episodes").model_dump() | {
        "benchmark": load_manifest("synthetic").benchmark
    }
    with pytest.raises(ValueError, match="benchmark and episodes: expected one of them"):
        type(load_manifest("episodes")).model_validate(both)
