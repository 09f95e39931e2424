"""Which columns become features: by name, by pattern, and never one that counts rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tool_tables import CHOSEN, write_openface

from iaca.base.files import DataError
from iaca.data.recordings import RecordingStore
from iaca.sources.columns import Choice
from iaca.sources.grid import Grid
from iaca.sources.importing import Columns, import_tables

ROWS = 40


def made(**more: object) -> dict[str, pd.DataFrame]:
    """Two recordings of 20 rows; ``audio_x=values`` adds a column to a table."""
    rng = np.random.default_rng(0)
    keys = {"recording": np.repeat(["a", "b"], ROWS // 2), "step": np.tile(range(ROWS // 2), 2)}
    tables = {
        "audio": pd.DataFrame({**keys, "subject": keys["recording"], "loud": rng.random(ROWS)}),
        "visual": pd.DataFrame({**keys, **{f"AU0{i}_r": rng.random(ROWS) for i in (1, 2)}}),
        "labels": pd.DataFrame({**keys, "valence": rng.random(ROWS)}),
    }
    for name, values in more.items():
        role, column = name.split("_", 1)
        tables[role][column] = values
    return tables


def load(tables: dict, out: Path, step: str | None = "step", **choice: object) -> RecordingStore:
    options = {"label_range": (-1, 1), "columns": Columns(step=step), "choice": Choice(**choice)}
    grid = Grid(missing="null")
    given = (tables[role] for role in ("audio", "visual", "labels"))
    return import_tables(*given, out, grid=grid, **options)


def features(store: RecordingStore) -> dict[str, list[str]]:
    return store.info.source["features"]


@pytest.mark.parametrize(
    ("choice", "audio", "visual"),
    [
        ({}, ["loud", "pitch", "v"], ["AU01_r", "AU02_r", "v"]),
        ({"keep": ["AU*_r"]}, ["loud", "pitch", "v"], ["AU01_r", "AU02_r"]),
        ({"keep": ["AU*_r"], "drop": ["AU02_r", "pitch"]}, ["loud", "v"], ["AU01_r"]),
        ({"keep": ["v"]}, ["v"], ["v"]),
        ({"keep": ["visual:v"], "drop": ["audio:v"]}, ["loud", "pitch"], ["v"]),
        ({"keep": ["mfcc[1]"]}, ["mfcc[1]"], ["AU01_r", "AU02_r", "v"]),
    ],
)
def test_columns_are_chosen_by_name_or_pattern(
    choice: dict, audio: list[str], visual: list[str], tmp_path: Path
):
    rng = np.random.default_rng(1)
    tables = made(audio_pitch=rng.random(ROWS), audio_v=rng.random(ROWS), visual_v=1.5)
    if "mfcc[1]" in audio:
        tables["audio"]["mfcc[1]"] = rng.random(ROWS)
    store = load(tables, tmp_path / "store", **choice)
    assert features(store) == {"audio": audio, "visual": visual}
    values = np.concatenate([store[name].visual.numpy() for name in store])
    assert np.array_equal(values, tables["visual"][visual].to_numpy(dtype=np.float32))


def test_what_fits_nothing_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"--columns AU\*_c: no such column; audio table has loud"):
        load(made(), tmp_path / "store", keep=["AU*_c"])
    with pytest.raises(DataError, match=r"--drop labels:loud: no such column"):
        load(made(), tmp_path / "store", drop=["labels:loud"])
    with pytest.raises(DataError, match=r"audio table: found .*loud, expected a column of values"):
        load(made(), tmp_path / "store", drop=["loud"])


SHUFFLED = np.random.default_rng(2).permutation(ROWS)
COUNTERS = {
    "row": np.arange(ROWS),
    "row from 1, shuffled": SHUFFLED + 1,
    "frame of the recording": np.tile(np.arange(ROWS // 2) * 3, 2),
    "seconds": np.tile(np.arange(ROWS // 2) / 30, 2).round(3),
    "frames, some left out": np.cumsum(np.where(np.arange(ROWS) % 15, 1, 7)),
}


@pytest.mark.parametrize(
    ("name", "role"),
    [*zip(COUNTERS, ["audio", "visual", "labels", "visual", "audio"], strict=True)],
)
def test_what_counts_rows_is_no_feature_unless_asked_for(name: str, role: str, tmp_path: Path):
    values = COUNTERS[name] / (100 if role == "labels" else 1)
    tables = made(**{f"{role}_n": values})
    if "shuffled" in name:
        tables[role] = tables[role].sample(frac=1, random_state=3)
    with pytest.raises(DataError, match=f"{role} table: column 'n' counts rows .* --drop 'n'"):
        load(tables, tmp_path / "store")
    assert not list(tmp_path.iterdir())
    wide = [name for name in tables[role].columns[2:] if name != "subject"]
    asked = load(tables, tmp_path / "asked", keep=[f"{role}:{each}" for each in wide])
    assert [*{**features(asked), "labels": asked.info.labels}[role]] == wide
    dropped = load(tables, tmp_path / "dropped", drop=["n"])
    assert "n" not in (*features(dropped)["audio"], *features(dropped)["visual"])


@pytest.mark.parametrize("values", [np.ones(ROWS), np.tile([1, 2, 3, 3], 10), np.sqrt(range(ROWS))])
def test_what_does_not_count_stays(values: np.ndarray, tmp_path: Path):
    assert "x" in features(load(made(audio_x=values), tmp_path / "store"))["audio"]


def test_a_column_that_pandas_wrote_as_an_index_has_no_name(tmp_path: Path):
    tables = {role: tmp_path / f"{role}.csv" for role in ("audio", "visual", "labels")}
    for role, table in made().items():
        table.iloc[::-1].to_csv(tables[role], index=role == "audio")
    with pytest.raises(DataError, match=r"audio\.csv, line 1: column 'Unnamed: 0' has no name"):
        load(tables, tmp_path / "store")
    assert features(load(tables, tmp_path / "store", drop=["Unnamed*"]))["audio"] == ["loud"]


@pytest.mark.parametrize("name", ["frame", "Timestamp", "face_id", "frameTime", "index"])
def test_what_a_tool_says_of_its_rows_is_no_feature(name: str, tmp_path: Path):
    rng = np.random.default_rng(4)
    with pytest.raises(DataError, match=f"column '{name}' is what a tool says of its rows"):
        load(made(**{f"visual_{name}": rng.random(ROWS)}), tmp_path / "store")


def test_a_row_that_a_tool_was_not_sure_of_is_missing(tmp_path: Path):
    sure = np.where(np.arange(ROWS) % 10 == 3, 0.5, 0.9)
    sure[7] = np.nan
    tables = made(visual_confidence=sure)
    tables["visual"].loc[sure == 0.5, "AU01_r"] = np.nan  # no matter what such a row holds
    store = load(tables, tmp_path / "store")
    gone = ~(sure >= 0.8)
    values = np.concatenate([store[name].visual.numpy() for name in store])
    mean = tables["visual"].loc[~gone, ["AU01_r", "AU02_r"]].mean().to_numpy()
    assert np.allclose(values[gone], mean) and not np.isclose(values[~gone], mean).all(1).any()
    assert store.info.source["missing"]["visual"] == {"held": 0, "missing": gone.sum()}
    assert features(store)["visual"] == ["AU01_r", "AU02_r"]
    assert store.info.source["left_out"]["visual"] == ["confidence"]
    with pytest.raises(DataError, match="visual: no row for training is left"):
        load(tables, tmp_path / "none", min_confidence=0.95)
    every = load(made(visual_confidence=0.1), tmp_path / "every", min_confidence=0)
    assert every.info.source["missing"]["visual"] == {"held": 0, "missing": 0}
    with pytest.raises(DataError, match="no table of features has a column 'sure'"):
        load(tables, tmp_path / "other", confidence=["sure"], drop=["confidence"])


def test_confidence_is_a_feature_where_its_name_is_asked_for(tmp_path: Path):
    tables = made(visual_confidence=np.linspace(0, 1, ROWS) ** 2)
    store = load(tables, tmp_path / "store", keep=["visual:confidence"])
    assert features(store)["visual"] == ["confidence"]
    assert store.info.source["missing"]["visual"] == {"held": 0, "missing": 0}


@pytest.mark.parametrize("between", [", ", ","])
def test_openface_has_its_features_and_its_failed_rows(between: str, tmp_path: Path):
    rng = np.random.default_rng(5)
    values = rng.normal(size=(ROWS // 2, len(CHOSEN)))
    folder = tmp_path / "faces"
    folder.mkdir()
    for name, failed in (("a", [3, 4]), ("b", [])):
        write_openface(folder / f"{name}.csv", values, failed=failed, between=between)
    (folder / "a_of_details.txt").write_text("Input:a.mp4\n")  # OpenFace leaves these beside
    tables = {role: table.drop(columns="step") for role, table in made().items()}
    tables["visual"] = folder
    store = load(tables, tmp_path / "store", step=None, formats=["openface"])
    assert features(store)["visual"] == [*CHOSEN]
    assert np.allclose(store["b"].visual, values, atol=1e-5)
    assert np.allclose(store["a"].visual[5:], values[5:], atol=1e-5)
    mean = np.concatenate([np.delete(values, [3, 4], axis=0), values]).mean(axis=0)
    assert np.allclose(store["a"].visual[3:5], mean, atol=1e-5)
    chosen = load(tables, tmp_path / "c", step=None, formats=["openface"], keep=["AU01_?"])
    assert features(chosen)["visual"] == ["AU01_r", "AU01_c"]
    file = folder / "a.csv"
    file.write_text(file.read_text().replace("\n8, 0,", "\n8, 1,"))
    with pytest.raises(DataError, match=r"a\.csv, line 9, column 'face_id': another face"):
        load(tables, tmp_path / "two", step=None, formats=["openface"])
    with pytest.raises(DataError, match=r"expected columns like gaze_angle_\?, pose_R\?, AU"):
        load({**tables, "visual": tables["audio"]}, tmp_path / "o", None, formats=["openface"])
    with pytest.raises(DataError, match="format 'openpose': expected one of opensmile, openface"):
        load(tables, tmp_path / "pose", None, formats=["openpose"])


def test_one_table_of_opensmile_names_recordings_by_path(tmp_path: Path):
    """SMILExtract that appends to one file, and the Python package's index."""
    tables = {role: table.drop(columns="step") for role, table in made().items()}
    expected = load(tables, tmp_path / "expected", step=None)
    audio = tables["audio"]
    clock = np.tile(np.arange(ROWS // 2) / 100, 2)
    spans = pd.to_timedelta(clock, unit="s")
    smile, package = tmp_path / "smile.csv", tmp_path / "package.csv"
    keys = {"name": "'C:\\clips\\" + audio["recording"] + ".wav'", "frameTime": clock}
    smile_table = pd.DataFrame({**keys, "loud": audio["loud"]})
    smile_table.to_csv(smile, sep=";", index=False)
    keys = {"file": "/clips/" + audio["recording"] + ".wav", "start": spans, "end": spans}
    pd.DataFrame({**keys, "loud": audio["loud"]}).to_csv(package, index=False)
    tables["labels"]["subject"] = audio["subject"]
    for i, file in enumerate((smile, package)):
        given = {**tables, "audio": file}
        store = load(given, tmp_path / f"{i}", step=None, formats=["opensmile"])
        assert features(store)["audio"] == ["loud"]
        for name in ("a", "b"):
            assert np.allclose(store[name].audio, expected[name].audio)
