"""`benchmarks/gpu.py`, from a plain checkout and without a GPU."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iaca.base.paths import PACKAGE

ROOT = PACKAGE.parent
PARTS = ["tests", "steps", "epoch", "precision", "extraction", "table"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script needs of a checkout; its version tells it from what is installed."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("iaca", "benchmarks", "data_manifests", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    version = copy / "iaca" / "__init__.py"
    version.write_text('__version__ = "of the copy"\n', encoding="utf-8")
    return copy


def run(checkout: Path, *options: str) -> tuple[int, str, dict]:
    """Its status, what it prints, and its file."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    out = checkout / "found.json"
    command = [sys.executable, "benchmarks/gpu.py", "--device", "cpu", "--tiny", "--out", out.name]
    done = subprocess.run(
        [*command, *options], cwd=checkout, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text(encoding="utf-8"))


def test_everything_can_be_tried_on_a_cpu(checkout: Path) -> None:
    status, printed, found = run(checkout)
    assert status == 0, printed
    assert list(found["parts"]) == PARTS and found["left_out"] == []
    assert "iaca of the copy" in found["machine"] and found["device"] == "cpu" and found["tiny"]
    for name, part in found["parts"].items():
        assert "error" not in part and (part["figures"] or part.get("skipped")), name
        for figure in part["figures"]:
            assert figure["n"] >= 1 and figure["lower"] <= figure["median"] <= figure["upper"]
            assert "met" not in figure  # targets are for a GPU
    assert "torch sees no CUDA device" in str(found["parts"]["tests"]["tests"])


def test_what_fails_or_takes_too_long_is_named_and_the_rest_is_kept(checkout: Path) -> None:
    options = ["--parts", "table", "tests", "--manifest", "nowhere.yaml"]
    status, printed, found = run(checkout, *options)
    assert status == 1 and "parts that failed: table\n" in printed
    assert "nowhere.yaml" in found["parts"]["table"]["error"]
    assert found["parts"]["tests"]["figures"]
    status, printed, found = run(checkout, "--parts", "steps", "--minutes", "0")
    assert status == 1 and found["left_out"] == ["steps"] and found["parts"] == {}
    assert "left out for lack of time: steps" in printed


def test_a_part_that_hangs_is_ended_and_what_it_had_found_is_kept(checkout: Path) -> None:
    parts = checkout / "benchmarks" / "gpu_parts.py"
    text = parts.read_text(encoding="utf-8")
    found = {"figures": [{"name": "first"}]}
    lines = [
        "import pathlib, sys, time",
        f"pathlib.Path(sys.argv[2]).write_text({json.dumps(found)!r})",
    ]
    parts.write_text("\n".join([*lines, "time.sleep(600)"]), encoding="utf-8")
    try:
        status, printed, found = run(checkout, "--parts", "steps", "--minutes", "0.1")
    finally:
        parts.write_text(text, encoding="utf-8")
    assert status == 1 and "parts that failed: steps" in printed
    assert "stopped after 6 s" in found["parts"]["steps"]["error"]
    assert found["parts"]["steps"]["figures"] == [{"name": "first"}]
