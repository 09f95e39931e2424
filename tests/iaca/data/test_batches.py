"""Rows that are kept on the device give the same batches as the memory-mapped files."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import DEVICES, toy_info, toy_recording, toy_store

from iaca.data import batches
from iaca.data.batches import WindowBatches, evaluation_batches, memory_for_rows
from iaca.data.recordings import RecordingStore
from iaca.data.windows import Batch, Window, evaluation_windows, gather, training_windows
from iaca.sources.writing import write_store


def made_store(path: Path, spacing: int, dtype: torch.dtype) -> RecordingStore:
    """Recordings with true states; one is shorter than a window, one has invalid labels."""
    recordings = [
        replace(
            toy_recording(f"r{n}", f"s{n}", rows, seed=n, invalid=[1] if n == 2 else []),
            state=torch.arange(rows) % 7,
        )
        for n, rows in enumerate((20, 3, 11))
    ]
    return write_store(path, recordings, toy_info(spacing), dtype=dtype)


def take(placed: WindowBatches, chosen: torch.Tensor) -> Batch:
    """Windows of some numbers, made where they are wanted and then brought here."""
    batch = placed.take(chosen.to(placed.device))
    assert {x.device.type for x in batch if x is not None} == {placed.device.type}
    return batch.map(lambda _, x: x.cpu())


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
@pytest.mark.parametrize("spacing", [1, 3])
@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("device", DEVICES)
def test_batches_are_those_of_the_files_bit_for_bit(
    tmp_path: Path, spacing: int, dtype: torch.dtype, resident: bool, device: str
) -> None:
    store = made_store(tmp_path / "store", spacing, dtype)
    windows = training_windows(store, store, 2, 4)
    placed = WindowBatches(store, store, windows, 4, device, resident)
    assert bool(placed.kept) is resident
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))
    expected = gather(store, [windows[i] for i in order], 4)
    found = take(placed, order)
    for name, values in expected._asdict().items():
        assert getattr(found, name).dtype == values.dtype
        torch.testing.assert_close(getattr(found, name), values, rtol=0, atol=0, equal_nan=True)
    assert found.state is not None and found.state.max() == 6
    assert not found.audio[~found.mask].any()
    # One more number fills a batch up: nothing but padding.
    filled = take(placed, torch.tensor([order[0], len(windows)]))
    assert torch.equal(filled.audio[0], found.audio[0]) and not filled.mask[1].any()
    assert not filled.visual[1].any() and filled.labels[1].isnan().all()
    counts = (~expected.labels.isnan()).sum(dim=1)
    assert torch.equal(placed.label_counts()[order], counts)


def test_states_that_are_not_all_known_are_left_out(tmp_path: Path) -> None:
    known = replace(toy_recording("r0", rows=8), state=torch.zeros(8, dtype=torch.int64))
    store = write_store(tmp_path / "store", [known, toy_recording("r1", rows=8)], toy_info())
    windows = evaluation_windows(store, store, 4)
    for resident in (True, False):
        placed = WindowBatches(store, store, windows, 4, resident=resident)
        assert placed.take(torch.tensor([0, 3])).state is None


@pytest.mark.parametrize("spacing", [1, 3])
def test_what_was_computed_for_windows_goes_back_to_its_rows(tmp_path: Path, spacing: int) -> None:
    store = toy_store(tmp_path / "store", (20, 3, 11), spacing)
    placed = evaluation_batches(store, store, 4)
    everything = torch.arange(len(placed))
    found = placed.by_recording(placed.take(everything).audio)
    assert list(found) == list(store)
    for name, values in found.items():
        assert torch.equal(values, store[name].audio.float())
    whole = evaluation_batches(store, store, 4, whole=True)
    found = whole.by_recording(whole.take(torch.arange(len(whole))).labels[..., 0])
    assert found["r1"].shape == (3,) and found["r1"].isnan().all()
    assert torch.equal(found["r0"], store["r0"].labels[:, 0])


def test_rows_stay_in_their_files_where_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = toy_store(tmp_path / "store")
    windows = [Window("r0", 0, 4)]
    size = sum(x.nbytes for x in store["r0"].tensors().values())
    for limit, kept in ((size, True), (size - 1, False)):
        monkeypatch.setattr(batches, "memory_for_rows", lambda device, limit=limit: limit)
        assert bool(WindowBatches(store, ["r0"], windows, 4).kept) is kept
    assert 0 < memory_for_rows(torch.device("cpu")) < 2**40


def test_no_recording_at_all_is_no_window(tmp_path: Path) -> None:
    assert len(evaluation_batches(toy_store(tmp_path / "store"), [], 4)) == 0
