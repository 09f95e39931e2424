"""``iaca data extract``: what it prints, and where it puts what is private."""

import sys
from collections.abc import Sequence
from pathlib import Path

from iaca.base.files import DataError
from iaca.base.paths import BUILD
from iaca.commands.datasets import PRIVATE, check_private
from iaca.data.schema import Counts, OfficialSplit
from iaca.extraction.affwild2 import Folder, scan_folder
from iaca.extraction.backbones import VisualName
from iaca.extraction.inputs import plain_videos
from iaca.extraction.making import Effort, ExtractionConfig
from iaca.extraction.pipeline import Extraction, extract
from iaca.sources.manifest import load_manifest

MANIFEST = "affwild2"


def run_extraction(
    *,
    folder: Path | None,
    videos: Path | None,
    test_list: Path | None,
    out: Path | None,
    weights: Sequence[str],
    backbone: VisualName,
    stride: int,
    allow_silent: bool,
    batch_size: int | None,
    workers: int,
    device: str,
    timeout: float,
) -> int:
    """Extract Aff-Wild2 (``folder``) or plain videos; return 1 if a recording failed, else 0.

    Raises:
        DataError: options that do not fit together, or what `extract` raises.
    """
    config = ExtractionConfig(backbone, _pair(weights), stride, allow_silent)
    effort = Effort(batch_size, workers, device, timeout)
    notes: dict[str, str] = {}
    if folder is not None:
        out = out or BUILD / PRIVATE / "data" / MANIFEST
        check_private(out)
        notes["notice"] = " ".join(load_manifest(MANIFEST).notices)
        found = _scan(folder, test_list)
    elif videos is None or out is None or test_list is not None:
        raise DataError("--videos: expected --out beside it, and no --test-list")
    else:
        found = Folder(plain_videos(videos, lambda text: _say(f"iaca: warning: {text}")))
    bar = sys.stderr.isatty()
    told = {"notes": notes, "left_out": found.left_out}
    result = extract(found.sources, out, config, effort, progress=bar, notify=_say, **told)
    print(report(result))
    for source in found.sources:
        if source.title:
            print(f"{source.title!r} is {source.name} in the store")
    if result.store is not None:
        print(f"{result.store.path}: {sum(e.rows for e in result.store.entries.values())} rows")
    for notice in notes.values():
        print(notice)
    return 1 if result.failed else 0


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
