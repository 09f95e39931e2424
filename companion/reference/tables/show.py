"""The tables of the reference run as plain text: ``python -m companion.reference --show NAME``."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from companion.reference.lines import Results
from companion.reference.plan import SECOND
from companion.reference.tables.asked import costs, detects, under_corruption
from companion.reference.tables.choices import choices
from companion.reference.tables.claims import criteria
from companion.reference.tables.dial import components, controls, dial
from companion.reference.tables.headline import by_state, headline
from companion.reference.tables.informed import informed
from companion.reference.tables.obeying import obeyed
from companion.reference.tables.reading import Row, progress, text_table
from companion.reference.tables.second import second
from companion.reference.tables.targets import by_target
from companion.reference.tables.tuning import space, winners
from companion.reference.tables.validity import levels, valid, validity, wide

Texts = Sequence[Mapping[str, str]]
Table = tuple[tuple[str, ...], Callable[[Results], Texts]]  # parts that it needs; rows as texts


def _texts(rows: Callable[[Results], Sequence[Row]]) -> Callable[[Results], Texts]:
    return lambda results: [row.texts() for row in rows(results)]


TABLES: dict[str, Table] = {
    "validity": (("validity",), lambda results: wide(validity(results))),
    "levels": (("validity",), _texts(levels)),
    "headline": (("validity", "headline", "controls"), _texts(headline)),
    "targets": (("headline", "controls"), _texts(by_target)),
    "states": (("headline",), _texts(by_state)),
    "dial": (("headline", "dial"), _texts(dial)),
    "controls": (("validity", "headline", "controls"), _texts(controls)),
    "informed": (("headline", "informed"), _texts(informed)),
    "second": ((SECOND,), _texts(second)),
    "components": (("headline", "components"), _texts(components)),
    "space": ((), _texts(lambda _: space())),
    "tuning": (("tuning",), _texts(winners)),
    "gates": (("headline",), _texts(costs)),
    "choices": (("headline",), _texts(choices)),
    "detection": (("headline",), _texts(detects)),
    "obeyed": (("headline",), _texts(obeyed)),
    "missing": (("headline", "missing"), _texts(under_corruption)),
    "criteria": (
        ("validity", "headline", "controls", "missing", "dial", "versions"),
        _texts(criteria),
    ),
}


def show(name: str, folder: Path) -> str:
    """A table as text, from the lines in a folder; says what is missing, and what is judged.

    Raises:
        DataError: if a line is not what it should be.
    """
    results = Results(folder)
    parts, rows = TABLES[name]
    missing = {part: progress(results, part) for part in parts}
    notes = [f"{part}: {said}" for part, said in missing.items() if said]
    if "validity" in parts:
        judged = ", ".join(attention.upper() for attention in valid(results)) or "no attention"
        notes.append(f"V1 and V3 hold on all worlds for {judged}: the claim is judged there")
    return "\n".join([text_table(rows(results)), "", *notes]).rstrip()
