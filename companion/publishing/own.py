"""A book of a reader's own: the chapters that can be made of other data, standing alone.

It lies below ``own/<name of the data set>/``: executed notebooks, ``stage/``, ``html/``. Its runs
are kept with all others.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nbformat
import yaml

from companion.publishing.execute import read_notebook
from companion.publishing.pages import OWN, Page, pages_of
from companion.publishing.stage import said
from iaca.base.files import (
    DataError,
    canonical_json,
    check_one_of,
    sha256_of,
    short_hash,
    write_text,
)
from iaca.base.paths import MANIFESTS

if TYPE_CHECKING:  # pydantic is slow to import
    from iaca.data.schema import Manifest

PROSE = ("book/notation", "book/glossary", "book/references")  # that chapters cannot do without
_HEADED = re.compile(r"^((?:\([\w.:-]+\)=\n)+)#+ (.*)$", re.MULTILINE)
_LABEL = re.compile(r"^\(([\w.:-]+)\)=$", re.MULTILINE)
_ROLE = re.compile(r"\{(ref|doc)\}`(?:([^`<]*[^`<\s])\s*<([^`>]+)>|([^`<>]+))`")


class Own(NamedTuple):
    """A reader's data set.

    Attributes:
        name: of the data set, or the absolute path of its manifest.
        data: the manifest.
        state: a hash of the manifest and of its store's index.
    """

    name: str
    data: "Manifest"
    state: str

    def seen_from(self, folder: Path) -> str:
        """What notebooks in a folder call it: no machine's own paths stand inside a page."""
        return os.path.relpath(self.name, folder) if Path(self.name).is_absolute() else self.name


def find_own(manifest: str) -> Own:
    """A reader's data set by its name or its manifest's path.

    Raises:
        DataError: if there is no such manifest, it is malformed, or its store is not there.
    """
    from iaca.sources.manifest import find_manifest, load_manifest

    data, file = load_manifest(manifest), find_manifest(manifest).resolve()
    index = file.parent / data.store / "index.json" if data.store else file
    if not index.is_file():
        raise DataError(f"{file}, key store: no {index}; expected a store that was imported")
    name = manifest if file.parent == MANIFESTS else str(file)
    return Own(name, data, short_hash(canonical_json([sha256_of(file), sha256_of(index)])))


def pages_for(own: Own | None, root: Path, chapters: Sequence[str] = ()) -> list[Page]:
    """The chapters of the whole book, or of one on a reader's data.

    Args:
        own: those data.
        root: folder with ``_toc.yml``.
        chapters: some of `OWN`, by name or number; by default all of them.

    Raises:
        DataError: for chapters without such data, one that there is not, or that needs others.
    """
    if own is None:
        if chapters:
            raise DataError("--chapters: expected --manifest, too; the whole book has them all")
        return pages_of(root)
    names = {short: name for name in OWN for short in (name, name[:2], name[3:])}
    for chapter in chapters:
        check_one_of("--chapters", chapter, names)
    wanted = {names[chapter] for chapter in chapters} or OWN
    return [page for page in pages_of(root, ()) if page.name in wanted]


def contents(pages: Sequence[Page]) -> dict[str, Any]:
    """The table of contents."""
    parts = {"Chapters": [f"notebooks/{page.name}" for page in pages], "Reference": PROSE}
    return {
        "format": "jb-book",
        "root": "index",
        "parts": [
            {"caption": caption, "chapters": [{"file": file} for file in files]}
            for caption, files in parts.items()
        ],
    }


def front(manifest: "Manifest", pages: Sequence[Page]) -> str:
    """The front page, in MyST: what the data are and which chapters there are."""
    lines = [f"# {manifest.title}", manifest.description]
    lines += [f"Source: {manifest.citation}"] if manifest.citation else []
    lines += [f"Licence: [{manifest.licence.name}]({manifest.licence.url}).", *manifest.notices]
    lines.append(
        "These chapters of *Inconsistency-Aware Cross-Attention, executable* were computed on "
        "these data. What they say of the data that come with that book is left out."
    )
    lines += [f"- [](notebooks/{page.name}.ipynb)" for page in pages]
    return "\n\n".join(lines) + "\n"


def stand_alone(root: Path, staged: Path, pages: Sequence[Page], manifest: "Manifest") -> None:
    """Make of a staged book one that has a reader's chapters alone, and its own front page."""
    toc = yaml.safe_dump(contents(pages), sort_keys=False)
    write_text(staged / "_toc.yml", toc)
    write_text(staged / "index.md", front(manifest, pages))
    settle_references(root, staged, pages)


def settle_references(root: Path, staged: Path, pages: Sequence[Page]) -> None:
    """Name the sections and pages of the whole book that this one does not have.

    Args:
        root: of the whole book, which has all titles.
        staged: the folder to render, whose files are changed.
        pages: its chapters.
    """
    titles: dict[str, str] = {}
    for file in (*root.glob("book/*.md"), *root.glob("notebooks/*.ipynb")):
        text = "\n\n".join(held[key] for held, key in _read(file)[1])
        title = re.search(r"^# (.*)$", text, re.MULTILINE)
        titles[file.relative_to(root).with_suffix("").as_posix()] = title[1] if title else file.stem
        for labels, heading in _HEADED.findall(text):
            titles |= dict.fromkeys(_LABEL.findall(labels), heading)
    here = [*PROSE, *(f"notebooks/{page.name}" for page in pages)]
    files = [next(staged.glob(f"{name}.*")) for name in here]
    read = {file: _read(file) for file in files}
    known = {*here}
    for held, key in (place for _, places in read.values() for place in places):
        known |= {*_LABEL.findall(held[key])}
    for file, (content, places) in read.items():
        folder = file.relative_to(staged).parent

        def named(found: re.Match[str], folder: Path = folder) -> str:
            role, shown, target, alone = found.groups()
            label = target or alone
            label = os.path.normpath(folder / label) if role == "doc" else label
            if label in known or label not in titles:
                return found[0]
            return shown or f"*{titles[label]}* (in the whole book)"

        for held, key in places:
            held[key] = _ROLE.sub(named, held[key])
        if file.suffix == ".md":
            write_text(file, content["text"])
        else:
            nbformat.write(content, file)


def _read(file: Path) -> tuple[Any, list[tuple[dict[str, Any], str]]]:
    """A page's content, and the places in it that hold MyST."""
    if file.suffix == ".md":
        content = {"text": file.read_text("utf-8")}
        return content, [(content, "text")]
    notebook = read_notebook(file)
    figures = [cell.metadata.get("mystnb", {}).get("figure", {}) for cell in notebook.cells]
    prose = [(cell, "source") for cell in notebook.cells if cell.cell_type == "markdown"]
    captions = [(figure, "caption") for figure in figures if "caption" in figure]
    return notebook, [*prose, *captions, *said(notebook)]
