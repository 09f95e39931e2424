"""A grid in parts, and what becomes of a run that two machines make on one disk."""

import errno
import functools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from toys import find_run, tiny_manifest, tiny_run

from iaca.cli import main
from iaca.commands.sweep import Request, grid_of
from iaca.learning.loop import train_together
from iaca.runs import execution
from iaca.runs.execution import execute_run
from iaca.runs.shards import Shard


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 50, 100])
def test_parts_are_the_whole_and_equally_expensive(parts: int, tmp_path: Path) -> None:
    request = Request("quick", attention=["ca", "rjca"], share=[0.0, 0.6], seeds=range(8))
    configs = grid_of(request, tmp_path)
    assert len(configs) == 96
    shards = [Shard(number, parts).of(configs) for number in range(1, parts + 1)]
    assert Counter(config for shard in shards for config in shard) == Counter(configs)
    for attention in ("ca", "rjca"):
        for fusion in ("plain", "iaca"):
            model = (attention, fusion)
            found = [sum((c.model.attention, c.model.fusion) == model for c in s) for s in shards]
            assert max(found) - min(found) <= 1
    if parts == 2:  # what a GPU trains at once is not torn apart
        alike = [{c.seed for c in shard if c.model.fusion == "plain"} for shard in shards]
        assert alike == [set(range(8))] * 2


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "-1/4", "1/4/4", "a/b", "1.0/2", ""])
def test_what_is_no_part_is_said_in_a_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", f"--shard={text}", "--output-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"iaca: --shard {text}: expected I/N with 1 <= I <= N\n"


def test_the_last_part_prints_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = str(tiny_manifest(tmp_path / "manifests"))
    command = ["sweep", "--profile", "smoke", "--manifest", manifest, "--set", "model.dim=8"]
    command += ["--arm", "plain", "zero", "--seeds", "0", "1", "--output-dir", str(tmp_path)]
    command += ["--device", "cpu", "--jobs", "1", "--csv", str(tmp_path / "table.csv")]
    assert main([*command, "--shard", "2/2", "--dry-run"]) == 0
    assert "runs: 2 of 2 would be made" in capsys.readouterr().out
    assert not (tmp_path / "runs").exists()
    assert main([*command, "--shard", "2/2"]) == 0
    printed = capsys.readouterr().out
    assert "runs: 2 of all 4 are there; once all are, the same command without --shard" in printed
    assert "CCC" not in printed and not (tmp_path / "table.csv").exists()
    assert main([*command, "--shard", "1/2"]) == 0
    assert "CCC on the reported split" in capsys.readouterr().out
    table = (tmp_path / "table.csv").read_text()
    assert main(command) == 0
    assert "all 4 are there already" in capsys.readouterr().out
    assert (tmp_path / "table.csv").read_text() == table


@pytest.mark.usefixtures("one_thread")
def test_two_that_make_a_run_where_there_are_no_locks_leave_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins, from the first one's checkpoint, and ends while the first trains."""
    config, out = tiny_run(tmp_path), tmp_path / "build"
    whole = execute_run(config, tmp_path / "whole", "cpu")
    epochs: list[tuple[str, int]] = []

    def note(who: str, epoch: int) -> None:
        epochs.append((who, epoch))
        if epochs == [("first", 0)]:
            training("second")
            execute_run(config, out, "cpu")
            training("first")

    def training(who: str) -> None:
        options: Any = {"checkpoint_seconds": 0.0, "after_epoch": functools.partial(note, who)}
        together = functools.partial(train_together, **options)
        monkeypatch.setattr(execution, "train_together", together)

    def no_locks(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    training("first")
    run = execute_run(config, out, "cpu")
    second = [("second", epoch) for epoch in range(1, config.training.epochs)]
    assert epochs == [("first", 0), *second, ("first", 1), ("first", 2)]
    assert find_run(config, out) is not None
    assert [folder.name for folder in (out / "runs").glob("[!.]*")] == [run.folder.name]
    assert not list((out / "runs").glob("*.partial"))
    for file in whole.folder.iterdir():
        if file.name != "metrics.json":  # which holds the time it took
            assert (run.folder / file.name).read_bytes() == file.read_bytes()
