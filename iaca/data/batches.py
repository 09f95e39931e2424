"""Batches of windows on a device: from rows that are kept there, or from the memory-mapped files.

Rows that are kept, those of all recordings one after another, are taken by one indexing per tensor:
no copy on the CPU, no waiting for the GPU. Both ways give the same batches, bit for bit.
"""

import functools
import os
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from iaca.data.recordings import Recordings
from iaca.data.windows import PADDING, Batch, Window, evaluation_windows, gather

# Of a GPU's free memory, or of the machine's, which other processes need as well.
RESIDENT_SHARE = {"cuda": 0.4, "cpu": 0.1}


class WindowBatches:
    """Windows over recordings, from which batches are taken.

    Args:
        store: the recordings.
        names: those that ``windows`` are over.
        windows: W of them; a batch names them by their number.
        length: L, to which a short window is padded.
        device: where batches are wanted.
        resident: whether rows are kept on the device; by default if they fit `RESIDENT_SHARE`.

    Attributes:
        index: ``(W + 1, L)`` int64 on the device: which of all recordings' R rows a window holds,
            and R where it is padded. The last window, number W, is all padding: it fills up a
            batch that is to have a fixed size.
        whole: whether no window is padded, but for the last.
    """

    def __init__(
        self,
        store: Recordings,
        names: Iterable[str],
        windows: Sequence[Window],
        length: int,
        device: torch.device | str = "cpu",
        resident: bool | None = None,
    ) -> None:
        self.store, self.windows, self.length = store, windows, length
        self.device = torch.device(device)
        self.counts = {name: store.entries[name].rows for name in names}
        self.rows = sum(self.counts.values())  # R
        index = self._index()
        self.whole = bool((index[:-1] < self.rows).all())
        self.index = index.to(self.device)
        recordings = [store[name].tensors() for name in self.counts]
        if resident is None:
            held = sum(array.nbytes for arrays in recordings for array in arrays.values())
            resident = held <= memory_for_rows(self.device)
        self.kept = self._keep(recordings) if resident and recordings else {}

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, chosen: Tensor) -> Batch:
        """Take the windows of some numbers, ``(B,)`` int64 on the device, as a batch there."""
        index = self.index[chosen]  # (B, L)
        if self.kept:
            taken = {key: rows[index] for key, rows in self.kept.items()}
            features = {key: taken[key].float() for key in ("audio", "visual", "labels")}
            return Batch(**features, mask=index < self.rows, state=taken.get("state"))
        numbers = chosen.tolist()
        here = [self.windows[number] for number in numbers if number < len(self)]
        batch = gather(self.store, here, self.length)
        if lacking := len(numbers) - len(here):  # windows that are all padding
            batch = batch.map(lambda key, x: _lengthened(x, lacking, PADDING[key]))
        return batch.map(lambda _, x: x.to(self.device))

    def label_counts(self) -> Tensor:
        """How many valid labels each window has: ``(W, n)``, on the CPU."""
        labels = [self.store[name].labels for name in self.counts]
        valid = ~_lengthened(torch.cat(labels), 1, torch.nan).isnan()
        return valid[self.index[:-1].cpu()].sum(dim=1)

    def by_recording(self, values: Tensor) -> dict[str, Tensor]:
        """Put what was computed for every window in place: ``(W, L, ...)`` to name -> ``(T, ...)``.

        Each row is of the one window that is to predict it, see `Window`; rows of none are NaN.
        """
        index = self.index[:-1].cpu()
        fresh = torch.tensor([window.fresh for window in self.windows]).unsqueeze(1)
        kept = (torch.arange(self.length) >= fresh) & (index < self.rows)  # (W, L)
        rows = values.new_full((self.rows, *values.shape[2:]), torch.nan)
        rows[index[kept]] = values[kept]
        return dict(zip(self.counts, rows.split([*self.counts.values()]), strict=True))

    def _index(self) -> Tensor:
        offsets, rows = {}, 0
        for name, count in self.counts.items():
            offsets[name] = rows
            rows += count
        each = [(offsets[w.recording] + w.start, w.spacing, w.length) for w in self.windows]
        start, spacing, length = torch.tensor([*each, (0, 0, 0)]).T.unsqueeze(-1)  # (W + 1, 1) each
        position = torch.arange(self.length)
        return torch.where(position < length, start + position * spacing, rows)

    def _keep(self, recordings: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """All rows on the device as they are stored, and one of padding, key by key."""
        kept = {}
        for key, value in PADDING.items():
            if not all(key in arrays for arrays in recordings):
                continue
            parts = [arrays[key] for arrays in recordings]
            dtype = functools.reduce(torch.promote_types, (part.dtype for part in parts))
            rows = torch.empty(self.rows + 1, *parts[0].shape[1:], dtype=dtype, device=self.device)
            for place, part in zip(rows[:-1].split([*self.counts.values()]), parts, strict=True):
                place.copy_(part)
            rows[-1] = value
            kept[key] = rows
        return kept


def evaluation_batches(
    store: Recordings,
    names: Iterable[str],
    length: int,
    device: torch.device | str = "cpu",
    whole: bool = False,
) -> WindowBatches:
    """Evaluation windows of some recordings; with ``whole`` none of one shorter than a window."""
    names = list(names)
    windows = evaluation_windows(store, names, length)
    if whole:
        windows = [window for window in windows if window.length == length]
    return WindowBatches(store, names, windows, length, device)


def memory_for_rows(device: torch.device) -> float:
    """Bytes that kept rows may take on a device."""
    if device.type == "cuda":
        return RESIDENT_SHARE["cuda"] * torch.cuda.mem_get_info(device)[0]
    return RESIDENT_SHARE["cpu"] * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _lengthened(x: Tensor, more: int, value: float) -> Tensor:
    """Some more entries of one value at the end of the first axis."""
    return pad(x, (*(0, 0) * (x.dim() - 1), 0, more), value=value)
