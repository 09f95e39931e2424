"""Windows cover every row once, padding is masked, statistics are NumPy's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import AUDIO_DIM, VISUAL_DIM, toy_info, toy_recording, toy_store

from iaca.base.files import DataError
from iaca.data import windows
from iaca.data.recordings import Recording, RecordingStore
from iaca.data.windows import (
    Window,
    evaluation_windows,
    feature_statistics,
    gather,
    training_windows,
)
from iaca.sources.writing import write_store

ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 33, 50)


def rows_of(window: Window) -> list[int]:
    return [window.start + clip * window.spacing for clip in range(window.length)]


@pytest.mark.parametrize("length", [1, 4, 16])
@pytest.mark.parametrize("spacing", [1, 2, 3, 8, 40])
def test_every_row_is_predicted_exactly_once(tmp_path: Path, spacing: int, length: int) -> None:
    store = toy_store(tmp_path / "store", ROWS, spacing)
    windows = evaluation_windows(store, store, length)
    assert {window.recording for window in windows} == set(store)
    predicted: dict[str, list[int]] = {name: [] for name in store}
    for window in windows:
        rows = rows_of(window)
        assert list(range(store.entries[window.recording].rows))[window.rows] == rows
        predicted[window.recording] += rows[window.fresh :]
        assert 0 <= window.fresh < window.length <= length
        # A window is short only where its sequence of clips is, and then it holds all of it.
        sequence = range(rows[0] % spacing, store.entries[window.recording].rows, spacing)
        assert window.length == min(length, len(sequence))
    for name, entry in store.entries.items():
        assert sorted(predicted[name]) == list(range(entry.rows))


@pytest.mark.parametrize(
    ("rows", "spacing", "length", "expected"),
    [
        (10, 1, 4, [([0, 1, 2, 3], 0), ([4, 5, 6, 7], 0), ([6, 7, 8, 9], 2)]),
        (7, 2, 3, [([0, 2, 4], 0), ([2, 4, 6], 2), ([1, 3, 5], 0)]),
    ],
)
def test_the_last_window_is_shifted_back(
    tmp_path: Path, rows: int, spacing: int, length: int, expected: list
) -> None:
    store = toy_store(tmp_path / "store", (rows,), spacing)
    windows = evaluation_windows(store, ["r0"], length)
    assert [(rows_of(window), window.fresh) for window in windows] == expected


@pytest.mark.parametrize("hop", [1, 3, 8, 100])
@pytest.mark.parametrize("spacing", [1, 3])
def test_training_windows_fit(tmp_path: Path, hop: int, spacing: int) -> None:
    length = 4
    store = toy_store(tmp_path / "store", ROWS, spacing)
    windows = training_windows(store, store, hop, length)
    span = (length - 1) * spacing + 1
    assert len(set(windows)) == len(windows)
    for name, entry in store.entries.items():
        mine = [window for window in windows if window.recording == name]
        if entry.rows < span:
            assert [window.start for window in mine] == [0]
            assert mine[0].length == min(length, len(range(0, entry.rows, spacing)))
            continue
        assert all(window.length == length and window.spacing == spacing for window in mine)
        starts = [window.start for window in mine]
        assert starts == sorted({*range(0, entry.rows - span, hop), entry.rows - span})
        assert max(rows_of(mine[-1])) == entry.rows - 1


def test_windows_without_labels_cannot_train(tmp_path: Path) -> None:
    recording = toy_recording("r0", rows=12, invalid=range(0, 7))
    half = toy_recording("r1", rows=4, invalid=range(4))
    half.labels[2, 1] = 0.5  # one target of one clip will do
    none = toy_recording("r2", rows=4, invalid=range(4))
    store = write_store(tmp_path / "store", [recording, half, none], toy_info())
    windows = training_windows(store, store, hop=2, length=4)
    assert [(window.recording, window.start) for window in windows] == [
        ("r0", 4),
        ("r0", 6),
        ("r0", 8),
        ("r1", 0),
    ]
    assert len(evaluation_windows(store, store, 4)) == 5  # evaluation predicts them all the same


@pytest.mark.parametrize("hop", [0, -1])
def test_windows_must_move_on(tmp_path: Path, hop: int) -> None:
    with pytest.raises(DataError, match=f"hop {hop}"):
        training_windows(toy_store(tmp_path / "store"), ["r0"], hop)


def test_gather_copies_the_rows_and_masks_the_rest(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (20, 3), spacing=2, dtype=torch.float32)
    windows = [*evaluation_windows(store, ["r1"], 4), Window("r0", 5, 4, 2)]
    batch = gather(store, windows, 4)
    assert batch.audio.shape == (3, 4, AUDIO_DIM)
    assert batch.visual.shape == (3, 4, VISUAL_DIM)
    assert batch.labels.shape == (3, 4, 2)
    assert batch.mask.tolist() == [[True, True, False, False], [True] + 3 * [False], 4 * [True]]
    for part in ("audio", "visual", "labels"):
        found = getattr(batch, part)
        assert found.dtype == torch.float32
        assert torch.equal(found[0, :2], getattr(store["r1"], part)[[0, 2]])
        assert torch.equal(found[1, :1], getattr(store["r1"], part)[[1]])
        assert torch.equal(found[2], getattr(store["r0"], part)[[5, 7, 9, 11]])
    assert not batch.audio[~batch.mask].any()
    assert not batch.visual[~batch.mask].any()
    assert batch.labels[~batch.mask].isnan().all()


def test_a_batch_is_a_copy(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", (16,), dtype=torch.float32)
    before = store["r0"].audio.clone()
    batch = gather(store, evaluation_windows(store, store))
    batch.audio.zero_()
    assert torch.equal(store["r0"].audio, before)


def shifted_store(path: Path) -> RecordingStore:
    def shifted(recording: Recording) -> Recording:
        scale = torch.logspace(-2, 3, AUDIO_DIM)
        audio = recording.audio * scale + 5.0
        audio[:, 1] = 0.1  # constant, and not a number that binary has
        visual = recording.visual.clone()
        visual[:, 0] = 0.0
        return replace(recording, audio=audio, visual=visual)

    recordings = [
        shifted(toy_recording(f"r{number}", f"s{number}", rows, seed=number))
        for number, rows in enumerate((30, 7, 90))
    ]
    return write_store(path, recordings, toy_info(), dtype=torch.float32)


@pytest.mark.parametrize("at_once", [windows.VALUES_AT_ONCE, 60])
def test_statistics_are_numpys_over_the_named_rows(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "VALUES_AT_ONCE", at_once)
    store = shifted_store(tmp_path / "store")
    for names in (["r0", "r1"], ["r0", "r1", "r2"]):
        for found, modality in zip(
            feature_statistics(store, names), ("audio", "visual"), strict=True
        ):
            rows = np.concatenate([getattr(store[name], modality).numpy() for name in names])
            rows = rows.astype(np.float64)
            np.testing.assert_allclose(found.mean.numpy(), rows.mean(axis=0), rtol=1e-6, atol=1e-7)
            deviation = np.where(np.ptp(rows, axis=0) == 0.0, 0.0, rows.std(axis=0))
            np.testing.assert_allclose(found.deviation.numpy(), deviation, rtol=1e-6)
            assert found.mean.dtype == found.deviation.dtype == torch.float32


def test_constant_columns_have_deviation_zero(tmp_path: Path) -> None:
    audio, visual = feature_statistics(shifted_store(tmp_path / "store"), ["r0", "r1"])
    assert (audio.deviation == 0.0).tolist() == [False, True, False, False, False]
    assert (visual.deviation == 0.0).tolist() == [True, False, False, False]


def test_statistics_of_nothing_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="empty"):
        feature_statistics(toy_store(tmp_path / "store"), [])
