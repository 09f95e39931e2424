"""`iaca data score`: CCC by its formula in NumPy, and what is wrong with a file of predictions."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toys import toy_info, toy_recording

from iaca.cli import main
from iaca.data.recordings import RecordingStore
from iaca.data.states import STATES
from iaca.sources.writing import write_store

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    recordings = [
        toy_recording("t1", "anna", 20, 1, "train", states=True),
        toy_recording("r1", "ben", 60, 2, "report", invalid=[6, 7], states=True),
        toy_recording("r2", "cleo", 45, 3, "report", states=True),
    ]
    return write_store(tmp_path_factory.mktemp("scored") / "store", recordings, toy_info())


@pytest.fixture
def said(store: RecordingStore) -> Arrays:
    """Predictions with some error."""
    rng = np.random.default_rng(0)
    return {
        name: 0.9 * np.nan_to_num(store[name].labels.numpy()) + rng.normal(0.1, 0.2, (rows, 2))
        for name, rows in (("r1", 60), ("r2", 45))
    }


def as_table(said: Arrays) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            {"recording": name, "row": range(len(x)), "arousal": x[:, 1], "valence": x[:, 0]}
        )
        for name, x in said.items()
    ]
    return pd.concat(parts, ignore_index=True)


def ccc(x: np.ndarray, y: np.ndarray) -> float:
    """Lin's formula with biased moments, over valid labels."""
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    return float(2 * covariance / (x.var() + y.var() + (x.mean() - y.mean()) ** 2))


def score(store: RecordingStore, file: Path, *options: str) -> int:
    return main(["data", "score", str(store.path), str(file), *options])


def test_scores_are_the_formula(
    store: RecordingStore, said: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From both kinds of file; the table's rows and columns are in another order."""
    np.savez(tmp_path / "said.npz", **said)
    as_table(said).sample(frac=1, random_state=0).to_csv(tmp_path / "said.csv", index=False)
    assert score(store, tmp_path / "said.csv", "--json") == 0
    from_csv = json.loads(capsys.readouterr().out)
    assert score(store, tmp_path / "said.npz", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found == from_csv

    labels = np.concatenate([store[name].labels.numpy().astype(float) for name in said])
    values = np.concatenate(list(said.values()))
    state = np.concatenate([store[name].known_state.numpy() for name in said])
    groups = {"all": state >= 0, "weak": state > 0}
    groups |= {name: state == number for number, name in enumerate(STATES)}
    assert set(found["scores"]) == set(groups)
    for group, rows in groups.items():
        expected = [ccc(values[rows, k], labels[rows, k]) for k in (0, 1)]
        row = found["scores"][group]
        assert row["rows"] == rows.sum()
        assert [row["valence"], row["arousal"]] == pytest.approx(expected, abs=1e-6)
        assert row["mean"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert list(found["recordings"]) == ["r1", "r2"]
    alone = ccc(said["r2"][:, 1], store["r2"].labels.numpy()[:, 1])
    assert found["recordings"]["r2"]["arousal"] == pytest.approx(alone, abs=1e-6)


def test_a_table_for_people(
    store: RecordingStore, said: Arrays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "said.npz", **said)
    assert score(store, tmp_path / "said.npz") == 0
    text = capsys.readouterr().out
    assert f"CCC on report of {store.path}, 2 recordings" in text
    assert "\nall " in text and "\nweak " in text and "\nr1 " not in text
    assert score(store, tmp_path / "said.npz", "--per-recording") == 0
    assert "\nr1 " in capsys.readouterr().out


def test_without_known_states_all_rows_are_scored_and_no_score_is_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = toy_recording("r", "ben", 4, split="report", invalid=range(4))
    store = write_store(tmp_path / "store", [recording], toy_info())
    np.savez(tmp_path / "said.npz", r=np.ones((4, 2)))
    assert score(store, tmp_path / "said.npz", "--json") == 0
    nothing = {"rows": 4, "valence": None, "arousal": None, "mean": None}
    assert json.loads(capsys.readouterr().out)["scores"] == {"all": nothing}


def with_cell(row: int, column: int, value: float) -> Callable[[Arrays], Arrays]:
    def change(said: Arrays) -> Arrays:
        said["r2"][row, column] = value
        return said

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda said: {"r1": said["r1"]}, "said.npz: 1 of 2 recordings are missing: r2"),
        (
            lambda said: said | {"t1": said["r1"]},
            "'t1', expected the 2 of report alone; it is of tr",
        ),
        (
            lambda said: {"r1": said["r1"], "R2": said["r2"]},
            "said.npz: found the recording 'R2', expected the 2 of report alone; "
            "the nearest name is 'r2'",
        ),
        (
            lambda said: said | {"r2": said["r2"][1:]},
            "said.npz: recording 'r2': found values of shape (44, 2), expected (45, 2)",
        ),
        (
            lambda said: said | {"r2": said["r2"].T},
            "found values of shape (2, 45), expected (45, 2)",
        ),
        (lambda said: said | {"r2": said["r2"].astype(str)}, "'r2': type <U32, expected numbers"),
        (
            with_cell(7, 1, np.nan),
            "recording 'r2', row 7, arousal: found nan, expected a finite number (1 such values)",
        ),
        (with_cell(0, 0, np.inf), "recording 'r2', row 0, valence: found inf, expected a finite"),
        (
            lambda said: {"r1": np.array([{}])},
            "said.npz, array 'r1': not an NPZ file of plain arrays",
        ),
    ],
)
def test_a_bad_npz_file_is_named(
    change: Callable[[Arrays], Arrays],
    complaint: str,
    store: RecordingStore,
    said: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    np.savez(tmp_path / "said.npz", **change(said))
    assert score(store, tmp_path / "said.npz") == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda table: table.drop(index=62),
            "'r2': found values of shape (44, 2), expected (45, 2)",
        ),
        (lambda table: table[table["recording"] == "r2"], "1 of 2 recordings are missing: r1"),
        (
            lambda table: table.replace({"row": {59: 58}}),
            "said.csv, line 61, column 'row': 58, which is there already",
        ),
        (lambda table: table.replace({"row": {50: 77}}), "52, column 'row': 77, expected 0 to 59"),
        (
            lambda table: table.replace({"recording": {"r2": "r02"}}),
            "said.csv, line 62: found the recording 'r02', expected the 2 of report alone; "
            "the nearest name is 'r2'",
        ),
        (
            lambda table: table.assign(valence=table["valence"].where(table.index != 5)),
            "said.csv, line 7, column 'valence': nan, expected a finite number (1 such rows)",
        ),
        (
            lambda table: table.assign(liking=0.0),
            "line 1: found the columns recording, row, arousal, valence, liking, "
            "expected recording, row, valence, arousal",
        ),
        (lambda table: table.drop(columns="row"), "said.csv: no column 'row'"),
    ],
)
def test_a_bad_csv_file_is_named(
    change: Callable[[pd.DataFrame], pd.DataFrame],
    complaint: str,
    store: RecordingStore,
    said: Arrays,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(as_table(said)).to_csv(tmp_path / "said.csv", index=False)
    assert score(store, tmp_path / "said.csv") == 2
    assert complaint in capsys.readouterr().err


def test_what_cannot_be_scored_is_said(
    store: RecordingStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(store, tmp_path / "said.txt") == 2
    assert "said.txt: expected a file that ends in .csv or .npz" in capsys.readouterr().err
    nowhere = write_store(tmp_path / "store", [toy_recording()], toy_info())
    assert score(nowhere, tmp_path / "said.npz") == 2
    assert "no recording is of report, there is nothing to score" in capsys.readouterr().err
