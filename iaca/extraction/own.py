"""Labels and subjects that people have of their own videos, read before anything is decoded."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from iaca.base.files import DataError, check_name
from iaca.extraction.inputs import VIDEO_SUFFIXES, Source, safe_name
from iaca.extraction.labels import Targets, Track
from iaca.sources.columns import Choice, choose_columns
from iaca.sources.grid import seconds_in
from iaca.sources.importing import Columns, check_distinct, per_recording, valid_labels
from iaca.sources.tables import Table, listed, read_table

INSTEAD = ("video", "file")  # columns that name the recording where none is called so
TIME, FRAME = "time", "frame"  # columns that say where a label stands, unless others are named


class Own(NamedTuple):
    """Videos with their labels.

    Attributes:
        sources: those that have labels, each with its track and its subject.
        targets: what is labelled.
        left_out: why the other videos are no sources.
        notes: what to say before they are decoded, in lines.
    """

    sources: tuple[Source, ...]
    targets: Targets
    left_out: Mapping[str, str]
    notes: tuple[str, ...]


def label_videos(
    videos: Sequence[Source],
    labels: Path,
    subjects: Path | None = None,
    *,
    columns: Columns,
    label_range: tuple[float, float],
    invalid: float | None = None,
    choice: Choice,
    max_gap: float | None = None,
) -> Own:
    """Find each video's labels and who is seen in it.

    Recordings are named as the videos are, with or without folder and suffix.

    Args:
        videos: sources without labels.
        labels: a table of all videos or a folder with a table for each, see `read_table`.
        subjects: a table with a row for each video, where the labels do not name the subject.
        columns: of the recording, the subject, and ``step`` (a 0-based frame) or ``time``
            (seconds from the first picture). Where neither is named, `TIME` or `FRAME` is taken,
            or else the n-th label of a video is that of its n-th frame.
        label_range: lowest and highest valid label.
        invalid: a label that means "not valid".
        choice: which columns are labels; by default all that are left.
        max_gap: how long a label stands at most before the next one, in seconds or in frames; by
            default the median distance of two labels.

    Raises:
        DataError: naming file, line and column of what is wrong, or the names that do not fit.
    """
    table, columns = _read(labels, columns, choice)
    tracks, kind, gap = _tracks(table, columns, valid_labels(table, label_range, invalid), max_gap)
    labelled = [video for video in videos if video.name in tracks]
    unlabelled = [video for video in videos if video.name not in tracks]
    if not labelled:
        named = ", ".join(map(repr, list(tracks)[:3]))
        there = ", ".join(repr(video.title or video.name) for video in videos[:3])
        raise DataError(f"{labels}: names {named}, none of the videos {there}")
    who, told = _subjects(table, subjects, columns, [video.name for video in labelled])
    unit = {"line": "a line a frame", "frame": f"every {gap:g} frames", "time": f"every {gap:g} s"}
    notes = [f"labels: {listed(table.names)} of {len(labelled)} videos, {unit[kind]}", told]
    if extra := sorted(tracks.keys() - {video.name for video in videos}):
        notes.append(f"iaca: warning: {labels}: labels without a video: {listed(extra)}")
    return Own(
        tuple(v._replace(subject=who[v.name], track=tracks[v.name]) for v in labelled),
        Targets(tuple(table.names), label_range),
        {v.name: f"{v.video}: left out, {labels} has no label of it" for v in unlabelled},
        tuple(notes),
    )


def _read(labels: Path, columns: Columns, choice: Choice) -> tuple[Table, Columns]:
    """The table, with the columns that are labels; and which one says where they stand."""
    required = [columns.recording, *columns.time, *filter(None, [columns.step])]
    table = read_table(labels, "labels", columns.texts, required, INSTEAD)
    if not (columns.time or columns.step):
        found = next((name for name in (TIME, FRAME) if name in table.frame.columns), None)
        columns = columns._replace(
            time=(TIME,) if found == TIME else (), step=FRAME if found == FRAME else None
        )
    _rename(table, columns)
    keys = list(dict.fromkeys([*columns.keys, TIME, FRAME]))
    table = choose_columns({"labels": table}, choice, keys)["labels"]
    for name in table.names:
        check_name(name, f"{table.source}: label")
    return table, columns


def _rename(table: Table, columns: Columns) -> None:
    """Give videos and subjects the names that they have in a store."""
    for column in (columns.recording, columns.subject):
        if column in table.frame.columns:
            cells = table.frame[column].fillna("").astype(str).str.strip()
            table.frame[column] = [cell and safe_name(_without_suffix(cell)) for cell in cells]


def _without_suffix(name: str) -> str:
    path = PureWindowsPath(name)  # which takes both kinds of slashes
    return path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name


def _tracks(
    table: Table, columns: Columns, values: np.ndarray, max_gap: float | None
) -> tuple[dict[str, Track], Literal["line", "frame", "time"], float]:
    """The track of each recording that has a valid label, where they stand, and the gap."""
    if max_gap is not None and not 0 <= max_gap < np.inf:
        raise DataError(f"max_gap {max_gap:g}: expected a number from 0")
    recording = pd.Series(table.texts(columns.recording))
    kind: Literal["line", "frame", "time"] = "line"
    at = recording.groupby(recording).cumcount().to_numpy()
    if columns.time:
        kind, at = "time", seconds_in(table, columns.time[0])
    elif columns.step:
        kind, at = "frame", table.whole_numbers(columns.step)
    keys = pd.MultiIndex.from_arrays([recording, at], names=["recording", kind])
    check_distinct(table, keys)
    frame = pd.DataFrame(values.astype(np.float32), index=keys).sort_index()
    frame = frame[frame.notna().any(axis=1).groupby(level=0).transform("any")]
    groups = {str(name): part for name, part in frame.groupby(level=0)}
    stands = {name: part.index.get_level_values(1).to_numpy(float) for name, part in groups.items()}
    gaps = np.concatenate([np.diff(each) for each in stands.values()] or [np.empty(0)])
    usual = float(np.median(gaps)) if len(gaps) and kind != "line" else 0.0
    gap = usual if max_gap is None else max_gap
    tracks = {
        name: Track(table.source, kind, stands[name], part.to_numpy(), gap, whole=True)
        for name, part in groups.items()
    }
    return tracks, kind, usual


def _subjects(
    table: Table, subjects: Path | None, columns: Columns, names: Sequence[str]
) -> tuple[dict[str, str], str]:
    """The subject of each recording, and a line that says how many there are."""
    telling = {"labels": table}
    if subjects is not None:
        people = read_table(subjects, "subjects", columns.texts, [columns.recording], INSTEAD)
        _rename(people, columns)
        telling["people"] = people
    elif columns.subject not in table.frame.columns:
        text = "each video is taken as somebody else; if it is not so, say who is who (--subjects)"
        return {name: name for name in names}, f"iaca: warning: {text}"
    found = per_recording(telling, columns, columns.subject, pd.Index(names))
    who = {name: found[name] for name in names}
    return who, f"subjects: {listed(sorted(set(who.values())))}"
