"""How a line of results is written: without the names that every line would repeat.

What a line has for every group of clips, gate or corruption is a mapping in memory and a list in
the file, in the order of `ORDERS`. An order is part of the format of files that are kept, so what
is new goes to its end.
"""

from collections.abc import Mapping
from typing import Any

from companion.analysis.detection import GATE_SCORES
from companion.analysis.interventions import INTERVENTIONS
from companion.reference.gates import corruptions
from companion.reference.measures import GROUPS

Order = Mapping[str, Any]  # name -> the order of what is inside, or None

ORDERS: dict[str, Order] = {
    "scores": dict.fromkeys(GROUPS),
    "gates": dict.fromkeys(GROUPS),
    "interventions": dict.fromkeys(("own", *INTERVENTIONS)),
    "detection": {gate: dict.fromkeys(("within", "pooled")) for gate in GATE_SCORES},
    "missing": {what: dict.fromkeys(shares) for what, shares in corruptions().items()},
}


def pack(line: Mapping[str, Any]) -> dict[str, Any]:
    """Put lists in the place of mappings; a name that is not there is null, or left off the end.

    Raises:
        ValueError: for a name that its order lacks.
    """
    return {key: _packed(key, value, ORDERS.get(key)) for key, value in line.items()}


def unpack(line: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `pack`; a mapping stays one.

    Raises:
        ValueError: for a list that is longer than its order.
    """
    return {key: _unpacked(key, value, ORDERS.get(key)) for key, value in line.items()}


def _packed(key: str, value: Any, order: Order | None) -> Any:
    if order is None or not isinstance(value, Mapping):
        return value
    if unknown := [name for name in value if name not in order]:
        raise ValueError(f"{key} {unknown[0]!r}: expected some of {', '.join(order)}")
    places = [_packed(name, value.get(name), inside) for name, inside in order.items()]
    while places and places[-1] is None:
        places.pop()
    return places


def _unpacked(key: str, value: Any, order: Order | None) -> Any:
    if order is None or not isinstance(value, list):
        return value
    if len(value) > len(order):
        raise ValueError(f"{key}: found {len(value)} values, expected at most {len(order)}")
    return {
        name: _unpacked(name, values, order[name])
        for name, values in zip(order, value, strict=False)
        if values is not None
    }
