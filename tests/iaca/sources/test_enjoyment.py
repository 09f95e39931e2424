"""The enjoyment data set, against a plain reading of its three files."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.data.splits import fold_count, make_split
from iaca.sources.enjoyment import AUDIO_FILE, RATINGS_FILE, VISUAL_FILE, prepare_enjoyment
from iaca.sources.manifest import fetch, load_manifest


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RecordingStore]:
    """One store for the module, made on first use."""
    return {}


@pytest.fixture
def files(mirror: Path) -> dict[str, Path]:
    return fetch(load_manifest("hri_enjoyment"))


@pytest.fixture
def store(files, prepared, tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    if "store" not in prepared:
        out = tmp_path_factory.mktemp("enjoyment") / "store"
        prepared["store"] = prepare_enjoyment(files, out)
    return prepared["store"]


def test_recordings_are_speakers_and_rows_are_turns(store: RecordingStore):
    rows = [entry.rows for entry in store.entries.values()]
    assert (len(store), sum(rows), min(rows), max(rows)) == (25, 590, 12, 29)
    assert sum(count < 16 for count in rows) == 2
    assert all(entry.subject == name for name, entry in store.entries.items())
    manifest = load_manifest("hri_enjoyment")
    assert store.info.audio_dim == manifest.features.audio.dim == 88
    assert store.info.visual_dim == manifest.features.visual.dim == 256
    assert store.info.labels == manifest.labels.names == ("enjoyment",)
    assert store.info.label_range == manifest.labels.range
    store.verify()


def test_labels_are_the_raters_mean(store: RecordingStore, files: dict[str, Path]):
    """Read with the csv module alone: one list of ratings for every participant and turn."""
    ratings: dict[tuple[int, int], list[int]] = {}
    with files[RATINGS_FILE].open(newline="") as file:
        for row in csv.DictReader(file):
            for turn in range(1, 30):
                if row[f"Turn {turn}"]:
                    key = (int(row["Participant"]), turn)
                    ratings.setdefault(key, []).append(int(row[f"Turn {turn}"]))
    assert {len(three) for three in ratings.values()} == {3}
    for (participant, turn), three in ratings.items():
        found = store[f"P{participant:02d}"].labels[turn - 1, 0].item()
        assert found == pytest.approx(sum(three) / 3, abs=1e-6)
    labels = np.concatenate([store[name].labels.numpy() for name in store])
    assert len(labels) == len(ratings)
    assert labels.mean() == pytest.approx(3.18, abs=0.005)
    assert labels.std() == pytest.approx(0.68, abs=0.005)


def test_features_stand_in_turn_order(store: RecordingStore, files: dict[str, Path]):
    audio = pd.read_csv(files[AUDIO_FILE], index_col="filename")
    visual = pd.read_csv(files[VISUAL_FILE], index_col=["Participant", "Turn"])
    for name in store:
        recording, number = store[name], int(name[1:])
        assert recording.end_frame.tolist() == list(range(len(recording)))
        for row in range(len(recording)):
            heard = audio.loc[f"P{number}_T{row + 1}"].to_numpy(dtype=np.float32)
            seen = visual.loc[(number, row + 1)].to_numpy(dtype=np.float32)
            assert np.array_equal(recording.audio[row].numpy(), heard)
            assert np.array_equal(recording.visual[row].numpy(), seen)


def test_every_speaker_is_held_out_once(store: RecordingStore):
    split = load_manifest("hri_enjoyment").split.model_copy(update={"folds": "leave_one_out"})
    folds = [make_split(split, store, fold) for fold in range(fold_count(split, store))]
    assert [one.report for one in folds] == [(name,) for name in store]
    assert {len(one.select) for one in folds} == {4}
    assert {len(one.train) for one in folds} == {20}


TOY = {
    AUDIO_FILE: "filename,f\nP2_T2,4\nP1_T1,1\nP2_T1,3\n",
    VISUAL_FILE: "Participant,Turn,g\n1,1,5\n2,1,6\n2,2,7\n",
    RATINGS_FILE: (
        "Coder,Participant,Overal,Turn 1,Turn 2\n"
        "A,1,3,1,\nA,2,3,2,3\nB,1,3,2,\nB,2,3,2,4\nC,1,3,3,\nC,2,3,5,5\n"
    ),
}


def toy(folder: Path, **changes: str) -> dict[str, Path]:
    paths = {}
    for name, text in {**TOY, **changes}.items():
        paths[name] = folder / name
        paths[name].parent.mkdir(exist_ok=True)
        paths[name].write_text(text)
    return paths


def test_a_toy_of_the_same_shape(tmp_path: Path):
    store = prepare_enjoyment(toy(tmp_path), tmp_path / "store")
    assert store["P01"].labels.tolist() == [[2.0]]
    assert store["P02"].labels.tolist() == [[3.0], [4.0]]
    assert store["P02"].audio.tolist() == [[3.0], [4.0]]
    assert store["P02"].visual.tolist() == [[6.0], [7.0]]


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        (AUDIO_FILE, "P1_T1", "P1-T1", r"line 3, column 'filename': 'P1-T1', expected P<part"),
        (AUDIO_FILE, "filename", "file", r"features\.csv: no column 'filename'; found file"),
        (VISUAL_FILE, "2,2,7", "2,,7", r"line 4, column 'Turn': nan, expected a whole"),
        (RATINGS_FILE, "B,2,3,2,4", "B,2,3,2,", r"participant 2, turn 2 has 2 ratings, expected 3"),
        (RATINGS_FILE, "B,2,3,2,4", "B,2,3,9,4", r"column 'enjoyment': 5\.33333, expected"),
        (VISUAL_FILE, "2,2,7\n", "", r"recording 'P02' has step 1, which visual table lacks"),
    ],
)
def test_files_of_another_shape_are_refused(
    tmp_path: Path, name: str, old: str, new: str, complaint: str
):
    files = toy(tmp_path, **{name: TOY[name].replace(old, new)})
    with pytest.raises(DataError, match=complaint):
        prepare_enjoyment(files, tmp_path / "store")


def test_a_file_not_given_is_named(tmp_path: Path):
    files = toy(tmp_path)
    del files[VISUAL_FILE]
    with pytest.raises(DataError, match=r"video_features\.csv: not among the files given"):
        prepare_enjoyment(files, tmp_path / "store")
