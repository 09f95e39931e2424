"""The pipeline on a book of two pages: built once, then broken in several ways."""

import shutil
import types
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from companion.publishing import build as publish
from companion.publishing.execute import Page
from iaca.base.files import DataError, read_json, write_json

PAGES = (Page("first", "first"), Page("again", "first", {"manifest": "synthetic"}, "Once more"))
CHART = """from companion.publishing.vegalite import show
show({"description": "One bar.", "mark": "bar", "data": {"values": [{"a": 1}]},
      "encoding": {"x": {"field": "a", "type": "quantitative"}}})"""


def write_book(root: Path, last_cell: str = CHART) -> Path:
    parameters = new_code_cell('profile = "quick"\noutput_dir = "../_build"\nmanifest = "x"')
    parameters.metadata["tags"] = ["parameters"]
    prose = new_markdown_cell("(sec-first)=\n# First\n\n$$ x = 1 $$ (eq-x)\n\nSee {eq}`eq-x`.")
    (root / "notebooks").mkdir(parents=True, exist_ok=True)
    notebook = new_notebook(cells=[prose, parameters, new_code_cell(last_cell)])
    nbformat.write(notebook, root / "notebooks" / "first.ipynb")
    (root / "book").mkdir(exist_ok=True)
    (root / "book" / "intro.md").write_text("# Start\n\n[first](../notebooks/first.ipynb)\n")
    shutil.copytree(
        publish.ROOT / "book" / "_static", root / "book" / "_static", dirs_exist_ok=True
    )
    (root / "book" / "references.bib").write_text("")
    shutil.copy(publish.ROOT / "_config.yml", root / "_config.yml")
    toc = "format: jb-book\nroot: book/intro\nchapters:\n- file: notebooks/first\n"
    (root / "_toc.yml").write_text(toc)
    return root


@pytest.fixture(scope="module")
def monkeymodule() -> object:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch) -> Path:
    """A root whose book is built in `_build`; the runs that a real book needs are left out."""
    monkeymodule.setattr(publish, "_compute_runs", lambda *_: None)
    monkeymodule.setattr(publish, "_profile_seeds", lambda _: (3, 4))
    root = write_book(tmp_path_factory.mktemp("book"))
    make(root)
    return root


def make(root: Path, **options: object) -> Path:
    given = {"output_dir": root / "_build", "root": root, "pages": PAGES, "jobs": 2, **options}
    return publish.build("smoke", **given)


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
        assert "Its numbers mean nothing" in text and "seeds 3, 4" in text
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


def test_new_prose_is_rendered_and_no_notebook_executed(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (copied / "book" / "intro.md").open("a") as intro:
        intro.write("\nA new sentence.\n")
    assert "A new sentence." in make(copied).read_text("utf-8")
    # Its parameters name the output folder by a relative path, so the copy's are the same.
    assert "Executing" not in capsys.readouterr().out


def break_notebook(root: Path) -> None:
    write_book(root, last_cell="raise RuntimeError('no such luck')")


def break_link(root: Path) -> None:
    with (root / "book" / "intro.md").open("a") as intro:
        intro.write("\n{ref}`nowhere-at-all`\n")


@pytest.mark.parametrize(
    ("break_it", "message", "tries"),
    # Sphinx does not repeat the warnings of a page that it has read: a second try must fail too.
    [(break_notebook, "no such luck", 1), (break_link, "nowhere-at-all", 2)],
)
def test_a_broken_book_is_told_and_the_old_one_stays(
    copied: Path, break_it: Callable[[Path], None], message: str, tries: int
) -> None:
    index = copied / "_build" / "html" / "index.html"
    before = index.read_bytes(), index.stat().st_ino
    break_it(copied)
    for _ in range(tries):
        with pytest.raises(publish.BuildError, match=message):
            make(copied, pages=PAGES[:1])
    assert (index.read_bytes(), index.stat().st_ino) == before


def test_the_zip_holds_the_book(copied: Path) -> None:
    file = publish.dist(copied / "_build")
    html = copied / "_build" / "html"
    with zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        start = f"{file.stem}/index.html"
        assert archive.read(start) == (html / "index.html").read_bytes()
    assert len(names) == sum(path.is_file() for path in html.rglob("*"))


def test_what_may_not_be_published_is_not_zipped(copied: Path) -> None:
    stamp = copied / "_build" / "html.json"
    write_json(stamp, {**read_json(stamp), "private": True})
    with pytest.raises(DataError, match="must not be published"):
        publish.dist(copied / "_build")
    with pytest.raises(DataError, match="no book to zip"):
        publish.dist(copied / "nowhere")


def test_gated_data_go_below_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_book(tmp_path)
    said = []
    monkeypatch.setattr(publish, "_compute_runs", lambda _, output, *__: said.append(output))
    monkeypatch.setattr(publish, "_profile_seeds", lambda _: (0,))
    monkeypatch.setattr(publish, "execute_all", lambda *_, **__: [])

    def render(root: Path, executed: Path, pages: tuple, provenance: object, output: Path) -> None:
        said.extend([executed, provenance.private, output])

    monkeypatch.setattr(publish, "_render", render)
    index = make(root, manifest="affwild2", pages=PAGES[:1])
    private = root / "_build" / "private"
    assert said == [private, private / "notebooks" / "smoke", True, private]
    assert index == private / "html" / "index.html"
    assert read_json(private / "html.json")["private"] is True
    with pytest.raises(DataError, match="must not be published"):
        publish.dist(private)


def test_the_server_answers_on_this_machine_only(built: Path, tmp_path: Path) -> None:
    with publish.make_server(built / "_build" / "html") as server:
        assert server.server_address[0] == "127.0.0.1"
        Thread(target=server.handle_request, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/") as answer:
            assert b"Start" in answer.read()
    with pytest.raises(DataError, match="no book to serve"):
        publish.make_server(tmp_path)


def test_a_commit_is_dirty_when_the_tree_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"rev-parse": "abc1234\n", "status": ""}

    def run(command: list[str], **_: object) -> types.SimpleNamespace:
        word = next(word for word in answers if word in command)
        return types.SimpleNamespace(returncode=0, stdout=answers[word])

    assert publish.commit_of(tmp_path) == "unknown"  # not a repository
    monkeypatch.setattr(publish.subprocess, "run", run)
    assert publish.commit_of(tmp_path) == "abc1234"
    answers["status"] = " M README.md\n"
    assert publish.commit_of(tmp_path) == "abc1234-dirty"


def test_the_command_line_reports_errors_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish.main(["dist", "--output-dir", str(tmp_path)]) == 1
    assert "no book to zip" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        publish.main(["build", "--profile", "fast"])
