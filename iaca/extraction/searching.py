"""Searching below a folder as data sets are handed out: spread, unpacked anywhere, linked."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

_ARCHIVERS_OWN = "__MACOSX"  # holds a shadow of each file and folder of the archive


def is_stray(name: str) -> bool:
    """Whether a file or folder of that name is none of the data set's."""
    return name.startswith(".") or name == _ARCHIVERS_OWN


def below(folder: Path, closed: Collection[str] = ()) -> Iterator[Path]:
    """The files and folders below a folder; none if it cannot be read.

    Links are followed, and no folder is looked into twice, so that a link to a folder above ends no
    search in a circle. Names that begin with a dot are passed over, and so is what archivers add.

    Args:
        folder: is not among them.
        closed: names of folders that are not looked into: to list thousands of files takes long.
    """
    real = Path(os.path.realpath(folder))
    seen = {str(real), *map(str, real.parents)}
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_stray(name))
        others = (name for name in files if not is_stray(name))
        yield from (Path(place, name) for name in [*folders, *others])
        opened = {os.path.realpath(Path(place, name)): name for name in folders[::-1]}
        folders[:] = [name for path, name in opened.items() if not (path in seen or name in closed)]
        seen |= opened.keys()
