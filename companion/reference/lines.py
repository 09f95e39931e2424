"""The reference run's results: a line of JSON per run, a file per part, kept in ``reference/``.

A line is ``{"run": name, "config": hash, "sitting": number, "seconds": CPU seconds, ...}`` and
what was measured. ``reference/sittings.jsonl`` says of each sitting what computed its lines: part,
commit, versions, hardware, when. Lines are appended as they come; one that a kill cut short is
dropped, and its run is computed again.
"""

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch

from companion.reference.choosing import choose
from companion.reference.packing import pack, unpack
from companion.reference.plan import PARTS, Cell, Chosen, run_of
from iaca.base.files import DataError, canonical_json, short_hash
from iaca.base.paths import REFERENCE, ROOT
from iaca.base.processes import usable_cores
from iaca.runs.runs import RunConfig

FOLDER = REFERENCE
SITTINGS = "sittings.jsonl"
Line = dict[str, Any]


def read_lines(file: Path) -> list[Line]:
    """The whole lines of a file; none if there is no such file.

    Raises:
        DataError: naming file and line, for one that is whole and no JSON object.
    """
    if not file.is_file():
        return []
    lines = []
    text = file.read_text(encoding="utf-8")
    for number, line in enumerate(text.split("\n")[:-1], 1):  # what follows the last end is cut
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{file}, line {number}: not JSON ({error.msg})") from error
        if not isinstance(found, dict):
            raise DataError(f"{file}, line {number}: found {line:.40}, expected an object")
        try:
            lines.append(unpack(found))
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {error}") from error
    return lines


def append_line(file: Path, line: Mapping[str, Any]) -> None:
    """Append a line and have it reach the disk; a half line at the end is taken away first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as stream:
        stream.seek(0)
        kept = stream.read().rfind(b"\n") + 1
        stream.truncate(kept)
        text = json.dumps(pack(line), separators=(",", ":"), allow_nan=False)
        stream.write(text.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def config_hash(config: RunConfig) -> str:
    """Names a configuration by what is not at its default, so that an option may be added.

    A line whose configuration is no longer the plan's is not used.
    """
    default = asdict(RunConfig())
    changed = {
        section: {key: value for key, value in content.items() if value != default[section][key]}
        for section, content in asdict(config).items()
        if section != "seed"
    }
    return short_hash(canonical_json({**changed, "seed": config.seed}))


class Results:
    """What is there of the reference run.

    Args:
        folder: where the lines are.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self._parts: dict[str, dict[str, Line]] = {}
        self._chosen: Chosen | None = None

    def part(self, name: str) -> dict[str, Line]:
        """A part's lines by the run's name, those whose configuration is still the plan's.

        A part that trains with what the tuning chose has none before the tuning is finished.
        """
        if name not in self._parts:
            if PARTS[name].tuned and not self.is_tuned:
                return {}
            chosen = self.chosen if PARTS[name].tuned else None
            due = {cell.name: config_hash(run_of(cell, chosen)) for cell in PARTS[name].cells}
            lines = read_lines(self.folder / f"{name}.jsonl")
            self._parts[name] = {
                line["run"]: line for line in lines if due.get(line["run"]) == line["config"]
            }
        return self._parts[name]

    @property
    def is_tuned(self) -> bool:
        """Whether the tuning is finished."""
        lines = self.part("tuning")
        return all(cell.name in lines for cell in PARTS["tuning"].cells)

    @property
    def chosen(self) -> Chosen:
        """What the tuning chose.

        Raises:
            DataError: if the tuning is not finished.
        """
        if self._chosen is None:
            lines, cells = self.part("tuning"), PARTS["tuning"].cells
            if missing := [cell.name for cell in cells if cell.name not in lines]:
                raise DataError(
                    f"{self.folder / 'tuning.jsonl'}: {len(missing)} of {len(cells)} runs are "
                    f"missing, the first is {missing[0]!r}; `make reference` computes them"
                )
            self._chosen = choose(lambda cell: _number(lines[cell.name]["select"]))
        return self._chosen

    def line(self, part: str, cell: Cell) -> Line | None:
        """A run's line, if it is there."""
        return self.part(part).get(cell.name)


def _number(value: float | None) -> float:
    return -math.inf if value is None else value


def describe_sitting(part: str) -> Line:
    """What a sitting's lines are computed with: commit, versions, hardware, date."""
    return {
        "part": part,
        "commit": commit_of(ROOT, FOLDER.name),  # lines come while it computes
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "engine": "sequential",
        "processor": _processor(),
        "cores": usable_cores(),
        "started": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
    }


def commit_of(root: Path, *without: str) -> str:
    """The short commit, with ``-dirty`` if the tree differs from it; else "unknown".

    Args:
        root: of the repository.
        without: folders and files that may differ.
    """
    git = ["git", "-C", str(root)]
    others = ["--", ".", *(f":(exclude){name}" for name in without)]
    try:
        command = [*git, "rev-parse", "--short", "HEAD"]
        commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        differs = subprocess.run([*git, "diff", "--quiet", "HEAD", *others]).returncode
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}-dirty" if differs else commit


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
