"""The files that recordings are made from: plain videos of a folder, and whether files changed."""

import hashlib
import os
from pathlib import Path
from typing import Any

from iaca.data.affwild2 import VIDEO_SUFFIXES, Source
from iaca.files import DataError, check_name, check_regular, sha256_of, short_hash

BLOCK = 64 * 1024  # bytes
BLOCKS = 16  # of a video that are looked at, the first and the last among them


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


def fingerprint(source: Source) -> dict[str, Any]:
    """What a recording is made from, as JSON: where this differs, it must be made again.

    A video is known by its size and by blocks spread over it, an annotation by every byte, so a
    copied data set is the same one. To read all crops would take too long: they are known by their
    names, their sizes, and the time at which one of them last changed. What is missing or cannot
    be read is ``None``.
    """
    return {
        "part": source.split,
        "video": _content(source.video, whole=False),
        "annotation": _content(source.annotation, whole=True),
        "crops": _listing(source.crops),
    }


def _content(file: Path | None, whole: bool) -> str | None:
    if file is None:
        return None
    try:
        check_regular(file)  # opening a pipe would wait for ever
        return sha256_of(file) if whole else _sampled(file)
    except (DataError, OSError):
        return None  # whoever decodes it says what is wrong


def _sampled(file: Path) -> str:
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        for number in range(BLOCKS):
            opened.seek(max(0, size - BLOCK) * number // (BLOCKS - 1))
            digest.update(opened.read(BLOCK))
    return digest.hexdigest()


def _listing(folder: Path | None) -> list[Any] | None:
    if folder is None:
        return None
    try:
        with os.scandir(folder) as entries:
            files = sorted((e.name, e.stat()) for e in entries if e.is_file())
    except OSError:
        return None
    newest = max((status.st_mtime_ns for _, status in files), default=0)
    return [short_hash("\n".join(f"{name} {status.st_size}" for name, status in files)), newest]
