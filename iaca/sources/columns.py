"""Which columns of a table are features or labels: chosen by name, and none that counts rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
import pandas as pd

from iaca.base.files import DataError, check_one_of
from iaca.sources.tables import Table, listed

# What tools write beside their features: where a row stands, and how sure they were of it.
CONFIDENCE = ("confidence", "success")
OF_TOOLS = (
    *("frame", "frameindex", "frametime", "timestamp", "time", "start", "end", "index", "level_0"),
    *("face_id", *CONFIDENCE),
)
MIN_CONFIDENCE = 0.8  # by default
FEWEST_ROWS = 4  # of which it can be said that a column counts them, in the table's order
MANY_ROWS = 20  # of which it can be said in any order
ALIKE = 0.05  # relative deviation of a clock's step; 1/30 s is printed as 0.033 and as 0.034
MOSTLY = 0.8  # share of steps that are alike: some frames are left out, some cells mistyped


class Format(NamedTuple):
    """What is assumed of a tool's tables.

    Attributes:
        role: the table that it writes, ``audio`` or ``visual``.
        recording: columns that hold a path or a name, whose stem is the recording where no column
            names that and the tables are not a file each.
        time: columns of seconds.
        keep: patterns of its features; all columns by default.
        own: columns that are no features.
        single: a column that has one value in a recording, say which face it is.
    """

    role: str
    recording: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    single: str | None = None


FORMATS = {
    "opensmile": Format(
        role="audio",
        recording=("file", "name"),  # of the Python package, of SMILExtract
        time=("start", "frameTime"),
        own=("file", "name", "start", "end", "frameTime", "frameIndex"),
    ),
    "openface": Format(
        role="visual",
        time=("timestamp",),
        keep=("gaze_angle_?", "pose_R?", "AU*_r"),
        own=("frame", "face_id", "timestamp"),
        single="face_id",
    ),
}


class Choice(NamedTuple):
    """What is taken of the tables.

    Attributes:
        keep: names or patterns (``AU*_r``) of columns. A table that has such columns keeps no
            others; the rest keep all. ``visual:AU*_r`` means the visual table alone.
        drop: names or patterns of columns to leave out.
        formats: tools that wrote the tables, names in `FORMATS`.
        confidence: columns that tell of audio or visual rows how sure a tool was of them; by
            default `CONFIDENCE`, where a table has these and ``keep`` does not name them.
        min_confidence: a row is missing where one of these is below (or no number).
    """

    keep: Sequence[str] = ()
    drop: Sequence[str] = ()
    formats: Sequence[str] = ()
    confidence: Sequence[str] = ()
    min_confidence: float | None = None

    def format(self, role: str) -> Format:
        """What is assumed of a role's table."""
        for name in self.formats:
            check_one_of("format", name, FORMATS)
        found = [FORMATS[name] for name in self.formats if FORMATS[name].role == role]
        return found[0] if found else Format(role)

    def confidence_in(self, table: Table) -> list[str]:
        """The columns that tell whether a row of a table is missing."""
        wanted = self.confidence or [name for name in CONFIDENCE if name not in table.names]
        return [name for name in wanted if name in table.frame.columns]


def choose_columns(
    tables: Mapping[str, Table], choice: Choice, keys: Sequence[str]
) -> dict[str, Table]:
    """Leave the columns that are features or labels, and refuse what cannot be one.

    Args:
        tables: by role; the first of ``keys`` is a column of each.
        choice: what is taken.
        keys: columns that are never features; the recording's comes first.

    Raises:
        DataError: a pattern that fits nothing; no column left; a column without a name, one that
            counts rows or frames, or one of `OF_TOOLS`, unless ``choice.keep`` has its very name.
    """
    for option, patterns in (("columns", choice.keep), ("drop", choice.drop)):
        for pattern in patterns:
            if not any(_fits([pattern], role, tables[role].names) for role in tables):
                heads = "; ".join(f"{t.source} has {listed(t.names)}" for t in tables.values())
                raise DataError(f"--{option} {pattern}: no such column; {heads}")
    chosen = {}
    for role, table in tables.items():
        form = choice.format(role)
        asked = {pattern.removeprefix(f"{role}:") for pattern in choice.keep}
        sure = () if role == "labels" else choice.confidence or CONFIDENCE
        own = {*keys, *({*form.own, *sure} - asked)}
        names = [name for name in table.names if name not in own]
        names = _fits(choice.keep, role, names) or _fits(form.keep or ["*"], role, names)
        dropped = _fits(choice.drop, role, names)
        names = [name for name in names if name not in dropped]
        if not names:
            what = f"columns like {', '.join(form.keep)}" if form.keep else "a column of values"
            raise DataError(f"{table.source}: found {listed(table.frame.columns)}, expected {what}")
        recordings = pd.factorize(table.texts(keys[0]))[0]
        odd = {name: _no_value(table, name, recordings) for name in names if name not in asked}
        if odd := {name: reason for name, reason in odd.items() if reason}:
            at = table.parts[0].file + (", line 1" if table.parts[0].first_line else "")
            said = "; ".join(f"column {name!r} {reason}" for name, reason in odd.items())
            raise DataError(
                f"{at}: {said}; leave out with --drop {' '.join(map(repr, odd))}, or ask for it by "
                "its very name with --columns"
            )
        chosen[role] = replace(table, names=names)
    return chosen


def lost_rows(tables: Mapping[str, Table], choice: Choice, recording: str) -> dict[str, np.ndarray]:
    """Of which rows a tool was not sure: ``(rows,)`` booleans for audio and for visual.

    Raises:
        DataError: no table has the column; several faces in a recording.
    """
    limit = MIN_CONFIDENCE if choice.min_confidence is None else choice.min_confidence
    lost, found = {}, []
    for role in ("audio", "visual"):
        table, single = tables[role], choice.format(role).single
        found += choice.confidence_in(table)
        sure = [table.numbers(name) >= limit for name in choice.confidence_in(table)]
        lost[role] = ~np.all([np.ones(len(table.frame), dtype=bool), *sure], axis=0)
        if single and single in table.frame.columns:
            values = pd.Series(table.numbers(single))
            other = values != values.groupby(table.texts(recording)).transform("first")
            if other.any():
                what = "another face in the same recording, expected one person"
                raise table.error(int(other.to_numpy().argmax()), single, what)
    if not found and (choice.confidence or choice.min_confidence is not None):
        wanted = " or ".join(map(repr, choice.confidence or CONFIDENCE))
        raise DataError(f"no table of features has a column {wanted}")
    return lost


def _fits(patterns: Sequence[str], role: str, names: Sequence[str]) -> list[str]:
    own = [pattern.removeprefix(f"{role}:") for pattern in patterns]
    return [n for n in names if any(n == pattern or fnmatchcase(n, pattern) for pattern in own)]


def _no_value(table: Table, name: str, recordings: np.ndarray) -> str | None:
    """Why a column is no feature and no label, if that can be told."""
    if re.fullmatch(r"Unnamed: \d+", name):
        return "has no name (a row number that pandas wrote without index=False?)"
    if name.lower() in OF_TOOLS:
        return "is what a tool says of its rows"
    if _counts(table.numbers(name), recordings):
        return "counts rows or frames: its values lie evenly"
    return None


def _counts(values: np.ndarray, recordings: np.ndarray) -> bool:
    """Whether values rise evenly over the table or over each recording, numbered, in it.

    With many rows it is enough that they do so once they are sorted: the rows may be shuffled.
    """
    if len(values) < FEWEST_ROWS:
        return False
    rank = values if len(values) >= MANY_ROWS else np.arange(len(values))
    order = np.lexsort((rank, recordings))
    within = recordings[order][1:] == recordings[order][:-1]
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values are refused later
        found = np.diff(values[np.argsort(rank)]), np.diff(values[order])[within]
    for steps in (steps[np.isfinite(steps)] for steps in found):
        if len(steps) > 1 and steps.min() > 0:
            middle = np.median(steps)
            if np.mean(np.abs(steps - middle) <= ALIKE * middle) >= MOSTLY:
                return True
    return False
