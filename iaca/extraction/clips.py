"""Which frames a clip shows: 8 of the 32 frame slots that end at its last frame.

The slot of the clip that ends at frame j is frames j - 31 to j. Of the n frames in it that exist
and show a face, every (n // 8)-th is taken, counted from the end: with all 32 there, every fourth
(dilation 4, offsets 3, 7, ..., 31). Frames without a face are passed over, not shown as black;
a clip with fewer than 8 repeats its last one, and a clip with none is black.
"""

import numpy as np

from iaca.base.files import DataError

SLOT = 32  # frames
CLIP_FRAMES = 8  # shown to the visual backbone
BLACK = -1  # stands for a black frame where a clip has none


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
    """Choose a clip's frames.

    Args:
        available: the frames of the slot that can be shown, increasing, at most 32.

    Returns:
        ``(8,)`` of them, increasing; ``BLACK`` throughout if there are none.
    """
    if len(available) == 0:
        return np.full(CLIP_FRAMES, BLACK, dtype=np.int64)
    step = max(1, len(available) // CLIP_FRAMES)
    chosen = available[::-1][::step][:CLIP_FRAMES][::-1]
    return np.pad(chosen, (0, CLIP_FRAMES - len(chosen)), mode="edge")


def clip_frames(ends: np.ndarray, present: np.ndarray, first: int) -> np.ndarray:
    """Choose the frames of several clips.

    Args:
        ends: ``(T,)``, the clips' last frames.
        present: ``(n,)`` bool, whether the frames ``first, first + 1, ...`` can be shown. Frames
            before the first do not exist.
        first: number of the first frame of ``present``.

    Returns:
        ``(T, 8)`` indices into ``present``; ``BLACK`` for a black frame.
    """
    shown = np.flatnonzero(present)
    stops = np.searchsorted(shown, ends - first, side="right")
    starts = np.searchsorted(shown, ends - first - SLOT, side="right")
    clips = [sample_clip(shown[a:b]) for a, b in zip(starts, stops, strict=True)]
    return np.stack(clips) if clips else np.empty((0, CLIP_FRAMES), dtype=np.int64)
