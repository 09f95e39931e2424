"""What the benchmarks share: the machine in words, medians, and tables in Markdown."""

import datetime
import os
import platform
from collections.abc import Sequence
from statistics import median, quantiles

import torch

import iaca


def machine(device: str = "cpu") -> str:
    """Where and when, in one line: cores this process may use, load, versions, date."""
    cores = len(os.sched_getaffinity(0))
    where = torch.cuda.get_device_name() if device == "cuda" else f"{cores} cores"
    load = os.getloadavg()[0]
    return (
        f"{where}, load {load:.1f} at the start, Python {platform.python_version()}, "
        f"torch {torch.__version__}, iaca {iaca.__version__}, {datetime.date.today()}"
    )


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
