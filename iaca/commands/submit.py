"""The challenge's submission file, in the order of its own template."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from safetensors import SafetensorError
from torch import Tensor

from iaca.base.files import DataError, check_output, check_regular, write_text
from iaca.commands.compatibility import compare_features, trained_store
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import post_process, predict
from iaca.runs.runs import Run, open_run

LOCATION, TARGETS = "image_location", ["valence", "arousal"]  # the columns of a submission
# How many frames a prediction may be carried beyond the rows' own spacing. Template, annotation
# and decoded video differ by a frame here and there. Extraction takes a video for whole while it
# has up to 8 frames fewer than its file declares, so that a template may list as many that the
# store has not; where more are missing, the video is another one, or damaged.
MAX_BEYOND = 8
NAMED = 5  # of what is missing
_FRAME = r"(?P<video>[A-Za-z0-9_-][A-Za-z0-9._-]*)/(?P<frame>[0-9]{1,9})\.jpg"


class Submission(NamedTuple):
    """What a submission was made of, in words, and why its numbers may mean less than they say."""

    report: str
    warnings: tuple[str, ...]


def submit(run_folder: Path, store: Path, template: Path, out: Path) -> Submission:
    """Predict a template's videos with a run's model and write the submission.

    Predictions are clipped and smoothed as the run's protocol says, row by row of the store; then
    each frame of the template is given one, see `rows_of`. Labels are not read: the challenge's
    test set has none.

    Args:
        run_folder: of a finished run, ``<output folder>/runs/<key>``; the store it was trained on
            must be in its place, since it says what the features are.
        store: folder of a recording store with a recording for each video.
        template: see `read_template`.
        out: the file to be written, which must not exist: the template's locations in its order,
            with valence and arousal to five decimals.

    Raises:
        DataError: if ``out`` exists, if the run, the store or the template cannot be read, if they
            do not fit one another, if the features are not made as those that the run was trained
            on, or if a prediction is not finite. What can be told before predicting is.
    """
    _check_new(out)  # before the work, and again where it is written
    check_output(out)
    run, recordings = open_run(run_folder), RecordingStore(store)
    trained = trained_store(run)
    if not set(TARGETS) <= set(recordings.info.labels):
        raise DataError(
            f"{store}: labels {recordings.info.labels}, expected {' and '.join(TARGETS)}"
        )
    warnings = compare_features(run, trained, recordings)
    wanted = read_template(template)
    videos = list(dict.fromkeys(wanted["video"]))
    if missing := [video for video in videos if video not in recordings]:
        raise DataError(f"{store}: {len(missing)} videos of {template} missing ({_some(missing)})")
    at = {video: recordings[video].end_frame for video in videos}
    found = rows_of(template, wanted, at)
    values = _predict(run, recordings, at)
    table = pd.DataFrame(values.numpy()[found["row"]], columns=TARGETS)
    table.insert(0, LOCATION, wanted[LOCATION])
    _check_new(out)
    write_text(out, table.to_csv(index=False, float_format="%.5f", lineterminator="\n"))
    filled = int((found["distance"] > 0).sum())
    return Submission(
        f"{len(table)} rows; {filled} frames without a row of their own have the value of the row "
        f"before, or the first; {len(values) - len(table) + filled} predicted frames are not in "
        "the template and were dropped",
        warnings,
    )


def _check_new(path: Path) -> None:
    if path.exists():
        raise DataError(f"{path}: exists already; a submission is never overwritten")


def read_template(template: Path) -> pd.DataFrame:
    """Read a challenge's template: ``image_location``, ``video`` and ``frame``, counted from 0.

    The file's first line is ``image_location,valence,arousal``; each other line begins with
    ``<video>/<frame>.jpg``, frames counted from 1. Its columns after the first are not read.

    Raises:
        DataError: naming the line that has not this form, or is there twice.
    """
    check_regular(template)  # reading from a pipe would wait for ever
    try:
        # Spreadsheets begin a file with a byte order mark.
        lines = list(csv.reader(template.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{template}: cannot be read ({error})") from error
    header, *cells = [line[0] if line else "" for line in lines] or [""]
    if header != LOCATION:
        raise DataError(
            f"{template}, line 1: found {header!r}, expected {','.join([LOCATION, *TARGETS])}"
        )
    if not cells:
        raise DataError(f"{template}: no frames")
    locations = pd.Series(cells, name=LOCATION)
    parts = locations.str.extract(f"^{_FRAME}$")
    frame = pd.to_numeric(parts["frame"]) - 1
    wanted = pd.DataFrame({LOCATION: locations, "video": parts["video"], "frame": frame})
    for bad, problem in (
        (~(frame >= 0), "expected <video>/<frame>.jpg, frames counted from 1"),
        (wanted.duplicated(["video", "frame"]), "which is there already"),
    ):
        if bad.any():
            line = int(bad.to_numpy().argmax())
            raise DataError(f"{template}, line {line + 2}: found {cells[line]!r}, {problem}")
    return wanted.astype({"frame": "int64"})


def rows_of(template: Path, wanted: pd.DataFrame, at: Mapping[str, Tensor]) -> pd.DataFrame:
    """Find the row of a store that predicts each frame: the last at or before it, or the first.

    The row may be as far away as the video's rows are from one another (their median; a single row
    stands for all frames up to its own), and ``MAX_BEYOND`` frames more.

    Args:
        template: the file, for the message.
        wanted: as of `read_template`.
        at: video -> the frames ``(T,)`` of its rows, counted from 0, increasing.

    Returns:
        For each frame, in the template's order: ``row``, counted over the videos of ``at`` in their
        order, and ``distance`` in frames.

    Raises:
        DataError: naming the videos and the frames that no row is near enough to.
    """
    rows = pd.concat([pd.DataFrame({"video": v, "at": frames}) for v, frames in at.items()])
    rows["row"] = range(len(rows))
    first = {video: int(frames[0]) for video, frames in at.items()}
    limits = {
        video: MAX_BEYOND + (int(frames.diff().median()) if len(frames) > 1 else first[video] + 1)
        for video, frames in at.items()
    }
    start = wanted["video"].map(first)
    asked = wanted.assign(at=wanted["frame"].clip(lower=start), place=wanted.index)
    found = pd.merge_asof(
        asked.sort_values("at"), rows.assign(end=rows["at"]).sort_values("at"), on="at", by="video"
    )
    found = found.sort_values("place", ignore_index=True)
    found["distance"] = (found["frame"] - found["end"]).abs()
    far = found[found["distance"] >= found["video"].map(limits)]
    if len(far):
        bad = [
            f"{video!r}, frames: {len(frames)} ({_some(frames + 1)}), expected one less than "
            f"{limits[str(video)]} frames away"
            for video, frames in far.groupby("video", sort=False)["frame"]
        ]
        more = [f"and {len(bad) - NAMED} more"] if len(bad) > NAMED else []
        raise DataError(
            f"{template}: videos with frames without a prediction: {len(bad)}: "
            f"{'; '.join(bad[:NAMED] + more)}"
        )
    return found[["row", "distance"]]


def _predict(run: Run, store: RecordingStore, at: Mapping[str, Tensor]) -> Tensor:
    """Valence and arousal of all rows of some videos, ``(rows, 2)``, as the run's protocol says."""
    try:
        model = run.model(store)
    except (RuntimeError, OSError, SafetensorError) as error:
        raise DataError(f"{run.folder}: its model does not fit {store.path} ({error})") from error
    raw = predict(model, store, at).predictions
    columns = [store.info.labels.index(target) for target in TARGETS]
    processed = {
        video: post_process(raw[video], frames, store.info, run.config.protocol)[:, columns]
        for video, frames in at.items()
    }
    if bad := [video for video, values in processed.items() if not values.isfinite().all()]:
        raise DataError(f"{run.folder}: predictions that are not finite, videos: {_some(bad)}")
    return torch.cat(list(processed.values()))


def _some(values: Iterable[str | int]) -> str:
    ordered = sorted(values)
    return ", ".join(map(str, ordered[:NAMED])) + (", ..." if len(ordered) > NAMED else "")
