"""Notebooks are executed when something that they depend on changed, and only then."""

import dataclasses
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from companion.publishing import execute as execution
from companion.publishing.execute import (
    Task,
    cleaned,
    execute,
    execute_all,
    make_tasks,
    task_key,
    time_left,
)
from companion.publishing.pages import Page
from iaca.base.files import DataError

PARAMETERS = (
    'profile: str = "quick"  # how much\noutput_dir = "../_build"\nmanifest = "synthetic"\n'
)


def write_notebook(path: Path, *sources: str, parameters: str | None = PARAMETERS) -> Path:
    notebook = new_notebook(cells=[new_markdown_cell("# Title")])
    if parameters is not None:
        cell = new_code_cell(parameters)
        cell.metadata["tags"] = ["parameters"]
        notebook.cells.append(cell)
    notebook.cells += [new_code_cell(source) for source in sources]
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)
    return path


def tasks_of(tmp_path: Path, *pages: Page, profile: str = "smoke", **overrides: object) -> list:
    folder = tmp_path / "executed"
    return make_tasks(pages, tmp_path / "nb", folder, profile, tmp_path / "out", overrides)


def test_a_notebook_that_raises_is_told_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path / "mirror"))
    write_notebook(tmp_path / "nb" / "bad.ipynb", "x = 1", "x / 0", "print('never')")
    write_notebook(tmp_path / "nb" / "good.ipynb", "print(profile, manifest, output_dir)")
    tasks = tasks_of(tmp_path, Page("bad", "bad"), Page("good", "good", {"manifest": "mine"}))

    (failure,) = execute_all(tasks, "code", jobs=2)
    assert (failure.page, failure.source) == ("bad", "x / 0")
    assert "ZeroDivisionError" in failure.traceback and "\x1b" not in str(failure)
    assert not tasks[0].executed.exists()
    executed = nbformat.read(tasks[1].executed, as_version=4)
    assert executed.cells[-1].outputs[0].text == "smoke mine ../out\n"
    assert not executed.metadata.get("papermill")
    assert "FAILED" in capsys.readouterr().out

    # Only what is not done is done again: the good one is left alone until something changes.
    before = tasks[1].executed.stat().st_mtime_ns
    assert execute_all(tasks[1:], "code", jobs=1) == []
    assert tasks[1].executed.stat().st_mtime_ns == before
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "votes.csv").write_text("new data")
    assert execute_all(tasks[1:], "code", jobs=1) == []
    assert tasks[1].executed.stat().st_mtime_ns > before


def test_the_key_is_of_what_can_change_a_page(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb" / "a.ipynb", "print(1)")
    (task,) = tasks_of(tmp_path, Page("a", "a"))
    key = task_key(task, "code")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].outputs = [new_output("stream", text="1\n")]
    notebook.cells[-1].execution_count = 3
    nbformat.write(notebook, path)
    assert task_key(task, "code") == key, "an output changed the key"

    assert task_key(task, "other code") != key
    (quick,) = tasks_of(tmp_path, Page("a", "a"), profile="quick")
    (real,) = tasks_of(tmp_path, Page("a", "a"), manifest="hri_enjoyment")
    notebook.cells[-1].metadata["tags"] = ["remove-output"]
    nbformat.write(notebook, path)
    tagged = task_key(task, "code")
    assert len({key, tagged, task_key(quick, "code"), task_key(real, "code")}) == 4


def test_new_lines_of_the_reference_run_make_pages_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "REFERENCE", tmp_path)
    before = execution.code_state()
    (tmp_path / "headline.jsonl").write_text("{}\n")
    assert execution.code_state() != before


@pytest.mark.parametrize(
    ("page", "profile", "overrides", "parameters", "message"),
    [
        (Page("a", "a", {"manifst": "x"}), "smoke", {}, PARAMETERS, "unknown parameter manifst"),
        (Page("a", "a"), "smoke", {"seeds": [1]}, PARAMETERS, "seeds; it has profile, output_dir"),
        (Page("a", "a"), "fast", {}, PARAMETERS, "'fast': expected one of smoke, quick, full"),
        (Page("a", "a"), "smoke", {}, None, "0 cells tagged 'parameters'"),
        (Page("b", "b"), "smoke", {}, PARAMETERS, r"b\.ipynb: no such notebook"),
    ],
)
def test_bad_parameters_are_an_error_before_anything_runs(
    tmp_path: Path, page: Page, profile: str, overrides: dict, parameters: str, message: str
) -> None:
    write_notebook(tmp_path / "nb" / "a.ipynb", parameters=parameters)
    with pytest.raises(DataError, match=message):
        tasks_of(tmp_path, page, profile=profile, **overrides)


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("not JSON")
    with pytest.raises(DataError, match=r"a\.ipynb: not a notebook"):
        execution.read_notebook(tmp_path / "a.ipynb")


def test_a_page_carries_no_widget_and_no_trace_of_the_run() -> None:
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "w"}
    text = new_output("display_data", data={"text/plain": "kept"})
    outputs = [new_output("display_data", data=widget), text]
    injected = new_code_cell("profile = 'smoke'", metadata={"tags": ["injected-parameters"]})
    notebook = new_notebook(cells=[injected, new_code_cell("f()", outputs=outputs)])
    notebook.metadata["widgets"] = {"state": {}}
    notebook.metadata["papermill"] = {"input_path": "/somewhere"}
    notebook.cells[1].metadata["papermill"] = {"duration": 1}
    cleaned(notebook)
    assert "widgets" not in notebook.metadata and "somewhere" not in nbformat.writes(notebook)
    assert "papermill" not in notebook.cells[1].metadata
    assert notebook.cells[1].outputs == [text]


def test_time_left_is_judged_by_the_last_build() -> None:
    assert "01:40" in time_left({"a": 100.0, "b": 20.0, "new": 0.0}, 2)  # a alone takes that long
    assert "00:20" in time_left({"b": 20.0, "new": 0.0}, 2)  # as much for the one never timed
    assert time_left({"new": 0.0}, 2) == time_left({}, 2) == ""


def test_a_cell_may_take_longer_than_jupyters_half_minute_but_not_for_ever(tmp_path: Path) -> None:
    write_notebook(tmp_path / "nb" / "a.ipynb")
    task: Task = tasks_of(tmp_path, Page("a", "a"))[0]
    assert 120 <= task.cell_timeout <= 600


def test_a_cell_that_never_ends_is_a_failure_that_says_so(tmp_path: Path) -> None:
    write_notebook(tmp_path / "nb" / "a.ipynb", "import time; time.sleep(600)")
    task = dataclasses.replace(tasks_of(tmp_path, Page("a", "a"))[0], cell_timeout=5)
    failure = execute(task)
    assert failure is not None and "timed out" in failure.traceback.lower()
