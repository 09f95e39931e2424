"""The files that recordings are made from: plain videos of a folder, and whether files changed."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from iaca.base.files import (
    DataError,
    canonical_json,
    check_name,
    check_regular,
    sha256_of,
    short_hash,
)
from iaca.extraction.affwild2 import VIDEO_SUFFIXES, Source
from iaca.extraction.searching import is_stray

BLOCK = 64 * 1024  # bytes
SAMPLES = 16  # blocks of a video, and crops, that are read, the first and the last among them


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


def input_hash(source: Source) -> str:
    """Hash what a recording is made from: its files, its subject and its part of the data set.

    Times do not count, so a data set that was copied, packed or unpacked is the same one. An
    annotation is known by every byte. A video is known by its size and by blocks spread over it,
    crops by their names, their sizes, and all bytes of a few spread over them: to read everything
    would take too long. Not noticed, therefore, is what changes neither the size nor any of these
    samples: a few bytes within a long video, or a crop that is mended in place, has the size of
    before, and is none of the few. What is missing, empty or cannot be read counts as nothing.
    """
    content = {
        "video": _content(source.video, _sampled),
        "crops": _listing(source.crops),
        "annotation": _content(source.annotation, sha256_of),
        "subject": source.subject,
        "part": source.split,
    }
    return short_hash(canonical_json(content))


def _content(file: Path | None, digest: Callable[[Path], str]) -> str | None:
    try:
        if file is None:
            return None
        check_regular(file)  # opening a pipe would wait for ever
        return digest(file)
    except (DataError, OSError):
        return None  # whoever decodes it says what is wrong


def _sampled(file: Path) -> str:
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        for number in range(SAMPLES):
            opened.seek(max(0, size - BLOCK) * number // (SAMPLES - 1))
            digest.update(opened.read(BLOCK))
    return digest.hexdigest()


def _listing(folder: Path | None) -> str | None:
    if folder is None:
        return None
    try:
        with os.scandir(folder) as entries:
            files = sorted(
                (entry.name, entry.stat().st_size)
                for entry in entries
                if entry.is_file() and not is_stray(entry.name)
            )
        if not files:
            return None
        digest = hashlib.sha256("\n".join(f"{name} {size}" for name, size in files).encode())
        last = len(files) - 1
        for position in sorted({last * number // (SAMPLES - 1) for number in range(SAMPLES)}):
            digest.update((folder / files[position][0]).read_bytes())
        return digest.hexdigest()
    except OSError:
        return None
