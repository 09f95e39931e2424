"""The bundled benchmark does what its manifest says."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from iaca.base.files import DataError, sha256_of
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Benchmark
from iaca.data.states import KINDS, MODALITIES, STATES
from iaca.sources.manifest import load_manifest
from iaca.sources.synthetic import (
    ROLES,
    draw_states,
    write_benchmark,
)


def benchmark() -> Benchmark:
    found = load_manifest("synthetic").benchmark
    assert found is not None
    return found


def small(**changes: Any) -> Benchmark:
    """The benchmark's constants with little data, and no bound on the realised share."""
    content = benchmark().model_dump()
    content["sizes"] = {"train": 3, "select": 2, "report": 2, "recordings": 2, "clips": 60}
    return Benchmark.model_validate({**content, "tolerance": 1.0, **changes})


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[float, RecordingStore]:
    folder = tmp_path_factory.mktemp("benchmark")
    return {
        share: write_benchmark(folder / f"{share}", benchmark(), share) for share in (0.0, 0.2, 0.6)
    }


@pytest.fixture(scope="module")
def unmatched(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    folder = tmp_path_factory.mktemp("unmatched")
    return write_benchmark(folder / "store", benchmark(), 0.6, norm_matched=False)


def stacked(store: RecordingStore, part: str, role: str | None = None) -> np.ndarray:
    names = [name for name, entry in store.entries.items() if role in (None, entry.split)]
    return torch.cat([getattr(store[name], part) for name in names]).double().numpy()


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    one = write_benchmark(tmp_path / "one", small(), 0.46)
    two = write_benchmark(tmp_path / "two", small(), 0.46)
    files = sorted(file.relative_to(one.path) for file in one.path.rglob("*") if file.is_file())
    assert len(files) == 2 + 14
    assert [sha256_of(one.path / file) for file in files] == [
        sha256_of(two.path / file) for file in files
    ]
    assert write_benchmark(tmp_path / "numpy", small(), np.float64(0.46)).key == one.key
    others = [
        write_benchmark(tmp_path / "share", small(), 0.2),
        write_benchmark(tmp_path / "seed", small(), 0.46, data_seed=1),
        write_benchmark(tmp_path / "unmatched", small(), 0.46, norm_matched=False),
    ]
    assert len({store.key for store in (one, *others)}) == 4
    assert not np.allclose(stacked(one, "labels"), stacked(others[1], "labels"))


def test_sizes_and_splits_are_the_manifests(stores: dict[float, RecordingStore]) -> None:
    sizes = benchmark().sizes
    for store in stores.values():
        subjects = {}
        for role in ROLES:
            names = [name for name, entry in store.entries.items() if entry.split == role]
            subjects[role] = set(store.subjects(names))
            assert len(subjects[role]) == getattr(sizes, role)
            assert len(names) == getattr(sizes, role) * sizes.recordings
        assert not subjects["train"] & subjects["select"]
        assert not subjects["train"] & subjects["report"]
        assert not subjects["select"] & subjects["report"]
        assert {entry.rows for entry in store.entries.values()} == {sizes.clips}
        assert store.info.labels == ("valence", "arousal")


def test_what_the_dial_leaves_alone(stores: dict[float, RecordingStore]) -> None:
    """Labels are common to all shares; where two shares are both strong, so are the features."""
    base = stores[0.0]
    for share, store in stores.items():
        assert np.array_equal(stacked(store, "labels"), stacked(base, "labels"))
        state = stacked(store, "state")
        assert (state == 0).all() if share == 0.0 else (state > 0).any()
        for modality in MODALITIES:
            same = (stacked(store, modality) == stacked(base, modality)).all(axis=1)
            weak = [i for i, name in enumerate(STATES) if name.endswith(modality)]
            shown_truly = ~np.isin(state, weak)  # the other modality's trouble leaves this one be
            assert same[shown_truly].all()
            assert not same[~shown_truly].any()


def test_labels_are_the_true_latents(stores: dict[float, RecordingStore]) -> None:
    """Stationary, within their range, and forgetful at the manifest's pace."""
    latent = benchmark().latent
    labels = stacked(stores[0.6], "labels").reshape(-1, benchmark().sizes.clips, 2)
    assert np.abs(labels).max() < 1.0
    path = np.arctanh(labels) / latent.gain  # back to the Ornstein-Uhlenbeck processes
    np.testing.assert_allclose(path.mean(axis=(0, 1)), 0.0, atol=0.15)
    np.testing.assert_allclose(path.std(axis=(0, 1)), 1.0, atol=0.07)
    constants = (latent.valence_time_constant, latent.arousal_time_constant)
    for target, constant in enumerate(constants):
        x = path[..., target]
        for lag in (1, 4):
            correlation = np.corrcoef(x[:, :-lag].ravel(), x[:, lag:].ravel())[0, 1]
            assert correlation == pytest.approx(np.exp(-lag / constant), abs=0.05)
    assert abs(np.corrcoef(path[..., 0].ravel(), path[..., 1].ravel())[0, 1]) < 0.06


@pytest.mark.parametrize("data_seed", [0, 1])
def test_the_realised_share_is_the_dials_in_every_split(data_seed: int) -> None:
    constants = benchmark()
    assert constants.tolerance <= 0.03
    assert constants.central_share in constants.dial
    for share in constants.dial:
        for role in ROLES:
            states = draw_states(constants, role, share, data_seed)
            assert abs((states > 0).mean() - share) <= 0.03
            assert 0 <= states.min() <= states.max() < len(STATES)


def test_the_store_holds_the_states_that_were_drawn(stores: dict[float, RecordingStore]) -> None:
    drawn = [draw_states(benchmark(), role, 0.6, 0) for role in sorted(ROLES)]
    assert np.array_equal(stacked(stores[0.6], "state"), np.concatenate(drawn).ravel())


@pytest.mark.parametrize(("share", "corrupted"), [(0.2, 1.0), (0.6, 6.0)])
def test_states_are_a_stationary_chain_of_dwell_and_weights(share: float, corrupted: float) -> None:
    content = benchmark().model_dump()
    content["sizes"] = {"train": 300, "select": 1, "report": 1, "recordings": 1, "clips": 400}
    content["states"]["corrupted"] = corrupted
    constants = Benchmark.model_validate(content)
    states = draw_states(constants, "train", share, 0)
    weak = states > 0
    # As many weak clips at the start as in the middle and at the end.
    for part in (weak[:, :40], weak[:, 180:220], weak[:, -40:]):
        assert part.mean() == pytest.approx(share, abs=0.05)
    assert weak[:, 0].mean() == pytest.approx(share, abs=0.1)
    counts = np.bincount(states[weak], minlength=7)[1:]
    weights = np.array([corrupted, corrupted, 1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(counts / counts.sum(), weights / weights.sum(), atol=0.03)
    runs = []  # state and length of each, the recordings' first and last ones left out
    for row in states:
        edges = np.flatnonzero(np.diff(row)) + 1
        runs += [(int(row[a]), int(b - a)) for a, b in pairwise(edges)]
    # Episodes that a recording's ends cut are left out, which favours short ones a little.
    dwell = {kind: [n for state, n in runs if (state > 0) == kind] for kind in (True, False)}
    assert np.mean(dwell[True]) == pytest.approx(constants.states.dwell, rel=0.06)
    strong = constants.states.dwell * (1.0 - share) / share
    assert np.mean(dwell[False]) == pytest.approx(strong, rel=0.12)
    # Geometric: a clip leaves its episode with the same chance, however old the episode is.
    lengths = np.array(dwell[True])
    young, old = (lengths == 1).mean(), (lengths[lengths > 5] == 6).mean()
    assert young == pytest.approx(old, abs=0.04)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_corrupted_clip_has_the_norm_of_a_strong_one(
    stores: dict[float, RecordingStore], unmatched: RecordingStore, modality: str
) -> None:
    state = stacked(unmatched, "state")
    assert np.array_equal(state, stacked(stores[0.6], "state"))
    corrupted = state == STATES.index(f"corrupted {modality}")
    matched, loud = (stacked(store, modality) for store in (stores[0.6], unmatched))
    assert np.array_equal((matched != loud).any(axis=1), corrupted)  # and no other clip changes

    n, strong = corrupted.sum(), matched[state == 0]
    assert n > 800
    # Neighbouring clips share latents and offsets: allow twice the error of independent ones.
    ratio = matched[corrupted].var(axis=0) / strong.var(axis=0)
    assert np.abs(ratio - 1.0).max() < 2.0 * 3.5 * np.sqrt(2.0 / n)
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)
    error = strong.std(axis=0) / np.sqrt(n)
    difference = np.abs(matched[corrupted].mean(axis=0) - strong.mean(axis=0))
    assert (difference < 2.0 * 3.5 * error).all()

    constants, noise = benchmark().states, getattr(benchmark(), modality).noise
    variance = constants.attenuation**2 + (constants.extra_noise * noise) ** 2
    ratio = loud[corrupted].var(axis=0) / strong.var(axis=0)
    assert ratio.mean() == pytest.approx(variance / (1.0 + noise**2), rel=0.05)
    assert ratio.min() > 1.5


def test_audio_carries_arousal_and_visual_valence_better(
    stores: dict[float, RecordingStore],
) -> None:
    """By the correlation of labels with a ridge regression's predictions on other subjects."""
    store, found = stores[0.0], {}
    for modality in MODALITIES:
        model = Ridge(alpha=100.0)
        model.fit(stacked(store, modality, "train"), stacked(store, "labels", "train"))
        predicted = model.predict(stacked(store, modality, "report")).T
        due = stacked(store, "labels", "report").T
        found[modality] = [np.corrcoef(p, d)[0, 1] for p, d in zip(predicted, due, strict=True)]
    (a_valence, a_arousal), (v_valence, v_arousal) = found["audio"], found["visual"]
    assert a_arousal > v_arousal + 0.05
    assert v_valence > a_valence + 0.05
    assert min(a_valence, v_arousal) > 0.2


def test_what_a_weak_clip_shows(tmp_path: Path) -> None:
    """Without noise and offsets, the embedding is all there is to see."""
    content = small().model_dump()
    for modality in MODALITIES:
        content[modality] |= {"noise": 0.0, "subject_offset": 0.0}
    quiet = Benchmark.model_validate(content)
    strong = write_benchmark(tmp_path / "strong", quiet, 0.0)
    weak = write_benchmark(tmp_path / "weak", quiet, 0.6, norm_matched=False)
    state = stacked(weak, "state")
    for modality in MODALITIES:
        shown, truth = stacked(weak, modality), stacked(strong, modality)
        corrupted, conflicting, dominating = (
            state == STATES.index(f"{kind} {modality}") for kind in KINDS
        )
        np.testing.assert_allclose(
            shown[corrupted], quiet.states.attenuation * truth[corrupted], atol=2e-3
        )
        assert len(np.unique(shown[dominating], axis=0)) == 1  # restrained: always the same
        assert len(np.unique(shown[conflicting], axis=0)) == conflicting.sum()
        distance = np.abs(shown - truth).mean(axis=1)
        assert (distance[conflicting] > 0.1).mean() > 0.9


def test_the_face_trails_the_voice_by_the_lag(tmp_path: Path) -> None:
    """The same face and noise, the labels and the voice of later clips."""
    lag = 3
    now = write_benchmark(tmp_path / "now", small(), 0.0)
    late = write_benchmark(tmp_path / "late", small(visual_lag=lag), 0.0)
    for name, entry in late.entries.items():
        assert entry.rows == 60
        assert torch.equal(late[name].visual, now[name].visual)
        assert torch.equal(late[name].labels[:-lag], now[name].labels[lag:])


@pytest.mark.parametrize(
    ("share", "message"),
    [
        *((share, "expected 0 <= share < 1") for share in (-0.1, 1.0, float("nan"))),
        (0.95, r"share 0\.95 with weak episodes of 6"),
        (0.46, "split train: no chain within 1e-06"),
    ],
)
def test_impossible_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, message: str
) -> None:
    monkeypatch.setattr("iaca.sources.synthetic.MAX_DRAWS", 3)
    with pytest.raises(DataError, match=message):
        write_benchmark(tmp_path / "store", small(tolerance=1e-6), share)
    assert not list(tmp_path.iterdir())
