"""The pipeline on a book of two pages: built once, then broken in several ways and added to."""

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from toys import toy_info, toy_recording

from companion.publishing import build as publish
from companion.publishing.pages import Page, pages_of
from iaca.base.files import DataError, read_json, write_json
from iaca.base.paths import ROOT
from iaca.sources.writing import write_store

AGAIN = Page("again", "first", {"manifest": "synthetic"}, "Once more")
CHART = """import altair as alt
from companion.publishing.vegalite import show
show(alt.Chart({"values": [{"a": 1}]}).mark_bar().encode(x="a:Q"), "One bar.")"""


def write_notebook(root: Path, name: str, *cells: str) -> None:
    parameters = new_code_cell(
        'profile = "quick"\noutput_dir = "../_build"\nmanifest = "x"\nprecision = 32'
    )
    parameters.metadata["tags"] = ["parameters"]
    text = f"(ch-{name})=\n# The {name}\n\n$$ x = 1 $$ (eq-{name})\n\nSee {{eq}}`eq-{name}`."
    code = [new_code_cell(cell) for cell in cells]
    notebook = new_notebook(cells=[new_markdown_cell(text), parameters, *code])
    nbformat.write(notebook, root / "notebooks" / f"{name}.ipynb")


def make(root: Path, **options: object) -> Path:
    given = {"output_dir": root / "_build", "root": root, "jobs": 2, **options}
    return publish.build("smoke", **{"pages": pages_of(root, [AGAIN]), **given})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root whose book is built in `_build`; the runs that a real book needs are left out."""
    root = tmp_path_factory.mktemp("book")
    (root / "notebooks").mkdir()
    write_notebook(root, "first", CHART)
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    (root / "index.md").write_text("# Start\n\n[first](notebooks/first.ipynb)\n")
    (root / "book" / "references.bib").write_text("")
    shutil.copy(ROOT / "_config.yml", root)
    toc = "format: jb-book\nroot: index\nchapters:\n- file: notebooks/first\n"
    (root / "_toc.yml").write_text(toc)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "_compute_runs", lambda *_: None)
        make(root)
        yield root


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> Path:
    """The built book, to be broken."""
    return shutil.copytree(built, tmp_path / "book", copy_function=shutil.copy2)


def test_the_book_is_whole_and_says_what_it_is(built: Path) -> None:
    html = built / "_build" / "html"
    index = (html / "index.html").read_text("utf-8")
    assert 'http-equiv="Refresh"' not in index and 'href="notebooks/first.html"' in index
    for page in ("index", "notebooks/first", "notebooks/again", "search"):
        text = (html / f"{page}.html").read_text("utf-8")
        assert "Its numbers mean nothing" in text and "seeds 0" in text
        assert str(built) not in text, "a path of this machine is on the page"
    again = (html / "notebooks" / "again.html").read_text("utf-8")
    assert "Once more" in again
    assert "_static/vega.js" in again and "_static/mathjax/tex-mml-chtml.js" in again
    assert "_static/vega.js" not in index, "the chart library is loaded where there is no chart"
    assert "window.vegaEmbed" in (html / "_static" / "vega.js").read_text("utf-8")
    assert any((html / "_static/mathjax/output/chtml/fonts/woff-v2").iterdir())


def test_an_unchanged_book_is_not_built_again(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("something was done although nothing changed")

    for step in ("_compute_runs", "execute_all", "_render"):
        monkeypatch.setattr(publish, step, never)
    index = make(built)
    assert "Nothing changed" in capsys.readouterr().out and index.is_file()


def test_a_broken_page_is_told_and_the_old_book_stays_until_it_is_mended(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index, source = copied / "_build" / "html" / "index.html", copied / "index.md"
    before, good = (index.read_bytes(), index.stat().st_ino), source.read_text()
    source.write_text(good + "\n{ref}`nowhere-at-all`\n")
    for _ in range(2):  # Sphinx does not repeat the warnings of a page that it has read
        with pytest.raises(publish.BuildError, match="nowhere-at-all"):
            make(copied)
    assert (index.read_bytes(), index.stat().st_ino) == before
    source.write_text(good + "\nA new sentence.\n")
    assert "A new sentence." in make(copied).read_text("utf-8")
    # Its parameters name the output folder by a relative path, so the copy's are the same.
    assert "Executing" not in capsys.readouterr().out


def test_a_notebook_that_raises_is_told_and_the_old_book_stays(copied: Path) -> None:
    before = (index := copied / "_build" / "html" / "index.html").read_bytes()
    write_notebook(copied, "first", "raise RuntimeError('no such luck')")
    with pytest.raises(publish.BuildError, match="no such luck"):
        make(copied, pages=[Page("first", "first")])
    assert index.read_bytes() == before


def test_a_chapter_and_a_data_set_are_a_folder_and_a_line_each(
    copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What CONTRIBUTING.md says of adding them, done in a copy of the tree."""
    tree = tmp_path / "tree"
    for package in ("iaca", "companion"):
        shutil.copytree(ROOT / package, tree / package)
    shutil.copytree(ROOT / "data_manifests", tree / "data_manifests")
    monkeypatch.setenv("PYTHONPATH", str(tree))  # of the kernels
    (tree / "data_manifests" / "talks.yaml").write_text(
        "name: talks\ntitle: Talks\ndescription: Toys.\naccess: local\nstore: talks\n"
        'licence: {name: none, url: "https://example.org/licence"}\n'
        "split: {kind: subject_folds, folds: 2, select_share: 0.5, seed: 0}\n"
    )
    talks = [toy_recording(name=f"t{i}", subject=f"s{i}", seed=i) for i in range(4)]
    write_store(tree / "data_manifests" / "talks", talks, toy_info())

    chapter = tree / "companion" / "chapters" / "listening"
    chapter.mkdir()
    (chapter / "figures.py").write_text("def told(store):\n    return f'{len(store)} talks'\n")
    cell = (
        "from companion.chapters.listening import figures\n"
        "from iaca.sources.loading import DataConfig, open_data\n"
        "print(figures.told(open_data(DataConfig('talks', fold=0))[0]))"
    )
    write_notebook(copied, "09_listening", cell)
    with (copied / "_toc.yml").open("a") as contents:
        contents.write("- file: notebooks/09_listening\n")
    index = make(copied)
    assert "The 09_listening" in index.read_text("utf-8")
    assert "4 talks" in (index.parent / "notebooks" / "09_listening.html").read_text("utf-8")


def test_the_zip_holds_the_book(copied: Path) -> None:
    file = publish.dist(copied / "_build")
    html = copied / "_build" / "html"
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if not name.endswith("/")}
        start = f"{file.stem}/index.html"
        assert archive.read(start) == (html / "index.html").read_bytes()
    assert len(names) == sum(path.is_file() for path in html.rglob("*"))


def test_what_may_not_be_published_is_not_zipped(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stamp = copied / "_build" / "html.json"
    write_json(stamp, {**read_json(stamp), "private": True})
    with pytest.raises(DataError, match="must not be published"):
        publish.dist(copied / "_build")
    assert publish.main(["dist", "--output-dir", str(copied / "nowhere")]) == 1
    assert "no book to zip" in capsys.readouterr().err


def test_gated_data_go_below_private(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    monkeypatch.setattr(publish, "_compute_runs", lambda _, output, *__: said.append(output))
    monkeypatch.setattr(publish, "execute_all", lambda *_, **__: [])

    def render(root: Path, executed: Path, pages: list, provenance: object, output: Path) -> None:
        said.extend([executed, provenance.private, output])

    monkeypatch.setattr(publish, "_render", render)
    index = make(copied, manifest="affwild2", pages=[Page("first", "first")])
    private = copied / "_build" / "private"
    own = private / "own" / "affwild2"
    assert said == [private, own / "notebooks" / "smoke", True, own]
    assert index == own / "html" / "index.html"
    assert read_json(own / "html.json")["private"] is True
    with pytest.raises(DataError, match="must not be published"):
        publish.dist(own)


def test_the_precision_reaches_runs_notebooks_and_footer(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr(publish, "_compute_runs", lambda *given: said.append(given[-1]))
    monkeypatch.setattr(publish, "_execute", lambda tasks, *_: said.extend(tasks))
    monkeypatch.setattr(publish, "_render", lambda *given: said.append(given[3].footer()))
    make(copied, precision="bf16", pages=[Page("first", "first")])
    runs, task, footer = said
    assert runs == task.parameters["precision"] == "bf16" and "precision bf16" in footer


def test_a_commit_is_dirty_when_the_tree_is(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        publish.subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)

    assert publish._commit_of(tmp_path) == "unknown"  # not a repository
    (tmp_path / "a").write_text("1")
    git("init")
    git("add", "a")
    git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--message", "A")
    commit = publish._commit_of(tmp_path)
    assert len(commit) >= 7 and "-" not in commit
    (tmp_path / "a").write_text("2")
    assert publish._commit_of(tmp_path) == f"{commit}-dirty"
