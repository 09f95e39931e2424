"""Times brought to common cells, and rows that lack a modality."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.sources.grid import Grid
from iaca.sources.importing import Columns, import_tables

RATE = 5.0


def clocked(seconds: np.ndarray, seed: int, names: list[str], time: str = "t") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    keys = {"recording": "a", time: seconds}
    return pd.DataFrame({**keys, **{name: rng.uniform(-1, 1, len(seconds)) for name in names}})


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    """Sound at 100 Hz, pictures at 30 Hz with times in milliseconds, labels at 2 Hz."""
    return {
        "audio": clocked(np.arange(400) / 100, 0, ["a1", "a2"]).assign(subject="s"),
        "visual": clocked((np.arange(110) / 30).round(3), 1, ["v1"], "when"),
        "labels": clocked(np.arange(8) / 2, 2, ["valence"]),
    }


def load(tables: dict, out: Path, columns: Columns | None = None, **grid: object) -> RecordingStore:
    return import_tables(
        *(tables[role] for role in ("audio", "visual", "labels")),
        out,
        label_range=(-1, 1),
        columns=columns or Columns(time=("when", "t")),
        grid=Grid(**{"rate": RATE, **grid}),
    )


def cell_means(table: pd.DataFrame, name: str, cells: int, rate: float = RATE) -> list[float]:
    """By a plain loop; times in whole milliseconds, the last of a cell's is the next one's."""
    seconds = table.iloc[:, 1]
    found = []
    for cell in range(cells):
        inside = (seconds >= cell / rate - 0.001) & (seconds < (cell + 1) / rate - 0.001)
        found.append(table[name][inside].mean() if inside.any() else np.nan)
    return found


def test_rows_are_averaged_in_cells_of_time(tables: dict, tmp_path: Path):
    store = load(tables, tmp_path / "store")
    found = store["a"]
    cells = 19  # pictures end at 3.633 s, in the cell from 3.6 s
    assert (len(found), found.frame_rate) == (cells, RATE)
    assert found.end_frame.tolist() == list(range(cells))
    for role, values in (("audio", found.audio), ("visual", found.visual)):
        for i, name in enumerate(store.info.source["features"][role]):
            assert np.allclose(values[:, i], cell_means(tables[role], name, cells), atol=1e-6)
    expected = cell_means(tables["labels"], "valence", cells)
    assert np.allclose(found.labels[:, 0], expected, atol=1e-6, equal_nan=True)
    assert np.isnan(expected).sum() == 11, "labels of 8 times are not stretched"


def test_frames_fall_in_cells_of_their_own_at_their_own_rate(tables: dict, tmp_path: Path):
    """0.033 s is the second of 30 frames, though 0.033 x 30 < 1."""
    audio = clocked(np.arange(120) / 30, 3, ["a1"]).assign(subject="s")
    store = load({**tables, "audio": audio}, tmp_path / "store", rate=30.0)
    assert np.allclose(store["a"].visual[:, 0], tables["visual"]["v1"])


def test_values_are_held_for_the_stated_gap_and_no_longer(tables: dict, tmp_path: Path):
    held = load(tables, tmp_path / "store", max_gap=0.2)["a"].labels[:, 0].numpy()
    bare = cell_means(tables["labels"], "valence", len(held))
    expected = [
        here if not np.isnan(here) else before
        for here, before in zip(bare, [np.nan, *bare], strict=False)
    ]
    assert np.allclose(held, expected, atol=1e-6, equal_nan=True)
    assert np.isnan(held).sum() == 3
    assert not load(tables, tmp_path / "more", max_gap=0.4)["a"].labels.isnan().any()


def test_gaps_are_refused_held_masked_or_null_as_is_said(tables: dict, tmp_path: Path):
    visual = tables["visual"]
    whole = load(tables, tmp_path / "whole")["a"]
    tables["visual"] = visual[(visual["when"] < 1) | (visual["when"] >= 2)]  # cells 5 to 9
    complaint = r"visual table: recording 'a' has no visual features at 1 s \(step 5; 5 of 19 rows"
    with pytest.raises(DataError, match=complaint):
        load(tables, tmp_path / "bad")
    with pytest.raises(DataError, match=r"at 1\.6 s \(step 8; 2 of 19 rows"):
        load(tables, tmp_path / "bad", max_gap=0.6)
    masked = load(tables, tmp_path / "mask", missing="mask", max_gap=0.2)
    null = load(tables, tmp_path / "null", missing="null", max_gap=0.2, null="zeros")
    rows = [*range(5), *range(10, 19)]
    for store in (masked, null):
        assert store.info.source["missing"]["visual"] == {"held": 1, "missing": 4}
        assert np.array_equal(store["a"].visual[rows], whole.visual[rows])
        assert store["a"].visual[5] == store["a"].visual[4]
        assert np.array_equal(store["a"].audio, whole.audio)
        assert (store["a"].visual[6:10] == store.null_features[1]).all()
    assert null.null_features[1].tolist() == [0.0]
    present = [*range(6), *range(10, 19)]
    assert masked.null_features[1].item() == pytest.approx(masked["a"].visual[present].mean())
    assert masked["a"].labels[6:10].isnan().all()
    labels = load({**tables, "visual": visual}, tmp_path / "held", max_gap=0.2)["a"].labels
    assert np.array_equal(null["a"].labels, labels, equal_nan=True)
    assert np.array_equal(masked["a"].labels[rows], labels[rows], equal_nan=True)


def test_the_null_vector_is_the_mean_of_the_rows_for_training(tables: dict, tmp_path: Path):
    tables = {
        role: pd.concat([t.assign(role="report"), t.assign(recording="b", role="train")])
        for role, t in tables.items()
    }
    tables["audio"].loc[tables["audio"]["role"] == "train", "a1"] += 5
    columns = Columns(time=("when", "t"), split="role")
    store = load(tables, tmp_path / "store", columns)
    assert store.null_features[0].tolist() == pytest.approx(store["b"].audio.mean(dim=0).tolist())
    assert store.info.source["null"] == "mean of the rows for training"
    np.savez(tmp_path / "null.npz", audio=np.array([1.0, 2.0]), visual=np.array([3]))
    given = load(tables, tmp_path / "given", columns, null=tmp_path / "null.npz")
    assert [null.tolist() for null in given.null_features] == [[1.0, 2.0], [3.0]]
    for bad, found in (
        ({"audio": [1.0]}, r"found float64 \(1,\)"),
        ({"audio": [1.0, np.inf]}, r"found float64 \(2,\)"),
        ({"visual": [1.0]}, "found nothing"),
    ):
        np.savez(tmp_path / "null.npz", **{name: np.array(cells) for name, cells in bad.items()})
        with pytest.raises(
            DataError, match=rf"null\.npz: array 'audio': {found}, expected 2 finite"
        ):
            load(tables, tmp_path / "bad", columns, null=tmp_path / "null.npz")


def test_times_may_be_written_as_clocks_and_as_pandas_writes_them(tables: dict, tmp_path: Path):
    expected = load(tables, tmp_path / "store")
    audio = tables["audio"]
    span = pd.to_timedelta(audio["t"], unit="s")
    for i, times in enumerate(
        (span.astype(str), span, "00:00:" + audio["t"].map("{:06.3f}".format))
    ):
        store = load({**tables, "audio": audio.assign(t=times)}, tmp_path / f"{i}")
        assert np.array_equal(store["a"].audio, expected["a"].audio)


@pytest.mark.parametrize(
    ("role", "change", "grid", "complaint"),
    [
        ("audio", {"t": -1.0}, {}, r"audio table, row 1, column 't': -1\.0, expected a time"),
        ("audio", {"t": np.nan}, {}, r"audio table, row 1, column 't': nan, expected a time"),
        ("audio", {"t": "later"}, {}, r"audio table, row 1, column 't': 'later' is not a number"),
        (
            "visual",
            {"when": lambda t: t["when"] + 99},
            {},
            r"share no time \(audio 0 to 3\.8 s, vis",
        ),
        ("labels", {"t": lambda t: t["t"] + 99}, {}, "labels table: no valid label where the"),
        ("labels", {"recording": "z"}, {}, "audio table: recording 'a', which labels table lacks"),
        ("audio", {}, {"rate": 0.0}, r"rate 0\.0: expected a positive number of cells a second"),
        ("audio", {}, {"rate": None}, "time column 'when': expected a rate beside it"),
        ("audio", {}, {"max_gap": np.nan}, "max_gap nan: expected seconds"),
        ("audio", {}, {"missing": "drop"}, "missing 'drop': expected one of refuse, mask, null"),
        ("audio", {}, {"null": "median"}, "median: not an NPZ file"),
    ],
)
def test_what_makes_no_sense_is_refused(
    role: str, change: dict, grid: dict, complaint: str, tables: dict, tmp_path: Path
):
    tables[role] = tables[role].assign(**change)
    with pytest.raises(DataError, match=complaint):
        load(tables, tmp_path / "store", **grid)
    assert not (tmp_path / "store").exists()


def test_times_that_cannot_be_seconds_are_refused_at_once(tables: dict, tmp_path: Path):
    for role, name in (("audio", "t"), ("visual", "when")):
        tables[role].loc[tables[role].index[-1], name] = 1e12
    with pytest.raises(DataError, match=r"recording 'a': hardly a row in these times .* seconds\?"):
        load(tables, tmp_path / "store")


def test_without_a_time_column_a_rate_is_refused(tables: dict, tmp_path: Path):
    tables["visual"] = tables["visual"].drop(columns="when")
    with pytest.raises(
        DataError, match=r"visual table: found recording, v1, expected one of .* t$"
    ):
        load(tables, tmp_path / "store", Columns(time=("t",)))
    with pytest.raises(DataError, match="rate 5: expected times, found a step column 't'"):
        load(tables, tmp_path / "store", Columns(step="t"))
