"""A book of a reader's own: which chapters, and what becomes of what they do not take along."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from toys import toy_store

from companion.experiments.book_runs import CHAPTERS
from companion.publishing import build as publish
from companion.publishing.own import find_own, pages_for
from companion.publishing.pages import BOOK_ONLY, BOOK_ONLY_TAG, OWN
from iaca.base.files import DataError
from iaca.base.paths import ROOT

MANIFEST = """name: mine
title: Talks of mine
description: Two people talk.
licence: {name: not for others, url: "https://example.org/licence"}
access: local
store: rows
split: {kind: subject_folds, folds: 2, select_share: 0.5, seed: 0}
"""
PROSE = """(ch-here)=
# Here

See {ref}`ch-there`, {ref}`that <sec-there>`, {doc}`../book/more`, {ref}`ch-here`, {eq}`eq-here`.
And {numref}`tab-mine`.

$$ x = 1 $$ (eq-here)
"""

TABLE = """import pandas as pd
from companion.chapters.drawing.tables import numbered_table
from companion.chapters.drawing.text import Text
Text(numbered_table("tab-mine", "What was found", pd.DataFrame({"CCC": ["0.123"]})))"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A manifest with its store."""
    toy_store(tmp_path / "data" / "rows", rows=[8] * 4)
    (tmp_path / "data" / "mine.yaml").write_text(MANIFEST)
    return tmp_path / "data" / "mine.yaml"


def test_the_chapters_are_those_whose_runs_can_be_made_of_other_data(mine: Path) -> None:
    swappable = {name for name, chapter in CHAPTERS.items() if chapter.swappable}
    assert {name[3:] for name in OWN} == swappable
    own = find_own(str(mine))
    assert [page.name for page in pages_for(own, ROOT)] == [*OWN]
    asked = pages_for(own, ROOT, ["06", "ablations", "03_training"])
    assert [page.name for page in asked] == ["03_training", "04_ablations", "06_missing_modality"]
    with pytest.raises(DataError, match="--chapters '01': expected one of 03_training, 03,"):
        pages_for(own, ROOT, ["01"])
    with pytest.raises(DataError, match="--chapters: expected --manifest, too"):
        pages_for(None, ROOT, ["04"])


def test_the_data_are_known_by_their_manifest_and_their_store(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = find_own(str(mine))
    monkeypatch.chdir(mine.parent)
    assert find_own("mine.yaml") == own and own.name == str(mine)
    assert own.seen_from(mine.parent / "notebooks") == "../mine.yaml"
    mine.write_text(MANIFEST.replace("folds: 2", "folds: 3"))
    assert find_own("mine.yaml").state != own.state
    mine.write_text(MANIFEST.replace("store: rows", "store: nowhere"))
    with pytest.raises(DataError, match=r"mine\.yaml, key store: no .*nowhere/index\.json"):
        find_own("mine.yaml")


def test_a_manifest_gets_a_book_of_its_own(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    (root / "notebooks").mkdir(parents=True)
    parameters = new_code_cell('profile = "quick"\noutput_dir = "../_build"\nmanifest = "x"')
    parameters.metadata["tags"] = ["parameters"]
    only = new_markdown_cell("Of the benchmark.", metadata={"tags": [BOOK_ONLY_TAG]})
    cells = [new_markdown_cell(PROSE), parameters, only]
    cells += [new_code_cell(f"{BOOK_ONLY}\nprint('reference' + ' run')")]
    cells += [new_code_cell(TABLE)]
    cells += [new_code_cell("from pathlib import Path\nprint(Path(manifest).read_text()[:10])")]
    nbformat.write(new_notebook(cells=cells), root / "notebooks" / "04_ablations.ipynb")
    there = new_markdown_cell("(ch-there)=\n# There\n\n(sec-there)=\n## A section\n")
    nbformat.write(new_notebook(cells=[there]), root / "notebooks" / "00_data.ipynb")
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    for name in ("notation", "glossary", "references", "more"):
        (root / "book" / f"{name}.md").write_text(f"# The {name}\n")
    (root / "book" / "references.bib").write_text("")
    (root / "index.md").write_text("# The whole book\n")
    shutil.copy(ROOT / "_config.yml", root)
    toc = "format: jb-book\nroot: index\nchapters:\n- file: notebooks/00_data\n"
    (root / "_toc.yml").write_text(f"{toc}- file: notebooks/04_ablations\n")
    asked: list[object] = []
    monkeypatch.setattr(publish, "_compute_runs", lambda *given: asked.extend(given))

    index = publish.build("smoke", output_dir=root / "_build", root=root, manifest=str(mine))

    assert index == root / "_build" / "own" / "mine" / "html" / "index.html"
    assert asked[1] == root / "_build", "its runs are kept with all others"
    pages = {file.stem: file.read_text("utf-8") for file in index.parent.rglob("*.html")}
    assert not {"00_data", "more"} & pages.keys()
    for name in ("index", "04_ablations", "glossary"):
        said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", pages[name]))
        assert "Data mine ·" in said and "A reader's data, Talks of mine," in said
        assert "Its numbers mean nothing" in said and "The whole book" not in said
        assert str(mine.parent) not in pages[name], "a path of this machine is on the page"
    chapter = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", pages["04_ablations"]))
    assert "name: mine" in chapter and "Table 1 What was found" in chapter and "0.123" in chapter
    assert "Of the benchmark" not in chapter and "reference run" not in chapter
    for named in (
        "There (in the whole book)",
        ", that,",
        "The more (in the whole book)",
        "Eq. 1",
        "And Table 1.",
    ):
        assert named in chapter
    assert "Two people talk." in pages["index"] and "04_ablations.html" in pages["index"]
