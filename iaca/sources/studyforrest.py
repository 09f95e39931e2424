"""One film, rated every second, with and without its picture (studyforrest), as a store.

Raters of *Forrest Gump* named what its characters feel and what told them. Ratings are shares of
raters, a row a second of the film. What was measured of sound and picture comes in the eight runs
in which the film was shown, a row every 40 ms from the run's start. Runs overlap.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from iaca.base.files import DataError, sha256_of
from iaca.data.recordings import RecordingStore
from iaca.sources.grid import Grid
from iaca.sources.importing import Columns, import_tables
from iaca.sources.tables import read_table

SEEN = "old/emotions/audio-visual/timeseries/ioats_1s_av_allchar.csv"
HEARD = "old/emotions/audio-only/timeseries/ioats_1s_ao_allchar.csv"
MEASURED = {
    "audio": "segments/avmovie/conf_audio_run-{}_events.tsv",
    "visual": "segments/avmovie/conf_visual_run-{}_events.tsv",
}
TRACKS = {"audio": ("rms", "lrdiff"), "visual": ("brmean", "brlr", "brud", "norm_diff")}
STATISTICS = ("mean", "std", "min", "max")  # of a track, over the rows of a second
STARTS = (0.0, 886.0, 1752.08, 2612.16, 3572.2, 4480.28, 5342.36, 6410.44)  # seconds of the film
TARGETS = ("valence", "arousal")
LABEL_RANGE = (-1.0, 1.0)


def prepare_studyforrest(files: Mapping[str, Path], out: Path | str) -> RecordingStore:
    """Write the film as a store: a recording a run, which is its own subject, and a row a second.

    Rows have 8 audio and 16 visual features, which are `STATISTICS` of each of `TRACKS`; the labels
    are of those who saw and heard. ``end_frame`` is the second of the film. The null vectors are
    zero, which silence and black have.

    Args:
        files: what `iaca.sources.manifest.fetch` returns, paths by their name in the manifest.
        out: where the store goes; must not exist.

    Raises:
        DataError: naming the file and the row, column or key that is not as described above.
    """
    runs = range(1, len(STARTS) + 1)
    wanted = [SEEN, *(name.format(run) for name in MEASURED.values() for run in runs)]
    for name in wanted:
        if name not in files:
            raise DataError(f"{name}: not among the files given, {sorted(files)}")
    labels = read_ratings(files[SEEN], TARGETS)
    seconds = labels.index.to_numpy()
    names = np.array([f"run{run}" for run in run_of(seconds)])
    labels = labels.assign(recording=names, subject=names, second=seconds)
    features = {
        role: pd.concat(
            [_measured(files[name.format(run)], role, run, len(labels)) for run in runs]
        )
        for role, name in MEASURED.items()
    }
    source = {"data set": "studyforrest", "sha256": {n: sha256_of(files[n]) for n in wanted}}
    return import_tables(
        features["audio"],
        features["visual"],
        labels,
        out,
        label_range=LABEL_RANGE,
        columns=Columns(step="second"),
        source=source,
        grid=Grid(null="zeros"),
    )


def run_of(seconds: np.ndarray) -> np.ndarray:
    """The run, from 1, in which seconds of the film begin: ``(T,)`` to ``(T,)``."""
    return np.searchsorted(STARTS, seconds, side="right")


def read_ratings(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read shares of raters, a row a second of the film, which is the index.

    Args:
        path: a table of ratings.
        columns: say ``valence``, which is the share of raters who named something positive minus
            the share of those who named something negative; or a cue, the share who named it.

    Raises:
        DataError: naming file, line and column: missing, or no number from −1 to 1.
    """
    table = read_table(path, "ratings", (), columns)
    ratings = pd.DataFrame({column: table.numbers(column) for column in columns})
    for column in columns:
        bad = ~ratings[column].between(*LABEL_RANGE).to_numpy()
        if bad.any():
            row = int(bad.argmax())
            raise table.error(row, column, f"{ratings[column][row]:g}, expected -1 to 1")
    return ratings.rename_axis("second")


def _measured(file: Path, role: str, run: int, length: int) -> pd.DataFrame:
    """What a run's file says of the seconds that begin in this run, up to the film's length."""
    tracks = list(TRACKS[role])
    table = read_table(file, role, ("phash",), ["onset", *tracks])
    numbers = {name: table.numbers(name) for name in ("onset", *tracks)}
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            row = int(np.isfinite(values).argmin())
            raise table.error(row, name, f"{values[row]:g}, expected a number")
    onset = numbers.pop("onset")
    second = np.floor(STARTS[run - 1] + onset + 1e-6).astype(int)  # 0.04 s is no binary number
    mine = (run_of(second) == run) & (second < length)
    cells = pd.DataFrame(numbers)[mine].groupby(second[mine])
    parts = {"mean": cells.mean(), "std": cells.std(ddof=0), "min": cells.min(), "max": cells.max()}
    features = {f"{track}_{what}": parts[what][track] for track in tracks for what in STATISTICS}
    return pd.DataFrame({"recording": f"run{run}", **features}).rename_axis("second").reset_index()
