"""`iaca doctor`: what it finds, what it advises, and that nothing that is broken stops it."""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from iaca.cli import main
from iaca.commands import doctor
from iaca.sources import manifest

Say = Callable[..., dict[str, list[str]]]


@pytest.fixture
def examine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run the command; returns its lines by what they are of, an advice as a second one."""

    def run(status: int) -> dict[str, list[str]]:
        assert main(["doctor", "--output-dir", str(tmp_path / "new" / "build")]) == status
        lines: dict[str, list[str]] = {}
        name = ""
        for line in capsys.readouterr().out.splitlines():
            name = line[:18].strip() or name
            lines.setdefault(name, []).append(line[19:].removeprefix("-> "))
        return lines

    return run


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without GPU, downloads, or weights, and with all packages."""
    monkeypatch.setattr(manifest, "BUILD", tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor, "_lacks", lambda *_: None)
    for name in ("IACA_DATA_MIRROR", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    nvidia_smi(tmp_path, monkeypatch, "exit 9")


def nvidia_smi(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


def test_what_only_some_need_is_no_failure(examine: Say) -> None:
    found = examine(0)
    assert found["GPUs"] == ["0 for torch, no driver is found"]
    assert len(found["encoding"]) == 1
    assert found["torch"][0].startswith(torch.__version__)
    assert "no store" in found["affwild2"][0] and "iaca data show affwild2" in found["affwild2"][1]
    assert found["hri_enjoyment"][0].count("missing") == 4
    assert "iaca data fetch hri_enjoyment" in found["hri_enjoyment"][1]
    assert found["synthetic"] == ["made by the package"]
    assert "make book has what it needs" in [f"{k} {v[0]}".strip() for k, v in found.items()][-1]


def test_data_that_are_here(examine: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the right sizes; they are not read."""
    wanted = manifest.load_manifest("hri_enjoyment")
    for file in wanted.files:
        copy = tmp_path / "mirror" / str(wanted.mirror) / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as target:
            target.truncate(file.bytes)
    store = tmp_path / "new" / "build" / "private" / "data" / "affwild2"
    store.mkdir(parents=True)
    (store / "index.json").touch()
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path / "mirror"))
    found = examine(0)
    assert found["hri_enjoyment"] == ["all 4 files are here"]
    assert found["affwild2"] == [f"prepared, {store}"]
    copy.write_bytes(b"cut off")
    assert "found 7 bytes, expected" in examine(0)["hri_enjoyment"][0]
    monkeypatch.setenv("IACA_DATA_MIRROR", str(tmp_path / "away"))
    assert "no folder" in examine(0)["IACA_DATA_MIRROR"][0]


def test_two_gpus_of_four(examine: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def memory(number: int) -> tuple[int, int]:
        if number == 1:
            raise RuntimeError("CUDA error: all devices are busy\nCompile with")
        return 60_500_000_000, 80_000_000_000

    nvidia_smi(tmp_path, monkeypatch, "printf '570.1\\n570.1\\n570.1\\n570.1\\n'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    card = SimpleNamespace(name="H100", total_memory=80_000_000_000)
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_properties": lambda _: card,
        "mem_get_info": memory,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    found = examine(0)
    assert found["GPUs"] == ["2 for torch, 4 for the driver, 570.1; CUDA_VISIBLE_DEVICES is '2,3'"]
    assert found["GPU 0"] == ["H100, 80.0 GB, 60.5 GB free"]
    assert "cannot be used now, RuntimeError: CUDA error: all devices" in found["GPU 1"][0]


def test_gpus_that_torch_cannot_use(
    examine: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvidia_smi(tmp_path, monkeypatch, "echo 390.1")
    assert "TORCH_INDEX=URL" in examine(0)["GPUs"][1]


@pytest.mark.parametrize(
    ("package", "extra", "status"),
    [("ray", "cluster", 0), ("av", "media", 0), ("papermill", "book", 1), ("pooch", "", 1)],
)
def test_a_package_that_is_not_there(
    package: str, extra: str, status: int, examine: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_lacks", lambda name, _: name if name == package else None)
    found = examine(status)
    line, advice = found.pop(f"packages {extra}".strip())
    assert line == f"not there: {package}" and f"'.[{extra}]'" in advice
    others = [lines for name, lines in found.items() if name.startswith("packages")]
    assert others == [["all there"]] * 3


def test_what_a_package_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    from packaging.specifiers import SpecifierSet

    monkeypatch.setattr(importlib.metadata, "version", lambda _: "2.1")
    assert doctor._lacks("jupyter-book", SpecifierSet(">=2")) is None
    assert doctor._lacks("jupyter-book", SpecifierSet("<2")) == "jupyter-book 2.1 (expected <2)"


def test_a_full_disk(examine: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    usage: Any = SimpleNamespace(free=200_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    found, advice = examine(1)["disk"]
    assert found.startswith("0.2 GB free at ") and "--output-dir" in advice


def test_a_broken_torch_and_a_terminal_without_umlauts(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: cannot open')")
    code = "import sys; from iaca.cli import main; sys.exit(main(sys.argv[1:]))"
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    plain = {"PYTHONPATH": path, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code, "doctor", "--output-dir", str(tmp_path / "Übung")]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **plain})
    assert done.returncode == 1 and done.stderr == ""
    assert "torch              cannot be read, OSError: libcudart.so" in done.stdout
    assert "make book cannot run yet: torch" in done.stdout
    assert "bung" in done.stdout and "export LC_ALL=C.UTF-8" in done.stdout
