"""The challenge's submission file, in the order of its own template."""

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from iaca.base.files import DataError, check_name, check_regular, write_text
from iaca.commands.compatibility import check_same_features, doubts, trained_store
from iaca.data.recordings import RecordingStore
from iaca.learning.evaluation import post_process, predict
from iaca.runs.runs import open_run

SUBMISSION_HEADER = ("image_location", "valence", "arousal")
# How many frames a prediction may be carried beyond the rows' own spacing. Template, annotation
# and decoded video differ by a frame here and there. Extraction takes a video for whole while it
# has up to 8 frames fewer than its file declares, so that a template may list as many that the
# store has not; where more are missing, the video is another one, or damaged.
MAX_BEYOND = 8
NAMED = 5  # of what is missing, too much, filled or dropped
_FRAME = re.compile(r"([0-9]{1,9})\.jpg")


class Frames(NamedTuple):
    """Predictions of one video: ``values (T, 2)``, valence and arousal, at ``frames (T,)``.

    Frames are counted from 0, as a recording's ``end_frame``; they need not be all, nor in order.
    """

    values: Tensor
    frames: Tensor


class Submission(NamedTuple):
    """What a submission was made of.

    Attributes:
        rows: lines below the header.
        held: video -> its frames that lie between two rows of the store, or as close to the first
            or the last.
        beyond: video -> its frames that lie further from their row, up to ``MAX_BEYOND`` more.
        dropped: video -> its predicted frames that the template does not list.
        warnings: why the numbers may mean less than they seem to.
    """

    rows: int
    held: dict[str, int]
    beyond: dict[str, int]
    dropped: dict[str, int]
    warnings: tuple[str, ...] = ()

    def report(self) -> str:
        """What was counted, in lines for people to read."""
        lines = [f"{self.rows} rows"]
        for text, counts in (
            ("between rows of the store, with the nearest value before, or the first", self.held),
            ("beyond the store's rows, with the nearest value before, or the first", self.beyond),
            ("predicted but not in the template, dropped", self.dropped),
        ):
            if counts:
                frames, videos = sum(counts.values()), len(counts)
                lines.append(f"frames {text}: {frames}; videos: {videos} ({_some(counts)})")
        return "\n".join(lines)


def submit(run: Path, store: Path, template: Path, out: Path) -> Submission:
    """Predict a template's videos with a run's model and write the submission.

    Predictions are clipped and smoothed as the run's protocol says, row by row of the store; then
    each frame of the template is given one. Labels are not read: the challenge's test set has none.

    Args:
        run: folder of a finished run, ``<output folder>/runs/<key>``; the store it was trained on
            must be in its place, since it says what the features are.
        store: folder of a recording store with a recording for each video.
        template: see :func:`write_submission`.
        out: the file to be written, which must not exist.

    Raises:
        DataError: if the run, the store or the template cannot be read, if they do not fit one
            another, if the features are not made as those that the run was trained on, or as
            :func:`write_submission`. What can be told before predicting is.
    """
    _check_new(out)  # before the work, and again where it is written
    opened, recordings = open_run(run), RecordingStore(store)
    trained = trained_store(opened)
    info, protocol = recordings.info, opened.config.protocol
    targets = SUBMISSION_HEADER[1:]
    if not set(targets) <= set(info.labels):
        raise DataError(f"{store}: labels {info.labels}, expected {' and '.join(targets)}")
    columns = [info.labels.index(target) for target in targets]
    check_same_features(trained, recordings)
    listed = _by_video(_template(template))
    videos = list(listed)
    missing = [video for video in videos if video not in recordings]
    if missing:
        raise DataError(f"{store}: {len(missing)} videos of {template} missing ({_some(missing)})")
    warnings = tuple(doubts(opened, trained, recordings))
    _check_near(template, listed, {video: recordings[video].end_frame for video in videos})
    try:
        model = opened.model(recordings)
    except (RuntimeError, OSError, SafetensorError) as error:
        raise DataError(f"{run}: its model does not fit {store} ({error})") from error
    said = predict(model, recordings, videos).predictions
    predictions = {}
    for video in videos:
        at = recordings[video].end_frame
        values = post_process(said[video], at, info, protocol)
        predictions[video] = Frames(values[:, columns], at)
    return write_submission(out, template, predictions)._replace(warnings=warnings)


def write_submission(path: Path, template: Path, predictions: Mapping[str, Frames]) -> Submission:
    """Write a submission in the order of the challenge's own template.

    The first line is ``image_location,valence,arousal``; each other line is
    ``<video>/<frame>.jpg`` and two values with five decimals. Frames are counted from 1, in five
    digits or more.

    A frame has the prediction of the nearest row at or before it; frames before the first row have
    the first. The row may be as far away as the video's rows are from one another (their median;
    a single row stands for all frames up to its own), and ``MAX_BEYOND`` frames more. Predicted
    frames that the template does not list are dropped.

    Args:
        path: the file to be written, which must not exist.
        template: a file of the same form; its columns after the first are not read.
        predictions: video -> its predictions; exactly the template's videos.

    Raises:
        DataError: a path that exists; or naming the template's line that has not this form, or is
            there twice; the videos that are missing or too much; the videos with frames that no
            row is near enough to; or the video whose predictions are not finite, have another
            shape or name a frame twice.
    """
    _check_new(path)
    wanted = _template(template)
    frames = _by_video(wanted)
    _compare(f"{template}: videos", frames, predictions)
    ordered = {video: _ordered(video, predictions[video]) for video in frames}
    _check_near(template, frames, {video: at for video, (_, at) in ordered.items()})
    made = Submission(len(wanted), {}, {}, {})
    said = {}
    for video, listed in frames.items():
        values, at = ordered[video]
        asked = torch.tensor(listed) - 1
        row, distance = _row_before(asked, at)
        spacing = _spacing(at)
        said[video] = iter(values[row].tolist())  # in the template's order
        _count(made.held, video, (distance > 0) & (distance < spacing))
        _count(made.beyond, video, distance >= spacing)
        _count(made.dropped, video, ~torch.isin(at, asked))
    lines = [",".join(SUBMISSION_HEADER)]
    for video, frame in wanted:
        valence, arousal = next(said[video])
        lines.append(f"{video}/{frame:05d}.jpg,{valence:.5f},{arousal:.5f}")
    write_text(path, "\n".join(lines) + "\n")
    return made


def _check_new(path: Path) -> None:
    if path.exists():
        raise DataError(f"{path}: exists already; a submission is never overwritten")


def _by_video(wanted: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Video -> its frames, both in the template's order."""
    frames: dict[str, list[int]] = {}
    for video, frame in wanted:
        frames.setdefault(video, []).append(frame)
    return frames


def _check_near(
    template: Path, listed: Mapping[str, list[int]], rows: Mapping[str, Tensor]
) -> None:
    """Raise, naming the videos, unless each listed frame has a row near enough.

    Args:
        template: the file, for the message.
        listed: video -> frames, counted from 1.
        rows: video -> the frames ``(T,)`` of its rows, counted from 0, increasing.
    """
    bad = []
    for video, frames in listed.items():
        asked, at = torch.tensor(frames) - 1, rows[video]
        limit = _spacing(at) + MAX_BEYOND
        far = asked[_row_before(asked, at)[1] >= limit]
        if len(far):
            bad.append(
                f"{video!r}, frames: {len(far)} ({_some((far + 1).tolist())}), expected one less "
                f"than {limit} frames away"
            )
    if bad:
        more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        raise DataError(
            f"{template}: videos with frames without a prediction: {len(bad)}: "
            f"{'; '.join(bad[:NAMED])}{more}"
        )


def _ordered(video: str, predictions: Frames) -> Frames:
    """Predictions in the order of their frames, once they are known to be some."""
    values, at = predictions
    if len(at) == 0 or values.shape != (len(at), 2) or not torch.isfinite(values).all():
        raise DataError(
            f"predictions of {video!r}: shape {tuple(values.shape)}, expected finite values, "
            f"valence and arousal of {len(at) or 'some'} frames"
        )
    at, order = at.sort()
    if (at.diff() == 0).any():
        raise DataError(f"predictions of {video!r}: a frame is predicted twice")
    return Frames(values[order], at)


def _row_before(frames: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """For each frame the last row at or before it, or the first row, and how far away that is."""
    row = (torch.searchsorted(at, frames, right=True) - 1).clamp(min=0)
    return row, (frames - at[row]).abs()


def _spacing(at: Tensor) -> int:
    """Frames from row to row; a single row stands for all frames up to its own."""
    return int(at.diff().median()) if len(at) > 1 else int(at[0]) + 1


def _count(counts: dict[str, int], video: str, which: Tensor) -> None:
    if which.any():
        counts[video] = int(which.sum())


def _template(template: Path) -> list[tuple[str, int]]:
    """Video and frame, counted from 1, of every line."""
    check_regular(template)  # reading from a pipe would wait for ever
    try:
        # Spreadsheets begin a file with a byte order mark.
        lines = list(csv.reader(template.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{template}: cannot be read ({error})") from error
    if not lines or lines[0][:1] != [SUBMISSION_HEADER[0]]:
        found = lines[0] if lines else "an empty file"
        raise DataError(
            f"{template}, line 1: found {found}, expected {','.join(SUBMISSION_HEADER)}"
        )
    wanted: dict[tuple[str, int], None] = {}
    for number, line in enumerate(lines[1:], start=2):
        location = line[0] if line else ""
        video, _, file = location.partition("/")
        frame = _FRAME.fullmatch(file)
        if frame is None or int(frame[1]) == 0:
            raise DataError(
                f"{template}, line {number}: found {location!r}, expected <video>/<frame>.jpg, "
                "frames counted from 1"
            )
        key = check_name(video, f"{template}, line {number}: video"), int(frame[1])
        if key in wanted:
            raise DataError(f"{template}, line {number}: {location} is there already")
        wanted[key] = None
    if not wanted:
        raise DataError(f"{template}: no frames")
    return list(wanted)


def _compare(what: str, wanted: Iterable[str], found: Iterable[str]) -> None:
    """Raise unless both hold the same; say what is missing and what is too much."""
    expected, there = set(wanted), set(found)
    differences = {"without a prediction": expected - there, "not in it": there - expected}
    said = [f"{len(some)} {kind} ({_some(some)})" for kind, some in differences.items() if some]
    if said:
        raise DataError(f"{what}: {', '.join(said)}")


def _some(values: Iterable[str | int]) -> str:
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    more = ", ..." if len(ordered) > NAMED else ""
    return ", ".join(str(value) for value in ordered[:NAMED]) + more
