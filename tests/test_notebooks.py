"""The notebooks as they are kept, and as the smoke build executed them."""

import html
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

from companion.publishing.execute import execute, make_tasks
from companion.publishing.pages import Page, pages_of
from iaca.base.paths import BUILD, COMPANION, ROOT
from iaca.runs.profiles import get_profile

KEPT = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = ["profile", "manifest", "seeds", "device", "output_dir", "precision", "folds"]


def test_a_chapter_has_one_name_everywhere() -> None:
    """`NN_name` in `notebooks/` and `_toc.yml`, `name` in `companion/chapters/` and its tests."""
    listed = [page.notebook for page in pages_of(ROOT, variants=())]
    assert listed == [path.stem for path in KEPT]
    names = {re.sub(r"^\d\d_", "", name) for name in listed}
    for folder in (COMPANION / "chapters", ROOT / "tests" / "companion" / "chapters"):
        found = {path.parent.name for path in folder.glob("*/*.py")} - {"drawing"}
        assert found == names, folder


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs_and_with_the_seven_parameters(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", ())]
    assert len(tagged) == 1
    assert re.findall(r"^(\w+) =", tagged[0].source, re.MULTILINE) == PARAMETERS
    assert cells[0].source.startswith("(ch-"), "a chapter opens with its label"
    (opening,) = [cell.source for cell in code if "book.open_page(" in cell.source]
    names: dict[str, Any] = {}
    exec(tagged[0].source, names)
    given = {"profile": "smoke", "seeds": [3], "output_dir": "here", "precision": "bf16"}
    exec(opening, names := names | given)
    page = names["page"]
    assert (page.profile, page.output_dir) == (get_profile("smoke", [3], "bf16"), Path("here"))


def test_every_figure_is_shown_exactly_once(smoke_output: Path) -> None:
    folder = smoke_output / "notebooks" / "smoke"
    executed = [path for path in sorted(folder.glob("*.ipynb")) if ".failed" not in path.suffixes]
    assert {path.stem for path in KEPT} <= {path.stem for path in executed}
    figures = 0
    for path in executed:
        for cell in nbformat.read(path, as_version=4).cells:
            if "figure" not in cell.metadata.get("mystnb", {}):
                continue
            figures += 1
            kinds = [
                kind
                for output in cell.outputs
                for kind in output.get("data", {})
                if kind in ("image/png", "application/vnd.vegalite.v5+json")
            ]
            assert len(kinds) == 1, f"{path.name}: {cell.metadata.mystnb.figure.name}: {kinds}"
    assert figures > 15


def test_every_figure_has_a_text_that_says_what_it_shows(smoke_output: Path) -> None:
    without, figures = [], 0
    for page in sorted((smoke_output / "html").rglob("*.html")):
        for figure in re.findall(r"<figure\b.*?</figure>", page.read_text("utf-8"), re.DOTALL):
            figures += 1
            pictures = re.findall(r"<img\b[^>]*>", figure)
            told = [re.search(r'\balt="([^"]*)"', picture) for picture in pictures]
            if not told or any(len(text[1].split()) < 5 if text else True for text in told):
                without.append(f"{page.name}: {pictures}")  # a file name is one word
    assert figures > 15 and not without, without


def test_executed_alone_a_notebook_shows_its_tables_with_their_numbers(smoke_output: Path) -> None:
    """What nbconvert makes of it has each table of the page, cell by cell, and no directive."""
    for path in sorted((smoke_output / "notebooks" / "smoke").glob("??_*.ipynb")):
        said = said_by(path)
        captions = re.findall(r"^:+\{table\} (.*)\n:name: (?:tab-.*)$", said, re.MULTILINE)
        html, _ = HTMLExporter(exclude_input=True).from_filename(path)
        shown = BeautifulSoup(html, "html.parser")
        tables = {str(table): table.text for table in shown.find_all("table")}
        assert len(captions) == sum("<caption>" in table for table in tables), path.name
        for line in re.findall(r"^\|(?!:-)(.*)\|$", said, re.MULTILINE):
            numbers = re.findall(r"\d\.\d{2,}", line)
            assert any(all(n in text for n in numbers) for text in tables.values()), line
        outputs = " ".join(cell.text for cell in shown.select(".jp-OutputArea-output"))
        assert not re.search(r":::|\{\w+\}`", outputs), path.name
        prose = [cell.source for cell in nbformat.read(path, as_version=4).cells]
        assert not any("{glue:md}" in text and "{table}" in text for text in prose), path.name


def said_by(executed: Path) -> str:
    """What an executed notebook's cells display as Markdown."""
    return "\n".join(
        output.data.get("text/markdown", "")
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", ())
        if "data" in output
    )


def glued_in(executed: Path) -> dict[str, str]:
    """What an executed notebook gives to the prose: name -> Markdown or text."""
    return {
        output.metadata.scrapbook.name: next(iter(output.data.values()))
        for cell in nbformat.read(executed, as_version=4).cells
        for output in cell.get("outputs", ())
        if "scrapbook" in output.get("metadata", {})
    }


NO_VOTES = "No votes in this build"
NO_RATINGS = "No ratings of the film in this build"
NO_ENJOYMENT = "The data set cannot be had here"
NO_CONVERSATIONS = "The conversations cannot be had here"
NO_FILM = "The film cannot be had here"


def test_with_the_open_data_at_hand_their_sections_have_results(
    smoke_output: Path, mirror: Path
) -> None:
    def text(page: str) -> str:
        source = (smoke_output / "html" / "notebooks" / f"{page}.html").read_text("utf-8")
        return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", source)))

    executed = smoke_output / "notebooks" / "smoke"
    for missing in (NO_VOTES, NO_RATINGS):
        assert missing not in said_by(executed / "00_data.ipynb")
    assert "chose different emotions on 46.2 % of them" in text("00_data")
    assert NO_ENJOYMENT not in said_by(executed / "03_training_enjoyment.ipynb")
    assert "25 subjects, 25 recordings, 590 clips" in text("03_training_enjoyment")
    assert NO_ENJOYMENT not in said_by(executed / "03_training_film.ipynb")
    assert "8 subjects, 8 recordings, 7,085 clips" in text("03_training_film")
    for missing in (NO_CONVERSATIONS, NO_FILM):
        assert missing not in said_by(executed / "07_gate_diagnosis.ipynb")
    assert "8 runs of one film" in text("07_gate_diagnosis")
    assert "25 subjects, 25 recordings, 590 turns" in text("07_gate_diagnosis")
    assert NO_ENJOYMENT not in said_by(executed / "05_sota.ipynb")
    assert "25 subjects, 25 recordings, 590 clips" in text("05_sota")


@pytest.mark.parametrize(
    ("page", "data_set", "said"),
    [
        (Page("data", "00_data"), "cremad_votes", f"{NO_VOTES}|{NO_RATINGS}"),
        (
            Page("enjoyment", "03_training", {"manifest": "hri_enjoyment"}),
            "hri_enjoyment",
            NO_ENJOYMENT,
        ),
        (Page("sota", "05_sota"), "hri_enjoyment", NO_ENJOYMENT),
        (
            Page("diagnosis", "07_gate_diagnosis"),
            "hri_enjoyment",
            f"{NO_CONVERSATIONS}|{NO_FILM}",
        ),
    ],
    ids=["votes", "enjoyment", "sota", "diagnosis"],
)
def test_without_its_data_a_notebook_says_so_and_goes_on(
    page: Page,
    data_set: str,
    said: str,
    smoke_output: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = [*(BUILD / "downloads" / data_set).rglob("*.csv")]
    if here or any((BUILD / "downloads" / "studyforrest").rglob("*.csv")):
        pytest.skip(f"{data_set} was downloaded on this machine, so it cannot be missing")
    monkeypatch.delenv("IACA_DATA_MIRROR", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # nobody listens: as without a network
    (task,) = make_tasks([page], ROOT / "notebooks", tmp_path, "smoke", smoke_output, {})
    failure = execute(task)
    assert failure is None, str(failure)
    assert all(each in said_by(task.executed) for each in said.split("|"))
    assert not re.search(r"\bnan\b", str(glued_in(task.executed)))


def executed(name: str, folder: Path, build: Path) -> None:
    """A chapter on real conversations, by its parameters alone."""
    page = Page("conversations", name, {"manifest": "hri_enjoyment", "folds": 2})
    (task,) = make_tasks([page], ROOT / "notebooks", folder, "smoke", build, {})
    failure = execute(task)
    assert failure is None, str(failure)
    said = said_by(task.executed)
    assert "25 subjects, 25 recordings, 590 clips" in said
    for told in ("Its numbers mean nothing", "dealt to 2 folds, as the parameter", "one seed only"):
        assert told in said
    check_own(task.executed)


def check_own(executed: Path) -> None:
    """On other data a chapter says nothing of the book's own, in its text nor in its results."""
    cells = nbformat.read(executed, as_version=4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for of_the_book in ("`episodes`", "eference run", "20 worlds", "World 1", "*headline:"):
        assert of_the_book not in prose + said_by(executed), of_the_book
    assert "mean of targets" not in said_by(executed)  # there is one target


def test_chapters_on_conversations_say_nothing_of_the_benchmark(
    mirror: Path, tmp_path: Path, smoke_output: Path
) -> None:
    check_own(smoke_output / "notebooks" / "smoke" / "03_training_enjoyment.ipynb")
    executed("05_sota", tmp_path, smoke_output)


def test_the_ablations_run_on_data_without_a_dial(
    mirror: Path, tmp_path: Path, smoke_output: Path
) -> None:
    executed("04_ablations", tmp_path, smoke_output)
    said = said_by(tmp_path / "conversations.ipynb")
    assert "told gates, the dial and clips by state" in said  # and why they are not there
    rows = [line.split("|")[1:3] for line in said.splitlines() if " of 2 runs" in line]
    arms = ("sibling's gates", "zero-started", "annealed")
    assert [tuple(cell.strip() for cell in row) for row in rows] == [
        (attention, arm) for attention in ("CA", "TCA", "JCA", "RJCA") for arm in arms
    ]


def test_missing_modalities_run_on_other_data(
    mirror: Path, tmp_path: Path, smoke_output: Path
) -> None:
    executed("06_missing_modality", tmp_path, smoke_output)
    assert "CCC lost from 0 to 80 % missing" in said_by(tmp_path / "conversations.ipynb")
