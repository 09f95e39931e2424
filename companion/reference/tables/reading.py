"""Numbers of the reference run by world, of those runs that are there, and how many are missing.

A run that is missing is missing in what is made of it: an estimate over fewer worlds says its n,
and what has none is ``None``. Nothing is made up, and nothing is raised for it.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import pandas as pd

from companion.analysis.estimates import Estimate, over_worlds
from companion.reference.lines import Line, Results
from companion.reference.measures import ALL
from companion.reference.plan import PARTS, ArmName, Cell, cell_of
from iaca.models.regressor import AttentionName

NOT_THERE = "–"


@dataclass(frozen=True)
class ByWorld:
    """A number a world, of those worlds that have it.

    Attributes:
        values: world -> number.
        due: the worlds that there should be.
    """

    values: Mapping[int, float]
    due: tuple[int, ...]

    def __sub__(self, other: "ByWorld") -> "ByWorld":
        """The paired difference, of the worlds that both have."""
        worlds = [world for world in self.values if world in other.values]
        due = tuple(world for world in self.due if world in other.due)
        return ByWorld({w: self.values[w] - other.values[w] for w in worlds}, due)

    def within(self, worlds: Iterable[int]) -> "ByWorld":
        """The same of some worlds only."""
        kept = set(worlds)
        values = {world: value for world, value in self.values.items() if world in kept}
        return ByWorld(values, tuple(world for world in self.due if world in kept))

    @property
    def complete(self) -> bool:
        """Whether every world that is due has its number."""
        return bool(self.due) and set(self.due) <= set(self.values)

    @property
    def estimate(self) -> Estimate | None:
        """The mean over worlds, ``None`` where no world has a number."""
        return over_worlds(self.values.values()) if self.values else None

    @property
    def there(self) -> str:
        """How many worlds have it, of how many: "5" where that is all, else "3 of 5"."""
        have, due = len(self.values), len(self.due)
        return f"{have}" if have == due else f"{have} of {due}"


def lines_of(results: Results, part: str) -> Mapping[str, Line]:
    """A part's lines by the run's name; none of those that need a tuning which is not finished."""
    if PARTS[part].tuned and len(results.part("tuning")) < len(PARTS["tuning"].cells):
        return {}
    return results.part(part)


def progress(results: Results, part: str) -> str:
    """Empty for a complete part; else "not computed yet: 12 of 480 runs are there"."""
    waits = ""
    if PARTS[part].tuned and progress(results, "tuning"):
        waits, part = f" of the tuning, which {part} waits for", "tuning"
    have, due = len(lines_of(results, part)), len(PARTS[part].cells)
    return "" if have == due else f"not computed yet: {have} of {due} runs are there{waits}"


def by_world(
    results: Results,
    part: str,
    attention: AttentionName,
    arm: ArmName,
    share: float,
    number: Callable[[Line], float | None],
    like: Callable[[Cell], Cell] = lambda cell: cell,
) -> ByWorld:
    """A number of each world's run of an attention's arm at a share.

    Args:
        results: the reference run.
        part: that the runs belong to.
        attention: which one.
        arm: what is done with it, or the family that stands in its place.
        share: of weak clips.
        number: what to read from a run's line; ``None`` where it has no such number, as a training
            that failed has no score.
        like: turns a world's usual run into the one that is meant, say one with another seed.
    """
    due = _names(part)
    cells = {w: like(cell_of(attention, arm, share, w)) for w in worlds_of(part)}
    cells = {w: cell for w, cell in cells.items() if cell.name in due}
    lines = lines_of(results, part)
    read = {w: number(lines[cell.name]) for w, cell in cells.items() if cell.name in lines}
    return ByWorld({w: x for w, x in read.items() if x is not None}, tuple(cells))


@functools.cache
def _names(part: str) -> frozenset[str]:
    return frozenset(cell.name for cell in PARTS[part].cells)


@functools.cache
def worlds_of(part: str) -> tuple[int, ...]:
    """The worlds that a part is computed on."""
    return tuple(sorted({cell.world for cell in PARTS[part].cells}))


def scored(group: str = ALL, target: int | None = None) -> Callable[[Line], float | None]:
    """Reads a line's CCC on a group of clips: a target's, or the mean over targets."""
    chosen = slice(None) if target is None else slice(target, target + 1)
    return lambda line: mean_of(line.get("scores", {}).get(group, [])[chosen])


def mean_of(values: Sequence[float | None] | None) -> float | None:
    """The mean of some numbers, ``None`` if there are none or one of them is missing."""
    if not values or None in values:
        return None
    return sum(value for value in values if value is not None) / len(values)


def said(found: object) -> str:
    """Something computed as text, a dash for what is not there."""
    return NOT_THERE if found is None else str(found)


def score_text(found: Estimate | None) -> str:
    """The same of a score, which is shown without a sign."""
    return NOT_THERE if found is None else found.score()


class Row(Protocol):
    """A row of a table: a dataclass that also says what each of its columns says in words."""

    def texts(self) -> dict[str, str]:
        """Column -> text, in the order in which they are shown."""
        ...


def named(attention: AttentionName, arm: ArmName) -> dict[str, str]:
    """The columns that most rows begin with."""
    return {"attention": attention.upper(), "arm": str(arm)}


def frame(rows: Sequence[Any]) -> pd.DataFrame:
    """Rows as numbers: a column a field; those of an estimate are ``name``, ``name_low``, …"""
    return pd.DataFrame([_flat(row) for row in rows])


def _flat(row: Any) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(value, ByWorld):
            value = value.estimate
        if hasattr(value, "_asdict"):
            for key, part in value._asdict().items():
                columns[field.name if key == "value" else f"{field.name}_{key}"] = part
        else:
            columns[field.name] = value
    return columns


def text_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows of column -> text as plain text, for a terminal."""
    if not rows:
        return NOT_THERE
    table = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in table)
    return "\n".join(line.rstrip() for line in lines)
