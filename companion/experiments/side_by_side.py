"""Chapter `05_sota`: Table 1 of the paper, what of it was published otherwise, and the families.

The families of fusion behind Table 1 stand side by side with the four attentions in their three
arms: on the same features, at the same width, with the same seeds and the same tuning. Each is a
family on our features, never the cited authors' system.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from companion.experiments.grids import BACKBONES, Runs
from iaca.learning.loop import Device
from iaca.models.regressor import FAMILIES
from iaca.runs.arms import ARMS, model_runs, obtain
from iaca.runs.profiles import SMALL, Profile
from iaca.runs.runs import Run, RunConfig
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

FAMILY = "family"  # the one arm of what has no IACA
CONCATENATION = "Concatenation + MLP"

# Names and the paper's references; a family that is not here is called by its own name.
_KNOWN: dict[str, tuple[str, tuple[int, ...]]] = {
    "lstm": ("LSTM", (10, 11)),
    "gmu": ("Gated multimodal unit", (15,)),
    "conditional_gating": ("Conditional gating", (17,)),
    "forget_gate": ("Forget gate", (18,)),
    "gated_sequence": ("Gated sequence", (19,)),
    "leader_follower": ("Leader-follower", (24,)),
    "lstm_transformer": ("LSTM + Transformer", (25, 23)),
    "tcn_transformer": ("TCN + Transformer", (26,)),
    "transformer": ("Transformer", (27,)),
}
REFERENCES: dict[str, tuple[int, ...]] = {
    CONCATENATION: (8, 9),
    **dict(_KNOWN.values()),
    "CA": (4,),
    "TCA": (14,),
    "JCA": (3,),
    "RJCA": (2,),
}


def family_name(key: str) -> str:
    """What a family of `iaca.models.regressor.FAMILIES` is called in tables and figures."""
    return _KNOWN[key][0] if key in _KNOWN else key.replace("_", " ").capitalize()


# Name -> arm -> options of the model. A new line in `FAMILIES` is a new row here.
MODELS: dict[str, dict[str, dict[str, Any]]] = {
    CONCATENATION: {FAMILY: {"attention": "none", "fusion": "plain"}},
    **{family_name(key): {FAMILY: {"attention": "none", "fusion": key}} for key in FAMILIES},
    **{
        label: {arm: {"attention": attention, **options} for arm, options in ARMS.items()}
        for label, attention in BACKBONES.items()
    },
}

Trials = list[Runs]  # a list a fold: one run a learning rate


def label_of(name: str, arm: str) -> str:
    """How a model is called where its arm is not told by a colour."""
    return name if arm == FAMILY else f"{name}, {arm}"


def models_on(profile: Profile, data: DataConfig) -> dict[str, dict[str, dict[str, Any]]]:
    """The models that a profile compares on a data set: name -> arm -> options."""
    few = profile.small_models if load_manifest(data.manifest).name in SMALL else ()
    return {name: arms for name, arms in MODELS.items() if not few or name in few}


def trial_runs(profile: Profile, data: DataConfig, output_dir: Path, **options: Any) -> Trials:
    """What a model's learning rate is chosen from: each rate once in each fold, with one seed.

    ``options`` are fields of `ModelConfig`.
    """
    by_rate = [
        model_runs(
            replace(
                profile,
                seeds=profile.seeds[:1],
                training=replace(profile.training, learning_rate=rate),
            ),
            data,
            output_dir,
            **options,
        )
        for rate in profile.learning_rates
    ]
    return [list(fold) for fold in zip(*by_rate, strict=True)]


def choose(trials: Runs, output_dir: Path, device: Device = "auto") -> RunConfig:
    """Choose the trial that scores best on `select`, mean of targets; the first of equals.

    In folds the choice is the fold's own: its `select` is cut from other people than it reports
    on. A single trial is chosen without being run.
    """
    if len(trials) == 1:
        return trials[0]
    return max(obtain(trials, output_dir, device), key=_on_select).config


def _on_select(run: Run) -> float:
    found = [score for score in run.metrics["select"].values() if score is not None]
    return sum(found) / len(found) if found else -math.inf


def side_by_side(
    profile: Profile, data: DataConfig, output_dir: Path, device: Device = "auto"
) -> dict[str, dict[str, Runs]]:
    """Name -> arm -> runs: every model with the learning rate that is best for it, all seeds.

    Where a profile tries one rate only, nothing is read, and the attentions' runs are those of
    Table 2. Otherwise trials that are missing are made.

    Raises:
        DataError: if the data cannot be had.
    """
    return {
        name: {
            arm: [
                replace(choose(fold, output_dir, device), seed=seed)
                for fold in trial_runs(profile, data, output_dir, **options)
                for seed in profile.seeds
            ]
            for arm, options in arms.items()
        }
        for name, arms in models_on(profile, data).items()
    }


def first_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """What can be computed at once: the trials, or all runs where nobody is tuned."""
    if len(profile.learning_rates) == 1:
        return [*_leaves(side_by_side(profile, data, output_dir))]
    return [
        trial
        for arms in models_on(profile, data).values()
        for options in arms.values()
        for fold in trial_runs(profile, data, output_dir, **options)
        for trial in fold
    ]


def tuned_runs(
    profile: Profile, data: DataConfig, output_dir: Path, device: Device = "auto"
) -> Runs:
    """What can be computed once the trials are there; nothing where nobody is tuned."""
    if len(profile.learning_rates) == 1:
        return []
    return [*_leaves(side_by_side(profile, data, output_dir, device))]


def _leaves(grid: Mapping[str, Mapping[str, Runs]]) -> Iterator[RunConfig]:
    for arms in grid.values():
        for runs in arms.values():
            yield from runs
