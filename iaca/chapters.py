"""The union of the chapters' runs: what `make book` computes before it executes a notebook."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from iaca.ablations import ablation_runs
from iaca.data.loading import DataConfig
from iaca.experiments import (
    VALIDITY_SHARES,
    Profile,
    arm_runs,
    get_profile,
    norm_runs,
    sensitivity_runs,
    validity_runs,
)
from iaca.files import DataError
from iaca.grid import execute_runs
from iaca.models.regressor import EncoderNorm
from iaca.robustness import robustness_runs
from iaca.runs import RunConfig
from iaca.training import Device

OPEN_DATA = ("hri_enjoyment",)  # what `03_training` trains on too, where it can be had


def book_runs(profile: Profile, output_dir: Path, manifest: str | None = None) -> list[RunConfig]:
    """Every run that the book needs; data that cannot be had are left out, with a line.

    ``manifest`` is what `03_training`, `04_ablations` and `06_missing_modality` run on in place of
    the benchmark. Chapter `07_gate_diagnosis` needs no runs but these.
    """
    tables = [validity_runs(profile, share) for share in VALIDITY_SHARES]
    tables.append({norm: norm_runs(profile, norm) for norm in get_args(EncoderNorm)})
    tables.append(arm_runs(profile, DataConfig(), output_dir))
    tables += sensitivity_runs(profile, output_dir).values()
    ablations = [] if manifest is not None else _swappable(profile, output_dir)
    for name in dict.fromkeys([*OPEN_DATA, *([manifest] if manifest else [])]):
        try:
            arms = arm_runs(profile, DataConfig(name), output_dir)
            ablations += _swappable(profile, output_dir, name) if name == manifest else []
        except DataError as error:
            print(f"runs: none on {name}, the page will say why ({error})")
        else:
            tables.append(arms)
    runs = [config for table in tables for row in table.values() for config in row]
    return runs + ablations


def _swappable(profile: Profile, output_dir: Path, manifest: str | None = None) -> list[RunConfig]:
    """Runs of the chapters that a reader's manifest moves from the benchmark to other data."""
    return [
        *ablation_runs(profile, output_dir, manifest),
        *robustness_runs(profile, output_dir, manifest),
    ]


def compute_runs(
    profile: str,
    output_dir: Path,
    jobs: int | None = None,
    device: Device = "auto",
    manifest: str | None = None,
    seeds: Sequence[int] | None = None,
) -> None:
    """Make the union of the chapters' runs, before any notebook is executed.

    ``manifest`` and ``seeds`` are what the notebooks are given, if they are given any.

    Raises:
        RunError: if some failed; the others are kept.
    """
    chosen = get_profile(profile)
    if seeds is not None:
        chosen = replace(chosen, seeds=tuple(seeds))
    execute_runs(book_runs(chosen, output_dir, manifest), output_dir, jobs, device)
