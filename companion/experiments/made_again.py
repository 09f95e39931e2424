"""The part of the reference run that every build computes again, in the first world."""

from itertools import product
from pathlib import Path

from companion.reference.again import runs_again
from companion.reference.lines import Results
from companion.reference.plan import ATTENTIONS, CENTRE, COMPARED, WORLDS, Arm, cell_of
from iaca.runs.profiles import Profile
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig

EPISODES = DataConfig("episodes")  # the main benchmark at its central share
WORLD = WORLDS[0]
# Of the validity table: an attention that is used, its uniform control, and what told gates gain.
VALIDITY = (
    *(cell_of("ca", arm, 0.0, WORLD) for arm in (Arm.PLAIN, Arm.UNIFORM)),
    *(cell_of("ca", arm, CENTRE, WORLD) for arm in (Arm.PLAIN, Arm.UNIFORM, Arm.TOLD)),
)
HEADLINE = tuple(cell_of(a, arm, CENTRE, WORLD) for a, arm in product(ATTENTIONS, COMPARED))


def validity_again(profile: Profile, _data: DataConfig, _output_dir: Path) -> list[RunConfig]:
    """The runs of `VALIDITY` at a profile's size."""
    return [*runs_again("validity", VALIDITY, profile, Results()).values()]


def headline_again(profile: Profile, _data: DataConfig, _output_dir: Path) -> list[RunConfig]:
    """The runs of `HEADLINE` at a profile's size."""
    return [*runs_again("headline", HEADLINE, profile, Results()).values()]
