"""The files that recordings are made from: which there are, and whether they have changed."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from iaca.base.files import (
    DataError,
    canonical_json,
    check_regular,
    is_safe,
    sha256_of,
    short_hash,
)
from iaca.extraction.labels import Track

# Of the containers that `iaca.extraction.video` reads, in lower case.
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mj2"),
    *(".mkv", ".mk3d", ".webm", ".avi", ".divx", ".flv", ".wmv", ".asf", ".ogv", ".ogg", ".ogm"),
    *(".mpg", ".mpeg", ".mpe", ".m1v", ".m2v", ".mpv", ".vob", ".mod", ".tod"),
    *(".ts", ".m2t", ".m2ts", ".mts", ".trp", ".tp"),
)
MAX_NAMED = 20  # of what is passed over
BLOCK = 64 * 1024  # bytes
SAMPLES = 16  # blocks of a video, and crops, that are read, the first and the last among them


class Source(NamedTuple):
    """The files that one recording is extracted from; whether they exist is not checked yet.

    ``crops`` is a folder of face crops; without one the video's own pictures are used.
    ``annotation`` is a file of Aff-Wild2, ``track`` are labels that were read already; without
    either there are none.
    ``problem`` says why it cannot be extracted, where its name or its place alone forbids it.
    ``title`` is what people call it, where that cannot be a name in a store.
    """

    name: str
    subject: str
    video: Path
    crops: Path | None = None
    annotation: Path | None = None
    split: str | None = None
    problem: str | None = None
    title: str | None = None
    track: Track | None = None


def is_stray(name: str) -> bool:
    """Whether a file or folder of that name is none of the data set's, but a system's own."""
    return name.startswith(".") or name == "__MACOSX"  # which archivers add


def below(folder: Path, closed: Collection[str] = ()) -> Iterator[Path]:
    """The files and folders below a folder, strays left out; none if it cannot be read.

    Links are followed, and no folder is looked into twice, so that a link to a folder above ends no
    search in a circle. Nor are folders whose name is in ``closed``: to list thousands of files
    takes long.
    """
    real = Path(os.path.realpath(folder))
    seen = {str(real), *map(str, real.parents)}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_stray(name))
        yield from (Path(place, name) for name in [*folders, *files] if not is_stray(name))
        for name in folders.copy():
            path = os.path.realpath(Path(place, name))
            if path in seen or name in closed:
                folders.remove(name)
            seen.add(path)


def safe_name(name: str) -> str:
    """A name for a store, from one with spaces or letters of any language; a safe one stays.

    What can be kept is, and a hash of the whole follows. However a system writes the same letters,
    it is the same.
    """
    if is_safe(name):
        return name
    plain = unicodedata.normalize("NFKD", name)
    kept = "-".join(re.findall(r"[A-Za-z0-9_]+", re.sub(r"[\u0300-\u036f]", "", plain)))
    return f"{kept[:60] or 'video'}-{short_hash(ascii(unicodedata.normalize('NFC', name)))[:8]}"


def title(file: Path) -> str:
    """A file's name without its suffix, as it can be printed, whatever bytes it is made of."""
    return os.fsencode(file.stem).decode(errors="replace")


def plain_videos(
    folder: Path | str, complain: Callable[[str], None] = lambda _: None
) -> tuple[Source, ...]:
    """The videos directly in a folder, each a recording and a subject of its own.

    Args:
        folder: that of the videos.
        complain: is told what else is there, unless it is a system's own.

    Raises:
        DataError: no such folder, no videos in it, or a name that occurs twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    sources: dict[str, Source] = {}
    others = []
    for file in sorted(path for path in folder.iterdir() if not is_stray(path.name)):
        if file.suffix.lower() not in VIDEO_SUFFIXES or file.is_dir():
            others.append(file.name)
            continue
        name = safe_name(file.stem)
        if name in sources:
            raise DataError(f"{file}: also {sources[name].video.name}, expected distinct names")
        sources[name] = Source(name, name, file, title=None if name == file.stem else title(file))
    if not sources:
        raise DataError(f"{folder}: no videos, expected {', '.join(VIDEO_SUFFIXES)}")
    if others:
        some = ", ".join([*map(repr, others[:MAX_NAMED]), *(["..."] if others[MAX_NAMED:] else [])])
        complain(f"{folder}: {len(others)} passed over, since they do not end as videos: {some}")
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
        "crops": _content(source.crops, _listing),
        "annotation": source.track.key if source.track else _content(source.annotation, sha256_of),
        "subject": source.subject,
        "part": source.split,
    }
    return short_hash(canonical_json(content))


def _content(path: Path | None, digest: Callable[[Path], str | None]) -> str | None:
    try:
        if path is None:
            return None
        if not path.is_dir():
            check_regular(path)  # opening a pipe would wait for ever
        return digest(path)
    except (DataError, OSError):
        return None  # whoever decodes it says what is wrong


def _sampled(file: Path) -> str:
    size = file.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with file.open("rb") as opened:
        for position in _spread(max(0, size - BLOCK)):
            opened.seek(position)
            digest.update(opened.read(BLOCK))
    return digest.hexdigest()


def _listing(folder: Path) -> str | None:
    with os.scandir(folder) as entries:
        found = [entry for entry in entries if entry.is_file() and not is_stray(entry.name)]
    files = sorted((entry.name, entry.stat().st_size) for entry in found)
    digest = hashlib.sha256("\n".join(f"{name} {size}" for name, size in files).encode())
    for position in _spread(len(files) - 1) if files else ():
        digest.update((folder / files[position][0]).read_bytes())
    return digest.hexdigest() if files else None


def _spread(last: int) -> list[int]:
    """Positions from 0 to the last one, evenly spread."""
    return sorted({last * number // (SAMPLES - 1) for number in range(SAMPLES)})
