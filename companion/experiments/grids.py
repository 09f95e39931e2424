"""The grids that chapters compare: which models, on which data, under which training.

A grid is a nested dictionary whose leaves are lists of configurations: one run per seed, and per
fold if the data have any. Cells that a profile does not compute are not in it. Grids share runs.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from companion.experiments.arms import CROSS_ATTENTION, arm_runs, model_runs
from companion.experiments.breadth import ATTENTIONS, breadth_of
from companion.reference.plan import Arm as ReferenceArm
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.regressor import AttentionName, FusionName, ModelConfig
from iaca.runs.arms import ARMS, Arm
from iaca.runs.profiles import Profile
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig

Runs = list[RunConfig]

BENCHMARK = DataConfig()  # the bundled one at its central share
BACKBONES: dict[str, AttentionName] = {"CA": "ca", "TCA": "tca", "JCA": "jca", "RJCA": "rjca"}

NO_ATTENTION = "none"
UNIMODAL: dict[str, FusionName] = {"voice alone": "audio_only", "face alone": "visual_only"}
MODALITY_DROPOUT = 0.5  # half of the windows lose a share of one modality: ours, not tuned

# What of a protocol cannot be had from finished runs: choices that another training stands behind.
TRAINED_UNDER = {
    "strict": STRICT,
    "selected on report": Protocol(selection="report"),
    "windows in order": Protocol(shuffle=False),
}


def leaves(grid: Mapping[Any, Any] | Runs) -> Iterator[RunConfig]:
    """All configurations of a grid, however deep it is; one that two cells share comes twice."""
    for branch in grid.values() if isinstance(grid, Mapping) else [grid]:
        if isinstance(branch, Mapping):
            yield from leaves(branch)
        else:
            yield from branch


def _backbones(attentions: Collection[AttentionName]) -> dict[str, ModelConfig]:
    return {
        label: ModelConfig(attention)
        for label, attention in BACKBONES.items()
        if attention in attentions
    }


def table_2_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[Arm, Runs]]:
    """Backbone -> arm -> runs, on any data set."""
    return {
        label: arm_runs(profile, data, output_dir, model)
        for label, model in _backbones(ATTENTIONS).items()
    }


def own_data_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, Runs]]:
    """Backbone -> arm -> runs on a reader's data: Table 2's, and gates that are annealed."""
    grid: dict[str, dict[str, Runs]] = {}
    for label, model in _backbones(ATTENTIONS).items():
        gates = replace(model, **ARMS[Arm.SIBLING])
        arms = arm_runs(profile, data, output_dir, model)
        annealed = model_runs(profile, data, output_dir, gates, anneal=True)
        grid[label] = {**{str(arm): runs for arm, runs in arms.items()}, "annealed": annealed}
    return grid


def unimodal_runs(profile: Profile, data: DataConfig, output_dir: Path) -> dict[str, Runs]:
    """The floor: RJCA's path for one modality alone, BiLSTMs and joint layer, without the other."""
    return {
        label: model_runs(profile, data, output_dir, ModelConfig("rjca", fusion))
        for label, fusion in UNIMODAL.items()
    }


def missing_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, Runs]]:
    """Backbone -> model -> runs on a reader's data: Table 2's, and plain with modality dropout.

    Under `NO_ATTENTION` are the floors of `unimodal_runs`.
    """
    grid: dict[str, dict[str, Runs]] = {}
    for label, arms in table_2_runs(profile, data, output_dir).items():
        grid[label] = {str(arm): runs for arm, runs in arms.items()}
        if BACKBONES[label] in breadth_of(profile).dropout_attentions:
            grid[label][ReferenceArm.DROPOUT] = [
                replace(run, training=replace(run.training, modality_dropout=MODALITY_DROPOUT))
                for run in arms[Arm.PLAIN]
            ]
    return grid | {NO_ATTENTION: unimodal_runs(profile, data, output_dir)}


def audit_runs(profile: Profile, data: DataConfig, output_dir: Path) -> dict[str, Runs]:
    """Plain CA under each protocol of `TRAINED_UNDER`; the first are runs of Table 2."""
    strict = model_runs(profile, data, output_dir, CROSS_ATTENTION)
    return {
        label: [replace(run, protocol=protocol) for run in strict]
        for label, protocol in TRAINED_UNDER.items()
    }
