"""Make recordings: decode, run the backbones, write; several at a time share the backbones.

What is wrong with the files of one recording is noted, and the others are made.
"""

import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from iaca.base.files import DataError
from iaca.extraction.affwild2 import Source, check_length, labels_at, list_crops
from iaca.extraction.audio import AudioTrack
from iaca.extraction.backbones import PRETRAINED, Backbones, VisualName
from iaca.extraction.changes import ANNOTATION, Inputs, may_stay
from iaca.extraction.decoding import Decoded, decode
from iaca.extraction.growing import GrowingStore, RowWriter
from iaca.extraction.inputs import FILES, fingerprint, unreadable
from iaca.extraction.progress import Progress
from iaca.extraction.relabelling import read_labels, relabel
from iaca.extraction.streaming import Clips, iterate_clips
from iaca.extraction.video import CHUNK

MAX_LISTED = 3  # problems of one recording that are kept word by word


@dataclass(frozen=True)
class ExtractionConfig:
    """What the features depend on.

    Attributes:
        backbone: of the visual clips, ``r3d_18`` or ``r2plus1d_18``.
        weights: of the visual and the audio backbone, see `build_backbones`.
        stride: frames between two rows, a divisor of 32.
        allow_silent: videos without a sound stream get silence; otherwise they are an error.
    """

    backbone: VisualName = "r3d_18"
    weights: tuple[str, str] = (PRETRAINED, PRETRAINED)
    stride: int = 1
    allow_silent: bool = False


class Job:
    """What the threads share."""

    def __init__(
        self,
        store: GrowingStore,
        backbones: Backbones,
        config: ExtractionConfig,
        batch_size: int,
        timeout: float,
        threads: int,
        progress: Progress,
    ) -> None:
        self.store = store
        self.backbones = backbones
        self.config = config
        self.batch_size = batch_size
        self.timeout = timeout
        self.threads = threads
        self.progress = progress
        self.stopping = threading.Event()
        self.failed: dict[str, str] = {}

    def make(self, source: Source) -> None:
        """Make one recording; what is wrong with its files is noted."""
        if self.stopping.is_set():
            return
        self.progress.begin(source)
        try:
            rows = self._make(source)
        except DataError as error:
            self._fail(source, str(error), FILES)
            self.progress.failed(source, str(error))
        else:
            self.progress.made(source, rows)

    def relabel(self, source: Source, inputs: Inputs) -> None:
        """Give a stored recording other labels; what is wrong with them is noted."""
        try:
            relabel(self.store, source, inputs)
        except DataError as error:
            self._fail(source, str(error), (ANNOTATION,))

    def _fail(self, source: Source, text: str, needed: Collection[str]) -> None:
        """Note a failure; what was made from other files leaves the index, and stays on the disk.

        Unless a needed file is gone since the plan was made: that is no word against the features.
        """
        self.failed[source.name] = text
        made = self.store.made_from(source.name)
        if made is None:
            return
        found = fingerprint(source)
        missing = set(unreadable(source, found)) & set(needed)
        if source.problem is not None or not may_stay(found, made, missing):
            self.store.set_aside(source.name)

    def _make(self, source: Source) -> int:
        if source.problem is not None:
            raise DataError(source.problem)
        try:
            return self._decode(source)
        finally:
            self.store.clear(source.name)  # whatever has happened: it may be a full disk

    def _decode(self, source: Source) -> int:
        inputs = fingerprint(source)  # first: what changes while it is read is another input
        annotations = read_labels(source)
        crops = None if source.crops is None else list_crops(source.crops)
        scratch = self.store.scratch(source.name)
        sound = scratch / "sound.f32"
        ahead = 1 + self.batch_size * self.config.stride // CHUNK  # the next batch's frames
        with decode(source.video, sound, crops, self.threads, self.timeout, ahead) as decoded:
            frames = len(decoded.timeline.times)
            if source.annotation is not None:
                check_length(source.annotation, annotations, frames)
            if not (decoded.timeline.has_audio or self.config.allow_silent):
                raise DataError(f"{source.video}: no audio stream")
            writer = RowWriter(scratch, source.name)
            ends = self._rows(source, decoded, sound, writer)
        entry = {
            "subject": source.subject,
            "rows": len(ends),
            "frame_rate": decoded.timeline.frame_rate,
            "split": source.split,
        }
        problems = _problems(source, decoded, crops or {})
        made = writer.finish(labels_at(annotations, ends), ends)
        silent = not decoded.timeline.has_audio
        self.store.add(source.name, made, entry, inputs, problems, silent, frames)
        return len(ends)

    def _rows(self, source: Source, decoded: Decoded, sound: Path, writer: RowWriter) -> np.ndarray:
        track = AudioTrack(sound, decoded.timeline.audio_start)
        batches = iterate_clips(
            decoded.chunks, self.config.stride, self.batch_size, self.backbones.device
        )
        ends: list[np.ndarray] = []
        computed: tuple[torch.Tensor, torch.Tensor] | None = None
        for clips in batches:
            if self.stopping.is_set():
                raise Stopped
            # A GPU computes this batch while the one before it is written.
            previous, computed = computed, features(self.backbones, track, clips)
            if previous is not None:
                writer.append(audio=previous[0], visual=previous[1])
            ends.append(clips.ends)
            self.progress.advance(source, (int(clips.ends[-1]) + 1) / len(decoded.timeline.times))
        if computed is None:
            raise DataError(f"{source.video}: no frames")
        writer.append(audio=computed[0], visual=computed[1])
        return np.concatenate(ends)


class Stopped(Exception):  # noqa: N818 (no error: another thread has failed, or Ctrl-C)
    """This recording is given up because the extraction stops."""


@torch.inference_mode()
def features(
    backbones: Backbones, track: AudioTrack, clips: Clips
) -> tuple[torch.Tensor, torch.Tensor]:
    """Audio and visual features of a batch of clips, ``(B, 512)`` and ``(B, d_v)``."""
    samples = torch.from_numpy(track.clips(clips.times)).to(backbones.device)
    return backbones.audio(samples), backbones.visual(clips.frames)


def run(job: Job, pending: Sequence[Source], workers: int) -> None:
    """Make recordings in threads; the first unexpected error, or Ctrl-C, stops them all."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(job.make, source) for source in pending]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            job.stopping.set()
    for future in done:
        if not isinstance(future.exception(), Stopped):
            future.result()


def _problems(source: Source, decoded: Decoded, crops: Mapping[int, Path]) -> list[str]:
    """What was passed over in a recording that was made."""
    texts = decoded.problems[:MAX_LISTED]
    if len(decoded.problems) > MAX_LISTED:
        texts.append(f"and {len(decoded.problems) - MAX_LISTED} more unreadable crops")
    frames = len(decoded.timeline.times)
    beyond = [file for frame, file in sorted(crops.items()) if frame >= frames]
    if beyond:
        texts.append(f"{beyond[0]}: the video has {frames} frames; {len(beyond)} such crops")
    if not decoded.timeline.has_audio:
        texts.append(f"{source.video}: no audio stream, taken as silence")
    return texts
