"""`iaca data describe`, against what was put into a store; and the help of `iaca data import`."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import toy_info, toy_recording

from iaca.cli import main
from iaca.commands.importing import add_import
from iaca.sources.writing import write_store


def test_a_store_is_described_by_what_is_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = toy_recording("one", "ann", 20, 1, "train", invalid=[3, 4])
    late = replace(one, name="late", subject="ben", split="report", end_frame=torch.arange(20) + 5)
    late.end_frame[12:] += 30
    short = toy_recording("short", "cleo", 7, 2, "report")
    names = {"audio": [f"a{i}" for i in range(one.audio.shape[1])], "visual": ["b1"]}
    told = {"features": names, "missing": {"audio": {"held": 2, "missing": 3}}, "null": "zeros"}
    info = replace(toy_info(), source=told)
    store = write_store(tmp_path / "store", [one, late, short], info)
    assert main(["data", "describe", str(store.path)]) == 0
    printed = capsys.readouterr().out
    labels = torch.cat([one.labels, late.labels, short.labels])[:, 0]
    labels = labels[~labels.isnan()]
    for line in (
        f"{store.path}: 3 recordings of 3 subjects, 47 rows, audio {one.audio.shape[1]}, ",
        "report: 2 recordings of 2 subjects",
        "train: 1 recordings of 1 subjects",
        "rows a recording: 7 to 20; a second: 1",
        "recordings with gaps between rows: 1, the longest of 31 steps in late",
        f"label valence: 43 of 47 rows valid, {labels.min():g} to {labels.max():g}, "
        f"mean {labels.mean():.3g}, deviation {labels.std():.3g}",
        f"audio features: {', '.join(names['audio'])}",
        "audio: 2 rows hold an earlier value, 3 are missing",
        "what stands for a missing modality: zeros",
        "too little: 3 subjects; intervals over people will say little",
        "too little: 1 recordings are shorter than a window of 16 rows, short for one",
    ):
        assert line in printed


def test_what_is_too_little_to_train_on_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recordings = [toy_recording(f"r{i}", f"s{i % 2}", 20, i) for i in range(3)]
    for recording in recordings:
        recording.labels[:, 1] = 0.5
        recording.visual[:, 0] = 7.0
    assert (
        main(["data", "describe", str(write_store(tmp_path / "s", recordings, toy_info()).path)])
        == 0
    )
    printed = capsys.readouterr().out
    for line in (
        "too little: 2 subjects; 3 are needed to train, select and report on different ones",
        "too little: in the store, label arousal does not vary",
        "too little: 1 visual features do not vary, 0",
    ):
        assert line in printed
    assert "valence does not vary" not in printed and "shorter" not in printed


def test_every_option_of_the_import_has_a_line_of_help_with_an_example() -> None:
    actions = argparse.ArgumentParser().add_subparsers()
    add_import(actions)
    for option in actions.choices["import"]._actions:
        if option.dest != "help":
            assert option.help and option.help.rpartition(": ")[2].strip(), option.dest
            assert ": " in option.help, option.dest
