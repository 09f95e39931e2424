"""The union of the chapters' runs: what `make book` computes before it executes a notebook."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from companion.experiments.grids import (
    VALIDITY_SHARES,
    ablation_runs,
    audit_runs,
    diagnosis_runs,
    norm_runs,
    robustness_runs,
    sensitivity_runs,
    validity_runs,
)
from companion.experiments.side_by_side import first_runs, tuned_runs
from iaca.base.files import DataError
from iaca.learning.loop import Device
from iaca.models.regressor import EncoderNorm
from iaca.runs.arms import arm_runs
from iaca.runs.profiles import Profile, get_profile
from iaca.runs.runs import RunConfig
from iaca.runs.scheduler import execute_runs
from iaca.sources.loading import DataConfig

# What `03_training` and `05_sota` train on too, where it can be had.
OPEN_DATA = ("hri_enjoyment",)


def book_runs(profile: Profile, output_dir: Path, manifest: str | None = None) -> list[RunConfig]:
    """Every run that the book needs; data that cannot be had are left out, with a line.

    ``manifest`` is what `03_training`, `04_ablations`, `05_sota` and `06_missing_modality` run on
    in place of the benchmark; `07_gate_diagnosis` and `08_protocol_audit` stay on it. Where models
    are tuned, these are the trials, and `tuned_book_runs` is the rest.
    """
    tables = [validity_runs(profile, share) for share in VALIDITY_SHARES]
    tables.append({norm: norm_runs(profile, norm) for norm in get_args(EncoderNorm)})
    tables.append(arm_runs(profile, DataConfig(), output_dir))
    tables += sensitivity_runs(profile, output_dir).values()
    tables.append(audit_runs(profile, output_dir))
    others = diagnosis_runs(profile, output_dir)
    others += [] if manifest is not None else _swappable(profile, output_dir)
    for name in dict.fromkeys([*OPEN_DATA, *([manifest] if manifest else [])]):
        try:
            arms = arm_runs(profile, DataConfig(name), output_dir)
            if name in OPEN_DATA:
                others += first_runs(profile, DataConfig(name), output_dir)
            others += _swappable(profile, output_dir, name) if name == manifest else []
        except DataError as error:
            print(f"runs: none on {name}, the page will say why ({error})")
        else:
            tables.append(arms)
    runs = [config for table in tables for row in table.values() for config in row]
    return runs + others


def _swappable(profile: Profile, output_dir: Path, manifest: str | None = None) -> list[RunConfig]:
    """Runs of the chapters that a reader's manifest moves from the benchmark to other data."""
    data = DataConfig() if manifest is None else DataConfig(manifest)
    return [
        *ablation_runs(profile, output_dir, manifest),
        *robustness_runs(profile, output_dir, manifest),
        *first_runs(profile, data, output_dir),
    ]


def tuned_book_runs(
    profile: Profile, output_dir: Path, manifest: str | None = None, device: Device = "auto"
) -> list[RunConfig]:
    """What a profile that tunes needs beyond `book_runs`, once those are there; else nothing."""
    benchmark = DataConfig().manifest
    runs = []
    for name in dict.fromkeys([manifest or benchmark, *OPEN_DATA]):
        try:
            runs += tuned_runs(profile, DataConfig(name), output_dir, device)
        except DataError:
            continue  # `book_runs` has said so
    return runs


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
    if tuned := tuned_book_runs(chosen, output_dir, manifest, device):
        execute_runs(tuned, output_dir, jobs, device)
