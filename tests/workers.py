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


def work(job: Job, out: Path, device: str) -> None:
    (out / f"done-{job.seed}").touch()


def killed_and_failing(job: Job, out: Path, device: str) -> None:
    """Seed 0 is always killed, first with seed 1 under way; 2 fails; 3 is killed once."""
    first = note_attempt(out, job.seed) == 0
    if job.seed == 0:
        while not (out / "attempts-1").exists():
            time.sleep(0.02)
    if job.seed == 2:
        raise ArithmeticError("epoch 0, batch 3: the loss is nan")
    if job.seed == 0 or (job.seed == 3 and first):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.2)
    work(job, out, device)


def killed_in_training(config: Any, out: Path, device: Any) -> None:
    """Makes a real run, but is killed after the first epoch of the first attempt at seed 1."""
    from iaca.learning.loop import train_together
    from iaca.runs import execution

    first = note_attempt(out, config.seed) == 0

    def note(epoch: int) -> None:
        note_attempt(out, 100 + config.seed)
        if first and config.seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(*arguments: Any) -> Any:
        return train_together(*arguments, checkpoint_seconds=0.0, after_epoch=note)

    execution.train_together = wrapped
    execution.execute_run(config, out, device)


def on_a_cluster(config: Any, out: Path, device: Any) -> None:
    """Makes a real run in its time; seed 0 fails, and seed 1 is always killed."""
    from iaca.runs import execution

    note_attempt(out, config.seed)
    if config.seed == 0:
        raise ArithmeticError(f"failed in {execution.__file__}")
    if config.seed == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.0)
    execution.execute_run(config, out, device)
    (out / f"done-{config.seed}").touch()
