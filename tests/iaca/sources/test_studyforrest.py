"""The rated film, against a plain reading of its files; its runs against each other."""

import csv
import statistics
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.data.splits import fold_count, make_split
from iaca.sources import studyforrest
from iaca.sources.manifest import fetch, load_manifest
from iaca.sources.studyforrest import (
    HEARD,
    MEASURED,
    SEEN,
    STARTS,
    prepare_studyforrest,
    read_ratings,
)


@pytest.fixture(scope="module")
def prepared() -> dict[str, RecordingStore]:
    """One store for the module, made on first use."""
    return {}


@pytest.fixture
def files(mirror: Path) -> dict[str, Path]:
    return fetch(load_manifest("studyforrest"))


@pytest.fixture
def store(files, prepared, tmp_path_factory: pytest.TempPathFactory) -> RecordingStore:
    if "store" not in prepared:
        out = tmp_path_factory.mktemp("film") / "store"
        prepared["store"] = prepare_studyforrest(files, out)
    return prepared["store"]


def test_recordings_are_runs_and_rows_are_seconds(store: RecordingStore) -> None:
    assert [*store] == [f"run{run}" for run in range(1, 9)] == store.subjects()
    seconds = np.concatenate([store[name].end_frame.numpy() for name in store])
    assert np.array_equal(seconds, np.arange(7085))
    for name, start in zip(store, STARTS, strict=True):
        assert 0 <= store[name].end_frame[0] - start < 1
    manifest = load_manifest("studyforrest")
    assert store.info.audio_dim == manifest.features.audio.dim == 8
    assert store.info.visual_dim == manifest.features.visual.dim == 16
    assert store.info.labels == manifest.labels.names == ("valence", "arousal")
    assert store.info.label_range == manifest.labels.range
    assert fold_count(manifest.split, store) == 8
    assert make_split(manifest.split, store, 2).report == ("run3",)
    store.verify()


def test_labels_are_those_of_who_saw_and_heard(
    store: RecordingStore, files: dict[str, Path]
) -> None:
    with files[SEEN].open(newline="") as file:
        expected = [(float(r["valence"]), float(r["arousal"])) for r in csv.DictReader(file)]
    found = np.concatenate([store[name].labels.numpy() for name in store])
    assert np.allclose(found, np.array(expected), atol=1e-6)
    assert len(read_ratings(files[HEARD], ["narrator"])) == len(expected)


def test_features_of_a_second_are_those_of_its_rows(
    store: RecordingStore, files: dict[str, Path]
) -> None:
    for role, run, track, place in (("audio", 4, "lrdiff", 1), ("visual", 7, "norm_diff", 3)):
        row, start = 100, STARTS[run - 1]
        recording = store[f"run{run}"]
        second = int(recording.end_frame[row])
        with files[MEASURED[role].format(run)].open(newline="") as file:
            values = [
                float(line[track])
                for line in csv.DictReader(file, delimiter="\t")
                if second <= round(start + float(line["onset"]), 2) < second + 1
            ]
        assert len(values) == 25
        found = getattr(recording, role)[row, 4 * place : 4 * place + 4].tolist()
        expected = [statistics.mean(values), statistics.pstdev(values), min(values), max(values)]
        assert found == pytest.approx(expected, abs=1e-5)


def test_runs_that_overlap_show_the_same_frames(files: dict[str, Path]) -> None:
    """So the runs start where we think: one frame off, brightness would no longer agree."""
    films = []
    for run, start in enumerate(STARTS, 1):
        table = pd.read_csv(files[MEASURED["visual"].format(run)], sep="\t")
        table.index = ((table["onset"] + start) / 0.04).round().astype(int)
        films.append(table["brmean"])
    for one, other, start in zip(films, films[1:], STARTS[1:], strict=False):
        frames = round(start / 0.04) + np.arange(60, 300)  # past the fade, before the next
        apart = [(one[frames].to_numpy() - other[frames + k].to_numpy()).std() for k in (-1, 0, 1)]
        assert apart[1] < 0.25 < min(apart[0], apart[2])


RATINGS = "arousal,valence,face\n" + "\n".join(f"0.{n},-0.{n},1.00" for n in (1, 0, 9, 3, 4)) + "\n"
TOY = {
    SEEN: RATINGS,
    MEASURED["audio"].format(1): "onset\trms\tlrdiff\n0.0\t1\t0\n0.5\t3\t0\n1.0\t6\t0\n2.0\t5\t0\n",
    MEASURED["audio"].format(2): "onset\trms\tlrdiff\n0.5\t7\t0\n1.5\t9\t0\n2.5\t9\t0\n",
    MEASURED["visual"].format(1): "onset\tbrmean\tbrlr\tbrud\tphash\tnorm_diff\n"
    "0\t8\t0\t0\t8e0\t0\n1\t2\t0\t0\t8e0\t0\n2\t3\t0\t0\t8e0\t0\n",
    MEASURED["visual"].format(2): "onset\tbrmean\tbrlr\tbrud\tphash\tnorm_diff\n"
    "0.5\t4\t0\t0\t8e0\t0\n1.5\t5\t0\t0\t8e0\t0\n2.5\t6\t0\t0\t8e0\t0\n",
}


@pytest.fixture(autouse=True)
def short(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy film has two runs; the second starts within a second."""
    if "toy" in request.node.name:
        monkeypatch.setattr(studyforrest, "STARTS", (0.0, 2.5))


def toy(folder: Path, **changes: str) -> dict[str, Path]:
    paths = {}
    for name, text in {**TOY, **changes}.items():
        paths[name] = folder / name
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_text(text)
    return paths


def test_a_toy_film(tmp_path: Path) -> None:
    store = prepare_studyforrest(toy(tmp_path), tmp_path / "store")
    assert store["run1"].end_frame.tolist() == [0, 1, 2]  # second 2 begins in the first run
    assert store["run2"].end_frame.tolist() == [3, 4]  # and second 5 was not rated
    assert store["run1"].audio[:, :4].tolist() == [[2, 1, 1, 3], [6, 0, 6, 6], [5, 0, 5, 5]]
    assert store["run2"].visual[:, 0].tolist() == [4, 5]
    assert store["run2"].labels[1].tolist() == pytest.approx([-0.4, 0.4])


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        (SEEN, "valence", "pleasure", r"allchar\.csv: no column 'valence'; found arousal, pleas"),
        (SEEN, "0.3,-0.3", "0.3,-3", r"line 5, column 'valence': -3, expected -1 to 1"),
        (SEEN, "0.3,-0.3", "0.3,", r"line 5, column 'valence': nan, expected -1 to 1"),
        (MEASURED["audio"].format(1), "0.5\t3", "0.5\t", r"line 3, column 'rms': nan, expected a"),
        (MEASURED["visual"].format(1), "1\t2\t0\t0\t8e0\t0\n", "", r"has step 1, which visual t"),
        (MEASURED["visual"].format(2), "norm_diff", "diff", r"run-2_events\.tsv: no column 'norm"),
    ],
)
def test_toy_files_of_another_shape_are_refused(
    tmp_path: Path, name: str, old: str, new: str, complaint: str
) -> None:
    files = toy(tmp_path, **{name: TOY[name].replace(old, new)})
    with pytest.raises(DataError, match=complaint):
        prepare_studyforrest(files, tmp_path / "store")


def test_a_toy_file_not_given_is_named(tmp_path: Path) -> None:
    files = toy(tmp_path)
    del files[MEASURED["visual"].format(2)]
    with pytest.raises(DataError, match=r"conf_visual_run-2_events\.tsv: not among the files"):
        prepare_studyforrest(files, tmp_path / "store")
