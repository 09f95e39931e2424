"""``iaca data extract``: what it prints, and where it puts what is private."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from iaca.base.files import DataError, check_output
from iaca.base.paths import BUILD
from iaca.commands.datasets import PRIVATE, check_private
from iaca.commands.describe import description
from iaca.data.recordings import RecordingStore
from iaca.data.schema import Counts, OfficialSplit
from iaca.extraction.affwild2 import Folder, scan_folder
from iaca.extraction.backbones import RANDOM
from iaca.extraction.inputs import plain_videos
from iaca.extraction.labels import Targets
from iaca.extraction.making import Effort, ExtractionConfig
from iaca.extraction.own import Own, label_videos
from iaca.extraction.pipeline import Extraction, extract
from iaca.sources.columns import Choice
from iaca.sources.importing import Columns
from iaca.sources.manifest import load_manifest
from iaca.sources.own_manifest import check_own_manifest, write_own_manifest

MANIFEST = "affwild2"
OF_LABELS = ("time-column", "frame-column", "max-gap", "invalid", "subjects", "manifest")


def run_extraction(options: argparse.Namespace) -> int:
    """Extract Aff-Wild2 or plain videos; return 1 if a recording failed, else 0.

    Raises:
        DataError: options that do not fit together, or what `extract` and `label_videos` raise.
    """
    pair = _pair(options.weights)
    config = ExtractionConfig(options.backbone, pair, options.stride, options.allow_silent)
    effort = Effort(options.batch_size, options.workers, options.device, options.timeout)
    notes: dict[str, str] = {}
    for option in OF_LABELS if options.labels is None else ():
        if vars(options)[option.replace("-", "_")] is not None:
            raise DataError(f"--{option}: expected --labels beside it")
    if options.folder is not None:
        if options.labels is not None:
            raise DataError("--labels: expected --videos; Aff-Wild2 has labels of its own")
        out = options.out or BUILD / PRIVATE / "data" / MANIFEST
        check_private(out)
        notes["notice"] = " ".join(load_manifest(MANIFEST).notices)
        folder = _scan(options.folder, options.test_list)
        found = Own(folder.sources, Targets(), folder.left_out, ())
    else:
        out = options.out
        found = _own(options)
    check_output(out, folder=True)
    bar = sys.stderr.isatty()
    result = extract(
        found.sources,
        out,
        config,
        effort,
        targets=found.targets,
        progress=bar,
        notify=_say,
        notes=notes,
        left_out=found.left_out,
    )
    print(report(result))
    for source in found.sources:
        if source.title:
            print(f"{source.title!r} is {source.name} in the store")
    if result.store is not None:
        _describe(result.store, options)
    if RANDOM in pair:
        _say("iaca: warning: the backbones' weights are random: these features mean nothing")
    for notice in notes.values():
        print(notice)
    return 1 if result.failed else 0


def _describe(store: RecordingStore, options: argparse.Namespace) -> None:
    """Print what is in a store, and write its manifest if one is asked for."""
    if options.labels is None:
        print(f"{store.path}: {sum(entry.rows for entry in store.entries.values())} rows")
        return
    print("\n".join(description(store, {})))
    if options.manifest is not None:
        done = "written" if write_own_manifest(options.manifest, store) else "there already"
        print(f"{options.manifest}: {done}; next: iaca sweep --manifest {options.manifest}")


def _own(options: argparse.Namespace) -> Own:
    """Plain videos, with labels where some are given."""
    if options.out is None or options.test_list is not None:
        raise DataError("--videos: expected --out beside it, and no --test-list")
    if options.time_column and options.frame_column:
        raise DataError("--time-column, --frame-column: expected one of them")
    videos = plain_videos(options.videos, lambda text: _say(f"iaca: warning: {text}"))
    if options.labels is None:
        return Own(videos, Targets(), {}, ())
    time = () if options.time_column is None else (options.time_column,)
    names = (options.recording_column, options.subject_column, options.frame_column)
    own = label_videos(
        videos,
        options.labels,
        options.subjects,
        columns=Columns(*names, time=time),
        label_range=tuple(options.label_range),
        invalid=options.invalid,
        choice=Choice(keep=options.keep, drop=options.drop),
        max_gap=options.max_gap,
    )
    for note in own.notes:
        _say(note)
    if options.manifest is not None:
        people = {source.subject for source in own.sources}
        check_own_manifest(options.manifest, options.out, len(people))
    return own


def report(result: Extraction) -> str:
    """What came of an extraction, in lines for people to read."""
    count = 0 if result.store is None else len(result.store)
    lines = [
        f"{count} recordings in the store, {len(result.made)} made now; "
        f"{len(result.failed)} failed, {len(result.problems)} with problems"
    ]
    lines += [f"failed: {name}: {text}" for name, text in sorted(result.failed.items())]
    for name, texts in sorted(result.problems.items()):
        lines += [f"problem: {name}: {text}" for text in texts]
    return "\n".join(lines)


def count_warnings(found: Counts, expected: Counts) -> list[str]:
    """A sentence for each official part whose number of videos is not the manifest's.

    Without a test list no test videos are known, and that part is not compared.
    """
    parts = [part for part in Counts.model_fields if part != "test" or found.test]
    return [
        f"{part}: found {getattr(found, part)} videos, the manifest expects "
        f"{getattr(expected, part)}; the official folders decide"
        for part in parts
        if getattr(found, part) != getattr(expected, part)
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # a batch job's log is read while it runs


def _pair(weights: Sequence[str]) -> tuple[str, str]:
    if len(weights) == 1 and not Path(weights[0]).suffix:
        return weights[0], weights[0]
    if len(weights) != 2:
        raise DataError(
            f"--weights: found {' '.join(weights)}, expected those of the visual and those of the "
            "audio backbone, or one word for both"
        )
    return weights[0], weights[1]


def _scan(folder: Path, test_list: Path | None) -> Folder:
    """Find Aff-Wild2's recordings, and warn of what will be missing before hours of work."""
    found = scan_folder(folder, test_list)
    counts = found.videos
    print(
        f"{folder}: {len(found.sources)} recordings; videos: {counts.train} train, "
        f"{counts.validation} validation, {counts.test} test"
    )
    split = load_manifest(MANIFEST).split
    if isinstance(split, OfficialSplit):
        for warning in count_warnings(counts, split.expected):
            _say(f"iaca: warning: {warning}")
    known = {source.name: source.problem for source in found.sources if source.problem}
    for name, text in sorted({**known, **found.left_out}.items()):
        _say(f"iaca: warning: {name}: {text}")
    return found
