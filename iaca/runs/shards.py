"""A grid in parts, one for each task of a cluster's scheduler; results meet in one folder."""

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from iaca.base.devices import Device
from iaca.base.files import DataError
from iaca.runs.announce import kinds_of
from iaca.runs.runs import Run, RunConfig, finished_runs, identify_runs


class Shard(NamedTuple):
    """Part ``number``, counted from 1, of ``parts``."""

    number: int
    parts: int

    def of(self, configs: Collection[RunConfig]) -> list[RunConfig]:
        """This part of some runs, which differ. All parts together are the runs, each once.

        Every part has a piece of each kind of run, as long as any other's or one longer: all parts
        take about equally long. Seeds stay together, so that a GPU can train them at once.
        """
        part = []
        for position, runs in enumerate(kinds_of(configs)):
            piece = (self.number + position) % self.parts  # the longer pieces go round
            start, stop = (len(runs) * edge // self.parts for edge in (piece, piece + 1))
            part += runs[start:stop]
        return part


def parse_shard(text: str | None) -> Shard | None:
    """``I/N`` as a part; ``None`` without a text.

    Raises:
        DataError: not of this form, or I is not one of 1 to N.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text, flags=re.ASCII)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.parts:
        raise DataError(f"--shard {text}: expected I/N with 1 <= I <= N")
    return shard


def finished_of_all(
    configs: Collection[RunConfig],
    output_dir: Path,
    device: Device,
    reuse_stale: bool,
    then: str,
    report: Callable[[str], None] = print,
) -> dict[RunConfig, Run]:
    """The finished runs of all parts. Unless these are all, a line says how many, and what then."""
    runs = finished_runs(identify_runs(configs, output_dir, device), output_dir, reuse_stale)
    if len(runs) < len(configs):
        report(f"runs: {len(runs)} of all {len(configs)} are there; {then}")
    return runs
