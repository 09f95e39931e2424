"""Media files to a recording store: decode, form clips, run the backbones, write.

Recordings are made one by one, or a few at a time, each in a decoding process and a thread of its
own that share the backbones. A recording that fails is reported, and the others are made.
"""

import os
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from iaca.data.affwild2 import (
    HEADER,
    HIGH,
    LOW,
    Source,
    check_length,
    labels_at,
    list_crops,
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
from iaca.extraction.changes import ANNOTATION, Inputs, Plan, beside_held_out, may_stay, plan
from iaca.extraction.clips import CLIP_FRAMES, SLOT, check_stride
from iaca.extraction.decoding import TIMEOUT, Decoded, decode
from iaca.extraction.faults import clear_faults
from iaca.extraction.growing import GrowingStore, RowWriter, growing_store
from iaca.extraction.inputs import FILES, FINGERPRINTS, fingerprint, unreadable
from iaca.extraction.progress import Progress, announcement
from iaca.extraction.relabelling import read_labels, relabel
from iaca.extraction.streaming import Clips, iterate_clips
from iaca.extraction.video import CHUNK, SAMPLE_RATE
from iaca.files import DataError, read_json, write_json

FACE_CROPS, MIDDLE_SQUARE = "face crops", "middle square of each picture"
TEST = "test"  # part of the recordings without a role, beside some that have one
NO_PART = "no part"  # where none has a role
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
        problems: what was passed over in recordings that were made, why others are kept although
            their files are gone, and why some are left out.
        relabelled: names of the recordings that were there, and got other labels or another part.
    """

    store: RecordingStore | None
    made: tuple[str, ...]
    failed: Mapping[str, str]
    problems: Mapping[str, tuple[str, ...]]
    relabelled: tuple[str, ...] = ()

    def report(self) -> str:
        """All of it in lines for people to read."""
        count = 0 if self.store is None else len(self.store)
        again = f", {len(self.relabelled)} relabelled" if self.relabelled else ""
        lines = [
            f"{count} recordings in the store, {len(self.made)} made now{again}; "
            f"{len(self.failed)} failed, {len(self.problems)} with problems"
        ]
        lines += [f"failed: {name}: {text}" for name, text in sorted(self.failed.items())]
        for name, texts in sorted(self.problems.items()):
            lines += [f"problem: {name}: {text}" for text in texts]
        return "\n".join(lines)


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
    notify: Callable[[str], None] | None = None,
    notes: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Extraction:
    """Make a recording store of media files, or go on making it after an interruption.

    What is there already and whose files have changed is made again; where only the annotation or
    the part has, it is relabelled. Where a file is missing or cannot be read now, and where a
    recording is not among the sources any more, what was made is kept and a problem says so. A
    recording leaves the store if it must not be in it, or if its files have changed, can be read,
    and are bad; its features stay in the folder, and are taken back once its files are what they
    were.

    The store's source says, beside what the features are: ``wanted``, the number of recordings by
    part; ``not_extracted``, the names of those that could not be made, by part; and
    ``silent_recordings``, how many have no sound.

    Args:
        sources: what to extract.
        out: the store's folder.
        config: what the features depend on.
        batch_size: clips a forward.
        workers: recordings at a time; more than 1 where decoding is slower than the backbones.
        device: ``auto``, ``cpu`` or ``cuda``.
        timeout: seconds without a sign of life after which a decoder is given up.
        progress: show a bar with the time left.
        notify: takes a line before the files are compared with those of before, which may take
            minutes; one before it begins, which says what is made again because its files have
            changed; and without a bar a line for each recording.
        notes: texts by key that the store's source holds too.
        left_out: why recordings that are not among the sources must not be in the store, by name.

    Raises:
        DataError: weights or options that do not fit; a store with other settings at ``out``, or
            a place that no store can take, see `growing_store`; a full disk; too little memory on
            the GPU. What is wrong with single recordings is reported in the result.
    """
    config = config or ExtractionConfig()
    spacing = check_stride(config.stride)
    if batch_size < 1 or workers < 1:
        raise DataError(f"batch_size {batch_size}, workers {workers}: expected at least 1")
    with clear_faults(out, batch_size):
        backbones = build_backbones(config.backbone, config.weights, config.spatial_map, device)
    info = StoreInfo(
        audio_dim=WIDTH,
        visual_dim=MAP_WIDTH if config.spatial_map else WIDTH,
        labels=HEADER,
        label_range=(LOW, HIGH),
        clip_spacing=spacing,
        source=_source_notes(config, backbones, sources),
    )
    settings = {**info.source, "clip_spacing": spacing, "fingerprints": FINGERPRINTS}
    with clear_faults(out, batch_size), growing_store(out, settings) as store:
        there = sum(store.made_from(source.name) is not None for source in sources)
        if notify is not None and there:
            notify(f"checking {there} recordings for changes")
        left_out = {**(left_out or {}), **beside_held_out(store, sources, left_out or {})}
        sources = [source for source in sources if source.name not in left_out]
        todo = plan(store, sources, left_out)
        if store.is_finished and todo.is_empty:
            problems = _all_problems(store, todo, {})
            _write_report(store, {}, problems)
            return Extraction(RecordingStore(store.path), (), {}, problems)
        other_labels = [source.name for source, _ in todo.relabel]
        if notify is not None:
            notify(announcement(len(sources), len(todo.make), todo.again, other_labels))
        store.open_for_more()
        for name in todo.aside:
            store.set_aside(name)
        for name in todo.back:
            store.take_back(name)
        # On a CPU the networks have the cores; beside a GPU they are for decoding.
        on_cpu = backbones.device.type == "cpu"
        threads = 1 if on_cpu else max(1, (os.cpu_count() or 1) // workers)
        lines = Progress(sources, todo.make, progress, None if progress else notify)
        job = _Job(store, backbones, config, batch_size, timeout, threads, lines)
        try:
            for source, inputs in todo.relabel:
                job.relabel(source, inputs)
            _run(job, todo.make, workers)
        finally:
            lines.close()
        problems = _all_problems(store, todo, job.failed)
        _write_report(store, job.failed, problems)
        told = {**info.source, **_outcome(store, sources), **(notes or {})}
        finished = store.finish(replace(info, source=told), backbones.null_features())
    made = tuple(source.name for source in todo.make if source.name not in job.failed)
    relabelled = tuple(name for name in other_labels if name not in job.failed)
    return Extraction(finished, made, job.failed, problems, relabelled)


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
                raise _Stopped
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


class _Stopped(Exception):  # noqa: N818 (no error: another thread has failed, or Ctrl-C)
    """This recording is given up because the extraction stops."""


@torch.inference_mode()
def features(
    backbones: Backbones, track: AudioTrack, clips: Clips
) -> tuple[torch.Tensor, torch.Tensor]:
    """Audio and visual features of a batch of clips, ``(B, 512)`` and ``(B, d_v)``."""
    samples = torch.from_numpy(track.clips(clips.times)).to(backbones.device)
    return backbones.audio(samples), backbones.visual(clips.frames)


def _run(job: _Job, pending: Sequence[Source], workers: int) -> None:
    """Make recordings in threads; the first unexpected error, or Ctrl-C, stops them all."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(job.make, source) for source in pending]
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


def _all_problems(
    store: GrowingStore, todo: Plan, failed: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """What was passed over, and what the plan notes of recordings that have not failed."""
    problems = store.problems()
    for name, text in todo.notes.items():
        if name not in failed:
            problems[name] = (*problems.get(name, ()), text)
    return problems


def _write_report(
    store: GrowingStore, failed: Mapping[str, str], problems: Mapping[str, Sequence[str]]
) -> None:
    file = store.folder / "report.json"
    listed = {name: list(texts) for name, texts in problems.items()}
    report = {"failed": dict(failed), "problems": listed}
    if not file.is_file() or read_json(file) != report:
        write_json(file, report)


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
    if RANDOM in config.weights:
        notes["random_weights"] = "yes: for tests only"
    return notes


def _outcome(store: GrowingStore, sources: Sequence[Source]) -> dict[str, Any]:
    """What the store's source says of recordings that are not in it, and of silent ones."""
    done = store.done()
    roles = {name: facts["entry"]["split"] for name, facts in done.items()}
    roles |= {source.name: source.split for source in sources}
    rest = TEST if any(roles.values()) else NO_PART
    wanted: dict[str, int] = {}
    absent: dict[str, list[str]] = {}
    for name, role in sorted(roles.items()):
        part = role or rest
        wanted[part] = wanted.get(part, 0) + 1
        if name not in done:
            absent.setdefault(part, []).append(name)
    silent = sum(facts.get("silent", False) for facts in done.values())
    notes: dict[str, Any] = {"wanted": wanted}
    if absent:
        notes["not_extracted"] = absent
    if silent:
        notes["silent_recordings"] = silent
    return notes
