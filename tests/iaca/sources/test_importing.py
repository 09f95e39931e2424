"""Importing: what is joined to what, and every way in which a table can be wrong."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from iaca.base.files import DataError
from iaca.sources.importing import Columns, import_tables

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


def write(folder: Path, audio: str, visual: str, labels: str) -> dict[str, Path]:
    paths = {}
    for role, text in {"audio": audio, "visual": visual, "labels": labels}.items():
        paths[role] = folder / f"{role}.csv"
        paths[role].write_text(text, encoding="utf-8")
    return paths


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, Path]:
    return write(tmp_path, AUDIO, VISUAL, LABELS)


def load(tables: dict[str, Path], out: Path, **options):
    columns = Columns(step=options.pop("step", "step"), split=options.pop("split", None))
    options = {"label_range": (-1, 1), "columns": columns, "invalid": -5.0, **options}
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
    store.verify()
    with pytest.raises(DataError, match="exists already"):
        load(tables, tmp_path / "store")


def test_without_a_step_column_the_order_of_rows_counts(tmp_path: Path):
    audio = "recording,a\nx,1\ny,2\nx,3\n"
    labels = "recording,subject,l\nx,p,0\nx,p,1\ny,q,0.5\n"
    tables = write(tmp_path, audio, "recording,v\ny,4\nx,5\nx,6\n", labels)
    store = load(tables, tmp_path / "store", step=None)
    assert same(store["x"].audio, [[1], [3]])
    assert same(store["x"].visual, [[5], [6]])
    assert same(store["x"].labels, [[0], [1]])
    assert store["x"].end_frame.tolist() == [0, 1]
    assert store["y"].subject == "q"
    tables["visual"].write_text("recording,v\ny,4\nx,5\n")
    with pytest.raises(DataError, match=r"audio\.csv, line 4: recording 'x' .*visual\.csv lacks"):
        load(tables, tmp_path / "short", step=None)


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
    audio = "recording,subject,a\n007,NA,1\nnan,1e3,2\n"
    tables = write(tmp_path, audio, "recording,v\n007,1\nnan,2\n", "recording,l\n007,0\nnan,0\n")
    store = load(tables, tmp_path / "store", step=None)
    assert {name: store[name].subject for name in store} == {"007": "NA", "nan": "1e3"}


def test_roles_come_from_a_column(tables: dict[str, Path], tmp_path: Path):
    roles = ["role", "train", "train", "report", "report"]
    lines = zip(LABELS.splitlines(), roles, strict=True)
    text = "\n".join(f"{line},{role}" for line, role in lines)
    tables["labels"].write_text(text)
    store = load(tables, tmp_path / "store", split="role")
    assert [store[name].split for name in store] == ["train", "report"]
    tables["labels"].write_text(text.replace("report", "test"))
    with pytest.raises(DataError, match="recording 'b': role 'test': expected one of"):
        load(tables, tmp_path / "other", split="role")


def test_values_too_large_for_half_precision_are_kept(tables: dict[str, Path], tmp_path: Path):
    tables["visual"].write_text(VISUAL.replace("204", "1e30"))
    assert load(tables, tmp_path / "store")["b"].visual[1].item() == pytest.approx(1e30)


@pytest.mark.parametrize(
    ("role", "old", "new", "complaint"),
    [
        ("audio", "4e0", "four", r"audio\.csv, line 4, column 'a2': 'four' is not a number"),
        ("audio", "4e0", "1_0", r"audio\.csv, line 4, column 'a2': '1_0' is not a number"),
        ("visual", "101", "True", r"visual\.csv, line 3, column 'v1': 'True' is not a number"),
        ("audio", ",21", ",", r"audio\.csv, line 5, column 'a2': nan, expected a finite"),
        ("audio", ",21", ",inf", r"audio\.csv, line 5, column 'a2': inf, expected a finite"),
        ("visual", "202", "1e39", r"visual\.csv, line 4, column 'v1': 1e\+39, expected"),
        ("visual", "4,b,204\n", "", r"audio\.csv, line 2: recording 'b' has step 4, .*visual"),
        ("audio", "b,s2,4,1.5,2\n", "", r"visual\.csv, line 5: recording 'b' has step 4, which"),
        ("labels", "a,1", "c,1", r"audio\.csv, line 5: recording 'a' has step 1, which .*labels"),
        ("visual", "4,b,204", "2,b,204", r"line 5: recording 'b' has step 2 already .*line 4\)"),
        ("audio", "s1,1", "s3,1", r"audio\.csv, line 5: recording 'a' has subject 's3', but 's1'"),
        ("audio", "s1,1", ",1", r"audio\.csv, line 5, column 'subject': '': expected"),
        ("audio", "a,s1,1", "../a,s1,1", r"audio\.csv, line 5, .*: '\.\./a': expected"),
        ("audio", "s1,1", "s1,1.5", r"audio\.csv, line 5, column 'step': 1\.5, expected a whole"),
        ("audio", "s1,1", "s1,-1", r"audio\.csv, line 5, column 'step': -1, expected a whole"),
        ("labels", "0.25", "1.25", r"labels\.csv, line 5, column 'valence': 1\.25, expected"),
        ("visual", "step,", "when,", r"visual\.csv: no column 'step'; found when, recording, v1"),
        ("audio", "subject", "who", r"audio\.csv, line 2, column 'who': 's2' is not a number"),
        ("audio", "a2", "a1", r"audio\.csv, line 1: column 'a1' is given twice"),
        ("audio", "4e0", "4,9", r"audio\.csv, line 4: 6 cells, expected 5 \(divided by ','\)"),
        ("audio", "\na,s1,0", "\n\na,s1,0", r"audio\.csv, line 3: 0 cells, expected 5"),
        ("labels", "a,1,0.5,-0.5", "a,1,0.5", r"labels\.csv, line 2: 3 cells, expected 4"),
        ("audio", "a,s1,0,10,20", 'a,s1,0,"10,20', r"audio\.csv, line 3: a quote that"),
        ("visual", "step,recording", "step,,recording", r"line 2: 3 cells, expected 4"),
        ("labels", ",valence,arousal", "", r"labels\.csv, line 2: 4 cells, expected 2"),
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


def test_a_missing_subject_column_lists_what_there_is(tmp_path: Path):
    tables = write(tmp_path, "recording,a\nx,1\n", "recording,v\nx,1\n", "recording,l\nx,0\n")
    complaint = r"no table has a column 'subject': .*audio\.csv has recording, a; .*visual\.csv has"
    with pytest.raises(DataError, match=complaint):
        load(tables, tmp_path / "store", step=None)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("absent.csv", None, "cannot be read"),
        ("audio.xlsx", b"", r"expected a file that ends in \.csv, "),
        ("empty.csv", b"", "not a CSV table"),
        ("header.csv", b"recording,subject,step,a\n", "no rows"),
        ("latin.csv", b"recording,subject,step,\xe9\na,s,0,1\n", "cannot be read"),
        ("pickled.npz", pickle.dumps({"a": 1}), "not an NPZ file of plain arrays"),
    ],
)
def test_files_that_are_no_tables_are_refused(
    tables: dict[str, Path], tmp_path: Path, name: str, content: bytes | None, complaint: str
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: {complaint}"):
        load({**tables, "audio": tmp_path / name}, tmp_path / "store")


def test_bad_npz_files_are_refused_and_never_unpickled(tables: dict[str, Path], tmp_path: Path):
    file = tmp_path / "bad.npz"
    good = {"recording": np.array(["a", "a"]), "subject": np.array(["s", "s"]), "step": [0, 1]}

    def attempt(complaint: str, **arrays: object) -> None:
        if arrays:
            np.savez_compressed(file, **{**good, **arrays})
        with pytest.raises(DataError, match=rf"bad\.npz{complaint}"):
            load({**tables, "audio": file}, tmp_path / "store")

    attempt(
        ", array 'f': not an NPZ file of plain arrays .*[Oo]bject",
        f=np.array(["a", None], dtype=object),
    )
    attempt(": arrays of different lengths, .*'f': 3", f=np.zeros((3, 2)))
    attempt(": array 'f' has 3 dimensions", f=np.zeros((2, 2, 2)))
    attempt(r", row 1, array 'f': .*True.* is not a number", f=np.array([True, False]))
    attempt(r", row 2, array 'f', column 1: nan, expected", f=np.array([[1.0, 2.0], [3.0, np.nan]]))
    file.write_bytes(file.read_bytes()[:-300])
    attempt(": not an NPZ file")
    with file.open("wb") as lone:
        np.save(lone, np.zeros(3))
    attempt(": not an NPZ file")


@pytest.mark.parametrize(
    ("mark", "suffix"), [(";", "csv"), ("\t", "tsv"), ("|", "csv"), (", ", "csv")]
)
def test_delimiter_and_spaces_are_found(
    tables: dict[str, Path], tmp_path: Path, mark: str, suffix: str
):
    expected = load(tables, tmp_path / "comma")
    for role, file in tables.items():
        tables[role] = file.with_suffix(f".{suffix}")
        text = file.read_text().replace(",", mark)
        tables[role].write_text("\ufeff" + text.replace("\n", "\r\n") + "\r\n")  # of Windows
    store = load(tables, tmp_path / "store")
    assert store.info.labels == ("valence", "arousal")
    for name, recording in expected.items():
        for key, tensor in recording.tensors().items():
            assert torch.equal(store[name].tensors()[key].nan_to_num(99), tensor.nan_to_num(99))


def test_a_folder_has_a_file_a_recording(tables: dict[str, Path], tmp_path: Path):
    expected = load(tables, tmp_path / "expected")
    folder = tmp_path / "visual"
    folder.mkdir()
    visual = pd.read_csv(tables["visual"])
    own = {name: part.drop(columns="recording") for name, part in visual.groupby("recording")}
    own["a"].to_csv(folder / "a.csv", index=False)
    np.savez(folder / "b.npz", **{name: cells.to_numpy() for name, cells in own["b"].items()})
    (folder / "a.hog").write_bytes(b"of another kind")
    store = load({**tables, "visual": folder}, tmp_path / "store")
    assert all(torch.equal(store[name].visual, expected[name].visual) for name in expected)

    def refused(complaint: str) -> None:
        with pytest.raises(DataError, match=complaint):
            load({**tables, "visual": folder}, tmp_path / "bad")

    own["a"].assign(v1=["x", "1"]).to_csv(folder / "a.csv", index=False)
    refused(r"a\.csv, line 2, column 'v1': 'x' is not a number")
    own["a"].to_csv(folder / "a.csv", index=False)
    np.savez(folder / "b.npz", step=np.array([2, 4]), v1=np.array([1.0, np.nan]))
    refused(r"b\.npz, row 2, array 'v1': nan, expected a finite float32")
    np.savez(folder / "b.npz", step=np.array([2, 4]), v2=np.ones(2))
    refused(r"b\.npz: no column 'v1', which .*a\.csv has")
    np.savez(folder / "a.npz", step=np.array([2, 4]), v1=np.ones(2))
    refused(r"a\.npz: recording 'a' has a file already, .*a\.csv")
    for file in folder.iterdir():
        file.unlink()
    refused(r"visual: no file in it ends in \.csv, \.tsv, \.npz")


def test_people_may_stand_in_a_table_of_their_own(tables: dict[str, Path], tmp_path: Path):
    tables["audio"].write_text(
        AUDIO.replace("subject", "note").replace("s2", "2").replace("s1", "1")
    )
    people = tmp_path / "people.csv"
    people.write_text("recording,subject,role\na,ann,train\nb,ben,report\n")
    store = load(tables, tmp_path / "store", people=people, split="role")
    assert {e.subject: e.split for e in store.entries.values()} == {"ann": "train", "ben": "report"}
    people.write_text("recording,subject\na,ann\n")
    with pytest.raises(DataError, match=r"people\.csv: recording 'b' has no subject"):
        load(tables, tmp_path / "other", people=people)


def test_arrays_whose_columns_would_have_one_name_are_refused(
    tables: dict[str, Path], tmp_path: Path
):
    keys = {"recording": np.array(["a", "a", "b", "b"]), "step": np.array([0, 1, 2, 4])}
    file = tmp_path / "audio.npz"
    np.savez(file, f=np.ones((4, 2)), **{"f.1": np.ones(4)}, **keys)
    with pytest.raises(DataError, match=r"array 'f\.1' and array 'f', column 1 would both be"):
        load({**tables, "audio": file}, tmp_path / "store")
