"""What the benchmarks share: the machine in words, medians, and tables in Markdown."""

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

import iaca


def machine(device: str = "cpu") -> str:
    """Where and when, in one line: cores this process may use, load, versions, date."""
    cores = len(os.sched_getaffinity(0))
    where = f"{cores} cores"
    if device == "cuda":
        where = (
            f"{torch.cuda.get_device_name()}, driver {driver()}, CUDA {torch.version.cuda}, {where}"
        )
    load = os.getloadavg()[0]
    return (
        f"{where}, load {load:.1f} at the start, Python {platform.python_version()}, "
        f"torch {torch.__version__}, iaca {iaca.__version__}, {datetime.date.today()}"
    )


def driver() -> str:
    """The version of NVIDIA's driver, or why it is not known."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    return done.stdout.split()[0]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median and quartiles as ``median (lower to upper)``."""
    if len(values) < 2:
        return f"{median(values):.{digits}f}"
    lower, _, upper = quantiles(values, n=4, method="inclusive")
    return f"{median(values):.{digits}f} ({lower:.{digits}f} to {upper:.{digits}f})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up in a terminal too; numbers to the right."""
    columns = [*zip(header, *rows, strict=True)]
    widths = [max(len(cell) for cell in column) for column in columns]

    def line(cells: Sequence[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if i == 0 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


class Found:
    """Figures: printed, and written to a file whenever there is something new.

    Args:
        file: JSON, replaced as a whole.
        device: what they are measured on.
        aims: whether targets are for this device.
    """

    def __init__(self, file: Path, device: str, aims: bool) -> None:
        self.file, self.aims = file, aims
        self.content: dict[str, Any] = {"machine": machine(device), "figures": []}
        self.write()

    def note(
        self,
        name: str,
        values: Sequence[float],
        unit: str,
        least: float | None = None,
        most: float | None = None,
    ) -> None:
        """A figure: its median, quartiles and n, and whether the median meets a target."""
        middle = median(values)
        low, _, high = (
            quantiles(values, n=4, method="inclusive") if len(values) > 1 else [middle] * 3
        )
        figure = {"name": name, "unit": unit, "n": len(values), "median": middle}
        figure |= {"lower": low, "upper": high}
        line = f"{name}: {spread(values, 3)} {unit}, n = {len(values)}"
        if self.aims and (least is not None or most is not None):
            figure["target"] = f"at least {least:g}" if most is None else f"at most {most:g}"
            figure["met"] = middle <= most if least is None else middle >= least
            line += f"; target {figure['target']}: {'met' if figure['met'] else 'MISSED'}"
        print(line, flush=True)
        self.content["figures"].append(figure)
        self.write()

    def say(self, key: str, text: str) -> None:
        """Something else of them: why they were ``skipped``, or an ``error``."""
        self.content[key] = text
        self.write()

    def write(self) -> None:
        """Write the content, whole or not at all."""
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(self.content), encoding="utf-8")
        partial.replace(self.file)
