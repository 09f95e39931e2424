"""Worker processes: how many, and that they do not outlive the process that started them."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable


def end_with_parent() -> None:
    """End this worker as soon as its parent is gone; the initialiser of a process pool.

    A parent that is killed cannot tell its workers. They would compute on for nobody, and hold two
    cores and a GPU meanwhile. A notebook's kernel is such a worker, or watches its parent likewise.

    Raises:
        RuntimeError: in a process that `multiprocessing` did not start.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("end_with_parent: expected a worker process, this one has no parent")

    def watch() -> None:
        parent.join()
        os._exit(1)  # at once: what a run or a notebook has kept on disk is whole at any moment

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def begin_worker(gpu: str | None = None) -> None:
    """End with the parent, and see no GPU but one, if one is named: a pool's initialiser.

    It is called before torch has looked for GPUs.
    """
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    end_with_parent()


def usable_cores() -> int:
    """How many cores this process may use: on a cluster often fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS


def timed(work: Callable[..., object], *arguments: object) -> float:
    """Call a function and return the seconds it took.

    It stands here so that a worker process imports no more than its work needs.
    """
    started = time.monotonic()
    work(*arguments)
    return time.monotonic() - started
