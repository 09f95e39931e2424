"""Lines are written without names that every line would repeat, and read with them."""

import json
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from companion.reference.gates import asked_of, corruptions
from companion.reference.lines import append_line, read_lines
from companion.reference.packing import ORDERS, pack, unpack
from iaca.base.files import DataError

STATES = [
    *("strong", "corrupted audio", "corrupted visual", "conflicting audio"),
    *("conflicting visual", "dominating audio", "dominating visual"),
]
GONE = [
    *("missing 0.1", "missing 0.2", "missing 0.4", "missing 0.6", "missing 0.8", "missing 1"),
    *("missing in a block 0.5", "noisy 1", "misaligned 1", "swapped 1"),
]


def whole_line() -> dict[str, Any]:
    """A gated headline line with every number different and at its full length."""
    counted = count(1, 2)  # odd, so that no number ends in 0

    def numbers(names: Iterable[str], size: int, digits: int) -> dict[str, list[float]]:
        first = 5 * 10 ** (digits - 1)
        return {n: [(first + next(counted)) / 10**digits for _ in range(size)] for n in names}

    gates = ("stage 1, audio", "stage 1, visual", "stage 2, audio", "stage 2, visual")
    taken = ("own", "stage 1 frozen", "stage 2 frozen", "all frozen", "all permuted")
    groups, ways = ("all", *STATES, "weak"), ("within", "pooled")
    return {
        **{"run": "rjca/sibling's gates/0.46/w20/s20", "config": "0" * 16, "sitting": 10},
        **{"seconds": 100.5, "select": 0.81236, "best_epoch": 14},
        "scores": numbers(groups, 2, 5),
        "gates": numbers(groups, 4, 5),
        "interventions": numbers(taken, 2, 4),
        "detection": {gate: numbers(ways, len(asked_of(gate)), 4) for gate in gates},
        "missing": {what: numbers(shares, 2, 4) for what, shares in corruptions().items()},
    }


def test_orders_are_those_of_the_files_that_are_kept() -> None:
    """Changed in the middle, they would give the numbers in committed files other names."""
    gates = [f"stage {n}, {modality}" for n in (1, 2) for modality in ("audio", "visual")]
    expected: dict[str, list[str]] = {
        "scores": ["all", *STATES, "weak"],
        "gates": ["all", *STATES, "weak"],
        "interventions": ["own", "stage 1 frozen", "stage 2 frozen", "all frozen", "all permuted"],
        "detection": [f"{gate} {how}" for gate in gates for how in ("within", "pooled")],
        "missing": [f"audio {what}" for what in GONE]
        + [f"visual {what}" for what in GONE if what not in ("missing 0.1", "missing 0.4")],
    }
    found = {
        key: [f"{name} {x}" for name, of in order.items() for x in of]
        if key in ("detection", "missing")
        else list(order)
        for key, order in ORDERS.items()
    }
    assert found == expected


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    whole, file = whole_line(), tmp_path / "headline.jsonl"
    strong = {"run": "b", "scores": {"all": [0.1, None], "strong": [0.1, None]}, "evenness": 0.9}
    holes = {"run": "c", "missing": {"visual missing": {"0.8": [0.5]}}, "scores": {"weak": [0.1]}}
    failed = {"run": "d", "failed": "rate", "select": None, "probes": {"audio": {"x": 0.5}}}
    lines = [whole, strong, holes, failed]
    for line in lines:
        append_line(file, line)
    assert read_lines(file) == lines
    written = [json.loads(text) for text in file.read_text().splitlines()]
    assert written[1]["scores"] == [[0.1, None], [0.1, None]]
    assert written[0]["gates"][7] == whole["gates"]["dominating visual"]
    assert written[0]["missing"][0][4] == whole["missing"]["audio missing"]["0.8"]


def test_a_line_that_was_written_with_names_is_read_all_the_same(tmp_path: Path) -> None:
    line = whole_line()
    (tmp_path / "old.jsonl").write_text(json.dumps(line) + "\n")
    assert read_lines(tmp_path / "old.jsonl") == [line] == [unpack(line)]


def test_headline_lines_stay_small(tmp_path: Path) -> None:
    gated = whole_line()
    plain = {k: v for k, v in gated.items() if k not in ("gates", "interventions", "detection")}
    for line in (gated, gated, gated, gated, gated, plain):
        append_line(tmp_path / "headline.jsonl", line)
    assert (tmp_path / "headline.jsonl").stat().st_size <= 6 * 1600


def test_a_name_without_a_place_is_not_lost_and_a_list_too_long_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"scores 'happy': expected some of all, strong, "):
        pack({"scores": {"all": [0.1], "happy": [0.2]}})
    with pytest.raises(ValueError, match=r"visual noisy '0\.5': expected some of 1"):
        pack({"missing": {"visual noisy": {"0.5": [0.2]}}})
    (tmp_path / "part.jsonl").write_text('{"run":"a"}\n{"scores":[0,1,2,3,4,5,6,7,8,9]}\n')
    with pytest.raises(DataError, match=r"part\.jsonl, line 2: scores: found 10 values, .* 9"):
        read_lines(tmp_path / "part.jsonl")
