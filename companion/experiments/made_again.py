"""The part of the reference run that every build computes again, in the first world."""

from dataclasses import replace
from pathlib import Path

from companion.reference.again import runs_again
from companion.reference.lines import Results
from companion.reference.plan import CENTRE, COMPARED, SECOND, WORLDS, Arm, Cell, cell_of
from iaca.models.regressor import AttentionName
from iaca.models.related_work import FamilyName
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
# The second world, in which there is nothing to attend to.
SECOND_WORLD = tuple(
    replace(cell_of("ca", arm, CENTRE, WORLD), version=SECOND) for arm in (Arm.PLAIN, Arm.UNIFORM)
)
# Every arm of CA, on which the claim is judged; of the others what it is about.
_SHOWN: dict[AttentionName, tuple[Arm, ...]] = {
    "ca": COMPARED,
    "tca": (Arm.PLAIN, Arm.TUNED),
    "jca": (Arm.PLAIN, Arm.TUNED),
    "rjca": (Arm.PLAIN, Arm.SIBLING, Arm.TUNED),
}
HEADLINE = tuple(cell_of(a, arm, CENTRE, WORLD) for a, arms in _SHOWN.items() for arm in arms)
# The attention of the paper's Fig. 3, and a model that was trained with clips missing.
FIG_3 = tuple(cell for cell in HEADLINE if cell.attention == "rjca")
WITH_DROPOUT = (cell_of("ca", Arm.DROPOUT, CENTRE, WORLD),)

# Of the families: one without time, one that recurs, one that attends to all clips.
FAMILIES: tuple[FamilyName, ...] = ("gmu", "lstm", "transformer")
FAMILIES_AGAIN = tuple(cell_of("none", family, CENTRE, WORLD) for family in FAMILIES)


def _again(profile: Profile, **cells: tuple[Cell, ...]) -> list[RunConfig]:
    """The runs of some cells of each part at a profile's size."""
    results = Results()
    return [
        run
        for part, these in cells.items()
        for run in runs_again(part, these, profile, results).values()
    ]


def validity_again(profile: Profile, _data: DataConfig, _output_dir: Path) -> list[RunConfig]:
    """The runs of `VALIDITY` and `SECOND_WORLD` at a profile's size."""
    return _again(profile, validity=VALIDITY, **{SECOND: SECOND_WORLD})


def headline_again(profile: Profile, _data: DataConfig, _output_dir: Path) -> list[RunConfig]:
    """The runs of `HEADLINE` at a profile's size."""
    return _again(profile, headline=HEADLINE)


def missing_again(profile: Profile, _data: DataConfig, _output_dir: Path) -> list[RunConfig]:
    """The runs of `FIG_3` and `WITH_DROPOUT` at a profile's size."""
    return _again(profile, headline=FIG_3, missing=WITH_DROPOUT)


def families_again(profile: Profile, _data: DataConfig, _output_dir: Path) -> list[RunConfig]:
    """The runs of `FAMILIES_AGAIN` at a profile's size."""
    return _again(profile, families=FAMILIES_AGAIN)
