"""How far an extraction is: a bar on a terminal, a line for each recording elsewhere."""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from tqdm.auto import tqdm

from iaca.extraction.inputs import Source


class Progress:
    """Over the recordings to be made, by the size of what describes them best.

    Args:
        pending: what is to be made.
        bar: show a bar with the time left.
        notify: takes a line for each recording that ends, also with the time left.
    """

    def __init__(
        self, pending: Sequence[Source], bar: bool, notify: Callable[[str], None] | None
    ) -> None:
        self.weights = _weights(pending)
        self.notify = notify
        self.reached = dict.fromkeys(self.weights, 0.0)  # from 0 to 1
        self.ended = 0
        self.left = sum(self.weights.values())
        self.worked = 0  # weight of what was made, not of what failed at once
        self.start = time.monotonic()
        self.lock = threading.RLock()
        form = "{desc}{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left"
        self.bar = tqdm(total=self.left, disable=not bar, bar_format=form)

    def advance(self, source: Source, share: float) -> None:
        """Note how much of a recording is done, from 0 to 1."""
        with self.lock:
            step = share - self.reached[source.name]
            self.reached[source.name] = share
            self.bar.set_description(source.name, refresh=False)
            self.bar.update(step * self.weights[source.name])

    def end(self, source: Source, text: str, worked: bool = True) -> None:
        """Note that a recording has ended, how, and whether it took its time."""
        with self.lock:
            self.advance(source, 1.0)
            self.ended += 1
            self.left -= self.weights[source.name]
            self.worked += self.weights[source.name] if worked else 0
            if self.left and self.worked:
                seconds = (time.monotonic() - self.start) * self.left / self.worked
                text += f"; {timedelta(seconds=round(seconds))} left"
            if self.notify is not None:
                self.notify(f"{self.ended} of {len(self.weights)}: {source.name}: {text}")

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def _weights(sources: Sequence[Source]) -> dict[str, int]:
    """How long each recording takes, in proportion: a line of annotation is a frame.

    Where not all are annotated, the videos' sizes have to do.
    """
    described = all(source.annotation for source in sources)
    files = {s.name: s.annotation if described and s.annotation else s.video for s in sources}
    return {name: 1 + (f.stat().st_size if f.is_file() else 0) for name, f in files.items()}
