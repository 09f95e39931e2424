"""Lines of results outlive a kill, and are used only for the plan that they belong to."""

import json
import subprocess
from pathlib import Path

import pytest

from companion.reference.lines import Results, append_line, commit_of, config_hash, read_lines
from companion.reference.plan import PARTS, run_of
from iaca.base.files import DataError


def test_a_half_line_is_dropped_and_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "part.jsonl"
    assert read_lines(file) == []
    append_line(file, {"run": "one"})
    append_line(file, {"run": "two"})
    whole = file.read_bytes()
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        before = read_lines(file)
        assert before == [{"run": "one"}, {"run": "two"}][: whole[:cut].count(b"\n")]
        append_line(file, {"run": "next"})
        assert read_lines(file) == [*before, {"run": "next"}]


@pytest.mark.parametrize("bad", ["not json", "[1]", '{"run": NaN,,}'])
def test_a_whole_line_that_is_wrong_is_named(tmp_path: Path, bad: str) -> None:
    file = tmp_path / "part.jsonl"
    file.write_text('{"run": "one"}\n' + bad + "\n")
    with pytest.raises(DataError, match=r"part\.jsonl, line 2: "):
        read_lines(file)


def test_a_line_of_another_configuration_is_not_used(tmp_path: Path) -> None:
    first, second = PARTS["validity"].cells[:2]
    for cell, config in ((first, config_hash(run_of(first))), (second, "0" * 16)):
        append_line(tmp_path / "validity.jsonl", {"run": cell.name, "config": config})
    results = Results(tmp_path)
    assert results.line("validity", first) is not None
    assert results.line("validity", second) is None


def test_an_unfinished_tuning_decides_nothing(tmp_path: Path) -> None:
    cells = PARTS["tuning"].cells
    for cell in cells[:-1]:
        line = {"run": cell.name, "config": config_hash(run_of(cell)), "select": 0.5}
        with (tmp_path / "tuning.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    with pytest.raises(DataError, match=r"tuning\.jsonl: 1 of 576 runs are missing"):
        _ = Results(tmp_path).chosen
    last = {"run": cells[-1].name, "config": config_hash(run_of(cells[-1])), "select": None}
    append_line(tmp_path / "tuning.jsonl", last)
    assert set(Results(tmp_path).chosen) == {"ca", "tca", "jca", "rjca"}


def test_a_commit_is_dirty_when_the_tree_is(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)

    assert commit_of(tmp_path) == "unknown"  # not a repository
    (tmp_path / "a").write_text("1")
    git("init")
    git("add", "a")
    git("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "--message", "A")
    commit = commit_of(tmp_path)
    assert len(commit) >= 7 and "-" not in commit
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == f"{commit}-dirty"
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "b").write_text("1")
    git("add", ".")
    assert commit_of(tmp_path, "a") == f"{commit}-dirty"
    assert commit_of(tmp_path, "a", "lines") == commit
