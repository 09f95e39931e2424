"""The enjoyment data set (Pereira et al., ICMI 2024) as a store: its files, tidied and imported.

The files come in three shapes: audio rows keyed ``P28_T6``, face rows keyed by participant and
turn, and ratings as a wide table with a row for each rater and participant, a column a turn.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from iaca.base.files import DataError, sha256_of
from iaca.data.recordings import RecordingStore
from iaca.sources.importing import import_tables

AUDIO_FILE = "Opensmile_features.csv"
VISUAL_FILE = "video_features.csv"
RATINGS_FILE = "Evaluation/Enjoyment dataset.csv"
RATERS = 3
LABEL_RANGE = (1.0, 5.0)


class EnjoymentTables(NamedTuple):
    """The three tables, one row a turn, each with the columns ``recording`` and ``step``.

    ``audio`` has 88 features, ``visual`` 256, ``labels`` the column ``enjoyment`` and ``subject``.
    Steps count a speaker's turns from 0.
    """

    audio: pd.DataFrame
    visual: pd.DataFrame
    labels: pd.DataFrame


def prepare_enjoyment(files: Mapping[str, Path], out: Path | str) -> RecordingStore:
    """Write the data set as a store: 25 recordings, a speaker each, 590 turns as rows.

    Args:
        files: what `iaca.sources.manifest.fetch` returns, paths by their name in the manifest.
        out: where the store goes; must not exist.

    Raises:
        DataError: a file that is not of the shape described above.
    """
    tables = tidy(files)
    sources = {name: sha256_of(files[name]) for name in (AUDIO_FILE, VISUAL_FILE, RATINGS_FILE)}
    return import_tables(
        *tables,
        out,
        label_range=LABEL_RANGE,
        step_column="step",
        source={"data set": "hri_enjoyment", "sha256": sources},
    )


def tidy(files: Mapping[str, Path]) -> EnjoymentTables:
    """Bring the three files into the import's format.

    Raises:
        DataError: naming the file and the row, column or key that is not as described above.
    """
    return EnjoymentTables(
        _audio(_read(files, AUDIO_FILE), files[AUDIO_FILE]),
        _visual(_read(files, VISUAL_FILE), files[VISUAL_FILE]),
        _labels(_read(files, RATINGS_FILE), files[RATINGS_FILE]),
    )


def _read(files: Mapping[str, Path], name: str) -> pd.DataFrame:
    if name not in files:
        raise DataError(f"{name}: not among the files given, {sorted(files)}")
    try:
        return pd.read_csv(files[name])
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"{files[name]}: not a CSV table that can be read ({error})") from error


def _require_columns(frame: pd.DataFrame, names: list[str], file: Path) -> None:
    for name in names:
        if name not in frame.columns:
            found = ", ".join(map(str, frame.columns[:5]))
            raise DataError(f"{file}, line 1: no column {name!r}; found {found}, ...")


def _keyed(features: pd.DataFrame, participant: pd.Series, turn: pd.Series) -> pd.DataFrame:
    keys = pd.DataFrame(
        {
            "recording": participant.astype(int).map("P{:02d}".format),
            "step": turn.astype(int) - 1,
        }
    )
    return pd.concat([keys, features], axis=1)


def _audio(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    _require_columns(frame, ["filename"], file)
    keys = frame["filename"].astype(str).str.extract(r"^P(\d+)_T(\d+)$")
    bad = keys.isna().any(axis=1)
    if bad.any():
        row = int(bad.to_numpy().argmax())
        raise DataError(
            f"{file}, line {row + 2}, column 'filename': {frame['filename'].iloc[row]!r}, "
            "expected P<participant>_T<turn>"
        )
    return _keyed(frame.drop(columns="filename"), keys[0], keys[1])


def _visual(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    _require_columns(frame, ["Participant", "Turn"], file)
    _require_integers(frame, ["Participant", "Turn"], file)
    features = frame.drop(columns=["Participant", "Turn"])
    return _keyed(features, frame["Participant"], frame["Turn"])


def _labels(frame: pd.DataFrame, file: Path) -> pd.DataFrame:
    _require_columns(frame, ["Coder", "Participant", "Turn 1"], file)
    _require_integers(frame, ["Participant"], file)
    turns = [name for name in frame.columns if name.startswith("Turn ")]
    rated = frame.melt(["Coder", "Participant"], turns, "turn", "rating").dropna(subset="rating")
    rated["turn"] = rated["turn"].str.removeprefix("Turn ").astype(int)
    means = rated.groupby(["Participant", "turn"])["rating"].agg(["mean", "size"]).reset_index()
    partly = means[means["size"] != RATERS]
    if len(partly):
        participant, turn, _, count = partly.iloc[0]
        raise DataError(
            f"{file}: participant {participant:g}, turn {turn:g} has {count:g} ratings, "
            f"expected {RATERS}"
        )
    tidied = _keyed(means[["mean"]], means["Participant"], means["turn"])
    return tidied.rename(columns={"mean": "enjoyment"}).assign(subject=tidied["recording"])


def _require_integers(frame: pd.DataFrame, names: list[str], file: Path) -> None:
    for name in names:
        if not pd.api.types.is_integer_dtype(frame[name]):
            raise DataError(f"{file}, column {name!r}: expected whole numbers in every row")
