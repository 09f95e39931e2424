"""Searching below a folder as data sets are handed out: unpacked anywhere, spread, and linked to.

Links to files and folders are followed, and no folder is looked into twice, so that a link to a
folder above ends no search in a circle. Names that begin with a dot are passed over, and so is what
archivers add.
"""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

_ARCHIVERS_OWN = "__MACOSX"  # holds a shadow of each file and folder of the archive
_MANY = 16  # a folder with as many leaves is taken for one of leaves alone


def is_stray(name: str) -> bool:
    """Whether a file or folder of that name is none of the data set's."""
    return name.startswith(".") or name == _ARCHIVERS_OWN


def files_below(folder: Path) -> Iterator[Path]:
    """Each file in a folder and in the folders below it; none if it cannot be read."""
    seen = _with_parents(folder)
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = _unseen(Path(place), folders, seen)
        yield from (Path(place, name) for name in sorted(files) if not is_stray(name))


def folders_below(folder: Path, wanted: Collection[str], leaf: re.Pattern[str]) -> Iterator[Path]:
    """Each folder below another one whose name is wanted; nothing is looked for inside of it.

    Nor in folders full of files that match ``leaf``: to list thousands of files takes long.
    Folders that are missing or cannot be read hold none.
    """
    seen = _with_parents(folder)
    places = [folder]
    while places:
        place = places.pop()
        names = _folders_in(place, leaf)
        yield from (place / name for name in names if name in wanted)
        others = [name for name in names if name not in wanted]
        places += [place / name for name in _unseen(place, others, seen)]


def _folders_in(place: Path, leaf: re.Pattern[str]) -> list[str]:
    names = []
    leaves = 0
    try:
        with os.scandir(place) as entries:
            for entry in entries:
                leaves += leaf.fullmatch(entry.name) is not None
                if leaves == _MANY:
                    return []
                if _is_folder(entry):
                    names.append(entry.name)
    except OSError:
        return []
    return sorted(names)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # say a link to itself
        return False


def _unseen(place: Path, names: Iterable[str], seen: set[str]) -> list[str]:
    """Folders to look into, in order, which are noted in ``seen``."""
    chosen = []
    for name in sorted(names):
        real = os.path.realpath(place / name)
        if real not in seen and not is_stray(name):
            seen.add(real)
            chosen.append(name)
    return chosen


def _with_parents(folder: Path) -> set[str]:
    real = Path(os.path.realpath(folder))
    return {str(real), *map(str, real.parents)}
