"""The enjoyment data set (Pereira et al., ICMI 2024) as a store: its files, tidied and imported.

The files come in three shapes: audio rows keyed ``P28_T6``, face rows keyed by participant and
turn, and ratings as a wide table with a row for each rater and participant, a column a turn.
"""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from iaca.base.files import DataError, sha256_of
from iaca.data.recordings import RecordingStore
from iaca.sources.importing import Columns, import_tables
from iaca.sources.tables import read_table

AUDIO_FILE = "Opensmile_features.csv"
VISUAL_FILE = "video_features.csv"
RATINGS_FILE = "Evaluation/Enjoyment dataset.csv"
RATERS = 3
LABEL_RANGE = (1.0, 5.0)


def prepare_enjoyment(files: Mapping[str, Path], out: Path | str) -> RecordingStore:
    """Write the data set as a store: 25 recordings, a speaker each, 590 turns as rows.

    Rows have 88 audio and 256 visual features, and the raters' mean as the label ``enjoyment``.

    Args:
        files: what `iaca.sources.manifest.fetch` returns, paths by their name in the manifest.
        out: where the store goes; must not exist.

    Raises:
        DataError: naming the file and the row, column or key that is not as described above.
    """
    tables, sums = [], {}
    for name, read in ((AUDIO_FILE, _audio), (VISUAL_FILE, _visual), (RATINGS_FILE, _labels)):
        if name not in files:
            raise DataError(f"{name}: not among the files given, {sorted(files)}")
        tables.append(read(files[name]))
        sums[name] = sha256_of(files[name])
    source = {"data set": "hri_enjoyment", "sha256": sums}
    audio, visual, labels = tables
    columns = Columns(step="step")
    return import_tables(
        audio, visual, labels, out, label_range=LABEL_RANGE, columns=columns, source=source
    )


def _keyed(features: pd.DataFrame, participant: pd.Series, turn: pd.Series) -> pd.DataFrame:
    """Name recordings by their speaker, and count a speaker's turns from 0."""
    recording = participant.astype(int).map("P{:02d}".format)
    keys = pd.DataFrame({"recording": recording, "step": turn.astype(int) - 1})
    return pd.concat([keys, features], axis=1)


def _audio(file: Path) -> pd.DataFrame:
    table = read_table(file, "audio", (), ["filename"])
    names = table.frame["filename"].astype(str)
    keys = names.str.extract(r"^P(\d+)_T(\d+)$")
    bad = keys.isna().any(axis=1)
    if bad.any():
        row = int(bad.to_numpy().argmax())
        what = f"{names.iloc[row]!r}, expected P<participant>_T<turn>"
        raise table.error(row, "filename", what)
    return _keyed(table.frame[table.names], keys[0], keys[1])


def _visual(file: Path) -> pd.DataFrame:
    table = read_table(file, "visual", (), ["Participant", "Turn"])
    keys = (pd.Series(table.whole_numbers(name)) for name in ("Participant", "Turn"))
    return _keyed(table.frame[table.names], *keys)


def _labels(file: Path) -> pd.DataFrame:
    table = read_table(file, "labels", (), ["Coder", "Participant", "Turn 1"])
    frame = table.frame.assign(Participant=table.whole_numbers("Participant"))
    turns = [name for name in frame.columns if name.startswith("Turn ")]
    rated = frame.melt(["Participant"], turns, "turn", "rating").dropna(subset="rating")
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
