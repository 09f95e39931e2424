"""The sound of a clip and its log-mel spectrogram against NumPy and hand-counted samples."""

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av", reason="the extra 'media' is not installed")

from iaca.extraction.audio import CLIP_SAMPLES, AudioTrack, LogMel, mel_filters

RATE = 44_100


def write_track(file: Path, samples: int, start: float = 0.0) -> AudioTrack:
    """A track whose n-th sample is n + 1."""
    np.arange(1, samples + 1, dtype=np.float32).tofile(file)
    return AudioTrack(file, start)


def test_a_clip_ends_where_its_last_frame_is_shown(tmp_path: Path):
    track = write_track(tmp_path / "t", 100_000)
    (clip,) = track.clips(np.array([2.0]))  # samples 88200 - 45599 to 88199
    assert clip.shape == (CLIP_SAMPLES,)
    assert (clip[0], clip[-1]) == (88_200 - 45_599 + 1, 88_200)


def test_before_and_after_the_track_there_is_silence(tmp_path: Path):
    track = write_track(tmp_path / "t", 60_000)
    first, early, late, gone = track.clips(np.array([0.0, 0.5, 1.5, 9.0]))
    assert not first.any()
    assert not early[: CLIP_SAMPLES - 22_050].any()
    np.testing.assert_array_equal(early[CLIP_SAMPLES - 22_050 :], np.arange(1, 22_051))
    # At 1.5 s: samples 66150 - 45599 = 20551 to 59999, then 6150 that do not exist.
    np.testing.assert_array_equal(late[:-6_150], np.arange(20_552, 60_001))
    assert not late[-6_150:].any()
    assert not gone.any()


@pytest.mark.parametrize(("start", "last"), [(0.25, 33_075), (-0.25, 55_125)])
def test_a_track_that_starts_late_or_early_is_shifted(tmp_path: Path, start: float, last: int):
    """At 1 s, 0.75 s of a track that began a quarter of a second late have been heard."""
    (clip,) = write_track(tmp_path / "t", 100_000, start).clips(np.array([1.0]))
    assert clip[-1] == last
    assert np.count_nonzero(clip) == min(last, CLIP_SAMPLES)


def test_an_empty_track_is_silence(tmp_path: Path):
    assert not write_track(tmp_path / "t", 0).clips(np.array([0.0, 1.0])).any()


def reference(samples: np.ndarray) -> np.ndarray:
    """The log-mel spectrogram written out in NumPy, with HTK's mel scale and triangles."""
    padded = np.pad(samples.astype(np.float64), 512, mode="reflect")
    window = np.zeros(1024)
    window[71 : 71 + 882] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(882) / 882)
    starts = range(0, len(padded) - 1024 + 1, 441)
    power = np.stack([np.abs(np.fft.rfft(window * padded[s : s + 1024])) ** 2 for s in starts])
    top = 2595 * np.log10(1 + 22_050 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, 66) / 2595) - 1)
    bins = np.linspace(0, 22_050, 513)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    decibels = 10 * np.log10(np.maximum(filters @ power.T, 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    return (decibels + 14.8) / 19.895


def test_log_mel_against_numpy():
    time = np.arange(CLIP_SAMPLES) / RATE
    noise = np.random.default_rng(0).normal(size=CLIP_SAMPLES)
    chirp = np.sin(2 * np.pi * (200 + 4000 * time) * time)
    quiet = np.where(time < 0.5, 1e-6 * noise, chirp)  # 80 dB and more below the rest
    for sound in (0.1 * noise, chirp, quiet):
        samples = sound.astype(np.float32)
        found = LogMel()(torch.from_numpy(samples)[None])
        assert found.shape == (1, 1, 64, 104)
        np.testing.assert_allclose(found[0, 0].numpy(), reference(samples), atol=2e-3)


def test_mel_filters_against_librosa():
    librosa = pytest.importorskip("librosa", reason="the extra 'test' is not installed")
    expected = librosa.filters.mel(sr=RATE, n_fft=1024, n_mels=64, htk=True, norm=None)
    np.testing.assert_allclose(mel_filters(), expected, atol=1e-6)


def test_silence_is_minus_100_decibels():
    found = LogMel()(torch.zeros(2, CLIP_SAMPLES))
    np.testing.assert_allclose(found.numpy(), (-100 + 14.8) / 19.895, rtol=1e-6)


def test_a_clip_is_cut_at_80_decibels_below_its_own_loudest_cell():
    generator = torch.Generator().manual_seed(0)
    loud = torch.randn(1, CLIP_SAMPLES, generator=generator)
    soft = 1e-3 * torch.randn(1, CLIP_SAMPLES, generator=generator)
    both = LogMel()(torch.cat([loud, soft]))
    torch.testing.assert_close(both[1:], LogMel()(soft))
