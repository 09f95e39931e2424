"""Aff-Wild2 as its owners hand it out: where its files stand, and its parts.

The layout is the one that `iaca data show affwild2` prints. Frames are counted from 0 here: the
crop ``%05d.jpg`` of i + 1 belongs to frame i. Nothing here opens a video or an annotation.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from iaca.base.files import DataError, check_name
from iaca.data.schema import Counts
from iaca.extraction.annotations import read_lines
from iaca.extraction.searching import below, is_stray

SIDES = ("_left", "_right")  # which of two subjects in one video
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")
_CROP = re.compile(r"(\d{5,})\.jpg")
_TRAIN, _TRAIN_ROLE = "Train_Set", "train"
_ROLES = {_TRAIN: _TRAIN_ROLE, "Validation_Set": "report"}


class Source(NamedTuple):
    """The files that one recording is extracted from; whether they exist is not checked yet.

    ``crops`` is a folder of face crops; without one the video's own pictures are used.
    ``annotation`` is missing for recordings whose labels are not public, or that have none.
    ``problem`` says why it cannot be extracted, where its name or its place alone forbids it.
    """

    name: str
    subject: str
    video: Path
    crops: Path | None = None
    annotation: Path | None = None
    split: str | None = None
    problem: str | None = None


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
    listed: dict[str, list[Source]] = {}
    entries = [*_annotated(root), *_tested(root, test_list)]
    for source in entries:
        listed.setdefault(source.name, []).append(source)
    if not (root / "videos").is_dir():
        raise DataError(f"{root / 'videos'}: no such folder, expected the videos there")
    found = (path for path in below(root / "videos") if path.suffix.lower() in VIDEO_SUFFIXES)
    videos = _grouped((path.stem, path) for path in found if not path.is_dir())
    folders = (path for path in below(root / "cropped_aligned", listed) if path.name in listed)
    crops = _grouped((path.name, path) for path in folders if path.is_dir())
    held_out = {source.subject: source for source in entries if source.split != _TRAIN_ROLE}
    left_out, sources = {}, []
    for name, (source, *others) in sorted(listed.items()):
        if others:
            where = others[0].annotation or test_list
            source = source._replace(problem=f"{where}: also {source.annotation}")
        other = held_out.get(source.subject)
        if source.split == _TRAIN_ROLE and other is not None and source.problem is None:
            left_out[name] = (
                f"{source.annotation}: not extracted, since it must not be trained on: "
                f"{other.name!r} in {other.annotation or test_list} is of the same video"
            )
        else:
            sources.append(_placed(source, videos, crops))
    return Folder(tuple(sources), _count_videos(entries), left_out)


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
    crops = {}
    for name in names:
        if match := _CROP.fullmatch(name):
            crops[int(match[1]) - 1] = folder / name
    if not crops:
        raise DataError(f"{folder}: no face crops, expected 00001.jpg, 00002.jpg, ...")
    if -1 in crops:
        raise DataError(f"{crops[-1]}: crops are numbered from 1")
    return crops


def _listed(
    root: Path, name: str, annotation: Path | None, role: str | None, problem: str | None = None
) -> Source:
    """A recording with the places where its files stand if nothing else is found."""
    video = video_of(name)
    file, crops = root / "videos" / f"{video}.mp4", root / "cropped_aligned" / name
    return Source(name, video, file, crops, annotation, role, problem)


def _annotated(root: Path) -> list[Source]:
    """What has an annotation file in an official part."""
    annotations = root / "annotations"
    candidates = [annotations, *sorted(annotations.glob("VA*"))]
    found = [folder for folder in candidates if (folder / _TRAIN).is_dir()]
    if len(found) != 1:
        what = f"in {len(found)} places" if found else "missing"
        raise DataError(
            f"{annotations}: the folder {_TRAIN} is {what}, expected it here or in one folder VA*"
        )
    sources = []
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
            sources.append(_listed(root, name, file, role, problem))
    return sources


def _tested(root: Path, test_list: Path | str | None) -> list[Source]:
    """What the list of test recordings names."""
    lines = [] if test_list is None else read_lines(Path(test_list))
    sources: dict[str, Source] = {}
    for number, name in enumerate(map(str.strip, lines), start=1):
        if name in sources:
            raise DataError(f"{test_list}, line {number}: {name!r} is given twice")
        if name:
            check_name(name, f"{test_list}, line {number}: name")
            sources[name] = _listed(root, name, None, None)
    return [*sources.values()]


def _grouped(named: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    """Paths by name, in order. One that is reached in two ways, through links, counts once."""
    groups: dict[str, dict[str, Path]] = {}
    for name, path in sorted(named):
        groups.setdefault(name, {}).setdefault(os.path.realpath(path), path)
    return {name: list(paths.values()) for name, paths in groups.items()}


def _placed(
    source: Source, videos: Mapping[str, Sequence[Path]], crops: Mapping[str, Sequence[Path]]
) -> Source:
    """A recording with the places where its files were found, each expected in one."""
    found, faces = videos.get(source.subject, ()), crops.get(source.name, ())
    problem = source.problem
    for what, places in (("video", found), ("folder of crops", faces)):
        if len(places) > 1 and problem is None:
            problem = f"{places[1]}: also at {places[0]}, expected one {what} of that name"
    video, crop = next(iter(found), source.video), next(iter(faces), source.crops)
    return source._replace(video=video, crops=crop, problem=problem)


def _count_videos(sources: Sequence[Source]) -> Counts:
    train, validation, test = (
        len({source.subject for source in sources if source.split == role})
        for role in ("train", "report", None)
    )
    return Counts(train=train, validation=validation, test=test)
