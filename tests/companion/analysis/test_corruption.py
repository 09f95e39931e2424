"""What a corruption does to a store as it is read, clip by clip."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import AUDIO_DIM, VISUAL_DIM, toy_info, toy_recording, toy_store

from companion.analysis.corruption import CorruptedStore, Corruption, schedule
from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import predict, score
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.writing import write_store

ROWS = (20, 33, 97)
NULLS = torch.full((AUDIO_DIM,), 7.0), torch.full((VISUAL_DIM,), -3.0)
MEANS = torch.arange(AUDIO_DIM).float(), torch.arange(VISUAL_DIM).float()


@pytest.fixture
def store(tmp_path: Path) -> RecordingStore:
    recordings = (toy_recording(f"r{i}", f"s{i}", rows, seed=i) for i, rows in enumerate(ROWS))
    return write_store(tmp_path / "store", recordings, toy_info(), *NULLS, dtype=torch.float32)


@pytest.mark.parametrize("pattern", ["random", "block"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("rows", [1, 7, 20, 96])
def test_the_share_is_met_to_the_clip(pattern: str, share: float, rows: int) -> None:
    hit = schedule(Corruption("missing", "audio", share, pattern), "r", rows)
    assert hit.shape == (rows,)
    assert abs(int(hit.sum()) - share * rows) <= 0.5


@pytest.mark.parametrize("pattern", ["random", "block"])
@pytest.mark.parametrize("seed", range(5))
def test_a_smaller_share_is_part_of_a_larger_one(pattern: str, seed: int) -> None:
    shares = np.linspace(0, 1, 24)
    grown = [schedule(Corruption("missing", "audio", s, pattern, seed), "r", 23) for s in shares]
    for less, more in itertools.pairwise(grown):
        assert not (less & ~more).any()


def test_a_block_is_one_block_and_random_clips_are_not() -> None:
    def blocks(pattern: str, seed: int) -> int:
        hit = schedule(Corruption("missing", "audio", 0.4, pattern, seed), "r", 50).int()
        return int((hit.diff(prepend=torch.zeros(1, dtype=torch.int32)) == 1).sum())

    assert {blocks("block", seed) for seed in range(20)} == {1}
    assert min(blocks("random", seed) for seed in range(20)) > 3


def test_seeds_and_recordings_have_schedules_of_their_own_and_the_same_ones_again() -> None:
    def hit(seed: int, name: str) -> list[bool]:
        return schedule(Corruption("missing", "audio", 0.5, seed=seed), name, 40).tolist()

    assert hit(0, "a") == hit(0, "a")
    assert len({tuple(hit(s, n)) for s in range(3) for n in "abc"}) == 9


def test_what_is_missing_shows_the_null_vector_and_nothing_else_changes(
    store: RecordingStore,
) -> None:
    seen = CorruptedStore(store, Corruption("missing", "audio", 0.4))
    for name in store:
        hit = seen.hit(name)
        before, after = store[name], seen[name]
        assert torch.equal(after.audio[hit], NULLS[0].expand(int(hit.sum()), -1))
        assert torch.equal(after.audio[~hit], before.audio[~hit])
        assert torch.equal(after.visual, before.visual)
        assert torch.equal(after.labels, before.labels)


def test_zeroed_features_are_zero_once_standardised(store: RecordingStore) -> None:
    seen = CorruptedStore(store, Corruption("zeroed", "visual", 0.5), means=MEANS)
    for name in store:
        hit = seen.hit(name)
        standardised = seen[name].visual - MEANS[1]
        assert (standardised[hit] == 0).all()
        assert torch.equal(seen[name].visual[~hit], store[name].visual[~hit])


def test_zeroed_without_means_is_refused(store: RecordingStore) -> None:
    with pytest.raises(DataError, match="no means"):
        CorruptedStore(store, Corruption("zeroed", "visual", 0.5))


def test_both_hits_the_same_clips_of_both(store: RecordingStore) -> None:
    seen = CorruptedStore(store, Corruption("missing", "both", 0.5))
    name = "r2"
    lost_audio = (seen[name].audio == NULLS[0]).all(dim=1)
    lost_visual = (seen[name].visual == NULLS[1]).all(dim=1)
    assert torch.equal(lost_audio, lost_visual)
    assert torch.equal(lost_audio, seen.hit(name))


@pytest.mark.parametrize("snr", [-5.0, 0.0, 10.0])
def test_noise_has_the_ratio_that_was_asked_for(tmp_path: Path, snr: float) -> None:
    recording = toy_recording(rows=20_000)
    recording.audio[:, 1] = 10.0 * recording.audio[:, 1] + 100.0  # an offset is no signal
    recording.audio[:, 2] = 5.0  # no signal, no noise
    store = write_store(tmp_path / "s", [recording], toy_info(), dtype=torch.float32)
    seen = CorruptedStore(store, Corruption("noisy", "audio", snr=snr))
    noise = (seen["one"].audio - recording.audio).double().numpy()
    signal = recording.audio.double().numpy()
    assert (noise[:, 2] == 0).all()
    kept = [0, 1, 3, 4]
    measured = 10 * np.log10(signal[:, kept].var(axis=0) / noise[:, kept].var(axis=0))
    np.testing.assert_allclose(measured, snr, atol=0.25)


def test_noise_of_the_two_modalities_is_not_the_same(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "s", rows=(500, 500), dtype=torch.float32)
    seen = CorruptedStore(store, Corruption("noisy", "both", snr=0.0))
    noise = [
        (getattr(seen["r0"], m) - getattr(store["r0"], m))[:, 0].numpy()
        for m in ("audio", "visual")
    ]
    assert abs(np.corrcoef(noise)[0, 1]) < 0.2


@pytest.mark.parametrize(("lag", "spacing"), [(1, 1), (-2, 1), (3, 4)])
def test_misaligned_clips_show_an_earlier_one(tmp_path: Path, lag: int, spacing: int) -> None:
    recording = toy_recording(rows=50)
    store = write_store(tmp_path / "s", [recording], toy_info(spacing), dtype=torch.float32)
    seen = CorruptedStore(store, Corruption("misaligned", "visual", 0.3, lag=lag))
    hit = seen.hit("one")
    for t in range(50):
        source = (t - lag * spacing) % 50 if hit[t] else t
        assert torch.equal(seen["one"].visual[t], recording.visual[source])


def test_swapped_clips_are_another_persons_at_the_same_time(store: RecordingStore) -> None:
    seen = CorruptedStore(store, Corruption("swapped", "audio", 0.6))
    for name in store:
        other = seen.swapped_with(name)
        assert store.entries[other].subject != store.entries[name].subject
        hit = seen.hit(name)
        for t in range(len(store[name])):
            expected = store[other].audio[t % len(store[other])] if hit[t] else store[name].audio[t]
            assert torch.equal(seen[name].audio[t], expected)


def test_swapping_looks_among_the_given_recordings_only(store: RecordingStore) -> None:
    for seed in range(10):
        seen = CorruptedStore(store, Corruption("swapped", "audio", seed=seed), names=["r0", "r2"])
        assert (seen.swapped_with("r0"), seen.swapped_with("r2")) == ("r2", "r0")
    alone = CorruptedStore(store, Corruption("swapped", "audio"), names=["r1"])
    with pytest.raises(DataError, match=r"'r1': nobody to swap with.*'s1'"):
        alone["r1"]


def test_the_store_on_disk_and_its_open_recordings_stay_as_they_are(store: RecordingStore) -> None:
    before = {name: store[name].audio.clone() for name in store}
    for kind, more in (("missing", {}), ("noisy", {"snr": 0.0}), ("misaligned", {"lag": 2})):
        seen = CorruptedStore(store, Corruption(kind, "both", **more))
        assert not torch.equal(seen["r2"].audio, before["r2"])
    assert all(torch.equal(store[name].audio, audio) for name, audio in before.items())
    store.verify()


def test_a_model_can_be_evaluated_on_it(store: RecordingStore) -> None:
    torch.manual_seed(0)
    model = AffectRegressor(ModelConfig("none", dim=8), AUDIO_DIM, VISUAL_DIM, 2)
    whole = predict(model, store, list(store)).predictions
    nothing = CorruptedStore(store, Corruption("missing", "audio", 0.0))
    seen = CorruptedStore(store, Corruption("missing", "audio", 0.5))
    damaged = predict(model, seen, list(store)).predictions
    for name in store:  # without attention, a clip's prediction is its own
        assert torch.equal(predict(model, nothing, [name]).predictions[name], whole[name])
        changed = (damaged[name] != whole[name]).any(dim=1)
        assert torch.equal(changed, seen.hit(name))
    assert score(damaged, seen).pooled == score(damaged, store).pooled


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "lost"}, "kind 'lost': expected one of missing, zeroed, noisy"),
        ({"modality": "text"}, "modality 'text': expected one of audio, visual, both"),
        ({"pattern": "burst"}, "pattern 'burst': expected one of random, block"),
        ({"share": 1.2}, "share 1.2, expected 0 to 1"),
        ({"share": float("nan")}, "share nan, expected 0 to 1"),
        ({"kind": "noisy"}, "snr None, expected a number for 'noisy'"),
        ({"kind": "noisy", "snr": float("inf")}, "snr inf, expected a number"),
        ({"kind": "misaligned"}, "lag None, expected a number"),
        ({"kind": "misaligned", "lag": 0}, "lag 0, expected a number"),
        ({"snr": 3.0}, "snr 3.0, which 'missing' has not"),
        ({"lag": 3}, "lag 3, which 'missing' has not"),
    ],
)
def test_a_wrong_field_is_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Corruption(**{"kind": "missing", "modality": "audio", **given})
