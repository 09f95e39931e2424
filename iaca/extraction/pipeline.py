"""Media files to a recording store: what has to be made, and a store that says what is in it."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore, StoreInfo
from iaca.extraction.backbones import RANDOM, WIDTH, Backbones, build_backbones
from iaca.extraction.clips import CLIP_FRAMES, CLIP_SAMPLES, SLOT, check_stride
from iaca.extraction.decoding import DISK_FULL
from iaca.extraction.folder import StoreFolder, open_folder
from iaca.extraction.inputs import Source, input_hash
from iaca.extraction.labels import Targets
from iaca.extraction.making import Effort, ExtractionConfig, Job, Progress, fitting_batch
from iaca.extraction.sound import SAMPLE_RATE

MAX_NAMED = 3  # recordings in a line that announces work

VALENCE_AROUSAL = Targets()
Notify = Callable[[str], None]


class Extraction(NamedTuple):
    """What came of it.

    Attributes:
        store: with every recording that could be made; ``None`` if none could.
        made: names of the recordings made now, the others were there.
        failed: what is wrong with each recording that could not be made.
        problems: what was passed over in recordings that were made, and why some are left out.
    """

    store: RecordingStore | None
    made: tuple[str, ...]
    failed: Mapping[str, str]
    problems: Mapping[str, Sequence[str]]


def extract(
    sources: Sequence[Source],
    out: Path,
    config: ExtractionConfig | None = None,
    effort: Effort | None = None,
    *,
    targets: Targets = VALENCE_AROUSAL,
    progress: bool = False,
    notify: Notify | None = None,
    notes: Mapping[str, str] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Extraction:
    """Make a recording store of media files, or go on making it after an interruption.

    Afterwards the store holds the sources as their files are now. What is there and whose files
    have changed is made again. A recording that is no source any more, or whose files are gone or
    bad, is not in the index; its features stay in the folder, see `iaca.extraction.folder`.

    Args:
        sources: what to extract.
        out: the store's folder.
        config: what the features depend on.
        effort: how the work is done.
        targets: what the sources' tracks are labels of.
        progress: show a bar with the time left.
        notify: takes lines about what is done; without a bar, also one for each recording.
        notes: texts by key that the store's source holds too.
        left_out: why recordings that are no sources must not be in the store, by name.

    Raises:
        DataError: what concerns all recordings: weights or options that do not fit, what stands
            at ``out``, a full disk, too little memory on the GPU.
    """
    config, effort = config or ExtractionConfig(), effort or Effort()
    batch_size = effort.batch_size or fitting_batch(config.backbone, effort)
    with _clear_faults(out, batch_size):
        backbones = build_backbones(config.backbone, config.weights, effort.device)
        info = _store_info(config, backbones, sources, targets)
        with open_folder(out, {**info.source, "clip_spacing": info.clip_spacing}) as folder:
            pending = _pending(folder, sources, notify or (lambda _: None))
            names = {source.name for source in sources}
            store = None if pending else folder.finished(names)
            if store is None or (store.info.labels, store.info.label_range) != targets:
                folder.begin()
                lines = Progress(pending, progress, None if progress else notify)
                Job(folder, info, backbones, config, effort, lines, batch_size).run(pending)
                names -= folder.failed.keys()
                told = {**info.source, **_outcome(folder, sources), **(notes or {})}
                store = folder.finish(names, replace(info, source=told), backbones.null_features())
    made = tuple(source.name for source in pending if source.name in names)
    problems = {name: folder.recordings[name]["problems"] for name in sorted(names)}
    problems |= {name: [text] for name, text in (left_out or {}).items()}
    return Extraction(store, made, folder.failed, {k: v for k, v in problems.items() if v})


@contextmanager
def _clear_faults(out: Path, batch_size: int) -> Iterator[None]:
    """Say what to do where the machine lacks something: disk, or memory of the GPU."""
    go_on = "the same command goes on, what is done is kept"
    try:
        yield
    except torch.OutOfMemoryError as error:
        smaller = f"--batch-size {batch_size // 2} or less, or " if batch_size > 1 else ""
        raise DataError(
            f"the GPU has too little memory for {batch_size} clips a forward: choose {smaller}"
            f"fewer --workers; {go_on}"
        ) from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DataError(f"{out}: the disk is full: free some of it; {go_on}") from error
        raise


def _pending(folder: StoreFolder, sources: Sequence[Source], notify: Notify) -> list[Source]:
    """The sources to be made: those that are not there, or that were made from other files."""
    there = [source for source in sources if folder.made_from(source.name) is not None]
    if there:
        notify(f"checking {len(there)} recordings for changes")  # which may take minutes
    again = [
        source.name
        for source in there
        if source.problem is not None or folder.made_from(source.name) != input_hash(source)
    ]
    same = {source.name for source in there} - set(again)
    pending = [source for source in sources if source.name not in same]
    if pending:
        text = f"{len(pending)} of {len(sources)} recordings to make"
        if again:
            text += f", {len(again)} of them again because their files have changed or are gone: "
            text += ", ".join([*again[:MAX_NAMED], *(["..."] if again[MAX_NAMED:] else [])])
        notify(text)
    return pending


def _store_info(
    config: ExtractionConfig, backbones: Backbones, sources: Sequence[Source], targets: Targets
) -> StoreInfo:
    cropped = all(source.crops is not None for source in sources)
    notes = {
        **backbones.source,
        "pictures": "face crops" if cropped else "middle square of each picture",
        "clip": f"{CLIP_FRAMES} of {SLOT} frames, a row every {config.stride}",
        "sound": f"{CLIP_SAMPLES} samples at {SAMPLE_RATE} Hz up to the time of its last frame",
        "visual_features": "average over the 7 x 7 map",
    }
    if RANDOM in config.weights:
        notes["random_weights"] = "yes: for tests only"
    return StoreInfo(WIDTH, WIDTH, *targets, check_stride(config.stride), notes)


def _outcome(folder: StoreFolder, sources: Sequence[Source]) -> dict[str, Any]:
    """What the store's source says of its recordings, and of those that could not be made.

    ``wanted`` is the number of sources by part, ``not_extracted`` the names of those that failed
    by part, ``silent_recordings`` how many have no sound, ``titles`` what people call those of
    other names.
    """
    rest = "test" if any(source.split for source in sources) else "no part"
    parts = {source.name: source.split or rest for source in sources}
    absent = sorted(folder.failed)
    silent = sum(folder.recordings[name]["silent"] for name in parts if name not in absent)
    notes: dict[str, Any] = {"wanted": dict(Counter(parts.values()))}
    for name in absent:
        notes.setdefault("not_extracted", {}).setdefault(parts[name], []).append(name)
    if titles := {source.name: source.title for source in sources if source.title}:
        notes["titles"] = titles
    if silent:
        notes["silent_recordings"] = silent
    return notes
