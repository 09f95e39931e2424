"""Trainings on made rows, for benchmarks: no file is read. Engines take their steps in turns."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch

from iaca.data.batches import WindowBatches, evaluation_batches
from iaca.data.recordings import Entry, Recording, StoreInfo
from iaca.data.splits import Split
from iaca.data.windows import WINDOW_LENGTH, Statistics, training_windows
from iaca.learning.config import TrainingConfig, products
from iaca.learning.engines import ENGINES, EngineName
from iaca.learning.protocol import STRICT
from iaca.learning.training import Placed, Training
from iaca.models.regressor import ModelConfig


class Made:
    """Stands in for a store: random float16 features, made on a device.

    Args:
        rows: of each recording; the last one selects, the others train.
        dim: features of either modality.
        spacing: rows between the clips of a window.
        device: where features are made and trained on.
    """

    key = "made"

    def __init__(self, rows: Sequence[int], dim: int, spacing: int, device: str) -> None:
        self.info = StoreInfo(dim, dim, ("valence", "arousal"), (-1.0, 1.0), spacing)
        self.entries = {f"r{n}": Entry(f"s{n}", x, 30.0, None, "") for n, x in enumerate(rows)}
        self.device = device
        self.recordings = {name: self._make(name, each) for name, each in self.entries.items()}
        *train, select = self.entries
        self.split = Split(tuple(train), (select,), ())
        self.placed: dict[object, Placed] = {}  # with rows on the device; trainings share them

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __getitem__(self, name: str) -> Recording:
        """A recording: its features are on the device, all else on the CPU."""
        return self.recordings[name]

    def _make(self, name: str, entry: Entry) -> Recording:
        shape = entry.rows, self.info.audio_dim
        audio, visual = (torch.randn(shape, device=self.device).half() for _ in range(2))
        labels, end = 2.0 * torch.rand(entry.rows, 2) - 1.0, torch.arange(entry.rows)
        return Recording(name, entry.subject, audio, visual, labels, end)

    def begin(
        self, model: ModelConfig, config: TrainingConfig, seeds: Sequence[int]
    ) -> list[Training]:
        """Trainings of a model, one a seed."""
        train, select, _ = self.split
        key = (self.key, train, select, WINDOW_LENGTH, config.hop, STRICT.whole_windows)
        if key not in self.placed:
            windows = training_windows(self, train, config.hop)  # type: ignore[arg-type]
            # Statistics are known: nothing has to be read for them.
            dim = self.info.audio_dim
            known = Statistics(torch.zeros(dim), torch.ones(dim))
            self.placed[key] = Placed(
                WindowBatches(self, train, windows, WINDOW_LENGTH, self.device, resident=True),
                evaluation_batches(self, select, WINDOW_LENGTH, self.device),
                (known, known),
            )
        options = {"device": self.device, "shared": self.placed}
        return [Training(model, config, self, self.split, seed, **options) for seed in seeds]  # type: ignore[arg-type]


class Task:
    """Some steps of trainings by an engine, as many in every turn."""

    def __init__(self, engine: EngineName, trainings: Sequence[Training], count: int) -> None:
        self.engine, self.trainings, self.count = ENGINES[engine](trainings), trainings, count
        self.times: list[float] = []  # seconds a step and model, by turn

    def take(self) -> float:
        """Take the steps, whose batches are drawn beforehand; seconds a step and model."""
        plans = [dict(islice(each.plan().items(), self.count)) for each in self.trainings]
        device = self.trainings[0].device
        with products(self.trainings[0].config.precision, device):
            elapsed = seconds(lambda: self.engine.run_epoch(plans), device.type)
        return elapsed / sum(map(len, plans))


def take_turns(tasks: Sequence[Task], turns: int, beside: Callable[[], float]) -> list[float]:
    """Fill in the tasks' times; returns those ``beside`` them. A first turn warms up."""
    found = []
    for turn in range(-1, turns):
        for task in tasks if turn % 2 else reversed(tasks):  # none shall gain by what it follows
            elapsed = task.take()
            if turn >= 0:
                task.times.append(elapsed)
        found.append(beside())
    return found[1:]


def seconds(work: Callable[[], object], device: str) -> float:
    """Wall-clock time of one call, to the end of what it started on the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def release(device: str) -> None:
    """Give back the memory of what is no longer used: some of it holds itself."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
