"""What is to be done so that a store holds what its files say now, and what stays as it is.

Features that were made are never given up because a file is missing: they are what they were.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iaca.extraction.affwild2 import Source
from iaca.extraction.growing import GrowingStore
from iaca.extraction.inputs import fingerprint, unreadable

Inputs = Mapping[str, Mapping[str, Any]]  # as `fingerprint` gives it
TRAIN = "train"
ANNOTATION = "annotation"
NOT_ASKED_FOR = "not among the recordings asked for; what was made of it before is kept"


@dataclass
class Plan:
    """What one call has to do.

    Attributes:
        make: recordings to decode.
        again: names of those of them that are there, but were made from other files.
        relabel: recordings that get other labels, or come into another part, and keep their
            features; with what they are then made from.
        aside: names of recordings that are there, and must leave the index.
        back: names of recordings that were set aside, and are again what their files say.
        notes: by name, what else is to be reported of recordings, none of it a failure.
    """

    make: list[Source] = field(default_factory=list)
    again: list[str] = field(default_factory=list)
    relabel: list[tuple[Source, Inputs]] = field(default_factory=list)
    aside: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the store is to stay as it is."""
        return not (self.make or self.relabel or self.aside or self.back)


def plan(store: GrowingStore, sources: Sequence[Source], left_out: Mapping[str, str]) -> Plan:
    """Compare the store with what it is made from.

    A recording that is not among the sources stays in the store, and this is reported: its video
    may have been moved away, or this call has no list of test recordings. To be without it, make
    another store.

    Args:
        store: nothing in it is changed here.
        sources: what is to be in it.
        left_out: why each recording that must not be in it is left out.
    """
    todo = Plan(notes=dict(left_out))
    done = store.done()
    todo.aside = [name for name in left_out if name in done]
    for source in sources:
        _compare(store, source, todo)
    names = {source.name for source in sources}
    others = [name for name in done if name not in names and name not in left_out]
    todo.notes |= dict.fromkeys(others, NOT_ASKED_FOR)
    return todo


def beside_held_out(
    store: GrowingStore, sources: Sequence[Source], left_out: Mapping[str, str]
) -> dict[str, str]:
    """Why recordings must not be trained on beside those that the store keeps from earlier calls.

    Among the sources of one call this has been seen to; but the store may hold another recording of
    the same subject, in another part, that this call has not asked for.

    Args:
        store: as for :func:`plan`, and so are the others.
    """
    names = {source.name for source in sources}
    roles = [
        (source.name, source.subject, source.split) for source in sources if source.problem is None
    ]
    roles += [
        (name, facts["entry"]["subject"], facts["entry"]["split"])
        for name, facts in store.done().items()
        if name not in names and name not in left_out
    ]
    held_out = {subject: name for name, subject, role in roles if role != TRAIN}
    return {
        name: f"left out, since it must not be trained on: {held_out[subject]!r} is in the "
        "store, is of the same video, and is held out"
        for name, subject, role in roles
        if role == TRAIN and subject in held_out
    }


def may_stay(found: Inputs, made: Inputs, missing: Collection[str]) -> bool:
    """Whether what was made of a recording stands although its files are not what they were.

    It does while one that is needed is missing, for then nobody knows what is in it; unless the
    recording has come into another part.

    Args:
        found: the recording's `fingerprint` now.
        made: the `fingerprint` that it was made from.
        missing: which of the files that are needed cannot be read.
    """
    return bool(missing) and found["labels"]["part"] == made["labels"]["part"]


def _compare(store: GrowingStore, source: Source, todo: Plan) -> None:
    """Find out what one recording needs."""
    name = source.name
    made = None if source.problem is not None else store.made_from(name)
    if made is None:
        todo.make.append(source)
        return
    found = fingerprint(source)
    missing = unreadable(source, found)
    aside = store.is_aside(name)
    if found == made:
        todo.back += [name] if aside else []
        return
    if missing and aside:
        todo.make.append(source)  # which fails, and says what is missing
        return
    if missing:
        todo.notes[name] = (
            f"its {' and its '.join(missing)} cannot be found or read any more; its features are "
            "kept"
        )
    if ANNOTATION in missing and may_stay(found, made, missing):
        return
    if not missing and found["media"] != made["media"]:
        todo.make.append(source)
        todo.again.append(name)
    elif found["labels"] != made["labels"]:
        todo.relabel.append((source, {"media": made["media"], "labels": found["labels"]}))
