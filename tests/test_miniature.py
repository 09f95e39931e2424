"""Chapters on a miniature Aff-Wild2: extracted, then executed with other parameters alone."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

pytest.importorskip("av", reason="the extra 'media' is not installed")

from media import FOR_TRAINING, stand_ins, write_miniature

from companion.publishing import execute as execution
from companion.publishing.execute import execute, make_tasks
from companion.publishing.pages import Page
from iaca.base.paths import ROOT
from iaca.cli import main
from iaca.commands import extract as command
from iaca.data.recordings import RecordingStore
from iaca.extraction import pipeline

RECORDED = [
    f"{name}{side}"
    for name, film in FOR_TRAINING.items()
    for side, person in film.people.items()
    if person.part != "Test_Set"
]
WIDGET = "widget-view+json"
Execute = Callable[[str], list[nbformat.NotebookNode]]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build folder in which `iaca data extract` has left the miniature's features."""
    folder = write_miniature(tmp_path_factory.mktemp("affwild2"), FOR_TRAINING)
    build = tmp_path_factory.mktemp("out") / "_build"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "build_backbones", stand_ins)
        patch.setattr(command, "BUILD", build)
        assert main(["data", "extract", str(folder), "--weights", "random", "--stride", "8"]) == 0
    return build


@pytest.fixture
def run_chapter(build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Execute:
    """Execute a chapter; its cells as they ran, with the widgets that a page does not keep.

    What a widget shows of one person would be seen in JupyterLab all the same.
    """
    monkeypatch.setattr(execution, "cleaned", lambda notebook: notebook)

    def run(name: str) -> list[nbformat.NotebookNode]:
        page = Page("miniature", name, {"manifest": "affwild2"})
        (task,) = make_tasks([page], ROOT / "notebooks", tmp_path, "smoke", build, {})
        failure = execute(task)
        assert failure is None, str(failure)
        return nbformat.read(task.executed, as_version=4).cells

    return run


def outputs(cells: list[nbformat.NotebookNode], kind: str) -> list[str]:
    """All outputs of a kind, also those that are glued for the text to take."""
    return [
        data
        for cell in cells
        for output in cell.get("outputs", ())
        for found, data in output.get("data", {}).items()
        if found.endswith(kind)
    ]


def explorers(cells: list[nbformat.NotebookNode]) -> list[str]:
    """How the widgets that are shown would be printed, but for bars of progress."""
    shown = [output.get("data", {}) for cell in cells for output in cell.get("outputs", ())]
    printed = [data["text/plain"] for data in shown if any(k.endswith(WIDGET) for k in data)]
    return [text for text in printed if "%|" not in text]


def check_private(cells: list[nbformat.NotebookNode], build: Path) -> str:
    """All that a chapter on gated data must keep to, in JupyterLab too; gives what it says."""
    said = "\n".join(outputs(cells, "text/markdown"))
    assert "Do not publish this page" in said
    told = "\n".join([said, *outputs(cells, "text/plain"), *outputs(cells, "text/html")])
    for name in RECORDED:  # of single people, not even the name
        assert not re.search(rf"[Rr]ecording `?{re.escape(name)}\b|`{re.escape(name)}`", told)
    assert not explorers(cells)  # each shows one recording at a time
    assert [*build.iterdir()] == [build / "private"]
    return said


def test_the_store_holds_what_the_folders_hold(build: Path) -> None:
    store = RecordingStore(build / "private" / "data" / "affwild2")
    assert sorted(store) == sorted(RECORDED)
    assert store.info.clip_spacing == 4
    assert {name for name in store if store.entries[name].split == "report"} == {"4", "5", "8"}
    assert max(entry.rows for entry in store.entries.values()) > 16 * 4


def test_training(run_chapter: Execute, build: Path) -> None:
    said = check_private(cells := run_chapter("03_training"), build)
    rows = RecordingStore(build / "private" / "data" / "affwild2").entries
    clips = sum(rows[name].rows for name in ("4", "5", "8"))
    assert f"3 subjects, 3 recordings, {clips} clips" in said
    assert "All three are the same training" in said
    assert "cannot be had here" not in said
    assert len(list((build / "private" / "runs").glob("[!.]*"))) >= 3
    assert outputs(cells, "image/png")


def test_ablations(run_chapter: Execute, build: Path) -> None:
    said = check_private(run_chapter("04_ablations"), build)
    assert "What needs the true state of clips" in said
    assert "3 subjects, 3 recordings" in said
    for attention in ("CA", "TCA", "JCA", "RJCA"):  # Table 2 is there
        assert re.search(rf"\| {attention} +\| annealed +\|.* of 1 runs", said)


def test_missing_modalities(run_chapter: Execute, build: Path) -> None:
    cells = run_chapter("06_missing_modality")
    said = check_private(cells, build)
    assert "CCC lost from 0 to 80 % missing" in said
    assert not outputs(cells, "vegalite.v5+json")  # the chart would show one person


def test_side_by_side(run_chapter: Execute, build: Path) -> None:
    said = check_private(run_chapter("05_sota"), build)
    assert "1 seed, 3 subjects, 3 recordings" in said
