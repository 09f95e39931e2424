"""The reference run goes on after a kill, and ends with the same lines."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from companion.reference import compute as module
from companion.reference import lines as lines_module
from companion.reference.compute import cells_of, compute, main
from companion.reference.lines import read_lines
from companion.reference.measures import briefly
from companion.reference.plan import PARTS, Arm, Cell, Part
from iaca.base.files import DataError
from iaca.runs.shards import Shard

# A plan in small, for a process of its own too.
SMALL = """
from dataclasses import replace
from companion.reference import compute, lines, plan
plan.TRAINING = replace(plan.TRAINING, epochs=1, hop=48)
plan.DIM = 8
cells = tuple(
    plan.Cell("ca", arm, 0.46, 1, seed)
    for seed in (1, 2) for arm in (plan.Arm.PLAIN, plan.Arm.TOLD)
)
plan.PARTS.clear()
plan.PARTS["few"] = plan.Part(cells, ("evenness",), tuned=False)
"""


def run_small(folder: Path, *arguments: str) -> list[str]:
    call = f"{SMALL}\nif __name__ == '__main__':\n    raise SystemExit(compute.main())\n"
    (folder / "small.py").write_text(call)
    places = ["--folder", f"{folder}/lines", "--output-dir", f"{folder}/out"]
    return [sys.executable, f"{folder}/small.py", *places, *arguments]


def found(folder: Path) -> dict[str, dict[str, object]]:
    """The lines, without what differs from sitting to sitting."""
    lines = read_lines(folder / "lines" / "few.jsonl")
    kept = [{k: v for k, v in x.items() if k not in ("sitting", "seconds")} for x in lines]
    return {str(line["run"]): line for line in kept}


def test_killed_runs_end_with_the_same_lines(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    subprocess.run(run_small(whole), check=True, capture_output=True, timeout=240)
    expected = found(whole)
    assert len(expected) == 4
    for lines_before in (1, 2):
        process = subprocess.Popen(
            run_small(killed, "--jobs", "1"), stdout=subprocess.PIPE, start_new_session=True
        )
        while process.poll() is None and len(found(killed)) < lines_before:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = subprocess.run(run_small(killed), check=True, capture_output=True, text=True)
    assert "of 4 runs are there" in done.stdout and "min left" in done.stdout
    assert found(killed) == expected
    sittings = read_lines(killed / "lines" / "sittings.jsonl")
    assert len(sittings) == 3 and all(sitting["part"] == "few" for sitting in sittings)


def test_shards_are_the_whole_each_run_once() -> None:
    for part in PARTS:
        shares = [cells_of(part, Shard(number, 3)) for number in (1, 2, 3)]
        assert sorted(c.name for share in shares for c in share) == sorted(
            cell.name for cell in cells_of(part)
        )
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_training_that_fails_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell("ca", Arm.PLAIN, 0.46, 1, 1)
    monkeypatch.setitem(PARTS, "few", Part((cell,), tuned=False))
    bad = module.run_of(cell)
    object.__setattr__(bad, "training", bad.training.__class__(batch_size=0))
    for place in (module, lines_module):
        monkeypatch.setattr(place, "run_of", lambda cell, chosen=None: bad)
    compute(["few"], tmp_path / "lines", tmp_path / "out", jobs=1)
    (line,) = read_lines(tmp_path / "lines" / "few.jsonl")
    assert line["select"] is None and "batch_size 0" in line["failed"]


@pytest.mark.parametrize("brief", [False, True])
def test_a_brief_part_keeps_scores_of_all_clips_and_no_gates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brief: bool
) -> None:
    cell = Cell("ca", Arm.TOLD, 0.46, 1, 1)
    small = module.run_of(cell)
    small = replace(
        small,
        model=replace(small.model, dim=8),
        training=replace(small.training, epochs=1, hop=48),
    )
    monkeypatch.setitem(PARTS, "few", Part((cell,), tuned=False, brief=brief))
    for place in (module, lines_module):
        monkeypatch.setattr(place, "run_of", lambda cell, chosen=None: small)
    compute(["few"], tmp_path / "lines", tmp_path / "out", jobs=1)
    (line,) = read_lines(tmp_path / "lines" / "few.jsonl")
    assert line["select"] is not None and len(line["scores"]["all"]) == 2
    assert (set(line["scores"]) == {"all"}) == ("gates" not in line) == brief


def test_lines_that_are_there_are_made_brief_without_other_changes() -> None:
    line = {"run": "r", "select": 0.5, "scores": {"all": [0.4, 0.6], "weak": [0.1, 0.2]}}
    expected = {**line, "scores": {"all": [0.4, 0.6]}}
    assert briefly({**line, "gates": {"all": [0.1] * 4}}) == briefly(expected) == expected
    failed = {"run": "r", "failed": "too high a rate", "select": None}
    assert briefly(failed) == failed


def test_bad_input_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["headlines", "--folder", str(tmp_path)]) == 2
    assert "part 'headlines': expected one of validity" in capsys.readouterr().err
    with pytest.raises(DataError, match="576 of 576 runs are missing"):
        compute(["headline"], tmp_path)
