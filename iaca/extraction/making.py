"""Make recordings: decode, run the backbones, write; several at a time share the backbones.

What is wrong with the files of one recording is noted, and the others are made.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from iaca.base.files import DataError
from iaca.data.recordings import Recording, StoreInfo
from iaca.extraction.affwild2 import list_crops, read_annotations
from iaca.extraction.backbones import PRETRAINED, Backbones, VisualName
from iaca.extraction.clips import Clips, clip_sounds, iterate_clips
from iaca.extraction.decoding import TIMEOUT, Decoded, decode
from iaca.extraction.folder import SCRATCH, StoreFolder
from iaca.extraction.inputs import Source, input_hash
from iaca.sources.writing import write_recording

MAX_LISTED = 3  # problems of one recording that are kept word by word
CPU_BATCH, MAX_BATCH = 32, 256  # clips a forward
# Peak of tensors that a forward holds, float32 as torchvision runs it; measured, any batch size.
BYTES_A_CLIP: dict[VisualName, int] = {"r3d_18": 34_000_000, "r2plus1d_18": 50_000_000}


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
        batch_size: clips a forward; ``None`` leaves it to `fitting_batch`.
        workers: recordings at a time; more than 1 where decoding is slower than the backbones.
        device: ``auto``, ``cpu`` or ``cuda``.
        timeout: seconds without a sign of life after which a decoder is given up.

    Raises:
        DataError: a batch without clips, or no worker.
    """

    batch_size: int | None = None
    workers: int = 1
    device: str = "auto"
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if (self.batch_size is not None and self.batch_size < 1) or self.workers < 1:
            raise DataError(
                f"batch_size {self.batch_size}, workers {self.workers}: expected at least 1"
            )


def fitting_batch(backbone: VisualName, effort: Effort) -> int:
    """Clips a forward: a power of two that fits, for all workers, in half of a GPU's free memory.

    The other half is for what convolutions need on top, and for the rows that wait on the GPU.
    """
    if effort.device == "cpu" or not torch.cuda.is_available():
        return CPU_BATCH
    free, _ = torch.cuda.mem_get_info()  # bytes
    fit = max(1, free // 2 // effort.workers // BYTES_A_CLIP[backbone])
    return min(MAX_BATCH, 1 << (fit.bit_length() - 1))


class Progress:
    """A bar on a terminal, a line for each recording elsewhere; what is left, by files' sizes.

    Args:
        pending: what is to be made.
        bar: show a bar with the time left.
        notify: takes a line for each recording that ends, also with the time left.
    """

    def __init__(
        self, pending: Sequence[Source], bar: bool, notify: Callable[[str], None] | None
    ) -> None:
        described = all(source.annotation for source in pending)  # a line of these is a frame
        files = {s.name: s.annotation if described and s.annotation else s.video for s in pending}
        self.weights = {k: 1 + (f.stat().st_size if f.is_file() else 0) for k, f in files.items()}
        self.notify = notify
        self.reached = dict.fromkeys(self.weights, 0.0)  # from 0 to 1
        self.ended = 0
        self.left = sum(self.weights.values())
        self.worked = 0  # weight of what was made, not of what failed at once
        self.start = time.monotonic()
        self.lock = threading.RLock()
        form = "{desc}{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left"
        self.bar = tqdm(total=self.left, disable=not bar, bar_format=form)

    def advance(self, source: Source, share: float) -> None:
        """Note how much of a recording is done, from 0 to 1."""
        with self.lock:
            step = share - self.reached[source.name]
            self.reached[source.name] = share
            self.bar.set_description(source.title or source.name, refresh=False)
            self.bar.update(step * self.weights[source.name])

    def end(self, source: Source, text: str, worked: bool = True) -> None:
        """Note that a recording has ended, how, and whether it took its time."""
        with self.lock:
            self.advance(source, 1.0)
            self.ended += 1
            self.left -= self.weights[source.name]
            self.worked += self.weights[source.name] if worked else 0
            if self.left and self.worked:
                seconds = (time.monotonic() - self.start) * self.left / self.worked
                text += f"; {timedelta(seconds=round(seconds))} left"
            if self.notify is not None:
                name = source.title or source.name
                self.notify(f"{self.ended} of {len(self.weights)}: {name}: {text}")


@dataclass(frozen=True)
class Job:
    """What the threads share."""

    folder: StoreFolder
    info: StoreInfo
    backbones: Backbones
    config: ExtractionConfig
    effort: Effort
    progress: Progress
    batch_size: int
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, pending: Sequence[Source]) -> None:
        """Make recordings; the first unexpected error, or Ctrl-C, stops them all."""
        with ThreadPoolExecutor(self.effort.workers) as pool:
            futures = [pool.submit(self.make, source) for source in pending]
            try:
                for future in as_completed(futures):
                    future.result()
            finally:
                self.stopping.set()
                self.progress.bar.close()

    def make(self, source: Source) -> None:
        """Make one recording; what is wrong with its files is noted."""
        if self.stopping.is_set():
            raise CancelledError
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
        track = source.track
        if source.annotation is not None:
            track = read_annotations(source.annotation)
        sound, made = scratch / "sound.f32", scratch / "recording.safetensors"
        cores = (
            os.cpu_count() if self.backbones.device.type != "cpu" else None
        )  # networks need them
        threads = max(1, (cores or 1) // self.effort.workers)
        with decode(source.video, sound, crops, threads, self.effort.timeout) as decoded:
            if not (decoded.timeline.has_audio or self.config.allow_silent):
                raise DataError(f"{source.video}: no audio stream, or an empty one")
            audio, visual, ends, times = self._rows(source, decoded, sound)
        shown, problems = np.concatenate(decoded.times), _problems(source, decoded, crops or {})
        labels = np.full((len(ends), len(self.info.labels)), np.nan, dtype=np.float32)
        if track is not None:
            labels = track.of_rows(ends, shown, problems.append)
        recording = Recording(
            source.name,
            source.subject,
            audio,
            visual,
            torch.from_numpy(labels),
            torch.from_numpy(ends),
            frame_rate=(len(shown) - 1) / (shown[-1] - shown[0]) if shown[-1] > shown[0] else 1.0,
            split=source.split,
            time=torch.from_numpy(times),
        )
        facts = {
            "inputs": inputs,
            "entry": asdict(write_recording(made, recording, self.info)),
            "problems": problems,
            "silent": not decoded.timeline.has_audio,
        }
        self.folder.add(source.name, made, facts)
        return len(ends)

    def _rows(
        self, source: Source, decoded: Decoded, sound: Path
    ) -> tuple[Tensor, Tensor, np.ndarray, np.ndarray]:
        """Audio and visual features ``(T, 512)``, float16; last frames ``(T,)`` and their times."""
        stride, device = self.config.stride, self.backbones.device
        ends, times, audio, visual = [], [], [], []
        for clips in iterate_clips(decoded.chunks, stride, self.batch_size, device):
            if self.stopping.is_set():
                raise CancelledError
            heard = clip_sounds(sound, decoded.timeline.audio_start, clips.times)
            found = features(self.backbones, heard, clips)
            ends.append(clips.ends)
            times.append(clips.times)
            audio.append(found[0].half())  # stay on a GPU: to fetch them would be to wait for it
            visual.append(found[1].half())
            share = (int(clips.ends[-1]) + 1) / decoded.timeline.packets
            self.progress.advance(source, min(1.0, share))
        made = torch.cat(audio).cpu(), torch.cat(visual).cpu()
        return *made, np.concatenate(ends), np.concatenate(times)


@torch.inference_mode()
def features(backbones: Backbones, heard: np.ndarray, clips: Clips) -> tuple[Tensor, Tensor]:
    """Audio and visual features of a batch of clips, ``(B, 512)`` each."""
    samples = torch.from_numpy(heard).to(backbones.device)
    return backbones.audio(samples), backbones.visual(clips.frames)


def _problems(source: Source, decoded: Decoded, crops: Mapping[int, Path]) -> list[str]:
    """What was passed over in a recording that was made."""
    texts = decoded.problems[:MAX_LISTED]
    if len(decoded.problems) > MAX_LISTED:
        texts.append(f"and {len(decoded.problems) - MAX_LISTED} more like that")
    frames = sum(map(len, decoded.times))
    beyond = [file for frame, file in sorted(crops.items()) if frame >= frames]
    if beyond:
        texts.append(f"{beyond[0]}: the video has {frames} frames; {len(beyond)} such crops")
    if not decoded.timeline.has_audio:
        texts.append(f"{source.video}: no audio stream, taken as silence")
    return texts
