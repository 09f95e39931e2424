"""Time reading windows from a store of Aff-Wild2's size, and watch memory while training on it.

    python benchmarks/store.py [--threads 1] [--recordings 594] [--rows 2993081] [--spacing 32]

The store is made in a temporary folder: as many recordings and rows as Aff-Wild2 has, of as unequal
lengths, float16, with random features. That takes 6.2 GB of disk; `--rows` makes less, and the
table says what share it was. `gather` copies batches of windows out of it as float32. It is held
against two copies from one array in memory that has the batches' very values: as they are
(float16), and with the conversion to float32 that a batch needs. It is read with its files in the
page cache, as in every epoch of a training but the first, and once with them dropped from it.
Against that stands what a training step consumes. All take turns.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from statistics import median

import torch
from reporting import machine, spread, table
from torch import Tensor

from iaca.data.recordings import Recording, RecordingStore, StoreInfo
from iaca.data.splits import Split
from iaca.data.windows import WINDOW_LENGTH, Window, gather, training_windows
from iaca.learning.config import TrainingConfig, adamw
from iaca.learning.loop import train
from iaca.learning.metrics import ccc_loss
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.sources.writing import write_store

AUDIO_DIM = VISUAL_DIM = 512
BATCH = 64  # windows
LABELS = ("valence", "arousal")
AFFWILD2_ROWS = 2_993_081  # frames, a row each
NOISE_ROWS = 20_000  # rows of noise that recordings begin somewhere in: making more takes minutes
CONSUMERS = ("ca", "rjca")
SAMPLE_SECONDS = 0.5
Task = Callable[[], None]


def lengths(count: int, rows: int) -> list[int]:
    """Unequal lengths that add up to ``rows``: the longest has thirty times the mean."""
    drawn = torch.randn(count, generator=torch.Generator().manual_seed(0)).exp()
    ends = (drawn.cumsum(0) / drawn.sum() * rows).round().long()
    ends[-1] = rows
    return torch.diff(ends, prepend=torch.zeros(1, dtype=torch.long)).clamp(min=1).tolist()


def recordings(count: int, rows: int) -> Iterator[Recording]:
    """Random recordings, made one at a time."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(NOISE_ROWS, AUDIO_DIM + VISUAL_DIM, generator=generator).half()
    for number, length in enumerate(lengths(count, rows)):
        first = int(torch.randint(NOISE_ROWS, (1,), generator=generator))
        features = noise[torch.arange(first, first + length) % NOISE_ROWS]
        audio, visual = features.split([AUDIO_DIM, VISUAL_DIM], dim=1)
        labels = torch.rand(length, len(LABELS), generator=generator)
        yield Recording(f"r{number}", f"s{number}", audio, visual, labels, torch.arange(length))


def shuffled(windows: Sequence[Window], count: int) -> list[list[Window]]:
    """``count`` whole batches, drawn from all windows as an epoch draws them."""
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0)).tolist()
    chosen = [windows[i] for i in order]
    return [chosen[k * BATCH : (k + 1) * BATCH] for k in range(min(count, len(chosen) // BATCH))]


def in_order(windows: Sequence[Window], count: int) -> list[list[Window]]:
    """``count`` whole batches of neighbouring windows."""
    count = min(count, len(windows) // BATCH)
    return [list(windows[k * BATCH : (k + 1) * BATCH]) for k in range(count)]


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
    memory = torch.empty(len(chosen) * BATCH, WINDOW_LENGTH, AUDIO_DIM + VISUAL_DIM).half()
    for number, batch in enumerate(chosen):
        features = gather(store, batch)
        rows = torch.cat([features.audio, features.visual], dim=-1)
        memory[number * BATCH : (number + 1) * BATCH] = rows.half()
    return memory


def steps(store: RecordingStore, batch: Sequence[Window], attention: str, device: str) -> Task:
    """One training step of a plain attention, the batch on the device beforehand."""
    torch.manual_seed(0)
    config = ModelConfig(attention, dim=512)  # type: ignore[arg-type]
    model = AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, len(LABELS)).to(device)
    optimiser = adamw(model.named_parameters(), TrainingConfig(), device)
    audio, visual, labels, mask = (x.to(device) for x in gather(store, batch))

    def task() -> None:
        loss = ccc_loss(model(audio, visual, mask).values, labels)
        assert loss is not None
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return task


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


def drop_from_cache(folder: Path) -> None:
    """Ask the system to forget the files' pages; none of them may be mapped."""
    os.sync()
    for file in folder.rglob("*.safetensors"):
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def cold_seconds(folder: Path, chosen: Sequence[Sequence[Window]]) -> float:
    """Seconds to read the batches from the disk, once: in a process that maps nothing yet."""
    drop_from_cache(folder)
    store = RecordingStore(folder)
    start = time.perf_counter()
    read(store, chosen)()
    return time.perf_counter() - start


def rates(found: dict[str, list[float]], windows: dict[str, int]) -> str:
    """Windows a second of each task; a reader's rate as a share of both copies' in its turn."""
    plain, converted = list(found.values())[:2]
    window_bytes = WINDOW_LENGTH * (AUDIO_DIM + VISUAL_DIM) * 2  # float16
    rows = []
    for name, times in found.items():
        each = [windows[name] / elapsed for elapsed in times]
        reads = len(times) == len(plain) and windows[name] > BATCH
        shares = ["", ""]
        if reads:
            shares = [
                f"{median([a / b for a, b in zip(reference, times, strict=True)]):.2f}"
                for reference in (plain, converted)
            ]
        gigabytes = f"{median(each) * window_bytes / 1e9:.2f}"
        rows.append([name, spread(each, digits=0), gigabytes, *shares])
    return table(["", "windows a second", "GB/s", "against copy", "against copy to float32"], rows)


def anonymous() -> float:
    """This process's own memory in MB: what is mapped from files is the system's to take back."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (kilobytes,) = [line.split()[1] for line in status if line.startswith("RssAnon:")]
    return int(kilobytes) / 1024


def training_memory(folder: Path, hop: int, epochs: int, threads: int) -> list[str]:
    """Train on the store and sample this process's memory; one row of the table."""
    torch.set_num_threads(threads)
    store = RecordingStore(folder)
    names = tuple(store)
    cut = len(names) * 9 // 10
    split = Split(train=names[:cut], select=names[cut:], report=())
    samples: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(SAMPLE_SECONDS):
            samples.append(anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    ends = [0]  # how many samples there were when an epoch ended

    def after_epoch(_: int) -> None:
        samples.append(anonymous())
        ends.append(len(samples))

    start = time.perf_counter()
    train(
        ModelConfig("ca", dim=64),
        TrainingConfig(epochs=epochs, batch_size=BATCH, hop=hop),
        store,
        split,
        seed=0,
        device="cpu",
        after_epoch=after_epoch,
    )
    seconds = time.perf_counter() - start
    stop.set()
    watcher.join()
    rows = sum(store.entries[name].rows for name in names)
    windows = len(training_windows(store, split.train, hop))
    per_epoch = [f"{max(samples[a:b]):.0f}" for a, b in pairwise(ends)]
    return [f"{rows:,}", f"{windows:,}", f"{seconds:.0f}", ", ".join(per_epoch)]


def main() -> None:
    """Make the store, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="of the steps")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recordings", type=int, default=594)
    parser.add_argument("--rows", type=int, default=AFFWILD2_ROWS, help="of all recordings")
    parser.add_argument("--spacing", type=int, default=32, help="rows between a window's clips")
    parser.add_argument("--hop", type=int, default=8, help="rows between windows")
    parser.add_argument("--batches", type=int, default=250)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--train-hop", type=int, default=128, help="of the training; 0: none")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="where the store is made and removed again")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{machine(options.device)}, {options.threads} threads\n")
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name) / "store"
        info = StoreInfo(AUDIO_DIM, VISUAL_DIM, LABELS, (-1.0, 1.0), options.spacing)
        start = time.perf_counter()
        write_store(folder, recordings(options.recordings, options.rows), info)
        written = time.perf_counter() - start
        size = sum(file.stat().st_size for file in folder.rglob("*")) / 1e9
        print(
            f"{options.recordings} recordings, {options.rows:,} rows "
            f"({options.rows / AFFWILD2_ROWS:.0%} of Aff-Wild2's), {AUDIO_DIM} + {VISUAL_DIM} "
            f"features, float16: {size:.2f} GB, written in {written:.0f} s"
        )
        store = RecordingStore(folder)
        start = time.perf_counter()
        windows = training_windows(store, store, options.hop)
        listed = time.perf_counter() - start
        print(
            f"{len(windows):,} windows of {WINDOW_LENGTH} clips, {options.spacing} rows apart, one "
            f"every {options.hop} rows, listed in {listed:.1f} s"
        )
        chosen = shuffled(windows, options.batches)
        ordered = in_order(windows, options.batches)
        del store
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            cold = pool.submit(cold_seconds, folder, chosen).result()
        store = RecordingStore(folder)
        memory = in_memory(store, chosen)
        tasks = {
            "copy, float16": copy(memory, torch.float16),
            "copy to float32": copy(memory, torch.float32),
            "store, in order": read(store, ordered),
            "store, shuffled": read(store, chosen),
        } | {
            f"training step, {attention.upper()}, d = 512": steps(
                store, chosen[0], attention, options.device
            )
            for attention in CONSUMERS
        }
        found = measure(tasks, options.turns)
        counts = {name: BATCH if "step" in name else len(memory) for name in tasks}
        found["store, shuffled, from the disk (once)"] = [cold]
        counts["store, shuffled, from the disk (once)"] = len(memory)
        print(f"{len(memory):,} of them read, in batches of {BATCH}; {options.turns} turns\n")
        print(rates(found, counts))
        print("\nMedians, quartiles in brackets.")
        if options.train_hop:
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                row = pool.submit(
                    training_memory, folder, options.train_hop, options.epochs, options.threads
                ).result()
            print("\nTraining CA, d = 64, on nine tenths of the store, the rest to select on\n")
            print(table(["rows", "windows an epoch", "seconds", "own MB, peak by epoch"], [row]))


if __name__ == "__main__":
    main()
