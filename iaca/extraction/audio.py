"""The sound that belongs to a clip, and its log-mel spectrogram.

The constants are those of the baselines' released preprocessing. One thing differs: every clip's
sound has the same length, whatever the frame rate, so that no feature depends on the batch.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from iaca.extraction.video import SAMPLE_RATE

CLIP_SAMPLES = 45_599  # 1.034 s: the 31 intervals of a clip at 30 frames a second, and a little
N_FFT = 1024  # samples
WINDOW_SAMPLES = 882  # 20 ms
HOP_LENGTH = 441  # samples, 10 ms
N_MELS = 64
POWER_FLOOR = 1e-10  # -100 dB
TOP_DB = 80.0  # below the clip's own loudest cell
MEAN_DB, SCALE_DB = -14.8, 19.895  # the released code's normalisation


class AudioTrack:
    """A decoded sound track on disk, of which only what is asked for is read.

    Args:
        file: raw float32 samples, mono at 44.1 kHz.
        start: seconds from the first video frame to the first sample.
    """

    def __init__(self, file: Path, start: float) -> None:
        self.start = start
        empty = np.empty(0, dtype="<f4")  # an empty file cannot be mapped
        self.samples = np.memmap(file, "<f4", "r") if file.stat().st_size else empty

    def clips(self, times: np.ndarray) -> np.ndarray:
        """The sound before each clip's last frame.

        Args:
            times: ``(B,)`` seconds from the first video frame.

        Returns:
            ``(B, 45599)`` float32; zero where the track has not begun, or has ended.
        """
        stops = np.rint((np.asarray(times) - self.start) * SAMPLE_RATE).astype(np.int64)
        clips = np.zeros((len(stops), CLIP_SAMPLES), dtype=np.float32)
        for clip, stop in zip(clips, stops, strict=True):
            begin = stop - CLIP_SAMPLES
            heard = self.samples[max(begin, 0) : max(stop, 0)]
            early = min(max(-begin, 0), CLIP_SAMPLES)
            clip[early : early + len(heard)] = heard
        return clips


def mel_filters() -> np.ndarray:
    """HTK's mel filterbank, ``(64, 513)`` float32: triangles of height 1, evenly spaced in mel."""
    highest = 2595.0 * np.log10(1.0 + SAMPLE_RATE / 2 / 700.0)  # mel
    corners = 700.0 * (10.0 ** (np.linspace(0.0, highest, N_MELS + 2) / 2595.0) - 1.0)  # Hz
    bins = np.fft.rfftfreq(N_FFT, 1.0 / SAMPLE_RATE)  # Hz, (513,)
    width = np.diff(corners)[:, None]
    rising = (bins - corners[:-2, None]) / width[:-1]
    falling = (corners[2:, None] - bins) / width[1:]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


class LogMel(nn.Module):
    """Log-mel spectrograms: ``(B, 45599)`` samples to ``(B, 1, 64, 104)``.

    Power spectrogram (Hann window of 20 ms every 10 ms, FFT of 1024 samples, frames centred with
    reflection), 64 HTK mel bands without area normalisation, decibels cut 80 below the clip's
    loudest cell, then (x + 14.8) / 19.895. Silence is -4.28 everywhere.
    """

    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(mel_filters()))
        self.register_buffer("window", torch.hann_window(WINDOW_SAMPLES))

    def forward(self, samples: Tensor) -> Tensor:
        spectrum = torch.stft(
            samples,
            N_FFT,
            HOP_LENGTH,
            WINDOW_SAMPLES,
            self.window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )  # (B, 513, 104)
        power = spectrum.real.square() + spectrum.imag.square()
        decibels = 10.0 * (self.filters @ power).clamp(min=POWER_FLOOR).log10()
        floor = decibels.amax(dim=(1, 2), keepdim=True) - TOP_DB
        decibels = torch.maximum(decibels, floor)
        return ((decibels - MEAN_DB) / SCALE_DB).unsqueeze(1)
