"""Every table can be read in a terminal, whatever is there of the reference run."""

from pathlib import Path

import pytest

from companion.reference.compute import main
from companion.reference.lines import append_line, config_hash
from companion.reference.plan import PARTS, run_of
from companion.reference.tables.show import TABLES


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_nothing_says_so(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--show", name, "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for part in TABLES[name][0]:
        assert f"{part}: not computed yet: 0 of " in said


def test_a_table_of_some_lines_says_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for cell in PARTS["validity"].cells[:5]:
        scores = {"all": [0.5, 0.75], "strong": [0.5, 0.75]}
        line = {"run": cell.name, "config": config_hash(run_of(cell)), "scores": scores}
        append_line(tmp_path / "validity.jsonl", line)
    assert main(["--show", "levels", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "validity: not computed yet: 5 of 300 runs are there" in said
    assert "0.625" in said
    assert "hold on all worlds for no attention" in said


def test_a_line_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "validity.jsonl").write_text("wrong\n")
    assert main(["--show", "validity", "--folder", str(tmp_path)]) == 2
    assert "validity.jsonl, line 1: not JSON" in capsys.readouterr().err
