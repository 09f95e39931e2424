"""Time reading windows from a recording store against a plain copy of the same bytes.

    python benchmarks/store.py [--threads 1] [--recordings 64] [--rows 4000]

The store is made in a temporary folder and read with its files in the page cache, as in every
epoch of a training but the first. `gather` copies batches of windows out of it as float32. It is
held against two copies from one array in memory that has the batches' very values: as they are
(float16), and with the conversion to float32 that a batch needs. All take turns.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import torch
from reporting import machine, spread, table
from torch import Tensor

from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.windows import WINDOW_LENGTH, Window, gather, training_windows
from iaca.data.writing import write_store

AUDIO_DIM = VISUAL_DIM = 512
BATCH = 64  # windows
LABELS = ("valence", "arousal")
Task = Callable[[], None]


def recordings(count: int, rows: int) -> Iterator[Recording]:
    """Random recordings of the size of real ones, made one at a time."""
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        audio, visual = (
            torch.randn(rows, dim, generator=generator).half() for dim in (AUDIO_DIM, VISUAL_DIM)
        )
        labels = torch.rand(rows, len(LABELS), generator=generator)
        yield Recording(f"r{number}", f"s{number}", audio, visual, labels, torch.arange(rows))


def batches(windows: Sequence[Window], shuffled: bool) -> list[list[Window]]:
    """Whole batches of windows, in the order of the store or in a random one."""
    order = list(range(len(windows)))
    if shuffled:
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(len(windows), generator=generator).tolist()
    return [
        [windows[i] for i in order[start : start + BATCH]]
        for start in range(0, len(order) - BATCH + 1, BATCH)
    ]


def read(store: RecordingStore, chosen: Sequence[Sequence[Window]]) -> Task:
    """Gather batch after batch."""

    def task() -> None:
        for batch in chosen:
            gather(store, batch)

    return task


def copy(memory: Tensor, dtype: torch.dtype) -> Task:
    """Copy batch after batch of ``memory (N, L, d_a + d_v)`` to a new array of a type."""

    def task() -> None:
        for start in range(0, len(memory), BATCH):
            memory[start : start + BATCH].to(dtype, copy=True)

    return task


def in_memory(store: RecordingStore, chosen: Sequence[Sequence[Window]]) -> Tensor:
    """The features of the batches' windows as one float16 array, ``(N, L, d_a + d_v)``."""
    rows = []
    for batch in chosen:
        features = gather(store, batch)
        rows.append(torch.cat([features.audio, features.visual], dim=-1).half())
    return torch.cat(rows)


def measure(tasks: dict[str, Task], turns: int) -> dict[str, list[float]]:
    """Seconds of each task in every turn; a first turn warms up and is not counted."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(-1, turns):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            if turn >= 0:
                found[name].append(time.perf_counter() - start)
    return found


def report(found: dict[str, list[float]], windows: int) -> str:
    """Windows a second of each task, and its rate as a share of both copies' in its turn."""
    plain, converted = list(found.values())[:2]
    window_bytes = WINDOW_LENGTH * (AUDIO_DIM + VISUAL_DIM) * 2  # float16
    rows = []
    for name, times in found.items():
        rates = [windows / elapsed for elapsed in times]
        shares = [
            median([a / b for a, b in zip(reference, times, strict=True)])
            for reference in (plain, converted)
        ]
        rows.append(
            [
                name,
                spread(rates, digits=0),
                f"{median(rates) * window_bytes / 1e9:.2f}",
                *(f"{share:.2f}" for share in shares),
            ]
        )
    header = ["", "windows a second", "GB/s read", "against copy", "against copy to float32"]
    return table(header, rows)


def main() -> None:
    """Make the store, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=64)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine()}, {options.threads} threads\n")
    with tempfile.TemporaryDirectory() as folder:
        info = StoreInfo(AUDIO_DIM, VISUAL_DIM, LABELS, (-1.0, 1.0))
        made = recordings(options.recordings, options.rows)
        store = write_store(Path(folder) / "store", made, info)
        windows = training_windows(store, store, hop=WINDOW_LENGTH)
        ordered, shuffled = batches(windows, False), batches(windows, True)
        memory = in_memory(store, ordered)
        found = measure(
            {
                "copy, float16": copy(memory, torch.float16),
                "copy to float32": copy(memory, torch.float32),
                "store, in order": read(store, ordered),
                "store, shuffled": read(store, shuffled),
            },
            options.turns,
        )
    print(
        f"{options.recordings} recordings of {options.rows} rows, {AUDIO_DIM} + {VISUAL_DIM} "
        f"features, float16; {len(memory)} windows of {WINDOW_LENGTH} clips in batches of {BATCH}; "
        f"{options.turns} turns\n"
    )
    print(report(found, len(memory)))
    print("\nMedians, quartiles in brackets.")


if __name__ == "__main__":
    main()
