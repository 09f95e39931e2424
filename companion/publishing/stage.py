"""Lay out the tree that Jupyter Book builds: prose, executed notebooks, configuration."""

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml

from companion.publishing.banners import Provenance
from companion.publishing.execute import read_notebook
from companion.publishing.pages import Page, chapter_lists, read_yaml
from iaca.base.files import DataError, write_text

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


def stage(
    root: Path, executed: Path, pages: Sequence[Page], provenance: Provenance, target: Path
) -> None:
    """Fill the new folder ``target`` with a book that Jupyter Book only has to render.

    Args:
        root: folder with ``_config.yml``, ``_toc.yml``, ``index.md`` and ``book/``.
        executed: folder of the executed notebooks, named by page.
        pages: the book's chapters.
        provenance: what every page says of the build.
        target: folder to make; it must not exist.

    Raises:
        DataError: if the configuration or the table of contents is not what is expected.
    """
    shutil.copytree(root / "book", target / "book")
    shutil.copy2(root / "index.md", target)
    config, toc = read_yaml(root / "_config.yml"), read_yaml(root / "_toc.yml")
    add_variants(toc, pages)
    for name, value in (("_toc", toc), ("_config", staged_config(config, provenance))):
        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True)
        write_text(target / f"{name}.yml", text)
    (target / "notebooks").mkdir()
    for page in pages:
        notebook = read_notebook(executed / f"{page.name}.ipynb")
        if page.name != page.notebook:
            make_variant(notebook, page)
        nbformat.write(notebook, target / "notebooks" / f"{page.name}.ipynb")


def staged_config(config: dict[str, Any], provenance: Provenance) -> dict[str, Any]:
    """Return the configuration of the staged book: nothing is executed, the build is stated."""
    config.setdefault("execute", {})["execute_notebooks"] = "off"
    settings = config.setdefault("html", {})
    settings["extra_footer"] = provenance.footer()
    settings["announcement"] = provenance.banner()
    return config


def add_variants(toc: dict[str, Any], pages: Sequence[Page]) -> None:
    """Put every variant into the table of contents after the notebook it was made from."""
    files: dict[str, list[str]] = {}
    for page in pages:
        files.setdefault(f"notebooks/{page.notebook}", []).append(f"notebooks/{page.name}")
    for chapters in chapter_lists(toc):
        chapters[:] = [
            {"file": file}
            for chapter in chapters
            for file in files.get(chapter["file"], [chapter["file"]])
        ]


def make_variant(notebook: nbformat.NotebookNode, page: Page) -> None:
    """Rename what a notebook defines for the whole book, so that it can appear in it twice."""
    prose = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    texts = [(cell, "source") for cell in prose] + [*said(notebook)]
    defined = {
        label for held, key in texts for rule in _DEFINITIONS for label in rule.findall(held[key])
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
        for held, key in texts:
            held[key] = anywhere.sub(lambda match: match[1] + match[2] + suffix, held[key])
    if page.title:
        for cell in prose:
            cell.source, found = re.subn(
                r"^# .*$", lambda _: f"# {page.title}", cell.source, count=1, flags=re.MULTILINE
            )
            if found:
                return
        raise DataError(f"{page.notebook}.ipynb: no '# ' heading to replace by {page.title!r}")


def said(notebook: nbformat.NotebookNode) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a notebook's outputs hold MyST: a mapping, and the key in it."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            for kind in output.get("data", {}):
                if kind.endswith("text/markdown"):
                    yield output.data, kind
