"""A kernel is a fork with its imports and the environment of now, and ends with its build."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from companion.publishing.execute import Task, execute
from companion.publishing.kernels import CAN_FORK

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="kernels are forks on Linux alone")

BUILD = """
import sys
from pathlib import Path
from companion.publishing.execute import Task, execute

if __name__ == "__main__":
    execute(Task("a", Path(sys.argv[1]), Path(sys.argv[2]), {}, 60))
"""


def task_of(folder: Path, *cells: str) -> Task:
    parameters = new_code_cell("x = 1", metadata={"tags": ["parameters"]})
    notebook = new_notebook(cells=[parameters, *map(new_code_cell, cells)])
    nbformat.write(notebook, folder / "a.ipynb")
    return Task("a", folder / "a.ipynb", folder / "executed", {}, 60)


def test_it_has_its_imports_its_folder_and_the_environment_of_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "import os, sys; print('torch' in sys.modules, os.getcwd(), os.environ.get('SET_LATE'))"
    task = task_of(tmp_path, said, "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])")
    for value in ("one", "two"):  # of which the server that forks saw the first at most
        monkeypatch.setenv("SET_LATE", value)
        assert execute(task) is None
        *_, words, figure = nbformat.read(task.executed, as_version=4).cells
        assert words.outputs[0].text == f"True {tmp_path} {value}\n"
        assert "image/png" in figure.outputs[0].data


def test_it_ends_with_a_build_that_is_killed(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    cell = f"import os, time\nopen({str(told)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    task = task_of(tmp_path, cell)
    (tmp_path / "build.py").write_text(BUILD)
    build = subprocess.Popen(
        [sys.executable, tmp_path / "build.py", task.notebook, task.folder],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    until = time.monotonic() + 120
    while not (told.exists() and told.read_text()):
        assert build.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    kernel = Path(f"/proc/{told.read_text()}")
    assert kernel.exists()
    build.send_signal(signal.SIGKILL)
    build.wait()
    until = time.monotonic() + 60
    while kernel.exists():
        assert time.monotonic() < until, "the kernel computes on for nobody"
        time.sleep(0.02)
