"""From a stream of frames to batches of clips, holding no more frames than they need."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from iaca.extraction.clips import BLACK, SLOT, clip_frames, row_ends
from iaca.extraction.video import Chunk


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


def iterate_clips(
    chunks: Iterable[Chunk], stride: int, batch_size: int, device: torch.device | str = "cpu"
) -> Iterator[Clips]:
    """Form the clips that end every ``stride`` frames, a batch at a time.

    Each frame is moved to the device once. A video shorter than the stride gives one clip, which
    ends at its last frame.
    """
    held = _Held(device)
    waiting = np.empty(0, dtype=np.int64)
    for chunk in chunks:
        waiting = np.concatenate([waiting, row_ends(held.stop, held.stop + len(chunk[0]), stride)])
        held.append(chunk)
        while len(waiting) >= batch_size:
            yield held.clips(waiting[:batch_size])
            held.drop_before(int(waiting[batch_size - 1]) + 2 - SLOT)
            waiting = waiting[batch_size:]
    if 0 < held.stop < stride:
        waiting = np.array([held.stop - 1])
    if len(waiting):
        yield held.clips(waiting)


class _Held:
    """The frames ``first`` to ``stop - 1`` of a stream."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = device
        self.first = self.stop = 0
        self.parts: list[Tensor] = []
        self.present = np.empty(0, dtype=bool)
        self.times = np.empty(0)

    def append(self, chunk: Chunk) -> None:
        self.parts.append(torch.tensor(chunk.frames, device=self.device))
        self.present = np.concatenate([self.present, chunk.present])
        self.times = np.concatenate([self.times, chunk.times])
        self.stop += len(chunk.frames)

    def clips(self, ends: np.ndarray) -> Clips:
        index = torch.from_numpy(clip_frames(ends, self.present, self.first))  # (B, 8)
        frames = self._whole()[index.clamp(min=0).to(self.device)]
        frames[(index == BLACK).to(self.device)] = 0
        return Clips(ends, self.times[ends - self.first], frames)

    def drop_before(self, frame: int) -> None:
        count = frame - self.first
        if count > 0:
            self.parts = [self._whole()[count:].clone()]  # a view would keep the rest alive
            self.present, self.times = self.present[count:], self.times[count:]
            self.first = frame

    def _whole(self) -> Tensor:
        if len(self.parts) > 1:
            self.parts = [torch.cat(self.parts)]
        return self.parts[0]
