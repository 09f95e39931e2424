"""Execute the chapters' notebooks with papermill, and only those that something changed for."""

import importlib.metadata
import logging
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from tqdm import tqdm

from companion.publishing.pages import BOOK_ONLY, BOOK_ONLY_TAG, OWN, Page
from iaca.base.files import (
    DataError,
    canonical_json,
    read_json,
    sha256_of,
    short_hash,
    syntax_hash,
    write_json,
)
from iaca.base.paths import (
    BUILD,
    COMPANION,
    GPU_FIGURES,
    MANIFESTS,
    PACKAGE,
    PROFILE_NAMES,
    REFERENCE,
)

CELL_TIMEOUT = dict(zip(PROFILE_NAMES, (300, 900, 7 * 24 * 3600), strict=True))  # seconds
KERNEL_START = 180  # seconds; a loaded machine is slow to start two kernels at once
# What a notebook's results and looks depend on, besides its own text and the package.
PACKAGES = (
    "torch", "numpy", "pandas", "scikit-learn", "safetensors",
    "scipy", "matplotlib", "seaborn", "altair", "ipywidgets", "ipykernel", "papermill",
)  # fmt: skip
# Rooms that no notebook uses: a change in them makes no result old. Neither does one in Ray's.
PUBLISHING = COMPANION / "publishing"
UNUSED = (PACKAGE / "commands", PACKAGE / "extraction", PUBLISHING)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_WIDGET = "application/vnd.jupyter.widget-view+json"


class Failure(NamedTuple):
    """Why a notebook did not run to its end."""

    page: str
    cell: int | None  # counted from 1; None if no cell is to blame
    source: str
    traceback: str

    def __str__(self) -> str:
        where = f"cell {self.cell}" if self.cell else "the notebook"
        text = f"{self.page}: {where} failed\n"
        if self.source:
            text += "".join(f"    | {line}\n" for line in self.source.splitlines())
        return text + self.traceback.rstrip()


@dataclass(frozen=True)
class Task:
    """One notebook to execute into ``folder/<page>.ipynb``."""

    page: str
    notebook: Path
    folder: Path
    parameters: dict[str, Any]
    cell_timeout: int

    @property
    def executed(self) -> Path:
        """The executed notebook."""
        return self.folder / f"{self.page}.ipynb"

    @property
    def stamp(self) -> Path:
        """What the executed notebook was made from, and the seconds it took."""
        return self.folder / f"{self.page}.json"


def make_tasks(
    pages: Sequence[Page],
    notebooks: Path,
    folder: Path,
    profile: str,
    output_dir: Path,
    overrides: Mapping[str, Any],
) -> list[Task]:
    """Return one task a page, its parameters checked against the notebook's own.

    Args:
        pages: the book's chapters.
        notebooks: folder of the source notebooks, where they are also run.
        folder: where the executed notebooks go.
        profile: ``smoke``, ``quick`` or ``full``.
        output_dir: what the notebooks are given as ``output_dir``.
        overrides: parameters for every page that does not set them itself.

    Raises:
        DataError: for an unknown profile, a missing notebook, a notebook without a ``parameters``
            cell, or a parameter that it does not have.
    """
    if profile not in PROFILE_NAMES:
        raise DataError(f"profile {profile!r}: expected one of {', '.join(PROFILE_NAMES)}")
    relative = os.path.relpath(output_dir, notebooks)  # no machine's own paths inside a page
    tasks = []
    for page in pages:
        parameters = {"profile": profile, "output_dir": relative, **overrides, **page.parameters}
        notebook = notebooks / f"{page.notebook}.ipynb"
        _check_parameters(notebook, parameters)
        tasks.append(Task(page.name, notebook, folder, parameters, CELL_TIMEOUT[profile]))
    return tasks


def _check_parameters(notebook: Path, given: Mapping[str, Any]) -> None:
    """Papermill only warns about a parameter that the notebook does not have."""
    cells = read_notebook(notebook).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", ())]
    if len(tagged) != 1:
        raise DataError(f"{notebook}: {len(tagged)} cells tagged 'parameters', expected one")
    known = re.findall(r"^(\w+)\s*(?::[^=\n]+)?=", tagged[0].source, flags=re.MULTILINE)
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise DataError(
            f"{notebook}: unknown parameter {', '.join(unknown)}; it has {', '.join(known)}"
        )


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a notebook.

    Raises:
        DataError: naming the file, if it is missing or no notebook.
    """
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such notebook") from error
    except (nbformat.reader.NotJSONError, nbformat.ValidationError, KeyError) as error:
        raise DataError(f"{path}: not a notebook ({error})") from error


def versions() -> dict[str, str]:
    """Return the versions that results depend on, without importing anything heavy."""
    found = {package: importlib.metadata.version(package) for package in PACKAGES}
    return {"python": platform.python_version(), **found}


def code_state() -> str:
    """Hash what every notebook depends on: syntax, manifests, versions, and committed results.

    Those are what a GPU measured, and the lines of the reference run.
    """
    modules = [
        path
        for package in (PACKAGE, COMPANION)
        for path in sorted(package.rglob("*.py"))
        if not (path.name.startswith("ray_") or any(map(path.is_relative_to, UNUSED)))
    ]
    manifests = {path.name: path.read_text("utf-8") for path in sorted(MANIFESTS.glob("*.yaml"))}
    measured = sha256_of(GPU_FIGURES) if GPU_FIGURES.is_file() else None
    lines = {path.name: sha256_of(path) for path in sorted(REFERENCE.glob("*.jsonl"))}
    parts = [syntax_hash(*modules), manifests, versions(), measured, lines]
    return short_hash(canonical_json(parts))


def data_state() -> str:
    """Hash which data files are at hand: a section without its data says so, until they come.

    Names and sizes only; their content is checked when they are read.
    """
    mirror = os.environ.get("IACA_DATA_MIRROR")
    folders = [*([Path(mirror)] if mirror else []), BUILD / "downloads"]
    return short_hash(canonical_json([list(_listing(folder)) for folder in folders]))


def _listing(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):  # a download that is not finished
            yield path.relative_to(folder).as_posix(), path.stat().st_size


def task_key(task: Task, code: str) -> str:
    """Hash what an executed notebook is made from, the data at hand apart."""
    cells = [
        [cell.cell_type, cell.source, cell.metadata] for cell in read_notebook(task.notebook).cells
    ]
    return short_hash(canonical_json([cells, task.parameters, code]))


def is_current(task: Task, key: str, data: str) -> bool:
    """Whether the executed notebook is there and nothing it was made from has changed."""
    if not (task.executed.is_file() and task.stamp.is_file()):
        return False
    stamp = read_json(task.stamp)
    return bool(stamp["key"] == key and stamp["data"] == data)


def execute(task: Task) -> Failure | None:
    """Execute one notebook; the result appears only if it ran to its end.

    A notebook that failed is kept beside it as ``<page>.failed.ipynb``, for a look.
    """
    # Heavy, and not needed where all is done.
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from companion.publishing.kernels import CAN_FORK, ForkingManager

    logging.getLogger("papermill").setLevel(logging.ERROR)
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # the same sums whatever the number of cores
    task.folder.mkdir(parents=True, exist_ok=True)
    partial = task.folder / f"{task.page}.failed.ipynb"
    try:
        papermill.execute_notebook(
            to_execute(task),
            str(partial),
            parameters=task.parameters,
            kernel_name="python3",
            language="python",
            resources={"metadata": {"path": str(task.notebook.parent)}},  # where the kernel runs
            progress_bar=False,
            start_timeout=KERNEL_START,
            execution_timeout=task.cell_timeout,
            extra_arguments=["--log-level=CRITICAL"],  # of the kernel: its own notes only
            **({"kernel_manager_class": ForkingManager} if CAN_FORK else {}),
        )
    except PapermillExecutionError as error:
        traceback = _ANSI.sub("", "\n".join(error.traceback))
        return Failure(task.page, error.cell_index + 1, error.source, traceback)
    except Exception as error:  # a dead kernel, a cell's timeout: the others go on all the same
        return Failure(task.page, None, "", f"{type(error).__name__}: {error}")
    notebook = cleaned(nbformat.read(partial, as_version=4))
    nbformat.write(notebook, partial)
    partial.replace(task.executed)
    return None


def to_execute(task: Task) -> nbformat.NotebookNode:
    """The notebook of a task, on other data without what is about the book's own."""
    notebook = read_notebook(task.notebook)
    if task.notebook.stem in OWN and task.parameters.get("manifest"):
        notebook.cells = [
            cell
            for cell in notebook.cells
            if BOOK_ONLY_TAG not in cell.metadata.get("tags", ())
            and not cell.source.startswith(BOOK_ONLY)
        ]
    return notebook


def cleaned(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what a page must not carry: widgets that no kernel moves, times and paths of the run.

    Widget state would make the page ask for require.js and a widget manager.
    """
    notebook.metadata.pop("widgets", None)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if _WIDGET not in out.get("data", {})]
    return notebook


def time_left(expected: Mapping[str, float], jobs: int) -> str:
    """How much longer the pages take, judged by the seconds of the last build (0: not known)."""
    known = [seconds for seconds in expected.values() if seconds > 0]
    if not known:
        return ""
    mean = sum(known) / len(known)
    rest = [seconds or mean for seconds in expected.values()]
    return f", about {tqdm.format_interval(max(max(rest), sum(rest) / jobs))} left"


def execute_all(
    tasks: Sequence[Task], code: str, *, jobs: int, force: bool = False
) -> list[Failure]:
    """Execute the notebooks that are not current, at most ``jobs`` at a time.

    A notebook that fails does not stop the others.

    Returns:
        what failed, in the order of ``tasks``.
    """
    data = data_state()
    keys = {task.page: task_key(task, code) for task in tasks}
    due = [task for task in tasks if force or not is_current(task, keys[task.page], data)]
    if not due:
        return []
    seconds = {task.page: read_json(task.stamp)["seconds"] for task in due if task.stamp.is_file()}
    expected = {task.page: seconds.get(task.page, 0.0) for task in due}
    print(
        f"Executing {len(due)} notebooks, {jobs} at a time{time_left(expected, jobs)}", flush=True
    )
    failures: dict[str, Failure] = {}
    pool = ThreadPoolExecutor(jobs)  # threads wait; what computes are the notebooks' kernels
    try:
        # Later chapters compute more: begun first, none of them is left for the end.
        futures = {pool.submit(timed_execute, task): task for task in reversed(due)}
        for count, future in enumerate(as_completed(futures), start=1):
            task, (failure, took) = futures[future], future.result()
            del expected[task.page]
            verdict = f"{'FAILED after' if failure else 'done in'} {tqdm.format_interval(took)}"
            left = time_left(expected, jobs)
            print(f"[{count}/{len(due)}] {task.page}: {verdict}{left}", flush=True)
            if failure is not None:
                failures[task.page] = failure
                continue
            # The data are looked at again: the notebook may have downloaded some itself.
            stamp = {"key": keys[task.page], "data": data_state(), "seconds": took}
            write_json(task.stamp, stamp)
    finally:
        pool.shutdown(cancel_futures=True)
    return [failures[task.page] for task in tasks if task.page in failures]


def timed_execute(task: Task) -> tuple[Failure | None, float]:
    """:func:`execute`'s verdict and the seconds it took."""
    started = time.monotonic()
    failure = execute(task)
    return failure, time.monotonic() - started
