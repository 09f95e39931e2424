"""``iaca data extract``: what it prints, and where it puts what is private."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from iaca.base.files import DataError
from iaca.base.paths import BUILD, ROOT
from iaca.data.schema import OfficialSplit
from iaca.extraction.affwild2 import Folder, Source, count_warnings, scan_folder
from iaca.extraction.backbones import VisualName
from iaca.extraction.inputs import plain_videos
from iaca.extraction.pipeline import ExtractionConfig, extract
from iaca.sources.manifest import load_manifest

MANIFEST = "affwild2"
PRIVATE = "private"  # the folder below which nothing is ever published


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
    batch_size: int,
    workers: int,
    device: str,
    timeout: float,
) -> int:
    """Extract Aff-Wild2 (``folder``) or plain videos; return 1 if a recording failed, else 0.

    Raises:
        DataError: options that do not fit together, or what `extract` raises.
    """
    sources: Sequence[Source]
    notes: dict[str, str] = {}
    left_out: Mapping[str, str] = {}
    config = ExtractionConfig(backbone, _pair(weights), stride, allow_silent)
    if folder is not None:
        out = out or BUILD / PRIVATE / "data" / MANIFEST
        found, notes = _affwild2(folder, test_list, out)
        sources, left_out = found.sources, found.left_out
    else:
        if videos is None or out is None or test_list is not None:
            raise DataError("--videos: expected --out beside it, and no --test-list")
        sources = plain_videos(videos)
    result = extract(
        sources,
        out,
        config,
        batch_size=batch_size,
        workers=workers,
        device=device,
        timeout=timeout,
        progress=sys.stderr.isatty(),
        notify=_say,
        notes=notes,
        left_out=left_out,
    )
    print(result.report())
    if result.store is not None:
        print(f"{result.store.path}: {sum(e.rows for e in result.store.entries.values())} rows")
    for notice in notes.values():
        print(notice)
    return 1 if result.failed else 0


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


def _affwild2(folder: Path, test_list: Path | None, out: Path) -> tuple[Folder, dict[str, str]]:
    inside = ROOT in out.resolve().parents
    if inside and BUILD.resolve() / PRIVATE not in out.resolve().parents:
        raise DataError(f"--out {out}: gated data belong below {BUILD / PRIVATE}")
    manifest = load_manifest(MANIFEST)
    found = scan_folder(folder, test_list)
    counts = found.videos
    print(
        f"{folder}: {len(found.sources)} recordings; videos: {counts.train} train, "
        f"{counts.validation} validation, {counts.test} test"
    )
    if isinstance(manifest.split, OfficialSplit):
        for warning in count_warnings(counts, manifest.split.expected):
            print(f"iaca: warning: {warning}", file=sys.stderr)
    known = {source.name: source.problem for source in found.sources if source.problem}
    for name, text in sorted({**known, **found.left_out}.items()):
        print(f"iaca: warning: {name}: {text}", file=sys.stderr)  # before hours of work
    return found, {"notice": " ".join(manifest.notices)}
