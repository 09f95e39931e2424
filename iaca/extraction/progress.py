"""How far an extraction is: a bar on a terminal, a line a recording where there is none."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from tqdm.auto import tqdm

from iaca.extraction.affwild2 import Source

MAX_NAMED = 3


def announcement(
    total: int, pending: int, changed: Sequence[str], relabelled: Sequence[str] = ()
) -> str:
    """What is to be made, before it is begun: that may take a day.

    Args:
        total: recordings asked for.
        pending: of them, those to make.
        changed: of these, those that are there but were made from files that have changed.
        relabelled: names of recordings that keep their features, and get other labels.
    """
    text = f"{pending} of {total} recordings to make"
    if changed:
        text += f", {len(changed)} of them again because their files have changed: "
        text += _some(changed)
    if relabelled:
        text += f"; {len(relabelled)} get other labels or another part: {_some(relabelled)}"
    return text


def _some(names: Sequence[str]) -> str:
    return ", ".join([*names[:MAX_NAMED], *(["..."] if len(names) > MAX_NAMED else [])])


class Progress:
    """Over all recordings, by the size of what describes them best, with the time left.

    Args:
        sources: what the store is made of.
        pending: what is to be made now.
        bar: show a bar.
        notify: takes a line for each recording that ends; ``None`` for silence.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        pending: Sequence[Source],
        bar: bool,
        notify: Callable[[str], None] | None,
    ) -> None:
        self.weights = _weights(sources)
        self.notify = notify
        self.total = len(pending)
        self.reached: dict[str, float] = {}  # by recording, from 0 to 1
        self.began: dict[str, float] = {}
        self.ended = 0
        self.left = sum(self.weights[source.name] for source in pending)
        self.worked = 0  # weight of what was made, not of what failed at once
        self.start = time.monotonic()
        self.lock = threading.RLock()
        whole = sum(self.weights.values())
        self.bar = tqdm(
            total=whole,
            initial=whole - self.left,
            disable=not bar,
            bar_format="{desc}{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left",
        )

    def begin(self, source: Source) -> None:
        """Note that a recording is being made."""
        self.began[source.name] = time.monotonic()

    def advance(self, source: Source, share: float) -> None:
        """Note how much of a recording is done, from 0 to 1."""
        with self.lock:
            reached = self.reached.get(source.name, 0.0)
            step = max(0.0, share - reached)
            self.reached[source.name] = reached + step
            self.bar.set_description(source.name, refresh=False)
            self.bar.update(step * self.weights[source.name])

    def made(self, source: Source, rows: int) -> None:
        """Note that a recording is done."""
        with self.lock:
            self.worked += self.weights[source.name]
            seconds = time.monotonic() - self.began[source.name]
            self._end(source, f"{rows} rows in {seconds:.1f} s")

    def failed(self, source: Source, text: str) -> None:
        """Note that a recording could not be made."""
        with self.lock:
            self._end(source, f"failed: {text}")

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()

    def _end(self, source: Source, text: str) -> None:
        self.advance(source, 1.0)
        self.ended += 1
        self.left -= self.weights[source.name]
        if self.notify is not None:
            line = f"{self.ended} of {self.total}: {source.name}: {text}"
            if self.left and self.worked:
                seconds = (time.monotonic() - self.start) * self.left / self.worked
                line += f"; {timedelta(seconds=round(seconds))} left"
            self.notify(line)


def _weights(sources: Sequence[Source]) -> dict[str, int]:
    """How long each recording takes, in proportion: a line of annotation is a frame.

    Where not all are annotated, the videos' sizes have to do.
    """
    described = all(source.annotation is not None for source in sources)
    files = {source.name: source.annotation if described else source.video for source in sources}
    return {
        name: 1 + (file.stat().st_size if file is not None and file.is_file() else 0)
        for name, file in files.items()
    }
