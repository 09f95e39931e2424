"""The tables of the reference run as plain text: ``python -m companion.reference --show NAME``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from companion.reference.lines import Results
from companion.reference.tables.dial import components, controls, dial
from companion.reference.tables.headline import by_state, headline
from companion.reference.tables.reading import Row, progress, text_table
from companion.reference.tables.tuning import space, winners
from companion.reference.tables.validity import levels, valid, validity, wide

Texts = Sequence[Mapping[str, str]]
Table = tuple[str, Callable[[Results], Texts]]  # the part that it needs, and its rows as texts


def _texts(rows: Callable[[Results], Sequence[Row]]) -> Callable[[Results], Texts]:
    return lambda results: [row.texts() for row in rows(results)]


TABLES: dict[str, Table] = {
    "validity": ("validity", lambda results: wide(validity(results))),
    "levels": ("validity", _texts(levels)),
    "headline": ("headline", _texts(headline)),
    "states": ("headline", _texts(by_state)),
    "dial": ("dial", _texts(dial)),
    "controls": ("controls", _texts(controls)),
    "components": ("components", _texts(components)),
    "space": ("tuning", _texts(lambda _: space())),
    "tuning": ("tuning", _texts(winners)),
}


def show(name: str, folder: Path) -> str:
    """A table as text, from the lines in a folder; says what is missing.

    Raises:
        DataError: if a line is not what it should be.
    """
    results = Results(folder)
    part, rows = TABLES[name]
    missing = progress(results, part)
    notes = [f"{part}: {missing}"] if missing else []
    if name == "validity":
        judged = ", ".join(attention.upper() for attention in valid(results)) or "none"
        notes.append(f"V1 and V3 hold on all worlds for: {judged}")
    return "\n".join([text_table(rows(results)), "", *notes]).rstrip()
