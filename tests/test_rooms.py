"""Rooms import only themselves and earlier rooms, and `iaca` nothing of `companion`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from iaca.base.paths import ROOT

ROOMS = (
    *("base", "data", "sources", "models", "learning", "extraction", "runs", "commands", "cli"),
    *("analysis", "reference", "experiments", "drawing", "chapters", "publishing"),
)
APART = {("publishing", "drawing"), ("publishing", "chapters")}  # a book is made of any chapters
# How a notebook displays a chart stands beside how a page draws it, and so does the same warning.
ALLOWED = {
    ("chapters", "companion.publishing.vegalite.show"),
    ("chapters", "companion.publishing.banners.SMOKE_BANNER"),
    ("chapters", "companion.publishing.pages.BOOK_ONLY"),
}


def room_of(module: str) -> str | None:
    """The room of a dotted module; ``iaca`` itself is in none."""
    parts = module.split(".")
    if parts[0] not in ("iaca", "companion") or len(parts) < 2:
        return None
    return "drawing" if parts[1:3] == ["chapters", "drawing"] else parts[1]


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from ((node.lineno, name) for name in names)


def violations(root: Path) -> list[str]:
    """Every import of a later room, by file and line."""
    found = []
    for file in sorted([*root.glob("iaca/**/*.py"), *root.glob("companion/**/*.py")]):
        path = file.relative_to(root)
        here = room_of(".".join(path.with_suffix("").parts))
        for line, name in imports(file):
            there = room_of(name)
            if here in (None, "__init__") or there is None or (here, name) in ALLOWED:
                continue
            if there not in ROOMS or here not in ROOMS:
                found.append(f"{path}:{line}: {name}, a room that this test does not know")
            elif ROOMS.index(there) > ROOMS.index(here) or (here, there) in APART:
                found.append(f"{path}:{line}: {here} imports {name}, of the later room {there}")
    return found


def test_rooms_import_only_earlier_rooms() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("iaca/models/x.py", "from iaca.learning.loop import train"),
        ("iaca/commands/x.py", "import companion.experiments.grids"),
        ("iaca/data/x.py", "def f():\n    from iaca.sources import manifest"),
        ("companion/chapters/drawing/x.py", "from companion.chapters.sota import figures"),
        ("companion/analysis/x.py", "from companion.chapters.drawing import style"),
    ],
)
def test_an_import_of_a_later_room_is_named(tmp_path: Path, file: str, line: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(line + "\n")
    (found,) = violations(tmp_path)
    assert found.startswith(f"{file}:{line.count(chr(10)) + 1}: ")
