"""Importing: what is joined to what, and every way in which a table can be wrong."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from iaca.base.files import DataError
from iaca.sources.importing import import_tables

AUDIO = """recording,subject,step,a1,a2
b,s2,4,1.5,2
a,s1,0,10,20
b,s2,2,3,4e0
a,s1,1,-11,21
"""
VISUAL = """step,recording,v1
0,a,100
1,a,101
2,b,202
4,b,204
"""
LABELS = """recording,step,valence,arousal
a,1,0.5,-0.5
a,0,,1
b,4,-1,nan
b,2,0.25,-5
"""


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    return write(tmp_path, audio=AUDIO, visual=VISUAL, labels=LABELS)


def write(folder: Path, **texts: str) -> dict[str, Path]:
    paths = {}
    for role, text in texts.items():
        paths[role] = folder / f"{role}.csv"
        paths[role].write_text(text, encoding="utf-8")
    return paths


def load(tables: dict[str, Path], out: Path, **options):
    options = {"label_range": (-1, 1), "step_column": "step", "invalid": -5.0, **options}
    return import_tables(*(tables[role] for role in ("audio", "visual", "labels")), out, **options)


def same(found: torch.Tensor, expected: list) -> bool:
    wanted = torch.tensor(expected, dtype=torch.float32)
    return found.shape == wanted.shape and torch.equal(found.nan_to_num(99), wanted.nan_to_num(99))


def test_tables_are_joined_on_recording_and_step(tables: dict[str, Path], tmp_path: Path):
    store = load(tables, tmp_path / "store", frame_rate=25.0)
    nan = float("nan")
    a, b = store["a"], store["b"]
    assert (a.subject, b.subject, a.frame_rate) == ("s1", "s2", 25.0)
    assert same(a.audio, [[10, 20], [-11, 21]])
    assert same(b.audio, [[3, 4], [1.5, 2]])
    assert same(a.visual, [[100], [101]])
    assert same(b.visual, [[202], [204]])
    assert same(a.labels, [[nan, 1], [0.5, -0.5]])
    assert same(b.labels, [[0.25, nan], [-1, nan]])
    assert a.end_frame.tolist() == [0, 1]
    assert b.end_frame.tolist() == [2, 4]
    assert store.info.labels == ("valence", "arousal")
    assert a.audio.dtype == torch.float32
    store.verify()


def test_without_a_step_column_the_order_of_rows_counts(tmp_path: Path):
    tables = write(
        tmp_path,
        audio="recording,a\nx,1\ny,2\nx,3\n",
        visual="recording,v\ny,4\nx,5\nx,6\n",
        labels="recording,subject,l\nx,p,0\nx,p,1\ny,q,0.5\n",
    )
    store = load(tables, tmp_path / "store", step_column=None)
    assert same(store["x"].audio, [[1], [3]])
    assert same(store["x"].visual, [[5], [6]])
    assert same(store["x"].labels, [[0], [1]])
    assert store["x"].end_frame.tolist() == [0, 1]
    assert store["y"].subject == "q"


def test_npz_and_frames_give_the_same_store_as_csv(tables: dict[str, Path], tmp_path: Path):
    frames = {role: pd.read_csv(path) for role, path in tables.items()}
    audio = frames["audio"]
    np.savez(
        tmp_path / "audio.npz",
        recording=audio["recording"].to_numpy(dtype=str),
        subject=audio["subject"].to_numpy(dtype=str),
        step=audio["step"].to_numpy(),
        features=audio[["a1", "a2"]].to_numpy(dtype=np.float32),
    )
    from_csv = load(tables, tmp_path / "csv")
    from_npz = load({**tables, "audio": tmp_path / "audio.npz"}, tmp_path / "npz")
    from_frames = load(frames, tmp_path / "frames")
    for name in from_csv:
        for key, tensor in from_csv[name].tensors().items():
            for other in (from_npz, from_frames):
                assert torch.equal(other[name].tensors()[key].nan_to_num(99), tensor.nan_to_num(99))


def test_names_that_look_like_numbers_or_like_nothing_stay_names(tmp_path: Path):
    tables = write(
        tmp_path,
        audio="recording,subject,a\n007,NA,1\nnan,1e3,2\n",
        visual="recording,v\n007,1\nnan,2\n",
        labels="recording,l\n007,0\nnan,0\n",
    )
    store = load(tables, tmp_path / "store", step_column=None)
    assert list(store) == ["007", "nan"]
    assert [store[name].subject for name in store] == ["NA", "1e3"]


def test_roles_come_from_a_column(tables: dict[str, Path], tmp_path: Path):
    labels = LABELS.splitlines()
    roles = ["role", "train", "train", "report", "report"]
    text = "\n".join(f"{line},{role}" for line, role in zip(labels, roles, strict=True))
    tables["labels"].write_text(text)
    store = load(tables, tmp_path / "store", split_column="role")
    assert [store[name].split for name in store] == ["train", "report"]
    tables["labels"].write_text(text.replace("report", "test"))
    with pytest.raises(DataError, match="recording 'b': role 'test', expected one of"):
        load(tables, tmp_path / "other", split_column="role")


def test_values_too_large_for_half_precision_are_kept(tables: dict[str, Path], tmp_path: Path):
    tables["visual"].write_text(VISUAL.replace("204", "1e30"))
    assert load(tables, tmp_path / "single")["b"].visual[1].item() == pytest.approx(1e30)
    with pytest.raises(DataError, match=r"recording 'b', row 1: visual overflows torch.float16"):
        load(tables, tmp_path / "half", dtype=torch.float16)
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize(
    ("role", "old", "new", "complaint"),
    [
        ("audio", "4e0", "four", r"audio\.csv, line 4, column 'a2': 'four' is not a number"),
        ("audio", "4e0", "1_0", r"audio\.csv, line 4, column 'a2': '1_0' is not a number"),
        ("visual", "101", "True", r"visual\.csv, line 3, column 'v1': 'True' is not a number"),
        ("labels", "0.25", "?", r"labels\.csv, line 5, column 'valence': '\?' is not a number"),
        ("audio", ",21", ",", r"audio\.csv, line 5, column 'a2' \(row 2 of recording 'a'\): nan"),
        ("audio", ",21", ",inf", r"audio\.csv, line 5, column 'a2' .*: inf, expected a finite"),
        ("visual", "202", "1e39", r"visual\.csv, line 4, column 'v1' .*: 1e\+39, expected"),
        (
            "visual",
            "4,b,204\n",
            "",
            r"audio\.csv, line 2: recording 'b' has step 4, which .*visual",
        ),
        ("audio", "b,s2,4,1.5,2\n", "", r"visual\.csv, line 5: recording 'b' has step 4, which"),
        ("labels", "a,1", "c,1", r"audio\.csv, line 5: recording 'a' has step 1, which .*labels"),
        ("visual", "4,b,204", "2,b,204", r"visual\.csv, line 5: recording 'b' has step 2 already"),
        ("audio", "s1,1", "s3,1", r"audio\.csv, line 5: recording 'a' has subject 's3', but 's1'"),
        ("audio", "s1,1", ",1", r"audio\.csv, line 5, column 'subject': subject ''"),
        ("audio", "a,s1,1", "../a,s1,1", r"audio\.csv, line 5, .*: recording '\.\./a': expected"),
        ("audio", "a,s1,1", ",s1,1", r"audio\.csv, line 5, column 'recording': recording ''"),
        ("audio", "s1,1", "s1,1.5", r"audio\.csv, line 5, column 'step': 1\.5, expected a whole"),
        ("audio", "s1,1", "s1,-1", r"audio\.csv, line 5, column 'step': -1, expected a whole"),
        ("labels", "0.25", "1.25", r"labels\.csv, line 5, column 'valence': label 1\.25, expected"),
        ("labels", "0.25", "inf", r"labels\.csv, line 5, column 'valence': label inf"),
        ("visual", "step,", "when,", r"visual\.csv: no column 'step'; found when, recording, v1"),
        ("visual", "recording,", "name,", r"visual\.csv: no column 'recording'; found step, name"),
        ("audio", "subject", "who", r"audio\.csv, line 2, column 'who': 's2' is not a number"),
        ("audio", "a2", "a1", r"audio\.csv, line 1: column 'a1' is given twice"),
        ("audio", "4e0", "4,9", r"audio\.csv: not a CSV table .*line 4"),
        (
            "audio",
            "\na,s1,0",
            "\n\na,s1,0",
            r"audio\.csv, line 3, column 'recording': recording ''",
        ),
        ("labels", ",valence,arousal", "", r"labels\.csv, line 2: more cells than the 2 columns"),
    ],
)
def test_a_wrong_table_names_file_line_and_column(
    tables: dict[str, Path], tmp_path: Path, role: str, old: str, new: str, complaint: str
):
    text = tables[role].read_text()
    assert text.count(old) >= 1
    tables[role].write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=complaint):
        load(tables, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_lengths_that_differ_are_refused(tmp_path: Path):
    tables = write(
        tmp_path,
        audio="recording,subject,a\nx,p,1\nx,p,2\n",
        visual="recording,v\nx,1\n",
        labels="recording,l\nx,0\nx,0\n",
    )
    complaint = r"recording 'x': lengths differ, 2 rows in .*audio\.csv, 1 in .*visual\.csv"
    with pytest.raises(DataError, match=complaint):
        load(tables, tmp_path / "store", step_column=None)


def test_a_missing_subject_column_lists_what_there_is(tmp_path: Path):
    tables = write(
        tmp_path,
        audio="recording,a\nx,1\n",
        visual="recording,v\nx,1\n",
        labels="recording,l\nx,0\n",
    )
    complaint = r"no table has a column 'subject': .*audio\.csv has recording, a; .*visual\.csv has"
    with pytest.raises(DataError, match=complaint):
        load(tables, tmp_path / "store", step_column=None)


def test_one_cell_too_many_in_every_row_is_not_taken_for_an_index(tmp_path: Path):
    tables = write(
        tmp_path,
        audio="recording,subject,a\nx,p,1,5\n",
        visual="recording,v\nx,1\n",
        labels="recording,l\nx,0\n",
    )
    with pytest.raises(DataError, match=r"audio\.csv, line 2: more cells than the 3 columns"):
        load(tables, tmp_path / "store", step_column=None)


def test_files_that_are_no_tables_are_refused(tables: dict[str, Path], tmp_path: Path):
    def attempt(path: Path) -> None:
        load({**tables, "audio": path}, tmp_path / "store")

    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        attempt(tmp_path / "absent.csv")
    with pytest.raises(
        DataError, match=r"audio\.xlsx: expected a file that ends in \.csv or \.npz"
    ):
        attempt(tmp_path / "audio.xlsx")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"empty\.csv: not a CSV table"):
        attempt(tmp_path / "empty.csv")
    (tmp_path / "header.csv").write_text("recording,subject,step,a\n")
    with pytest.raises(DataError, match=r"header\.csv: no rows"):
        attempt(tmp_path / "header.csv")
    (tmp_path / "latin.csv").write_bytes("recording,subject,step,é\na,s,0,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"latin\.csv: cannot be read"):
        attempt(tmp_path / "latin.csv")


def test_bad_npz_files_are_refused_and_never_unpickled(tables: dict[str, Path], tmp_path: Path):
    def attempt(name: str, complaint: str) -> None:
        with pytest.raises(DataError, match=complaint):
            load({**tables, "audio": tmp_path / name}, tmp_path / "store")

    (tmp_path / "pickled.npz").write_bytes(pickle.dumps({"a": 1}))
    attempt("pickled.npz", r"pickled\.npz: not an NPZ file of plain arrays")
    np.savez(tmp_path / "objects.npz", recording=np.array(["a", None], dtype=object))
    attempt("objects.npz", r"objects\.npz: not an NPZ file of plain arrays .*[Oo]bject")
    good = {"recording": np.array(["a", "a"]), "subject": np.array(["s", "s"])}
    np.savez(tmp_path / "lengths.npz", **good, step=np.arange(2), f=np.zeros((3, 2)))
    attempt("lengths.npz", r"lengths\.npz: arrays of different lengths, .*'f': 3")
    np.savez(tmp_path / "cube.npz", **good, step=np.arange(2), f=np.zeros((2, 2, 2)))
    attempt("cube.npz", r"array 'f' has 3 dimensions")
    values = np.array([[1.0, 2.0], [3.0, np.nan]])
    np.savez(tmp_path / "nan.npz", **good, step=np.arange(2), f=values)
    attempt("nan.npz", r"nan\.npz, row 2, column 'f\.1' \(row 2 of recording 'a'\): nan")
    np.savez_compressed(tmp_path / "cut.npz", **good, step=np.arange(2), f=values)
    whole = (tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    attempt("cut.npz", r"cut\.npz: not an NPZ file")


def test_a_store_is_not_overwritten(tables: dict[str, Path], tmp_path: Path):
    load(tables, tmp_path / "store")
    with pytest.raises(DataError, match="exists already"):
        load(tables, tmp_path / "store")
