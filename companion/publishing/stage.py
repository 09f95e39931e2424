"""Lay out the tree that Jupyter Book builds: prose, executed notebooks, configuration."""

import html
import os
import posixpath
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml

from companion.publishing.execute import Page, read_notebook
from iaca.base.files import DataError, write_text

SMOKE_BANNER = (
    "Smoke build: made in seconds to test that everything runs. "
    "<strong>Its numbers mean nothing.</strong>"
)
PRIVATE_BANNER = (
    "<strong>Do not publish.</strong> This book was made from data whose licence forbids it."
)
# A label where MyST or Sphinx defines one ...
_DEFINITIONS = (
    re.compile(r"^\(([\w.:-]+)\)=", re.MULTILINE),
    re.compile(r"^\s*:(?:name|label):\s*([\w.:-]+)", re.MULTILINE),
    re.compile(r"\$\$\s*\(([\w.:-]+)\)"),
    re.compile(r"\\label\{([\w.:-]+)\}"),
)
# ... and what stands before and after one wherever it is defined or referred to.
_BEFORE = r"(^\(|:name:\s*|:label:\s*|\$\$\s*\(|\\label\{|\}`|<|\]\(#)"
_AFTER = r"(?=\)=|\s*$|\)|\}|`|>)"
# A relative path of a prose page: in a link or image, in a directive, in a cross-page glue.
_PATHS = re.compile(
    r"(\]\(|^[`:]{3,}\{(?:figure|image|include|literalinclude)\}\s+|`|<)"
    r"((?:\.{1,2}/)*[\w./-]+\.(?:md|ipynb|png|svg|jpg|bib|csv|html))",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Provenance:
    """What the footer of every page says."""

    profile: str
    commit: str
    seeds: str
    versions: Mapping[str, str]  # of python, torch, iaca
    private: bool

    def footer(self) -> str:
        """Return the footer's HTML."""
        parts = [f"Profile <strong>{html.escape(self.profile)}</strong>"]
        parts += [f"commit {html.escape(self.commit)}", f"seeds {html.escape(self.seeds)}"]
        parts += [f"{html.escape(name)} {html.escape(v)}" for name, v in self.versions.items()]
        text = " · ".join(parts) + (f"<br>{PRIVATE_BANNER}" if self.private else "")
        return f'<p class="iaca-footer">{text}</p>'

    def banner(self) -> str:
        """Return the HTML on top of every page, or nothing."""
        banners = [SMOKE_BANNER] if self.profile == "smoke" else []
        return " ".join(banners + ([PRIVATE_BANNER] if self.private else []))


def stage(
    root: Path, executed: Path, pages: Sequence[Page], provenance: Provenance, target: Path
) -> None:
    """Fill the new folder ``target`` with a book that Jupyter Book only has to render.

    Args:
        root: folder with ``_config.yml``, ``_toc.yml`` and ``book/``.
        executed: folder of the executed notebooks, named by page.
        pages: the book's chapters.
        provenance: what every page says of the build.
        target: folder to make; it must not exist.

    Raises:
        DataError: if the configuration or the table of contents is not what is expected.
    """
    shutil.copytree(root / "book", target / "book")  # keeps the files' times
    toc = _read_yaml(root / "_toc.yml")
    if toc.get("root") != "book/intro":
        raise DataError(
            f"{root / '_toc.yml'}, key root: {toc.get('root')!r}, expected 'book/intro'"
        )
    toc["root"] = "index"
    add_variants(toc, pages)
    _write_yaml(target / "_toc.yml", toc)
    config = staged_config(_read_yaml(root / "_config.yml"), provenance)
    _write_yaml(target / "_config.yml", config)
    for prose in sorted((target / "book").rglob("*.md")):
        text = prose.read_text("utf-8")
        moved = moved_to_root(text, prose.relative_to(target).as_posix())
        if moved != text:
            write_text(prose, moved)
    (target / "book" / "intro.md").replace(target / "index.md")
    (target / "notebooks").mkdir()
    for page in pages:
        notebook = read_notebook(executed / f"{page.name}.ipynb")
        if page.name != page.notebook:
            make_variant(notebook, page)
        staged = target / "notebooks" / f"{page.name}.ipynb"
        nbformat.write(notebook, staged)
        time = (executed / f"{page.name}.ipynb").stat().st_mtime
        os.utime(staged, (time, time))


def staged_config(config: dict[str, Any], provenance: Provenance) -> dict[str, Any]:
    """Return the configuration of the staged book: nothing is executed, the build is stated."""
    config.setdefault("execute", {})["execute_notebooks"] = "off"
    settings = config.setdefault("html", {})
    settings["extra_footer"] = provenance.footer()
    settings["announcement"] = provenance.banner()
    return config


def add_variants(toc: dict[str, Any], pages: Sequence[Page]) -> None:
    """Put every variant into the table of contents after the notebook it was made from."""
    for part in [*toc.get("parts", ()), toc]:
        chapters = []
        for chapter in part.get("chapters", ()):
            chapters.append(chapter)
            chapters += [
                {"file": f"notebooks/{page.name}"}
                for page in pages
                if page.name != page.notebook and chapter["file"] == f"notebooks/{page.notebook}"
            ]
        if chapters:
            part["chapters"] = chapters


def moved_to_root(text: str, page: str) -> str:
    """Rewrite a page's relative paths for ``book/intro.md`` becoming the root's ``index.md``.

    A book whose root page lies in a folder gets an ``index.html`` that only redirects.

    >>> moved_to_root("[data](../notebooks/00_data.ipynb), [words](glossary.md)", "book/intro.md")
    '[data](notebooks/00_data.ipynb), [words](book/glossary.md)'
    >>> moved_to_root("[start](intro.md)", "book/rerun.md")
    '[start](../index.md)'
    """
    folder = posixpath.dirname(page)
    new_folder = "" if page == "book/intro.md" else folder

    def moved(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, match[2]))
        if target == "book/intro.md":
            target = "index.md"
        elif new_folder == folder:
            return match[0]
        return match[1] + posixpath.relpath(target, new_folder or ".")

    return _PATHS.sub(moved, text)


def make_variant(notebook: nbformat.NotebookNode, page: Page) -> None:
    """Rename what a notebook defines for the whole book, so that it can appear in it twice."""
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    defined = {
        label for cell in prose for rule in _DEFINITIONS for label in rule.findall(cell.source)
    }
    suffix = "-" + page.name
    for cell in notebook.cells:
        rendering = cell.metadata.get("mystnb", {})
        for kind in ("figure", "image"):
            if "name" in rendering.get(kind, {}):
                defined.add(rendering[kind]["name"])
                rendering[kind]["name"] += suffix
    if defined:
        labels = "|".join(sorted(map(re.escape, defined), key=len, reverse=True))
        anywhere = re.compile(f"{_BEFORE}({labels}){_AFTER}", re.MULTILINE)
        for cell in prose:
            cell.source = anywhere.sub(lambda match: match[1] + match[2] + suffix, cell.source)
    if page.title:
        for cell in prose:
            cell.source, found = re.subn(
                r"^# .*$", lambda _: f"# {page.title}", cell.source, count=1, flags=re.MULTILINE
            )
            if found:
                return
        raise DataError(f"{page.notebook}.ipynb: no '# ' heading to replace by {page.title!r}")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        value = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not YAML ({error})") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: {type(value).__name__}, expected a mapping")
    return value


def _write_yaml(path: Path, value: dict[str, Any]) -> None:
    write_text(path, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
