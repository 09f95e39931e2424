"""Media files to a recording store: what has to be made, and a store that says what is in it.

`iaca.extraction.making` makes the recordings.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from iaca.base.files import DataError, read_json, write_json
from iaca.data.recordings import RecordingStore, StoreInfo
from iaca.extraction.affwild2 import HEADER, HIGH, LOW, Source
from iaca.extraction.audio import CLIP_SAMPLES
from iaca.extraction.backbones import RANDOM, WIDTH, Backbones, build_backbones
from iaca.extraction.changes import Plan, beside_held_out, plan
from iaca.extraction.clips import CLIP_FRAMES, SLOT, check_stride
from iaca.extraction.decoding import TIMEOUT
from iaca.extraction.faults import clear_faults
from iaca.extraction.growing import GrowingStore, growing_store
from iaca.extraction.inputs import FINGERPRINTS
from iaca.extraction.making import ExtractionConfig, Job, run
from iaca.extraction.progress import Progress, announcement
from iaca.extraction.video import SAMPLE_RATE

FACE_CROPS, MIDDLE_SQUARE = "face crops", "middle square of each picture"
TEST = "test"  # part of the recordings without a role, beside some that have one
NO_PART = "no part"  # where none has a role


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
        backbones = build_backbones(config.backbone, config.weights, device)
    info = StoreInfo(
        audio_dim=WIDTH,
        visual_dim=WIDTH,
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
        job = Job(store, backbones, config, batch_size, timeout, threads, lines)
        try:
            for source, inputs in todo.relabel:
                job.relabel(source, inputs)
            run(job, todo.make, workers)
        finally:
            lines.close()
        problems = _all_problems(store, todo, job.failed)
        _write_report(store, job.failed, problems)
        told = {**info.source, **_outcome(store, sources), **(notes or {})}
        finished = store.finish(replace(info, source=told), backbones.null_features())
    made = tuple(source.name for source in todo.make if source.name not in job.failed)
    relabelled = tuple(name for name in other_labels if name not in job.failed)
    return Extraction(finished, made, job.failed, problems, relabelled)


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
        "visual_features": "average over the 7 x 7 map",
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
