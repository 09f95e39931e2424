"""Profiles: how much is computed.

`smoke` only shows that everything runs; `quick` is the book's default, on two cores; `full` is
for a GPU and patience.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from iaca.base.files import DataError
from iaca.data.schema import SubjectFolds
from iaca.learning.loop import TrainingConfig
from iaca.models.regressor import AttentionName
from iaca.sources.loading import DataConfig, count_folds
from iaca.sources.manifest import load_manifest


@dataclass(frozen=True)
class Profile:
    """How much is computed.

    Attributes:
        name: ``smoke``, ``quick`` or ``full``.
        seeds: of training runs.
        dim: d.
        training: epochs, batches, optimiser.
        small_epochs: of data sets of a few hundred rows, whose epochs are short.
        folds: of data sets that are split into folds.
        resamples: of every bootstrap.
        shares: of weak clips, where the dial is turned to.
        control_shares: those of them at which the controls are trained.
        dial_attentions: for which the dial is turned, and the controls are trained.
        option_attentions: for which options are tried.
        option_arms: the arms for which they are.
        temperatures: of the map of gate initialisation and temperature.
        noise_factors: of the versions with other noise.
        time_factors: of the versions with other time constants.
        dropout_attentions: for which the arms are trained with modality dropout, too.
        weak_validity: attentions of the validity table where clips are weak; there the criterion is
            about the oracle and concatenation, ``none``, alone.
        without_options: fields of the model, or ``field=value``, that are not tried as options.
        learning_rates: that each model of the side-by-side tries; one is no choice.
        small_models: of the side-by-side on small data sets; all of them if none is named.
    """

    name: str
    seeds: tuple[int, ...]
    dim: int
    training: TrainingConfig
    small_epochs: int
    folds: int | str
    resamples: int
    shares: tuple[float, ...]
    control_shares: tuple[float, ...]
    dial_attentions: tuple[AttentionName, ...]
    option_attentions: tuple[AttentionName, ...]
    option_arms: tuple[str, ...]
    temperatures: tuple[float, ...]
    noise_factors: tuple[float, ...]
    time_factors: tuple[float, ...]
    dropout_attentions: tuple[AttentionName, ...]
    weak_validity: tuple[AttentionName, ...]
    without_options: tuple[str, ...]
    learning_rates: tuple[float, ...]
    small_models: tuple[str, ...]


# One learning rate is the one that all models share anyway. `full` adds smaller ones: its models
# are eight times as wide as those of `quick`, and wide models want small steps.
SHARED_RATE = TrainingConfig().learning_rate
THREE_RATES = (2e-4, 6e-4, SHARED_RATE)
FEW_MODELS = ("Concatenation + MLP", "Transformer", "CA")

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            seeds=(0,),
            dim=16,
            training=TrainingConfig(epochs=2, hop=16),
            small_epochs=2,
            folds=2,
            resamples=50,
            shares=(0.0, 0.46, 0.8),
            control_shares=(0.46,),
            dial_attentions=("ca",),
            option_attentions=("ca",),
            option_arms=("IACA as published",),
            temperatures=(0.1, 1.0),
            noise_factors=(1.5,),
            time_factors=(0.5,),
            dropout_attentions=("ca",),
            weak_validity=("none", "ca", "jca", "rjca", "tca"),
            without_options=(),
            learning_rates=(SHARED_RATE,),
            small_models=FEW_MODELS,
        ),
        Profile(
            name="quick",
            seeds=(0, 1, 2),
            dim=64,
            training=TrainingConfig(epochs=10),
            small_epochs=20,
            folds=5,
            resamples=1000,
            shares=(0.0, 0.46, 0.8),
            control_shares=(0.46,),
            dial_attentions=("ca", "rjca"),
            option_attentions=("ca",),
            option_arms=("IACA as published",),
            temperatures=(0.1, 1.0),
            noise_factors=(),
            time_factors=(),
            dropout_attentions=("ca", "rjca"),
            weak_validity=("none", "ca"),
            without_options=("fallback=lstm", "fallback=self_attention", "gate_relu", "scale"),
            learning_rates=(SHARED_RATE,),
            small_models=FEW_MODELS,
        ),
        Profile(
            name="full",
            seeds=(0, 1, 2, 3, 4),
            dim=512,
            training=TrainingConfig(epochs=40),
            small_epochs=40,
            folds="leave_one_out",
            resamples=2000,
            shares=(0.0, 0.2, 0.4, 0.46, 0.6, 0.8),
            control_shares=(0.0, 0.2, 0.4, 0.46, 0.6, 0.8),
            dial_attentions=("ca", "tca", "jca", "rjca"),
            option_attentions=("ca", "tca", "jca", "rjca"),
            option_arms=("IACA as published", "IACA zero-started (ours)"),
            temperatures=(0.03, 0.1, 0.3, 1.0, 3.0),
            noise_factors=(0.5, 1.5),
            time_factors=(0.5, 2.0),
            dropout_attentions=("ca", "tca", "jca", "rjca"),
            weak_validity=("none", "ca", "jca", "rjca", "tca"),
            without_options=(),
            learning_rates=THREE_RATES,
            small_models=(),
        ),
    )
}


BENCHMARK = DataConfig()  # the bundled one at its central share
SMALL = ("hri_enjoyment",)


def get_profile(name: str) -> Profile:
    """Return a profile by its name.

    Raises:
        DataError: for an unknown one, naming those that exist.
    """
    if name not in PROFILES:
        raise DataError(f"profile {name!r}: expected one of {', '.join(PROFILES)}")
    return PROFILES[name]


def training_on(profile: Profile, data: DataConfig) -> TrainingConfig:
    """A profile's training on a data set; of a few hundred rows, every window counts."""
    if load_manifest(data.manifest).name in SMALL:
        return replace(profile.training, hop=1, epochs=profile.small_epochs)
    return profile.training


def at_share(data: DataConfig, share: float) -> DataConfig:
    """A benchmark at a share of weak clips; its central one is what the data are without any.

    So that runs are shared: there is one configuration of the centre, not two.
    """
    benchmark = load_manifest(data.manifest).benchmark
    central = benchmark is not None and share == benchmark.central_share
    return data if central else replace(data, share=share)


def folds_of(profile: Profile, data: DataConfig, output_dir: Path) -> list[DataConfig]:
    """A data set's folds, as many as the profile asks for; itself alone if it has none.

    Raises:
        DataError: if the data cannot be had.
    """
    if not isinstance(load_manifest(data.manifest).split, SubjectFolds):
        return [data]
    data = replace(data, folds=profile.folds)
    count = count_folds(data, output_dir / "data")
    return [replace(data, fold=fold) for fold in range(count)]
