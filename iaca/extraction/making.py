"""Make recordings: decode, run the backbones, write; several at a time share the backbones.

What is wrong with the files of one recording is noted, and the others are made.
"""

import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iaca.base.files import DataError
from iaca.data.recordings import Recording, StoreInfo
from iaca.extraction.affwild2 import list_crops, read_annotations
from iaca.extraction.audio import AudioTrack
from iaca.extraction.backbones import PRETRAINED, Backbones, VisualName
from iaca.extraction.clips import Clips, iterate_clips
from iaca.extraction.decoding import TIMEOUT, Decoded, decode
from iaca.extraction.folder import SCRATCH, StoreFolder
from iaca.extraction.inputs import Source, input_hash
from iaca.extraction.progress import Progress
from iaca.extraction.video import CHUNK
from iaca.sources.writing import write_recording

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


@dataclass(frozen=True)
class Effort:
    """How the work is done; no feature depends on it.

    Attributes:
        batch_size: clips a forward.
        workers: recordings at a time; more than 1 where decoding is slower than the backbones.
        device: ``auto``, ``cpu`` or ``cuda``.
        timeout: seconds without a sign of life after which a decoder is given up.

    Raises:
        DataError: a batch without clips, or no worker.
    """

    batch_size: int = 32
    workers: int = 1
    device: str = "auto"
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.workers < 1:
            raise DataError(
                f"batch_size {self.batch_size}, workers {self.workers}: expected at least 1"
            )


@dataclass(frozen=True)
class Job:
    """What the threads share."""

    folder: StoreFolder
    info: StoreInfo
    backbones: Backbones
    config: ExtractionConfig
    effort: Effort
    progress: Progress
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def decoder_threads(self) -> int:
        """Of each decoder: on a CPU the networks have the cores, beside a GPU decoders do."""
        if self.backbones.device.type == "cpu":
            return 1
        return max(1, (os.cpu_count() or 1) // self.effort.workers)

    def run(self, pending: Sequence[Source]) -> None:
        """Make recordings; the first unexpected error, or Ctrl-C, stops them all."""
        with ThreadPoolExecutor(self.effort.workers) as pool:
            futures = [pool.submit(self.make, source) for source in pending]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                self.stopping.set()
                self.progress.close()
        for future in done:
            if not isinstance(future.exception(), CancelledError):
                future.result()

    def make(self, source: Source) -> None:
        """Make one recording; what is wrong with its files is noted."""
        if self.stopping.is_set():
            return
        start = time.monotonic()
        try:
            if source.problem is not None:
                raise DataError(source.problem)
            with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self.folder.path) as scratch:
                rows = self._make(source, Path(scratch))
        except DataError as error:
            self.folder.failed[source.name] = str(error)
            self.progress.end(source, f"failed: {error}", worked=False)
        else:
            self.progress.end(source, f"{rows} rows in {time.monotonic() - start:.1f} s")

    def _make(self, source: Source, scratch: Path) -> int:
        inputs = input_hash(source)  # first: what changes while it is read is another input
        crops = None if source.crops is None else list_crops(source.crops)
        sound, made = scratch / "sound.f32", scratch / "recording.safetensors"
        ahead = 1 + self.effort.batch_size * self.config.stride // CHUNK  # the next batch's frames
        options = (self.decoder_threads, self.effort.timeout, ahead)
        with decode(source.video, sound, crops, *options) as decoded:
            timeline = decoded.timeline
            labels = read_annotations(source.annotation, len(timeline.times))
            if not (timeline.has_audio or self.config.allow_silent):
                raise DataError(f"{source.video}: no audio stream")
            ends, audio, visual = self._rows(source, decoded, sound)
        rows = (audio, visual, torch.from_numpy(labels[ends]), torch.from_numpy(ends))
        recording = Recording(source.name, source.subject, *rows, timeline.frame_rate, source.split)
        facts = {
            "inputs": inputs,
            "entry": asdict(write_recording(made, recording, self.info)),
            "problems": _problems(source, decoded, crops or {}),
            "silent": not timeline.has_audio,
        }
        self.folder.add(source.name, made, facts)
        return len(ends)

    def _rows(
        self, source: Source, decoded: Decoded, sound: Path
    ) -> tuple[np.ndarray, Tensor, Tensor]:
        """Last frames ``(T,)``, audio ``(T, 512)`` and visual features ``(T, 512)``, float16."""
        track = AudioTrack(sound, decoded.timeline.audio_start)
        stride, device = self.config.stride, self.backbones.device
        ends, audio, visual = [], [], []
        for clips in iterate_clips(decoded.chunks, stride, self.effort.batch_size, device):
            if self.stopping.is_set():
                raise CancelledError
            found = features(self.backbones, track, clips)
            ends.append(clips.ends)
            audio.append(found[0].half())  # stay on a GPU: to fetch them would be to wait for it
            visual.append(found[1].half())
            self.progress.advance(source, (int(clips.ends[-1]) + 1) / len(decoded.timeline.times))
        if not ends:
            raise DataError(f"{source.video}: no frames")
        return np.concatenate(ends), torch.cat(audio).cpu(), torch.cat(visual).cpu()


@torch.inference_mode()
def features(backbones: Backbones, track: AudioTrack, clips: Clips) -> tuple[Tensor, Tensor]:
    """Audio and visual features of a batch of clips, ``(B, 512)`` each."""
    samples = torch.from_numpy(track.clips(clips.times)).to(backbones.device)
    return backbones.audio(samples), backbones.visual(clips.frames)


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
