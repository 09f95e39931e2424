"""Small media files for tests, made with PyAV, and a miniature Aff-Wild2 of them."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

RATE = 44_100
SIZE = (128, 112)  # width and height of the videos: the middle square is seen as it is


def tone(seconds: float, frequency: float = 440.0) -> np.ndarray:
    """A sine of amplitude 0.5, float32."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def grey_frames(count: int, size: tuple[int, int] = SIZE) -> Iterable[np.ndarray]:
    """Frames of one grey each, ``(height, width, 3)``: 40, 42, 44, ... so that each is known."""
    for number in range(count):
        yield np.full((size[1], size[0], 3), 40 + 2 * (number % 90), dtype=np.uint8)


def write_video(
    path: Path,
    frames: int,
    rate: int = 25,
    sound: np.ndarray | None = None,
    sound_start: float = 0.0,
    size: tuple[int, int] = SIZE,
    codecs: tuple[str, str] = ("mpeg4", "pcm_s16le"),
) -> Path:
    """Write a video of grey frames; without ``sound`` it has no sound stream.

    Args:
        sound: mono samples at 44.1 kHz.
        sound_start: seconds from the first frame to the first sample.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codecs[0], rate=rate)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.bit_rate = 400_000
        audio = None if sound is None else container.add_stream(codecs[1], rate=RATE)
        if audio is not None:
            audio.layout = "mono"
        for number, picture in enumerate(grey_frames(frames, size)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                part = (sound[start : start + 1024] * 32767).astype(np.int16)
                block = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
                block.sample_rate = RATE
                block.pts = round(sound_start * RATE) + start
                block.time_base = Fraction(1, RATE)
                container.mux(audio.encode(block))
            container.mux(audio.encode())
    return path


def write_crops(folder: Path, frames: Iterable[int], value: int = 0) -> None:
    """Write crops of one grey each (60 plus twice the frame, plus ``value``) for 0-based frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for frame in frames:
        grey = (60 + 2 * frame + value) % 256
        Image.new("RGB", (112, 112), (grey,) * 3).save(folder / f"{frame + 1:05d}.jpg", quality=95)


def write_annotation(file: Path, labels: Sequence[tuple[float, float]]) -> None:
    """Write valence and arousal a frame, in the official format."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{valence:g},{arousal:g}" for valence, arousal in labels]
    file.write_text("\n".join(["valence,arousal", *lines]) + "\n", encoding="utf-8")


def wave_labels(frames: int, phase: float = 0.0, gaps: Iterable[int] = ()) -> list:
    """Smooth labels, -5 at the frames in ``gaps``: in one column where odd, in both where even."""
    labels = []
    for frame in range(frames):
        valence, arousal = np.sin(0.1 * frame + phase), 0.5 * np.cos(0.07 * frame + phase)
        labels.append((round(float(valence), 3), round(float(arousal), 3)))
    for frame in gaps:
        labels[frame] = (-5, labels[frame][1]) if frame % 2 else (-5, -5)
    return labels
