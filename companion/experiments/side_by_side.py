"""Chapter `05_sota`: which models stand side by side, and how each gets its learning rate.

The families of fusion behind Table 1 stand side by side with the four attentions in their three
arms: on the same features, at the same width, with the same seeds and the same tuning. Each is a
family on our features, never the cited authors' system.
"""

from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import get_args

from companion.analysis.trained import obtain
from companion.experiments.arms import model_runs
from companion.experiments.breadth import breadth_of
from companion.experiments.grids import BACKBONES, Runs, leaves
from iaca.base.devices import Device
from iaca.models.regressor import ModelConfig
from iaca.models.related_work import FamilyName
from iaca.runs.arms import ARMS
from iaca.runs.profiles import SMALL, Profile
from iaca.runs.runs import RunConfig
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
    """What a family of `iaca.models.related_work.FamilyName` is called in tables and figures."""
    return _KNOWN[key][0] if key in _KNOWN else key.replace("_", " ").capitalize()


# Name -> arm -> model. A new line in `FAMILIES` is a new row here.
MODELS: dict[str, dict[str, ModelConfig]] = {
    CONCATENATION: {FAMILY: ModelConfig("none", "plain")},
    **{family_name(key): {FAMILY: ModelConfig("none", key)} for key in get_args(FamilyName)},
    **{
        label: {arm: ModelConfig(attention, **gates) for arm, gates in ARMS.items()}
        for label, attention in BACKBONES.items()
    },
}

Trials = list[Runs]  # a list a fold: one run a learning rate


def label_of(name: str, arm: str) -> str:
    """How a model is called where its arm is not told by a colour."""
    return name if arm == FAMILY else f"{name}, {arm}"


def models_on(profile: Profile, data: DataConfig) -> dict[str, dict[str, ModelConfig]]:
    """The models that a profile compares on a data set: name -> arm -> model."""
    few = breadth_of(profile).small_models if load_manifest(data.manifest).name in SMALL else ()
    return {name: arms for name, arms in MODELS.items() if not few or name in few}


def trial_runs(profile: Profile, data: DataConfig, output_dir: Path, model: ModelConfig) -> Trials:
    """What a model's learning rate is chosen from: each rate once in each fold, with one seed."""
    one_seed = replace(profile, seeds=profile.seeds[:1])
    return [
        [
            replace(run, training=replace(run.training, learning_rate=rate))
            for rate in breadth_of(profile).learning_rates
        ]
        for run in model_runs(one_seed, data, output_dir, model)
    ]


def choose(trials: Runs, output_dir: Path, device: Device = "auto") -> RunConfig:
    """Choose the trial that scores best on `select`, mean of targets; the first of equals.

    In folds the choice is the fold's own: its `select` is cut from other people than it reports
    on. A single trial is chosen without being run.
    """
    if len(trials) == 1:
        return trials[0]
    return max(obtain(trials, output_dir, device), key=attrgetter("on_select")).config


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
                for fold in trial_runs(profile, data, output_dir, model)
                for seed in profile.seeds
            ]
            for arm, model in arms.items()
        }
        for name, arms in models_on(profile, data).items()
    }


def _is_tuned(profile: Profile) -> bool:
    return len(breadth_of(profile).learning_rates) > 1


def first_runs(profile: Profile, data: DataConfig, output_dir: Path) -> Runs:
    """What can be computed at once: the trials, or all runs where nobody is tuned."""
    if not _is_tuned(profile):
        return [*leaves(side_by_side(profile, data, output_dir))]
    return [
        trial
        for arms in models_on(profile, data).values()
        for model in arms.values()
        for fold in trial_runs(profile, data, output_dir, model)
        for trial in fold
    ]


def tuned_runs(
    profile: Profile, data: DataConfig, output_dir: Path, device: Device = "auto"
) -> Runs:
    """What can be computed once the trials are there; nothing where nobody is tuned."""
    if not _is_tuned(profile):
        return []
    return [*leaves(side_by_side(profile, data, output_dir, device))]
