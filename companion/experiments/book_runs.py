"""The runs that each chapter needs, and their union: what `make book` computes beforehand."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

from companion.experiments.grids import (
    BENCHMARK,
    VALIDITY_SHARES,
    Runs,
    audit_runs,
    dial_runs,
    dropout_runs,
    gate_map_runs,
    leaves,
    norm_runs,
    option_runs,
    reading_runs,
    sensitivity_runs,
    table_2_runs,
    unimodal_runs,
    unmatched_runs,
    validity_runs,
    version_runs,
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
from iaca.sources.manifest import load_manifest

# What `03_training` and `05_sota` train on too, where it can be had.
OPEN_DATA = ("hri_enjoyment",)

Grid = Callable[[Profile, DataConfig, Path], Mapping[Any, Any]]


def _union(*grids: Mapping[Any, Any]) -> Runs:
    return list(dict.fromkeys(config for grid in grids for config in leaves(grid)))


def data_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `00_data`: the validity of the benchmark."""
    return _union(*(validity_runs(profile, share, output_dir) for share in VALIDITY_SHARES))


def attention_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `01_cross_attention`: plain CA under each encoder norm."""
    return _union({norm: norm_runs(profile, norm, output_dir) for norm in get_args(EncoderNorm)})


def gating_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `02_gating`: the arms of CA."""
    return _union(arm_runs(profile, data, output_dir))


def training_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `03_training`: the arms of CA, and on the benchmark other versions of it."""
    versions = sensitivity_runs(profile, output_dir) if data == BENCHMARK else {}
    return _union(arm_runs(profile, data, output_dir), versions)


def ablation_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `04_ablations`: Table 2, options and the map; on a benchmark dial and versions."""
    grids: list[Grid] = [table_2_runs, option_runs, gate_map_runs]
    if load_manifest(data.manifest).benchmark is not None:
        grids += [dial_runs, version_runs]
    return _union(*(grid(profile, data, output_dir) for grid in grids))


def robustness_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `06_missing_modality`: Table 2 as it is and with dropout, and the floor."""
    grids: list[Grid] = [table_2_runs, dropout_runs, unimodal_runs]
    return _union(*(grid(profile, data, output_dir) for grid in grids))


def diagnosis_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `07_gate_diagnosis`: the arms, what gates read, and how they start.

    Its last section reads the arms on real conversations too, which are chapter 3's.
    """
    grids: list[Grid] = [table_2_runs, unimodal_runs, gate_map_runs]
    return _union(
        *(grid(profile, data, output_dir) for grid in grids),
        unmatched_runs(profile, output_dir),
        reading_runs(profile, output_dir),
    )


def protocol_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """Chapter `08_protocol_audit`: plain CA under several protocols."""
    return _union(audit_runs(profile, output_dir))


class Chapter(NamedTuple):
    """What a chapter needs.

    Attributes:
        runs: maps a profile, a data set and the output folder to the chapter's runs.
        swappable: whether a reader's manifest takes the benchmark's place.
        on_open_data: whether its page has `OPEN_DATA` too.
    """

    runs: Callable[[Profile, DataConfig, Path], Iterable[RunConfig]]
    swappable: bool = False
    on_open_data: bool = False


# A new chapter that needs runs adds a line here.
CHAPTERS = {
    "data": Chapter(data_runs),
    "cross_attention": Chapter(attention_runs),
    "gating": Chapter(gating_runs),
    "training": Chapter(training_runs, swappable=True, on_open_data=True),
    "ablations": Chapter(ablation_runs, swappable=True),
    "sota": Chapter(first_runs, swappable=True, on_open_data=True),
    "missing_modality": Chapter(robustness_runs, swappable=True),
    "gate_diagnosis": Chapter(diagnosis_runs),
    "protocol_audit": Chapter(protocol_runs),
}


def book_runs(profile: Profile, output_dir: Path, manifest: str | None = None) -> Runs:
    """Every run that the book needs; data that cannot be had are left out, with a line.

    ``manifest`` takes the benchmark's place in the chapters that are ``swappable``. Where models
    are tuned, these are the trials, and `tuned_book_runs` is the rest.
    """
    wanted = [
        *((BENCHMARK, c) for c in CHAPTERS.values() if manifest is None or not c.swappable),
        *((DataConfig(name), c) for name in OPEN_DATA for c in CHAPTERS.values() if c.on_open_data),
        *((DataConfig(manifest), c) for c in CHAPTERS.values() if manifest and c.swappable),
    ]
    runs: dict[RunConfig, None] = {}
    gone: dict[str, DataError] = {}
    for data, chapter in wanted:
        try:
            runs |= dict.fromkeys(chapter.runs(profile, data, output_dir))
        except DataError as error:
            if data == BENCHMARK:
                raise
            gone.setdefault(data.manifest, error)
    for name, reason in gone.items():
        print(f"runs: none on {name}, the page will say why ({reason})")
    return [*runs]


def tuned_book_runs(
    profile: Profile, output_dir: Path, manifest: str | None = None, device: Device = "auto"
) -> Runs:
    """What a profile that tunes needs beyond `book_runs`, once those are there; else nothing."""
    runs = []
    for name in dict.fromkeys([manifest or BENCHMARK.manifest, *OPEN_DATA]):
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
