"""Chapter `05_sota`: Table 1 of the paper, what of it was published otherwise, and the families.

The families of fusion behind Table 1 stand side by side with the four attentions in their three
arms: on the same features, at the same width, with the same seeds and the same tuning. Each is a
family on our features, never the cited authors' system.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from iaca.ablations import BACKBONES, Runs
from iaca.data.loading import DataConfig
from iaca.data.manifest import load_manifest
from iaca.experiments import ARMS, SMALL, Profile, model_runs, obtain
from iaca.models.regressor import FAMILIES
from iaca.runs import Run, RunConfig
from iaca.training import Device

Pair = tuple[float, float]  # CCC of valence, of arousal


class Entry(NamedTuple):
    """A row of the paper's Table 1, as printed.

    Attributes:
        method: who, in the paper's words.
        reference: its number in the paper's list; None for the paper's own model.
        fusion: "Type of Fusion".
        validation: CCC on Aff-Wild2's validation set.
        test: CCC on its test set.
    """

    method: str
    reference: int | None
    fusion: str
    validation: Pair
    test: Pair


class Published(NamedTuple):
    """A result on the test set of a challenge: the pair, and the mean by which teams are ranked."""

    test: Pair
    mean: float


PAPER_TABLE_1 = (
    Entry("Zhang et al.", 24, "Leader Follower Attention", (0.469, 0.649), (0.463, 0.492)),
    Entry("Karas et al.", 25, "LSTM + Transformers", (0.388, 0.551), (0.418, 0.407)),
    Entry("Meng et al.", 23, "LSTM + Transformers", (0.605, 0.668), (0.606, 0.596)),
    Entry("Zhou et al.", 26, "TCN + Transformers", (0.550, 0.680), (0.566, 0.500)),
    Entry("Zhang et al.", 27, "Transformers", (0.648, 0.705), (0.523, 0.545)),
    Entry("Praveen et al.", 3, "JCA", (0.657, 0.580), (0.451, 0.389)),
    Entry("Praveen et al.", 2, "RJCA", (0.721, 0.694), (0.467, 0.405)),
    Entry("Ours", None, "RJCA + IACA", (0.749, 0.725), (0.505, 0.474)),
)

# Which edition of the ABAW challenge an entry was tested in. The paper does not say it; the titles
# of the entries' papers, or what they took part in, do. Of the last three rows we do not know it.
EDITIONS = {24: "ABAW2", 25: "ABAW3", 23: "ABAW3", 26: "ABAW5", 27: "ABAW5"}

# The ABAW5 challenge's results, as reference [26] prints them for itself and other teams. The
# abstract of [27] has its mean, too, and second place.
PUBLISHED_TEST = {
    26: Published((0.5008, 0.6325), 0.5666),
    27: Published((0.6486, 0.6258), 0.6372),
}
# Validation of [26] in its own paper: Table 1 prints it cut off after three decimals, not rounded.
VALIDATION_OF_26 = (0.5505, 0.6809)
# Another Zhang et al. in the same challenge (Ziyang Zhang et al., 2023): not in the paper's list.
# The abstract of their published paper has this mean, too, and fifth place.
NAMESAKE = Published((0.5234, 0.5451), 0.5342)

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
