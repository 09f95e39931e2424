"""Which runs chapter `07_gate_diagnosis` reads. Other chapters need each of them as well."""

from pathlib import Path
from typing import Any

from iaca.ablations import Runs, gate_map_runs, leaves, option_runs, table_2_runs, version_runs
from iaca.data.loading import DataConfig
from iaca.experiments import Profile
from iaca.robustness import unimodal_runs
from iaca.runs import RunConfig

BENCHMARK = DataConfig()  # whatever the reader's data: the true state of a clip must be known

# Options that bear on what a gate can detect: whether it is alone, and what it reads.
READING = (
    "stage 1 only",
    "stage 2 only",
    "stage 1 reads both attended features",
    "stage 1 reads the un-attended pair",
    "stage 2 reads audio, visual and joint",
)


def reading_runs(profile: Profile, output_dir: Path) -> dict[str, dict[str, dict[str, Runs]]]:
    """Backbone -> option of `READING` -> gated arm -> runs."""
    return {
        backbone: {option: options[option] for option in READING}
        for backbone, options in option_runs(profile, BENCHMARK, output_dir).items()
    }


def unmatched_runs(profile: Profile, output_dir: Path) -> dict[str, dict[str, Runs]]:
    """Backbone -> arm -> runs on the benchmark whose corrupted clips are not norm-matched."""
    return {
        backbone: versions["not norm-matched"]
        for backbone, versions in version_runs(profile, BENCHMARK, output_dir).items()
    }


def diagnosis_runs(profile: Profile, output_dir: Path) -> list[RunConfig]:
    """The union of the chapter's runs on the benchmark.

    Its last section reads the arms on real conversations too, which are
    `iaca.experiments.arm_runs` of those data and can be had only where the data can.
    """
    grids: list[Any] = [
        table_2_runs(profile, BENCHMARK, output_dir),
        unimodal_runs(profile, BENCHMARK, output_dir),
        unmatched_runs(profile, output_dir),
        gate_map_runs(profile, BENCHMARK, output_dir),
        reading_runs(profile, output_dir),
    ]
    return list(dict.fromkeys(config for grid in grids for config in leaves(grid)))
