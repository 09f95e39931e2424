"""Media files to a recording store: decode, form clips, run the backbones, write.

Recordings are made one by one, or a few at a time, each in a decoding process and a thread of its
own that share the backbones. A recording that fails is reported, and the others are made.
"""

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm.auto import tqdm

from iaca.data.affwild2 import (
    HEADER,
    HIGH,
    LOW,
    VIDEO_SUFFIXES,
    Source,
    check_length,
    labels_at,
    list_crops,
    read_annotations,
)
from iaca.data.recordings import RecordingStore, StoreInfo
from iaca.extraction.audio import CLIP_SAMPLES, AudioTrack
from iaca.extraction.backbones import (
    MAP_WIDTH,
    PRETRAINED,
    RANDOM,
    WIDTH,
    Backbones,
    VisualName,
    build_backbones,
)
from iaca.extraction.clips import CLIP_FRAMES, SLOT, check_stride
from iaca.extraction.decoding import TIMEOUT, Decoded, decode
from iaca.extraction.growing import GrowingStore, RowWriter, growing_store
from iaca.extraction.streaming import Clips, iterate_clips
from iaca.extraction.video import CHUNK, SAMPLE_RATE
from iaca.files import DataError, check_name, write_json

FACE_CROPS, MIDDLE_SQUARE = "face crops", "middle square of each picture"
MAX_LISTED = 3  # problems of one recording that are kept word by word


@dataclass(frozen=True)
class ExtractionConfig:
    """What the features depend on.

    Attributes:
        backbone: of the visual clips, ``r3d_18`` or ``r2plus1d_18``.
        weights: of the visual and the audio backbone, see `build_backbones`.
        stride: frames between two rows, a divisor of 32.
        spatial_map: 7 x 7 x 512 visual features a row in place of 512.
        allow_silent: videos without a sound stream get silence; otherwise they are an error.
    """

    backbone: VisualName = "r3d_18"
    weights: tuple[str, str] = (PRETRAINED, PRETRAINED)
    stride: int = 1
    spatial_map: bool = False
    allow_silent: bool = False


class Extraction(NamedTuple):
    """What came of it.

    Attributes:
        store: with every recording that could be made; ``None`` if none could.
        made: names of the recordings made now, the others were there.
        failed: what is wrong with each recording that could not be made.
        problems: what was passed over in recordings that were made.
    """

    store: RecordingStore | None
    made: tuple[str, ...]
    failed: Mapping[str, str]
    problems: Mapping[str, tuple[str, ...]]

    def report(self) -> str:
        """All of it in lines for people to read."""
        count = 0 if self.store is None else len(self.store)
        lines = [
            f"{count} recordings in the store, {len(self.made)} made now; "
            f"{len(self.failed)} failed, {len(self.problems)} with problems"
        ]
        lines += [f"failed: {name}: {text}" for name, text in sorted(self.failed.items())]
        for name, texts in sorted(self.problems.items()):
            lines += [f"problem: {name}: {text}" for text in texts]
        return "\n".join(lines)


def plain_videos(folder: Path | str) -> tuple[Source, ...]:
    """The videos directly in a folder, each a recording and a subject of its own.

    Raises:
        DataError: no such folder, no videos in it, a name that is unsafe or occurs twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    sources: dict[str, Source] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        name = check_name(file.stem, f"{folder}: video")
        if name in sources:
            raise DataError(f"{file}: also {sources[name].video.name}, expected distinct names")
        sources[name] = Source(name, name, file)
    if not sources:
        raise DataError(f"{folder}: no videos, expected {', '.join(VIDEO_SUFFIXES)}")
    return tuple(sources.values())


def extract(
    sources: Sequence[Source],
    out: Path,
    config: ExtractionConfig | None = None,
    *,
    batch_size: int = 32,
    workers: int = 1,
    device: str = "auto",
    timeout: float = TIMEOUT,
    progress: bool = False,
    notes: Mapping[str, str] | None = None,
) -> Extraction:
    """Make a recording store of media files, or go on making it after an interruption.

    Args:
        sources: what to extract; already made recordings are kept, unless a file has changed.
        out: the store's folder.
        config: what the features depend on.
        batch_size: clips a forward.
        workers: recordings at a time; more than 1 where decoding is slower than the backbones.
        device: ``auto``, ``cpu`` or ``cuda``.
        timeout: seconds without a sign of life after which a decoder is given up.
        progress: show a bar with the time left.
        notes: texts by key that the store's source holds too.

    Raises:
        DataError: weights or options that do not fit; a store with other settings at ``out``.
            What is wrong with single recordings is reported in the result.
    """
    config = config or ExtractionConfig()
    spacing = check_stride(config.stride)
    if batch_size < 1 or workers < 1:
        raise DataError(f"batch_size {batch_size}, workers {workers}: expected at least 1")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    backbones = build_backbones(config.backbone, config.weights, config.spatial_map, device)
    info = StoreInfo(
        audio_dim=WIDTH,
        visual_dim=MAP_WIDTH if config.spatial_map else WIDTH,
        labels=HEADER,
        label_range=(LOW, HIGH),
        clip_spacing=spacing,
        source={**_source_notes(config, backbones, sources), **(notes or {})},
    )
    with growing_store(out, {**info.source, "clip_spacing": spacing}) as store:
        pending = [
            source
            for source in sources
            if source.problem is not None or not store.is_done(source.name, _inputs(source))
        ]
        if store.is_finished and not pending:
            return Extraction(RecordingStore(out), (), {}, store.problems())
        store.open_for_more()
        # On a CPU the networks have the cores; beside a GPU they are for decoding.
        threads = 1 if device == "cpu" else max(1, (os.cpu_count() or 1) // workers)
        job = _Job(store, backbones, config, batch_size, timeout, threads)
        bar = _Bar(sources, pending, progress)
        try:
            _run(job, pending, workers, bar)
        finally:
            bar.close()
        problems = store.problems()
        write_json(store.folder / "report.json", {"failed": job.failed, "problems": problems})
        finished = store.finish(info, backbones.null_features())
    made = tuple(source.name for source in pending if source.name not in job.failed)
    return Extraction(finished, made, job.failed, problems)


class _Job:
    """What the threads share."""

    def __init__(
        self,
        store: GrowingStore,
        backbones: Backbones,
        config: ExtractionConfig,
        batch_size: int,
        timeout: float,
        threads: int,
    ) -> None:
        self.store = store
        self.backbones = backbones
        self.config = config
        self.batch_size = batch_size
        self.timeout = timeout
        self.threads = threads
        self.stopping = threading.Event()
        self.failed: dict[str, str] = {}

    def make(self, source: Source, bar: "_Bar") -> None:
        """Make one recording; what is wrong with its files is noted."""
        if self.stopping.is_set():
            return
        try:
            self._make(source, bar)
        except DataError as error:
            self.failed[source.name] = str(error)
            self.store.discard(source.name)
        bar.end(source)

    def _make(self, source: Source, bar: "_Bar") -> None:
        if source.problem is not None:
            raise DataError(source.problem)
        annotations = None if source.annotation is None else read_annotations(source.annotation)
        crops = None if source.crops is None else list_crops(source.crops)
        inputs = _inputs(source)
        scratch = self.store.scratch(source.name)
        sound = scratch / "sound.f32"
        ahead = 1 + self.batch_size * self.config.stride // CHUNK  # the next batch's frames
        with decode(source.video, sound, crops, self.threads, self.timeout, ahead) as decoded:
            frames = len(decoded.timeline.times)
            if source.annotation is not None and annotations is not None:
                check_length(source.annotation, annotations, frames)
            if not (decoded.timeline.has_audio or self.config.allow_silent):
                raise DataError(f"{source.video}: no audio stream")
            writer = RowWriter(scratch, source.name)
            ends = self._rows(source, decoded, sound, writer, bar)
        labels = labels_at(
            np.empty((0, len(HEADER)), dtype=np.float32) if annotations is None else annotations,
            ends,
        )
        entry = {
            "subject": source.subject,
            "rows": len(ends),
            "frame_rate": decoded.timeline.frame_rate,
            "split": source.split,
        }
        problems = _problems(source, decoded, crops or {})
        self.store.add(source.name, writer.finish(labels, ends), entry, inputs, problems)

    def _rows(
        self, source: Source, decoded: Decoded, sound: Path, writer: RowWriter, bar: "_Bar"
    ) -> np.ndarray:
        track = AudioTrack(sound, decoded.timeline.audio_start)
        batches = iterate_clips(
            decoded.chunks, self.config.stride, self.batch_size, self.backbones.device
        )
        ends: list[np.ndarray] = []
        computed: tuple[torch.Tensor, torch.Tensor] | None = None
        for clips in batches:
            if self.stopping.is_set():
                raise _Stopped
            # A GPU computes this batch while the one before it is written.
            previous, computed = computed, features(self.backbones, track, clips)
            if previous is not None:
                writer.append(audio=previous[0], visual=previous[1])
            ends.append(clips.ends)
            bar.advance(source, (int(clips.ends[-1]) + 1) / len(decoded.timeline.times))
        if computed is None:
            raise DataError(f"{source.video}: no frames")
        writer.append(audio=computed[0], visual=computed[1])
        return np.concatenate(ends)


class _Stopped(Exception):  # noqa: N818 (no error: another thread has failed, or Ctrl-C)
    """This recording is given up because the extraction stops."""


@torch.inference_mode()
def features(
    backbones: Backbones, track: AudioTrack, clips: Clips
) -> tuple[torch.Tensor, torch.Tensor]:
    """Audio and visual features of a batch of clips, ``(B, 512)`` and ``(B, d_v)``."""
    samples = torch.from_numpy(track.clips(clips.times)).to(backbones.device)
    return backbones.audio(samples), backbones.visual(clips.frames)


def _run(job: _Job, pending: Sequence[Source], workers: int, bar: "_Bar") -> None:
    """Make recordings in threads; the first unexpected error, or Ctrl-C, stops them all."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(job.make, source, bar) for source in pending]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            job.stopping.set()
    for future in done:
        if not isinstance(future.exception(), _Stopped):
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


def _inputs(source: Source) -> list[Path]:
    files = (source.video, source.annotation, source.crops)
    return [file for file in files if file is not None]


def _source_notes(
    config: ExtractionConfig, backbones: Backbones, sources: Sequence[Source]
) -> dict[str, Any]:
    cropped = all(source.crops is not None for source in sources)
    notes = {
        **backbones.source,
        "pictures": FACE_CROPS if cropped else MIDDLE_SQUARE,
        "clip": f"{CLIP_FRAMES} of {SLOT} frames, a row every {config.stride}",
        "sound": f"{CLIP_SAMPLES} samples at {SAMPLE_RATE} Hz up to the clip's last frame",
        "visual_features": "7 x 7 map" if config.spatial_map else "average over the 7 x 7 map",
    }
    if config.allow_silent:
        notes["silent_videos"] = "taken as silence"
    if RANDOM in config.weights:
        notes["random_weights"] = "yes: for tests only"
    return notes


class _Bar:
    """Progress over all recordings, by the size of what describes them best, and the time left."""

    def __init__(self, sources: Sequence[Source], pending: Sequence[Source], show: bool) -> None:
        self.weights = _weights(sources)
        total = sum(self.weights.values())
        done = total - sum(self.weights[source.name] for source in pending)
        self.reached = {source.name: 0.0 for source in pending}
        self.lock = threading.Lock()
        self.bar = tqdm(
            total=total,
            initial=done,
            disable=not show,
            bar_format="{desc}{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left",
        )

    def advance(self, source: Source, share: float) -> None:
        """Note how much of a recording is done, from 0 to 1."""
        with self.lock:
            step = max(0.0, share - self.reached[source.name])
            self.reached[source.name] += step
            self.bar.set_description(source.name, refresh=False)
            self.bar.update(step * self.weights[source.name])

    def end(self, source: Source) -> None:
        """Note that a recording is done, or has failed."""
        self.advance(source, 1.0)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def _weights(sources: Sequence[Source]) -> dict[str, int]:
    """How long each recording takes, in proportion: a line of annotation is a frame.

    Where not all are annotated, the videos' sizes have to do.
    """
    described = all(source.annotation is not None for source in sources)
    files = {source.name: source.annotation if described else source.video for source in sources}
    return {
        name: 1 + (file.stat().st_size if file is not None and file.is_file() else 0)
        for name, file in files.items()
    }
