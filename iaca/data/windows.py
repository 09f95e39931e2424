"""Windows of 16 clips over recordings, and the statistics that standardise their features.

A window takes rows ``r, r + s, ..., r + (L - 1) s`` of a recording, ``s`` being the store's
`clip_spacing`: with features at every frame, neighbouring clips of a window are 32 rows apart.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from iaca.base.files import DataError
from iaca.data.recordings import Recordings, RecordingStore

WINDOW_LENGTH = 16  # clips, the paper's baselines' L
# What stands where there is no row, by the names of `Batch`.
PADDING = {"audio": 0.0, "visual": 0.0, "labels": torch.nan, "mask": 0.0, "state": 0.0}
VALUES_AT_ONCE = 2**21  # of a recording, for statistics: 16 MB in float64


class Window(NamedTuple):
    """Rows ``start, start + spacing, ...`` of a recording, ``length`` of them.

    ``fresh`` is the first position whose row no earlier window predicts: evaluation keeps the
    positions ``fresh .. length - 1`` and drops the others.
    """

    recording: str
    start: int
    length: int
    spacing: int = 1
    fresh: int = 0

    @property
    def rows(self) -> slice:
        """The rows as a slice of the recording's arrays."""
        return slice(self.start, self.start + (self.length - 1) * self.spacing + 1, self.spacing)


class Batch(NamedTuple):
    """Windows stacked: ``audio (B, L, d_a)``, ``visual (B, L, d_v)``, ``labels (B, L, n)``.

    ``mask (B, L)`` is true at rows that exist; padding is zero and its labels are NaN. ``state
    (B, L)`` is the true state of made data, 0 at padding, and None for others: no input of a model
    but of gates that are told it.
    """

    audio: Tensor
    visual: Tensor
    labels: Tensor
    mask: Tensor
    state: Tensor | None = None

    def map(self, change: Callable[[str, Tensor], Tensor]) -> "Batch":
        """The batch with every tensor changed: ``change`` is given its name and itself."""
        there = {name: x for name, x in self._asdict().items() if x is not None}
        return Batch(**{name: change(name, x) for name, x in there.items()})


def evaluation_windows(
    store: Recordings, names: Iterable[str], length: int = WINDOW_LENGTH
) -> list[Window]:
    """Tile recordings so that each row is predicted exactly once.

    The last window of a recording is shifted back to end at its last row and contributes only
    the rows that no window before it predicted. With `clip_spacing` s, the s interleaved
    sequences are tiled one by one.
    """
    spacing = store.info.clip_spacing
    windows = []
    for name in names:
        rows = store.entries[name].rows
        for phase in range(min(spacing, rows)):
            clips = len(range(phase, rows, spacing))
            for first in range(0, clips, length):
                shifted = max(0, min(first, clips - length))
                start, size = phase + shifted * spacing, min(length, clips)
                windows.append(Window(name, start, size, spacing, fresh=first - shifted))
    return windows


def training_windows(
    store: RecordingStore,
    names: Iterable[str],
    hop: int,
    length: int = WINDOW_LENGTH,
    whole: bool = False,
) -> list[Window]:
    """Windows that start every ``hop`` rows and fit whole, plus one that ends at the last row.

    A recording shorter than a window gives one short window. Windows without a single valid
    label are left out: they cannot train anything. With ``whole`` there is no last window off the
    grid and no short one, and windows with an invalid label are left out.
    """
    if hop < 1:
        raise DataError(f"hop {hop}: expected at least 1 row between the starts of windows")
    spacing = store.info.clip_spacing
    span = (length - 1) * spacing + 1
    windows = []
    for name in names:
        rows = store.entries[name].rows
        last = rows - span
        starts = [*range(0, last, hop), last] if last >= 0 else [0]
        for start in range(0, last + 1, hop) if whole else starts:
            clips = min(length, len(range(start, rows, spacing)))
            window = Window(name, start, clips, spacing)
            invalid = store[name].labels[window.rows].isnan()
            if not (invalid.any() if whole else invalid.all()):
                windows.append(window)
    return windows


def gather(store: Recordings, windows: Sequence[Window], length: int = WINDOW_LENGTH) -> Batch:
    """Copy windows out of the memory-mapped store into one float32 batch."""
    recordings = [store[window.recording] for window in windows]
    lengths = torch.tensor([window.length for window in windows])

    def stacked(key: str) -> Tensor:
        pairs = zip(recordings, windows, strict=True)
        parts = [getattr(recording, key)[window.rows] for recording, window in pairs]
        padded = [
            part
            if len(part) == length
            else pad(part, (*(0, 0) * (part.dim() - 1), 0, length - len(part)), value=PADDING[key])
            for part in parts
        ]
        return torch.stack(padded)  # (B, L, ...)

    return Batch(
        audio=stacked("audio").float(),  # converted once
        visual=stacked("visual").float(),
        labels=stacked("labels").float(),
        mask=torch.arange(length) < lengths.unsqueeze(1),  # (B, L)
        state=None if any(each.state is None for each in recordings) else stacked("state"),
    )


class Statistics(NamedTuple):
    """Mean and standard deviation of each feature column, ``(d,)`` each, float32."""

    mean: Tensor
    deviation: Tensor


def feature_statistics(
    store: RecordingStore, names: Sequence[str]
) -> tuple[Statistics, Statistics]:
    """Audio and visual statistics over the rows of some recordings (the training split's).

    Two passes in float64, some thousand rows in memory at a time. Columns that are constant have
    deviation 0; whoever standardises maps them to 0.
    """
    if not names:
        raise DataError("feature statistics of no recordings: the training split is empty")
    return _statistics(store, names, "audio"), _statistics(store, names, "visual")


def _statistics(store: RecordingStore, names: Sequence[str], modality: str) -> Statistics:
    rows = sum(store.entries[name].rows for name in names)
    width: int = getattr(store.info, f"{modality}_dim")
    # One place for all parts. Made anew for each, they would lie apart, with what opening a
    # recording keeps in memory between them, and their room could not be used again.
    place = torch.empty(max(1, VALUES_AT_ONCE // width), width, dtype=torch.float64)

    def parts() -> Iterator[Tensor]:
        for name in names:
            for part in getattr(store[name], modality).split(len(place)):
                yield place[: len(part)].copy_(part)

    zero = torch.zeros(width, dtype=torch.float64)
    mean = sum((part.sum(dim=0) for part in parts()), zero) / rows
    squares = sum((part.sub_(mean).square_().sum(dim=0) for part in parts()), zero)
    deviation = (squares / rows).sqrt()
    # Rounding leaves a constant column with a deviation of a few ulp of its mean: call that 0.
    deviation[deviation <= 1e-9 * mean.abs()] = 0.0
    return Statistics(mean.float(), deviation.float())
