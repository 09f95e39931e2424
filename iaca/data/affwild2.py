"""Aff-Wild2 as its owners hand it out: annotation files, face crops, and the official split.

The layout is the one that `iaca data show affwild2` prints. Frames are counted from 0 here: line
i + 2 of an annotation file and the crop ``%05d.jpg`` of i + 1 belong to frame i. Nothing here opens
a video; `iaca.extraction` does.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iaca.data.schema import Counts
from iaca.files import DataError, check_name

HEADER = ("valence", "arousal")
INVALID = -5.0  # in either column: the frame has no valid label
LOW, HIGH = -1.0, 1.0
SIDES = ("_left", "_right")  # which of two subjects in one video
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_CROP = re.compile(r"(\d{5,})\.jpg")
_TRAIN = "Train_Set"
_ROLES: Mapping[str, str] = {_TRAIN: "train", "Validation_Set": "report"}


class Source(NamedTuple):
    """The files that one recording is extracted from; whether they exist is not checked yet.

    ``crops`` is a folder of face crops; without one the video's own pictures are used.
    ``annotation`` is missing for recordings whose labels are not public, or that have none.
    """

    name: str
    subject: str
    video: Path
    crops: Path | None = None
    annotation: Path | None = None
    split: str | None = None


class Folder(NamedTuple):
    """What stands in a folder of Aff-Wild2, with the number of videos (not subjects) a part."""

    sources: tuple[Source, ...]
    videos: Counts


def scan_folder(root: Path | str, test_list: Path | str | None = None) -> Folder:
    """Find the recordings of Aff-Wild2 and count the videos of its official parts.

    The subjects' identities are not published. ``subject`` is therefore the video: the two people
    of one video share its sound, so they must not stand on two sides of a split.

    Args:
        root: holds ``annotations/``, ``cropped_aligned/`` and ``videos/``. The official folders
            ``Train_Set`` and ``Validation_Set`` stand in ``annotations/``, or in its folder whose
            name begins with ``VA``.
        test_list: a text file, a name ``<video>[_left|_right]`` a line: recordings without labels
            and without a role.

    Raises:
        DataError: a folder that is missing or empty; a name that is unsafe or in two parts.
    """
    root = Path(root)
    annotations = _annotations_folder(root / "annotations")
    videos = _videos_by_stem(root / "videos")
    found: dict[str, Source] = {}
    for part, role in _ROLES.items():
        files = sorted((annotations / part).glob("*.txt"))
        if not files:
            raise DataError(f"{annotations / part}: no annotation files, expected <video>.txt")
        for file in files:
            name = check_name(file.stem, f"{annotations / part}: annotation file")
            if name in found:
                raise DataError(f"{file}: also in {found[name].annotation}, expected one part")
            found[name] = _source(root, videos, name, file, role)
    for number, name in _names(test_list):
        if name in found:
            raise DataError(f"{test_list}, line {number}: {name!r} stands elsewhere already")
        found[name] = _source(root, videos, name, None, None)
    sources = tuple(found[name] for name in sorted(found))
    return Folder(sources, _count_videos(sources))


def video_of(name: str) -> str:
    """The video that a recording's name belongs to: its ``_left`` or ``_right`` is taken off."""
    side = next((side for side in SIDES if name.endswith(side)), "")
    return name.removesuffix(side) or name


def count_warnings(found: Counts, expected: Counts) -> list[str]:
    """A sentence for each official part whose number of videos is not the manifest's.

    Without a test list no test videos are known, and that part is not compared.
    """
    parts = [part for part in Counts.model_fields if part != "test" or found.test]
    return [
        f"{part}: found {getattr(found, part)} videos, the manifest expects "
        f"{getattr(expected, part)}; the official folders decide"
        for part in parts
        if getattr(found, part) != getattr(expected, part)
    ]


def read_annotations(file: Path | str) -> np.ndarray:
    """Read valence and arousal of every frame, ``(N, 2)`` float32 in [-1, 1], NaN where invalid.

    A frame with -5 in either column has no valid label in both.

    Raises:
        DataError: naming the file and the 1-based line: another header, another number of
            columns, a value that is no number or is outside [-1, 1] and not -5, no frames.
    """
    file = Path(file)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error
    header = tuple(cell.strip().lower() for cell in lines[0].split(",")) if lines else ()
    if header != HEADER:
        found = lines[0] if lines else "an empty file"
        raise DataError(f"{file}, line 1: found {found!r}, expected {','.join(HEADER)!r}")
    rows = [_label(file, number, line) for number, line in enumerate(lines[1:], start=2)]
    if not rows:
        raise DataError(f"{file}, line 2: the file ends, expected a line a frame")
    labels = np.asarray(rows, dtype=np.float32)
    labels[(labels == INVALID).any(axis=1)] = np.nan
    return labels


def labels_at(annotations: np.ndarray, end_frame: np.ndarray) -> np.ndarray:
    """The label of each clip's last frame.

    Args:
        annotations: ``(N, 2)``, see :func:`read_annotations`.
        end_frame: ``(T,)`` whole numbers from 0.

    Returns:
        ``(T, 2)`` float32; NaN where the frame has no valid label, or no line.
    """
    labels = np.full((len(end_frame), annotations.shape[1]), np.nan, dtype=np.float32)
    annotated = end_frame < len(annotations)
    labels[annotated] = annotations[end_frame[annotated]]
    return labels


def check_length(file: Path | str, annotations: np.ndarray, frames: int) -> None:
    """Raise `DataError`, naming the first line too many, if there are more lines than frames.

    Fewer lines are no error: annotation may stop before the video does.
    """
    if len(annotations) > frames:
        raise DataError(
            f"{file}, line {frames + 2}: {len(annotations)} annotated frames, but the video has "
            f"{frames}"
        )


def list_crops(folder: Path | str) -> dict[int, Path]:
    """The face crops of one subject by 0-based frame; frames without a face are missing.

    Raises:
        DataError: the folder is missing, holds no crop ``%05d.jpg``, or one numbered 0.
    """
    folder = Path(folder)
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
    except OSError as error:
        raise DataError(f"{folder}: no folder of face crops ({error})") from error
    crops = {}
    for name in names:
        if match := _CROP.fullmatch(name):
            crops[int(match[1]) - 1] = folder / name
    if not crops:
        raise DataError(f"{folder}: no face crops, expected 00001.jpg, 00002.jpg, ...")
    if -1 in crops:
        raise DataError(f"{crops[-1]}: crops are numbered from 1")
    return crops


def _annotations_folder(annotations: Path) -> Path:
    candidates = [annotations, *sorted(annotations.glob("VA*"))]
    found = [folder for folder in candidates if (folder / _TRAIN).is_dir()]
    if len(found) != 1:
        what = f"in {len(found)} places" if found else "missing"
        raise DataError(
            f"{annotations}: the folder {_TRAIN} is {what}, expected it here or in one folder VA*"
        )
    return found[0]


def _videos_by_stem(folder: Path) -> dict[str, list[Path]]:
    """Videos by name without suffix; the real distribution spreads them over batch folders."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder, expected the videos there")
    videos: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in VIDEO_SUFFIXES:
            videos.setdefault(file.stem, []).append(file)
    return videos


def _source(
    root: Path,
    videos: Mapping[str, Sequence[Path]],
    name: str,
    annotation: Path | None,
    role: str | None,
) -> Source:
    stem = video_of(name)
    files = videos.get(stem, ())
    if len(files) > 1:
        raise DataError(f"{files[1]}: also at {files[0]}, expected one video of that name")
    video = files[0] if files else root / "videos" / f"{stem}.mp4"  # reported when it is opened
    return Source(name, stem, video, root / "cropped_aligned" / name, annotation, role)


def _names(test_list: Path | str | None) -> Iterable[tuple[int, str]]:
    if test_list is None:
        return
    try:
        lines = Path(test_list).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{test_list}: cannot be read ({error})") from error
    seen: set[str] = set()
    for number, line in enumerate(lines, start=1):
        name = line.strip()
        if not name:
            continue
        check_name(name, f"{test_list}, line {number}: name")
        if name in seen:
            raise DataError(f"{test_list}, line {number}: {name!r} is given twice")
        seen.add(name)
        yield number, name


def _count_videos(sources: Iterable[Source]) -> Counts:
    videos: dict[str | None, set[str]] = {"train": set(), "report": set(), None: set()}
    for source in sources:
        videos[source.split].add(source.subject)
    return Counts(
        train=len(videos["train"]), validation=len(videos["report"]), test=len(videos[None])
    )


def _label(file: Path, number: int, line: str) -> tuple[float, float]:
    cells = line.split(",")
    if len(cells) != len(HEADER):
        raise DataError(
            f"{file}, line {number}: {len(cells)} columns in {line!r}, expected {len(HEADER)}"
        )
    values = []
    for column, cell in zip(HEADER, cells, strict=True):
        try:
            value = float(cell)
        except ValueError as error:
            raise DataError(
                f"{file}, line {number}, column {column!r}: {cell!r} is not a number"
            ) from error
        if not (LOW <= value <= HIGH or value == INVALID):  # NaN is neither
            raise DataError(
                f"{file}, line {number}, column {column!r}: {cell.strip()}, expected "
                f"{LOW:g} to {HIGH:g}, or {INVALID:g} where invalid"
            )
        values.append(value)
    return values[0], values[1]
