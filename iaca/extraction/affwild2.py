"""Aff-Wild2 as its owners hand it out: where its files stand, and its annotations.

The layout is the one that `iaca data show affwild2` prints. Frames are counted from 0: the crop
``%05d.jpg`` of i + 1 belongs to frame i, and so does line i + 2 of an annotation.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from iaca.base.files import DataError, check_name, check_regular
from iaca.data.schema import Counts
from iaca.extraction.inputs import VIDEO_SUFFIXES, Source, below, is_stray
from iaca.extraction.labels import Targets, Track, lines

SIDES = ("_left", "_right")  # which of two subjects in one video
INVALID = -5.0  # in either column: the frame has no valid label
HEADER, (LOW, HIGH) = Targets()
_CROP = re.compile(r"(\d{5,})\.jpg")
_TRAIN, _TRAIN_ROLE = "Train_Set", "train"
_ROLES = {_TRAIN: _TRAIN_ROLE, "Validation_Set": "report"}


class Folder(NamedTuple):
    """What stands in a folder of Aff-Wild2.

    Attributes:
        sources: the recordings to extract, and those with a problem; an unsafe name is quoted.
        videos: how many videos (not subjects) stand in each official part.
        left_out: why each recording that must not be trained on is not extracted.
    """

    sources: tuple[Source, ...]
    videos: Counts = Counts(train=0, validation=0, test=0)
    left_out: Mapping[str, str] = {}


def scan_folder(root: Path | str, test_list: Path | str | None = None) -> Folder:
    """Find the recordings of Aff-Wild2 and count the videos of its official parts.

    The subjects' identities are not published. ``subject`` is therefore the video: the two people
    of one video share its sound, so they must not stand on two sides of a split. Where the official
    parts put them there, the recording of the training part is left out.

    Links to files and folders are followed, each folder once. Names that begin with a dot, and what
    archivers add, are passed over.

    Args:
        root: holds ``annotations/``, ``cropped_aligned/`` and ``videos/``. The official folders
            ``Train_Set`` and ``Validation_Set`` stand in ``annotations/``, or in its folder whose
            name begins with ``VA``. Videos and folders of crops may stand in any folders below.
        test_list: a text file, a name ``<video>[_left|_right]`` a line: recordings without labels
            and without a role.

    Raises:
        DataError: a part that is missing or empty; a test list that cannot be used. What is wrong
            with single recordings is their ``problem``: an unsafe name, one in two parts, a video
            or a folder of crops in two places.
    """
    root = Path(root)
    entries = [*_annotated(root / "annotations"), *_tested(test_list)]
    listed: dict[str, Source] = {}
    for source in entries:
        if first := listed.get(source.name):
            problem = f"{source.annotation or test_list}: also {first.annotation}"
            source = first._replace(problem=problem)
        listed[source.name] = source
    if not (root / "videos").is_dir():
        raise DataError(f"{root / 'videos'}: no such folder, expected the videos there")
    found = (path for path in below(root / "videos") if path.suffix.lower() in VIDEO_SUFFIXES)
    videos = _grouped((path.stem, path) for path in found if not path.is_dir())
    folders = (path for path in below(root / "cropped_aligned", listed) if path.name in listed)
    crops = _grouped((path.name, path) for path in folders if path.is_dir())
    held_out = {source.subject: source for source in entries if source.split != _TRAIN_ROLE}
    left_out, sources = {}, []
    for name, source in sorted(listed.items()):
        other = held_out.get(source.subject)
        if source.split == _TRAIN_ROLE and other is not None and source.problem is None:
            left_out[name] = (
                f"{source.annotation}: not extracted, since it must not be trained on: "
                f"{other.name!r} in {other.annotation or test_list} is of the same video"
            )
        else:
            sources.append(_placed(source, root, videos, crops))
    parts = Counter(part for part, _ in {(source.split, source.subject) for source in entries})
    counts = Counts(train=parts["train"], validation=parts["report"], test=parts[None])
    return Folder(tuple(sources), counts, left_out)


def video_of(name: str) -> str:
    """The video that a recording's name belongs to: its ``_left`` or ``_right`` is taken off."""
    side = next((side for side in SIDES if name.endswith(side)), "")
    return name.removesuffix(side) or name


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
    found = filter(None, map(_CROP.fullmatch, names))
    crops = {int(match[1]) - 1: folder / match[0] for match in found}
    if not crops:
        raise DataError(f"{folder}: no face crops, expected 00001.jpg, 00002.jpg, ...")
    if -1 in crops:
        raise DataError(f"{crops[-1]}: crops are numbered from 1")
    return crops


def read_annotations(file: Path) -> Track:
    """Read valence and arousal of the frames of a video, a line a frame, in [-1, 1].

    A frame with -5 in either column is NaN in both. A byte order mark and blank lines at the end
    are passed over.

    Raises:
        DataError: no regular file of UTF-8 text; naming also the 1-based line: another header,
            another number of columns, a value that is no number or is outside [-1, 1] and not -5,
            no frames.
    """
    header, *given = _read_lines(file) or [""]
    if tuple(cell.strip().lower() for cell in header.split(",")) != HEADER:
        raise DataError(f"{file}, line 1: found {header!r}, expected {','.join(HEADER)!r}")
    rows = [_label(file, number, line) for number, line in enumerate(given, start=2)]
    if not rows:
        raise DataError(f"{file}, line 2: the file ends, expected a line a frame")
    labels = np.array(rows, dtype=np.float32)
    labels[(labels == INVALID).any(axis=1)] = np.nan
    return lines(file, labels)


def _label(file: Path, number: int, line: str) -> tuple[float, float]:
    try:
        valence, arousal = (float(cell) for cell in line.split(","))
    except ValueError as error:
        raise DataError(f"{file}, line {number}: {line!r}, expected two numbers") from error
    if not all(LOW <= value <= HIGH or value == INVALID for value in (valence, arousal)):  # or NaN
        raise DataError(
            f"{file}, line {number}: {line!r}, expected values from {LOW:g} to {HIGH:g}, or "
            f"{INVALID:g} where invalid"
        )
    return valence, arousal


def _read_lines(file: Path) -> list[str]:
    """The lines of a text file, without a byte order mark and without blank lines at the end."""
    check_regular(file)  # reading from a pipe would wait for ever
    try:
        return file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error})") from error


def _annotated(annotations: Path) -> Iterator[Source]:
    """What has an annotation file in an official part; where its media are is not known yet."""
    candidates = [annotations, *sorted(annotations.glob("VA*"))]
    found = [folder for folder in candidates if (folder / _TRAIN).is_dir()]
    if len(found) != 1:
        what = f"in {len(found)} places" if found else "missing"
        raise DataError(
            f"{annotations}: the folder {_TRAIN} is {what}, expected it here or in one folder VA*"
        )
    for part, role in _ROLES.items():
        folder = found[0] / part
        files = [file for file in sorted(folder.glob("*.txt")) if not is_stray(file.name)]
        if not files:
            raise DataError(f"{folder}: no annotation files, expected <video>.txt")
        for file in files:
            try:
                name, problem = check_name(file.stem, f"{folder}: annotation file"), None
            except DataError as error:  # quoted it can be printed, and cut it can name a file
                name, problem = ascii(file.stem)[:100], str(error)
            yield Source(name, video_of(name), Path(), None, file, role, problem)


def _tested(test_list: Path | str | None) -> Iterator[Source]:
    """What the list of test recordings names."""
    names: set[str] = set()
    given = [] if test_list is None else _read_lines(Path(test_list))
    for number, name in enumerate(map(str.strip, given), start=1):
        if name in names:
            raise DataError(f"{test_list}, line {number}: {name!r} is given twice")
        if name:
            names.add(check_name(name, f"{test_list}, line {number}: name"))
            yield Source(name, video_of(name), Path())


def _grouped(named: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    """Paths by name, in order. One that is reached in two ways, through links, counts once."""
    groups: dict[str, dict[str, Path]] = {}
    for name, path in sorted(named):
        groups.setdefault(name, {}).setdefault(os.path.realpath(path), path)
    return {name: list(paths.values()) for name, paths in groups.items()}


def _placed(
    source: Source,
    root: Path,
    videos: Mapping[str, Sequence[Path]],
    crops: Mapping[str, Sequence[Path]],
) -> Source:
    """A recording with the places of its files, or where they are expected; each in one place."""
    found = videos.get(source.subject) or [root / "videos" / f"{source.subject}.mp4"]
    faces = crops.get(source.name) or [root / "cropped_aligned" / source.name]
    problem = source.problem
    for what, places in (("video", found), ("folder of crops", faces)):
        if len(places) > 1 and problem is None:
            problem = f"{places[1]}: also at {places[0]}, expected one {what} of that name"
    return source._replace(video=found[0], crops=faces[0], problem=problem)
