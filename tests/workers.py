"""What the processes of a grid do in tests. Light, since each of them imports it."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What a run's numbers stand in, byte by byte; `metrics.json` holds the time it took.
NUMBERS = ("model.safetensors", "predictions.safetensors", "history.csv")


@dataclass(frozen=True)
class Job:
    """Stands for a run's configuration where no run is made."""

    seed: int


def note_attempt(out: Path, seed: int) -> int:
    """Note an attempt at a run; returns how many there were before."""
    out.mkdir(exist_ok=True)
    attempts = out / f"attempts-{seed}"
    before = attempts.stat().st_size if attempts.exists() else 0
    with attempts.open("a") as file:
        file.write("x")
    return before


def work(job: Job, out: Path, device: str) -> float:
    (out / f"done-{job.seed}").touch()
    return 0.0


def failing(job: Job, out: Path, device: str) -> float:
    """Seed 1 fails."""
    note_attempt(out, job.seed)
    if job.seed == 1:
        raise ArithmeticError("epoch 0, batch 3: the loss is nan")
    return work(job, out, device)


def killed_once(job: Job, out: Path, device: str) -> float:
    """Is killed at the first attempt at seed 1, as for want of memory."""
    if note_attempt(out, job.seed) == 0 and job.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    return work(job, out, device)


def killed_always(job: Job, out: Path, device: str) -> float:
    """Is killed at every attempt at seed 0, the first time with seed 1 under way."""
    note_attempt(out, job.seed)
    if job.seed == 0:
        while not (out / "attempts-1").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.0)
    return work(job, out, device)


def killed_in_training(config: Any, out: Path, device: Any) -> float:
    """Makes a real run, but is killed after the first epoch of the first attempt at seed 1."""
    import torch

    from iaca.learning.loop import train
    from iaca.runs import runs

    first = note_attempt(out, config.seed) == 0

    def note(epoch: int) -> None:
        note_attempt(out, 100 + config.seed)
        if first and config.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(*arguments: Any, **options: Any) -> Any:
        return train(*arguments, **{**options, "checkpoint_seconds": 0.0, "after_epoch": note})

    torch.set_num_threads(1)
    runs.train = wrapped  # type: ignore[attr-defined]
    runs.execute_run(config, out, device)
    return 0.0


def killed_at_zero(config: Any, out: Path, device: Any) -> float:
    """Makes a real run, but is killed at every attempt at seed 0."""
    from iaca.runs import runs

    note_attempt(out, config.seed)
    if config.seed == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    runs.execute_run(config, out, device)
    return 0.0


def failing_at_one(config: Any, out: Path, device: Any) -> float:
    """Makes a real run, but fails at seed 1. Notes whose code it is."""
    from iaca.runs import runs

    note_attempt(out, config.seed)
    (out / f"code-{config.seed}").write_text(str(runs.__file__))
    if config.seed == 1:
        raise ArithmeticError("epoch 0, batch 3: the loss is nan")
    runs.execute_run(config, out, device)
    return 0.0


def leaves_nothing(config: Any, out: Path, device: Any) -> None:
    """Ends as if it had made a run."""
    note_attempt(out, config.seed)


def slow_run(config: Any, out: Path, device: Any) -> float:
    """Makes a real run, and takes its time."""
    from iaca.runs import runs

    note_attempt(out, config.seed)
    time.sleep(1.5)
    runs.execute_run(config, out, device)
    return work(config, out, device)
