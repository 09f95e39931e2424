"""The challenge's submission file, in the order of its own template."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor

from iaca.data.recordings import RecordingStore
from iaca.evaluation import post_process, predict
from iaca.files import DataError, check_name, write_text
from iaca.runs import open_run

SUBMISSION_HEADER = ("image_location", "valence", "arousal")
NAMED_IN_ERRORS = 5  # of what is missing or too much


class Frames(NamedTuple):
    """Predictions of one video: ``values (T, 2)``, valence and arousal, at ``frames (T,)``.

    Frames are counted from 0, as a recording's ``end_frame``.
    """

    values: Tensor
    frames: Tensor


def submit(run: Path, store: Path, template: Path, out: Path) -> int:
    """Predict a template's videos with a run's model and write the submission; return its rows.

    Predictions are clipped and smoothed as the run's protocol says. Labels are not read: the
    challenge's test set has none.

    Args:
        run: folder of a finished run.
        store: folder of a recording store with a recording for each video, a row for each frame.
        template: see :func:`write_submission`.
        out: the file to be written.

    Raises:
        DataError: if the run, the store or the template cannot be read, if they do not fit one
            another, or as :func:`write_submission`.
    """
    opened, recordings = open_run(run), RecordingStore(store)
    info, protocol = recordings.info, opened.config.protocol
    targets = SUBMISSION_HEADER[1:]
    if not set(targets) <= set(info.labels):
        raise DataError(f"{store}: labels {info.labels}, expected {' and '.join(targets)}")
    columns = [info.labels.index(target) for target in targets]
    videos = list(dict.fromkeys(video for video, _ in _template(template)))
    missing = [video for video in videos if video not in recordings]
    if missing:
        raise DataError(f"{store}: {len(missing)} videos of {template} missing ({_some(missing)})")
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
    return write_submission(out, template, predictions)


def write_submission(path: Path, template: Path, predictions: Mapping[str, Frames]) -> int:
    """Write a submission in the order of the challenge's own template; return its rows.

    The first line is ``image_location,valence,arousal``; each other line is
    ``<video>/<frame>.jpg`` and two values with five decimals. Frames are counted from 1, in five
    digits or more.

    Args:
        path: the file to be written.
        template: a file of the same form; its columns after the first are not read.
        predictions: video -> its predictions; exactly the template's videos and frames.

    Raises:
        DataError: naming the template's line that has not this form, or is there twice; the videos
            or frames that are missing or too much; or the video whose predictions are not finite
            or have another shape.
    """
    wanted = _template(template)
    frames: dict[str, list[int]] = {}
    for video, frame in wanted:
        frames.setdefault(video, []).append(frame)
    _compare(f"{template}: videos", frames, predictions)
    said: dict[tuple[str, int], tuple[float, float]] = {}
    for video, listed in frames.items():
        values, at = predictions[video]
        if values.shape != (len(at), 2) or not torch.isfinite(values).all():
            raise DataError(
                f"predictions of {video!r}: shape {tuple(values.shape)}, expected finite values, "
                f"valence and arousal of {len(at)} frames"
            )
        numbers = [frame + 1 for frame in at.tolist()]
        if len(set(numbers)) != len(numbers):
            raise DataError(f"predictions of {video!r}: a frame is predicted twice")
        _compare(f"{template}: video {video!r}, frames", listed, numbers)
        for number, (valence, arousal) in zip(numbers, values.tolist(), strict=True):
            said[video, number] = (valence, arousal)
    lines = [",".join(SUBMISSION_HEADER)]
    for video, frame in wanted:
        valence, arousal = said[video, frame]
        lines.append(f"{video}/{frame:05d}.jpg,{valence:.5f},{arousal:.5f}")
    write_text(path, "\n".join(lines) + "\n")
    return len(wanted)


def _template(template: Path) -> list[tuple[str, int]]:
    """Video and frame, counted from 1, of every line."""
    try:
        lines = list(csv.reader(template.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{template}: cannot be read ({error})") from error
    if not lines or lines[0][:1] != [SUBMISSION_HEADER[0]]:
        found = lines[0] if lines else "an empty file"
        raise DataError(
            f"{template}, line 1: found {found}, expected {','.join(SUBMISSION_HEADER)}"
        )
    wanted: dict[tuple[str, int], None] = {}
    for number, line in enumerate(lines[1:], start=2):
        location = line[0] if line else ""
        video, slash, file = location.partition("/")
        frame = file.removesuffix(".jpg")
        if not slash or frame == file or not (frame.isascii() and frame.isdecimal()):
            raise DataError(
                f"{template}, line {number}: found {location!r}, expected <video>/<frame>.jpg"
            )
        key = check_name(video, f"{template}, line {number}: video"), int(frame)
        if key in wanted:
            raise DataError(f"{template}, line {number}: {location} is there already")
        wanted[key] = None
    return list(wanted)


def _compare(what: str, wanted: Iterable[str | int], found: Iterable[str | int]) -> None:
    """Raise unless both hold the same; say what is missing and what is too much."""
    expected, there = set(wanted), set(found)
    differences = {"without a prediction": expected - there, "not in it": there - expected}
    said = [f"{len(some)} {kind} ({_some(some)})" for kind, some in differences.items() if some]
    if said:
        raise DataError(f"{what}: {', '.join(said)}")


def _some(values: Iterable[str | int]) -> str:
    ordered = sorted(values, key=lambda value: (isinstance(value, str), value))
    more = ", ..." if len(ordered) > NAMED_IN_ERRORS else ""
    return ", ".join(str(value) for value in ordered[:NAMED_IN_ERRORS]) + more
