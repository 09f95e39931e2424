"""The committed reference run is what this code computes: a few of its runs are made again."""

import random
import subprocess
from pathlib import Path

import pytest

from companion.reference.agreement import compare
from companion.reference.compute import compute_line
from companion.reference.lines import FOLDER, SITTINGS, Results, read_lines
from companion.reference.plan import PARTS, Cell, run_of
from iaca.base.paths import ROOT

LARGEST = 2 * 2**20  # bytes of all that is committed


def committed() -> list[tuple[str, Cell]]:
    results = Results()
    found = []
    for name, part in PARTS.items():
        lines = results.part(name)
        found += [(name, cell) for cell in part.cells if "scores" in lines.get(cell.name, {})]
    return found


def sample() -> list[tuple[str, Cell]]:
    """A fixed run, and one that the commit draws."""
    runs = committed()
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    return [runs[0], random.Random(head).choice(runs[1:])] if len(runs) > 1 else runs


@pytest.mark.parametrize(("part", "cell"), sample(), ids=lambda x: getattr(x, "name", x))
def test_a_run_that_is_made_again_agrees(part: str, cell: Cell, tmp_path: Path) -> None:
    results = Results()
    chosen = results.chosen if PARTS[part].tuned else None
    found = compare(results, part, cell, compute_line(run_of(cell, chosen), (), tmp_path))
    assert found.agrees, f"{part}, {cell.name}: {found}"


def test_it_is_small_and_says_what_computed_it() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= LARGEST
    sittings = read_lines(FOLDER / SITTINGS)
    assert sittings
    for sitting in sittings:
        assert sitting["part"] in PARTS
        assert not sitting["commit"].endswith("dirty") and sitting["commit"] != "unknown"
        assert sitting["engine"] == "sequential" and sitting["processor"] and sitting["started"]
    for name in PARTS:
        lines = read_lines(FOLDER / f"{name}.jsonl")
        assert len({line["run"] for line in lines}) == len(lines)
        assert all(sittings[line["sitting"]]["part"] == name for line in lines)
