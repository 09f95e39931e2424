"""A run that is computed again is held to its line as strictly as the machine allows."""

from pathlib import Path
from typing import Any

import pytest

from companion.reference.agreement import compare
from companion.reference.lines import SITTINGS, Results, append_line, config_hash, describe_sitting
from companion.reference.plan import PARTS, Arm, cell_of, run_of

CELL = cell_of("ca", Arm.PLAIN, 0.0, 1)


def results(folder: Path, **changes: str) -> Results:
    line = {"run": CELL.name, "config": config_hash(run_of(CELL)), "sitting": 0, **scored(0.7)}
    append_line(folder / "validity.jsonl", line)
    append_line(folder / SITTINGS, {**describe_sitting("validity"), **changes})
    return Results(folder)


def scored(mean: float) -> dict[str, Any]:
    return {"scores": {"all": [mean + 0.1, mean - 0.1]}}


@pytest.mark.parametrize(
    ("changes", "difference", "agrees"),
    [
        ({}, 0.0004, True),
        ({}, -0.0006, False),
        ({"torch": "2.0.0"}, 0.0049, True),
        ({"processor": "another"}, -0.0051, False),
    ],
)
def test_the_same_machine_to_the_digit_another_within_reason(
    tmp_path: Path, changes: dict[str, str], difference: float, agrees: bool
) -> None:
    found = compare(results(tmp_path, **changes), "validity", CELL, scored(0.7 + difference))
    assert found.difference == pytest.approx(difference)
    assert found.agrees is agrees


def test_seeds_that_scatter_allow_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A/A pairs that differ by 0, 0.04 and -0.04: a deviation of 0.04 / √2 a run."""
    there = results(tmp_path, torch="2.0.0")
    again = [cell for cell in PARTS["controls"].cells if cell.arm is Arm.AGAIN]
    mine = [cell for cell in again if cell.attention == "ca"][:3]
    differences = dict(zip(mine, (0, 0.04, -0.04), strict=True))

    def line(part: str, cell: Any) -> Any:
        return scored(0.7 + differences.get(cell, 0.0)) if cell.world <= 3 else None

    monkeypatch.setattr(there, "line", line)
    found = compare(there, "validity", CELL, scored(0.78))
    assert found.tolerance == pytest.approx(3 * 0.04 / 2**0.5)
    assert found.agrees
