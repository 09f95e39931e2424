"""How much of the book's experiments a profile computes; how much is trained is the profile's."""

from dataclasses import dataclass

from iaca.learning.config import TrainingConfig
from iaca.models.regressor import AttentionName
from iaca.runs.profiles import Profile

ATTENTIONS: tuple[AttentionName, ...] = ("ca", "tca", "jca", "rjca")
SHARED_RATE = TrainingConfig().learning_rate  # the one that all models share anyway
FEW_MODELS = ("Concatenation + MLP", "Transformer", "CA")


@dataclass(frozen=True)
class Breadth:
    """How much of each experiment is computed.

    Attributes:
        resamples: of every bootstrap.
        dropout_attentions: which, plain, are trained with modality dropout too on a reader's data.
        learning_rates: that each model of the side-by-side tries; one is no choice.
        turns: in which models are timed, a step each.
        small_models: of the side-by-side on small data sets; all of them if none is named.
    """

    resamples: int
    dropout_attentions: tuple[AttentionName, ...] = ("ca",)
    learning_rates: tuple[float, ...] = (SHARED_RATE,)
    turns: int = 8
    small_models: tuple[str, ...] = FEW_MODELS


BREADTHS = {
    "smoke": Breadth(resamples=50, turns=1),
    "quick": Breadth(
        resamples=1000,
        dropout_attentions=("ca", "rjca"),
    ),
    "full": Breadth(
        resamples=2000,
        dropout_attentions=ATTENTIONS,
        # Its models are eight times as wide as those of `quick`, and wide models want small steps.
        learning_rates=(2e-4, 6e-4, SHARED_RATE),
        small_models=(),
    ),
}


def breadth_of(profile: Profile) -> Breadth:
    """The breadth that goes with a profile, by its name."""
    return BREADTHS[profile.name]
