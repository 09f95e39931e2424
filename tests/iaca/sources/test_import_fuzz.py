"""Damaged and odd tables at random: a store that is right, or one error; never anything between.

``IACA_FUZZ=5000`` tries as many as that.
"""

import io
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.sources.columns import Choice
from iaca.sources.grid import Grid
from iaca.sources.importing import Columns, import_tables

TRIES = int(os.environ.get("IACA_FUZZ", "240"))
PARTS = 8  # tests that share them
ROLES = ("audio", "visual", "labels")
CELLS = (
    *("", " ", "nan", "inf", "-inf", "1e400", "1e39", "-0", "0x1f", "1_000", "True", "1,5", "é"),
    *("'0.5'", '"0.5"', '"', "\x00", "NA", "-5", "99999999999999999999", "00:00:01", "2020-01-01"),
)
NAMES = ("", " ", "recording", "step", "a1", "frame", "x" * 500, "a.0", "../a", "é", "Unnamed: 0")
DTYPES = ("f2", ">f8", "g", "i1", ">i4", "u8", "c16", "?", "S4", "U4", "O", "M8[s]", "m8[ms]")


def tables(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Three tables that fit each other, with steps and times."""
    names = np.repeat(["a", "b", "c"], 8)
    keys = {"recording": names, "step": np.tile(range(8), 3), "t": np.tile(np.arange(8) / 4, 3)}
    found = {}
    for role, columns in zip(ROLES, (["a1", "a2"], ["v1", "confidence"], ["l1"]), strict=True):
        values = {name: rng.uniform(-1, 1, 24).round(3) for name in columns}
        values |= {"confidence": (rng.random(24) < 0.9) * 1} if "confidence" in columns else {}
        found[role] = pd.DataFrame({**keys, **values})
    found["audio"].insert(1, "subject", "s")
    return found


def counter(rng: np.random.Generator, rows: int) -> np.ndarray:
    """What counts rows, or frames in recordings of 8 rows."""
    start, step = rng.integers(0, 3), rng.choice([1, 1, 3, 0.5])
    count = np.arange(rows) if rng.random() < 0.5 or rows % 8 else np.tile(range(8), rows // 8)
    return (start + step * count) / (100 if rng.random() < 0.3 else 1)


def spoilt_frame(frame: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Other names, rows or cells; sometimes with a column that counts."""
    kind = rng.integers(7)
    if kind == 0:
        frame = frame.assign(planted=counter(rng, len(frame)))
    elif kind == 1:
        at = int(rng.integers(frame.shape[1]))
        frame.columns = [*frame.columns[:at], rng.choice(NAMES), *frame.columns[at + 1 :]]
    elif kind == 2:
        frame = frame.sample(frac=rng.choice([0.5, 1.0, 1.5]), replace=True, random_state=rng)
    elif kind == 3:
        frame = frame.drop(columns=rng.choice(frame.columns))
    elif kind == 4:
        frame = frame.sample(frac=1, random_state=rng)
    elif kind == 5:
        frame = frame.astype(object)
        frame.iat[int(rng.integers(len(frame))), int(rng.integers(frame.shape[1]))] = rng.choice(
            CELLS
        )
    return frame


def as_text(frame: pd.DataFrame, rng: np.random.Generator) -> bytes:
    """A CSV file in some dialect, perhaps with bytes damaged."""
    mark, index = rng.choice([",", ";", "\t", "|"]), bool(rng.random() < 0.1)
    text = frame.to_csv(index=index, sep=mark, lineterminator=rng.choice(["\n", "\r\n"]))
    text = text.replace(mark, mark + " ") if rng.random() < 0.2 else text
    data = text.encode("utf-8-sig" if rng.random() < 0.2 else "utf-8")
    for _ in range(rng.choice([0, 0, 0, 1, 4])):
        at = int(rng.integers(len(data) + 1))
        new = rng.choice(np.frombuffer(b',;\n\r"\x00\xff.-9e \t', dtype=np.uint8), 2).tobytes()
        data = (data[:at], data[:at] + new + data[at:], data[:at] + data[at + 1 :])[rng.integers(3)]
    return data + b"\n" * int(rng.integers(3))


def as_arrays(frame: pd.DataFrame, rng: np.random.Generator) -> bytes:
    """An NPZ file, perhaps with an odd array or with bytes damaged."""
    arrays = {name or "_": cells.to_numpy() for name, cells in frame.items()}
    arrays = {
        name: values.astype(str) if values.dtype.kind == "O" else values
        for name, values in arrays.items()
    }
    if rng.random() < 0.6:
        shape = [(24,), (24, 2), (), (24, 0), (3, 2, 4), (7,)][rng.integers(6)]
        odd = rng.integers(0, 9, shape)
        arrays[str(rng.choice([*NAMES[2:], "a1.0"]))] = odd.astype(rng.choice(DTYPES))
    file = io.BytesIO()
    np.savez(file, **arrays)
    data = file.getvalue()
    if rng.random() < 0.2:
        at = int(rng.integers(len(data)))
        data = data[:at] if rng.random() < 0.5 else data[:at] + b"\x7f" + data[at + 1 :]
    return data


def options(rng: np.random.Generator) -> dict[str, object]:
    """How they are read: by steps, times or order, with few options that make no sense."""
    kind = rng.choice(["step", "time", "order"])
    drop = {"step": ["t"], "time": ["step"], "order": ["step", "t"]}[kind]
    nonsense = rng.random() < 0.05
    grid = {
        "rate": rng.choice([np.nan, -1.0] if nonsense else [0.5, 2.0, 4.0, 30.0]),
        "max_gap": rng.choice([-1.0, np.inf] if nonsense else [0.0, 0.3, 9.0]),
        "missing": str(rng.choice(["refuse", "mask", "null"], p=[0.1, 0.45, 0.45])),
        "null": str(rng.choice(["mean", "zeros", "absent.npz"], p=[0.6, 0.37, 0.03])),
    }
    if kind != "time":
        grid["rate"] = None
    columns = {"step": {"step": "step"}, "time": {"time": ("t",)}, "order": {}}[str(kind)]
    drop = [] if rng.random() < 0.05 else drop
    return {"columns": Columns(**columns), "grid": Grid(**grid), "choice": Choice(drop=drop)}


def attempt(seed: int, folder: Path) -> str:
    """Import what the seed makes, and check what comes of it; says what that is."""
    rng = np.random.default_rng(seed)
    given = dict(tables(rng))
    for role in rng.choice(ROLES, rng.choice([1, 1, 2]), replace=False):
        frame = spoilt_frame(given[role].copy(), rng) if rng.random() < 0.6 else given[role]
        kind = rng.choice(["csv", "npz", "frame", "absent"], p=[0.6, 0.27, 0.12, 0.01])
        given[role] = frame if kind == "frame" else folder / f"{role}.{kind}"
        if kind in ("csv", "npz"):
            given[role].write_bytes({"csv": as_text, "npz": as_arrays}[kind](frame, rng))
    out = folder / "store"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store = import_tables(*given.values(), out, label_range=(-1, 1), **options(rng))
    except DataError as error:
        assert not [file for file in folder.iterdir() if "store" in file.name], "half-written"
        assert len(str(error)) > 20 and "\n" not in str(error).strip(), str(error)
        return "refused"
    check(store)
    return "stored"


def check(store: RecordingStore) -> None:
    store.verify()
    names = [*store.info.source["features"]["audio"], *store.info.source["features"]["visual"]]
    for name in (*names, *store.info.labels):
        assert name != "planted" and not re.fullmatch(r"Unnamed: \d+", name), name
        assert name not in ("recording", "subject", "step", "t", "frame", "confidence"), name
    for recording in store.values():
        assert recording.audio.isfinite().all() and recording.visual.isfinite().all()
        assert (recording.end_frame.diff() > 0).all()
        assert not (recording.labels.abs() > 1).any()


@pytest.mark.parametrize("part", range(PARTS))
def test_tables_at_random_make_a_store_or_one_error(part: int, tmp_path: Path):
    said = []
    for seed in range(part, TRIES, PARTS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            said.append(attempt(seed, folder))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    counts = pd.Series(said).value_counts()
    print(counts.to_dict())
    assert (counts >= len(said) / 10).all() and len(counts) == 2, "tries both outcomes"
