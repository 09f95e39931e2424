"""What a clip shows, 8 of the 32 frame slots that end at its last frame, and its sound.

The slot of the clip that ends at frame j is frames j - 31 to j. Of the n frames in it that exist
and show a face, every (n // 8)-th is taken, counted from the end: with all 32 there, every fourth
(dilation 4, offsets 3, 7, ..., 31). Frames without a face are passed over, not shown as black;
a clip with fewer than 8 repeats its last one, and a clip with none is black.

Every clip's sound has the same length, whatever the frame rate, so that no feature depends on the
batch; this differs from the baselines' released preprocessing.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iaca.base.files import DataError
from iaca.extraction.sound import SAMPLE_RATE
from iaca.extraction.video import SIDE, Chunk

SLOT = 32  # frames
CLIP_FRAMES = 8  # shown to the visual backbone
CLIP_SAMPLES = 45_599  # 1.034 s: the 31 intervals of a clip at 30 frames a second, and a little
BLACK = -1  # stands for a black frame where a clip has none


class Clips(NamedTuple):
    """A batch of clips.

    Attributes:
        ends: ``(B,)`` the last frame of each.
        times: ``(B,)`` seconds from the video's first frame to that one.
        frames: ``(B, 8, 112, 112, 3)`` uint8.
    """

    ends: np.ndarray
    times: np.ndarray
    frames: Tensor


def check_stride(stride: int) -> int:
    """Return the number of rows between neighbouring clips of a window, 32 / stride.

    Raises:
        DataError: unless the stride divides 32: clips of a window would not be 32 frames apart.
    """
    if stride < 1 or SLOT % stride:
        raise DataError(f"stride {stride}: expected a divisor of {SLOT}, frames between two rows")
    return SLOT // stride


def row_ends(first: int, stop: int, stride: int) -> np.ndarray:
    """The frames from ``first`` to ``stop - 1`` at which a row ends: stride - 1, 2 stride - 1, ...

    With stride 1 every frame ends a row, with 32 the clips tile the video.
    """
    begin = first + (stride - 1 - first) % stride
    return np.arange(begin, stop, stride, dtype=np.int64)


def sample_clip(available: np.ndarray) -> np.ndarray:
    """Choose a clip's frames, ``(8,)``, increasing; ``BLACK`` throughout if there are none.

    Args:
        available: the frames of the slot that can be shown, increasing, at most 32.
    """
    if len(available) == 0:
        return np.full(CLIP_FRAMES, BLACK, dtype=np.int64)
    step = max(1, len(available) // CLIP_FRAMES)
    chosen = available[::-1][::step][:CLIP_FRAMES][::-1]
    return np.pad(chosen, (0, CLIP_FRAMES - len(chosen)), mode="edge")


def clip_frames(ends: np.ndarray, present: np.ndarray, first: int) -> np.ndarray:
    """Choose the frames of several clips: ``(T, 8)`` indices into ``present``, or ``BLACK``.

    Args:
        ends: ``(T,)``, the clips' last frames; at least one.
        present: ``(n,)`` bool, whether the frames ``first, first + 1, ...`` can be shown. Frames
            before the first do not exist.
        first: number of the first frame of ``present``.
    """
    shown = np.flatnonzero(present)
    stops = np.searchsorted(shown, ends - first, side="right")
    starts = np.searchsorted(shown, ends - first - SLOT, side="right")
    return np.stack([sample_clip(shown[a:b]) for a, b in zip(starts, stops, strict=True)])


def clip_sounds(file: Path, start: float, times: np.ndarray) -> np.ndarray:
    """Read the sound before each clip's last frame.

    Args:
        file: raw float32 samples, mono at 44.1 kHz.
        start: seconds from the first video frame to the first sample.
        times: ``(B,)`` seconds from the first video frame.

    Returns:
        ``(B, 45599)`` float32; zero where the track has not begun, or has ended.
    """
    stops = np.rint((times - start) * SAMPLE_RATE).astype(np.int64)
    clips = np.zeros((len(stops), CLIP_SAMPLES), dtype=np.float32)
    for clip, stop in zip(clips, stops.tolist(), strict=True):
        early = min(max(CLIP_SAMPLES - stop, 0), CLIP_SAMPLES)
        offset = max(stop - CLIP_SAMPLES, 0) * clip.itemsize
        heard = np.fromfile(file, "<f4", CLIP_SAMPLES - early, offset=offset)
        clip[early : early + len(heard)] = heard
    return clips


def iterate_clips(
    chunks: Iterable[Chunk], stride: int, batch_size: int, device: torch.device | str = "cpu"
) -> Iterator[Clips]:
    """Form the clips that end every ``stride`` frames, a batch at a time.

    Only frames that a later clip shows are held, and each is moved to the device once. A video
    shorter than the stride gives one clip, which ends at its last frame.
    """
    frames = torch.empty((0, SIDE, SIDE, 3), dtype=torch.uint8, device=device)
    present, times = np.empty(0, dtype=bool), np.empty(0)
    first = stop = 0  # of the frames that are held
    waiting = np.empty(0, dtype=np.int64)

    def batch(ends: np.ndarray) -> Clips:
        index = torch.from_numpy(clip_frames(ends, present, first)).to(device)  # (B, 8)
        shown = frames[index.clamp(min=0)]
        shown[index == BLACK] = 0
        return Clips(ends, times[ends - first], shown)

    for chunk in chunks:
        waiting = np.append(waiting, row_ends(stop, stop + len(chunk.frames), stride))
        next_end = int(waiting[0]) if len(waiting) else stop
        unneeded = max(0, next_end + 1 - SLOT - first)
        frames = torch.cat([frames[unneeded:], torch.tensor(chunk.frames, device=device)])
        present = np.append(present[unneeded:], chunk.present)
        times = np.append(times[unneeded:], chunk.times)
        first, stop = first + unneeded, stop + len(chunk.frames)
        while len(waiting) >= batch_size:
            yield batch(waiting[:batch_size])
            waiting = waiting[batch_size:]
    if 0 < stop < stride:
        waiting = np.array([stop - 1])
    if len(waiting):
        yield batch(waiting)
