"""Workers end when whoever started them is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iaca.base.processes import end_with_parent

POOL = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from iaca.base.processes import end_with_parent

def work(file):
    Path(file).write_text(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    with ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        pool.submit(work, sys.argv[1]).result()
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # reaped before it was opened, or since
        return False
    return state.rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_with_its_killed_parent(number: signal.Signals, tmp_path: Path) -> None:
    script, told = tmp_path / "pool.py", tmp_path / "pid"
    script.write_text(POOL)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(told)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    until = time.monotonic() + 60
    while not (told.exists() and told.read_text()):
        assert parent.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    worker = int(told.read_text())
    assert alive(worker)
    parent.send_signal(number)
    parent.wait()
    until = time.monotonic() + 60  # however long the start took
    while alive(worker):
        assert time.monotonic() < until, "the worker computes on for nobody"
        time.sleep(0.02)


def test_only_workers_watch_a_parent() -> None:
    with pytest.raises(RuntimeError, match="expected a worker process"):
        end_with_parent()
