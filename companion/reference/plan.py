"""What the reference run computes: parts, and the runs that each part is made of.

Everything is on `episodes`, whose *worlds* are its data seeds. World 0 is for design and tuning
alone; worlds 1 to 20 are what conclusions are drawn from. A run of a world has the world's number
as its training seed, so that the arms of a world start from the same weights and see the same
batches.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import product
from typing import Any, NamedTuple, get_args

from iaca.learning.config import TrainingConfig
from iaca.models.regressor import AttentionName, ModelConfig
from iaca.models.related_work import FamilyName
from iaca.runs.arms import ARMS
from iaca.runs.arms import Arm as SharedArm
from iaca.runs.runs import RunConfig
from iaca.runs.search import Choice, Distribution, Range, draw
from iaca.sources.loading import DataConfig

ATTENTIONS: tuple[AttentionName, ...] = ("ca", "tca", "jca", "rjca")
BENCHMARK = "episodes"
CENTRE = 0.46  # share of weak clips, the manifest's central one
TUNING_WORLD = 0
WORLDS = tuple(range(1, 21))
DIM = 64
TRAINING = TrainingConfig(epochs=15, batch_size=64, hop=8)
OTHER_SEED = 1000  # added to the seed of plain attention for an A/A comparison


class Arm(StrEnum):
    """What is done with an attention, by the label that tables and figures show.

    The first three are those of `iaca.runs.arms`, which says what they are.
    """

    PLAIN = SharedArm.PLAIN.value
    SIBLING = SharedArm.SIBLING.value
    ZERO_STARTED = SharedArm.ZERO_STARTED.value
    ANNEALED = "annealed"
    TUNED = "IACA, tuned"
    TOLD = "told"
    TOLD_FIRST = "told, stage 1 alone"
    TOLD_SECOND = "told, stage 2 alone"
    RULE = "the paper's rule, told"
    PLACEBO = "told another recording's states"
    UNIFORM = "uniform attention"
    WITHOUT = "without cross-attention"
    LARGER = "as many parameters, no gates"
    AGAIN = "plain, another seed"
    DROPOUT = "plain, modality dropout"
    AUDIO = "voice alone"
    VISUAL = "face alone"
    CONCATENATION = "concatenation"


FAMILIES: tuple[FamilyName, ...] = get_args(FamilyName)  # of the related work, each by its own name
ArmName = Arm | FamilyName


class _Changes(NamedTuple):
    """What an arm changes in the plain attention's configuration."""

    model: Mapping[str, Any] = {}
    data: Mapping[str, Any] = {}
    training: Mapping[str, Any] = {}
    anneal: bool = False
    seed: int = 0


_ARMS: dict[ArmName, _Changes] = {
    # Named arms keep what their name says: T = 0.1, and how the gates start.
    **{Arm(name): _Changes(gates) for name, gates in ARMS.items()},
    Arm.ANNEALED: _Changes({"fusion": "iaca", "gate_init": "xavier"}, anneal=True),
    Arm.TUNED: _Changes({"fusion": "iaca"}),
    Arm.TOLD: _Changes({"fusion": "told"}),
    Arm.TOLD_FIRST: _Changes({"fusion": "told", "stages": "first"}),
    Arm.TOLD_SECOND: _Changes({"fusion": "told", "stages": "second"}),
    Arm.RULE: _Changes({"fusion": "told_rule"}),
    Arm.PLACEBO: _Changes({"fusion": "told"}, {"swapped_states": True}),
    Arm.UNIFORM: _Changes({"uniform": True}),
    Arm.WITHOUT: _Changes({"fusion": "without_attention"}),
    Arm.LARGER: _Changes({"fusion": "residual_mlp"}),
    Arm.AGAIN: _Changes(seed=OTHER_SEED),
    Arm.DROPOUT: _Changes(training={"modality_dropout": 0.5}),
    Arm.AUDIO: _Changes({"fusion": "audio_only"}),
    Arm.VISUAL: _Changes({"fusion": "visual_only"}),
    Arm.CONCATENATION: _Changes({"attention": "none"}),
    **{family: _Changes({"attention": "none", "fusion": family}) for family in FAMILIES},
}
LEARNED = (Arm.SIBLING, Arm.ZERO_STARTED, Arm.ANNEALED, Arm.TUNED)
COMPARED = (Arm.PLAIN, *LEARNED, Arm.TOLD)  # the arms of the front table
# What an arm trains with, once it is tuned: its own choice, or that of the arm it belongs to.
TUNED_AS: dict[ArmName, Arm] = {**{arm: arm for arm in COMPARED}, Arm.PLACEBO: Arm.TOLD}

# What else the experiment could have been: a sign that depends on it is no finding.
VERSIONS = {
    "encoder norm layer": _Changes({"encoder_norm": "layer"}),
    "no encoder norm": _Changes({"encoder_norm": "none"}),
    "not norm-matched": _Changes(data={"norm_matched": False}),
    "noise x 1.5": _Changes(data={"noise_factor": 1.5}),
    "episodes twice as long": _Changes(data={"time_factor": 2.0}),
}

SECOND = "synthetic"  # the benchmark on which there is nothing to attend to, a version too
INFORMED = "state shown"  # the benchmark with features that tell the state, a version as well
_OTHER_DATA = {
    SECOND: _Changes(data={"manifest": SECOND}),
    INFORMED: _Changes(data={"state_shown": True}),
}

# The space of the random search: every arm draws the first three, `IACA, tuned` the others too.
SPACE: dict[str, Distribution] = {
    "training.learning_rate": Range(5e-4, 8e-3, log=True),
    "training.weight_decay": Range(1e-4, 1e-1, log=True),
    "training.epochs": Choice((10, 15, 20)),
}
SPACE_OF_GATES: dict[str, Distribution] = {
    "model.temperature": Range(0.05, 2.0, log=True),
    "model.gate_init": Choice(("xavier", "zero")),
    "model.joint_gate_input": Choice(("joint", "all")),
    "training.gate_rate": Range(0.1, 3.0, log=True),
}
DRAWS, TUNING_SEEDS = 12, (0, 1)
Chosen = Mapping[AttentionName, Mapping[Arm, Mapping[str, Any]]]


@dataclass(frozen=True)
class Cell:
    """One run of the plan.

    Attributes:
        attention: which one.
        arm: what is done with it, or the family that stands in its place.
        share: of weak clips.
        world: the benchmark's data seed.
        seed: of the training.
        draw: number in the random search, for runs of the tuning.
        version: of the experiment, one of `VERSIONS`, `SECOND` or `INFORMED`.
    """

    attention: AttentionName
    arm: ArmName
    share: float
    world: int
    seed: int
    draw: int | None = None
    version: str | None = None

    @property
    def name(self) -> str:
        """What a line of results is found by."""
        words = [self.attention, self.arm, f"{self.share:g}", f"w{self.world}", f"s{self.seed}"]
        words += [] if self.draw is None else [f"d{self.draw}"]
        return "/".join(words + ([] if self.version is None else [self.version]))


class Part(NamedTuple):
    """A part of the reference run, in a file of its own.

    Attributes:
        cells: its runs.
        measures: what is measured of each beyond its scores, see `measures.measure`.
        tuned: whether it trains with what the tuning chose, and so comes after it.
        brief: whether its lines leave out scores by state and gates, see `measures.briefly`.
    """

    cells: tuple[Cell, ...]
    measures: tuple[str, ...] = ()
    tuned: bool = True
    brief: bool = False


def _cells(
    arms: tuple[ArmName, ...],
    shares: tuple[float, ...] = (CENTRE,),
    worlds: tuple[int, ...] = WORLDS,
) -> tuple[Cell, ...]:
    """Every attention, arm and share on every world, the worlds outermost.

    Without its cross-attention JCA is what CA is; concatenation, families and single modalities are
    the same for all attentions with the same encoders. Each is there once.
    """
    cells = [
        Cell(_stands_for(attention, arm), arm, share, world, world + _ARMS[arm].seed)
        for world, share, attention, arm in product(worlds, shares, ATTENTIONS, arms)
    ]
    return tuple(dict.fromkeys(cells))


def _stands_for(attention: AttentionName, arm: ArmName) -> AttentionName:
    """The attention whose run of an arm is this one's too."""
    if arm is Arm.CONCATENATION or arm in FAMILIES:
        return "none"
    alike = arm in (Arm.WITHOUT, Arm.AUDIO, Arm.VISUAL) and attention == "jca"
    return "ca" if alike else attention


def cell_of(attention: AttentionName, arm: ArmName, share: float, world: int) -> Cell:
    """The run of an attention's arm at a share, in a world."""
    return Cell(_stands_for(attention, arm), arm, share, world, world + _ARMS[arm].seed)


VALIDITY_WORLDS = WORLDS[:5]
DIAL_WORLDS = WORLDS[:10]
COMPONENT_SEEDS = (100, 200, 300)  # added to the world's own, for variance components

PARTS = {
    # On plain, told and ungated models only: what the benchmark was frozen on.
    "validity": Part(
        _cells(
            (Arm.PLAIN, Arm.UNIFORM, Arm.AUDIO, Arm.VISUAL, Arm.CONCATENATION),
            (0.0,),
            VALIDITY_WORLDS,
        )
        + _cells(
            (
                Arm.PLAIN, Arm.UNIFORM, Arm.CONCATENATION, Arm.TOLD, Arm.TOLD_FIRST,
                Arm.TOLD_SECOND, Arm.RULE, Arm.PLACEBO,
            ),
            (CENTRE,),
            VALIDITY_WORLDS,
        )
        + _cells((Arm.PLAIN, Arm.TOLD), (0.2, 0.8), VALIDITY_WORLDS),
        ("evenness", "probes"),
        tuned=False,
    ),
    "tuning": Part(
        tuple(
            Cell(attention, arm, CENTRE, TUNING_WORLD, seed, number)
            for number, seed, attention, arm in product(
                range(DRAWS), TUNING_SEEDS, ATTENTIONS, COMPARED
            )
        ),
        tuned=False,
        brief=True,
    ),
    "headline": Part(_cells(COMPARED), ("interventions", "detection", "missing", "noticing")),
    "controls": Part(_cells((Arm.UNIFORM, Arm.WITHOUT, Arm.LARGER, Arm.AGAIN, Arm.PLACEBO))),
    "missing": Part(
        _cells((Arm.DROPOUT,)) + _cells((Arm.AUDIO, Arm.VISUAL), worlds=DIAL_WORLDS), ("missing",)
    ),
    "dial": Part(_cells((Arm.PLAIN, Arm.TUNED, Arm.TOLD), (0.0, 0.2, 0.8), DIAL_WORLDS)),
    "components": Part(
        tuple(
            replace(cell, seed=cell.world + more)
            for more in COMPONENT_SEEDS
            for cell in _cells((Arm.PLAIN, Arm.TUNED), worlds=VALIDITY_WORLDS)
        )
    ),
    # The world in which there is nothing to attend to, with what was chosen on `episodes`.
    SECOND: Part(
        tuple(
            replace(cell, version=SECOND)
            for cell in _cells((Arm.PLAIN, Arm.UNIFORM, *LEARNED, Arm.TOLD))
            if cell.attention == "ca"
        )
    ),
    # Beside plain, told and uniform attention and concatenation of `validity`: nobody is tuned.
    "families": Part(
        _cells((*FAMILIES, Arm.SIBLING, Arm.ZERO_STARTED), worlds=VALIDITY_WORLDS), tuned=False
    ),
    # What is knowing the state worth without gates, and what do gates add where it can be read?
    "informed": Part(
        tuple(
            replace(cell, version=INFORMED)
            for cell in (
                *_cells((Arm.PLAIN,)),
                *_cells((Arm.ZERO_STARTED, Arm.TUNED), worlds=DIAL_WORLDS),
            )
        )
    ),
    "versions": Part(
        tuple(
            replace(cell, version=version)
            for version in VERSIONS
            for cell in _cells((Arm.PLAIN, Arm.TUNED), worlds=VALIDITY_WORLDS)
            if cell.attention in ("ca", "jca")
        )
    ),
}  # fmt: skip


def run_of(cell: Cell, chosen: Chosen | None = None) -> RunConfig:
    """The configuration of a cell.

    Args:
        cell: of the plan.
        chosen: what the tuning chose, attention -> arm -> option -> value. Controls train as the
            plain attention does, the placebo as the told one. Without it, everything has
            `TRAINING`, as before the tuning.
    """
    changes = _ARMS[cell.arm]
    versions = {**VERSIONS, **_OTHER_DATA}
    version = _Changes() if cell.version is None else versions[cell.version]
    known = {"attention": cell.attention, "dim": DIM}
    model = ModelConfig(**{**known, **changes.model, **version.model})
    world = {"manifest": BENCHMARK, "share": cell.share, "data_seed": cell.world}
    data = DataConfig(**{**world, **changes.data, **version.data})
    options: Mapping[str, Any] = {}
    if cell.draw is not None:
        options = draws_of(cell.arm)[cell.draw]
    elif chosen is not None and cell.attention != "none":
        options = chosen[cell.attention][TUNED_AS.get(cell.arm, Arm.PLAIN)]
        if cell.arm is Arm.LARGER:  # as many parameters as the gates that it is held against
            read = chosen[cell.attention][Arm.TUNED]["model.joint_gate_input"]
            options = {**options, "model.joint_gate_input": read}
    model = replace(model, **_section(options, "model"))
    training = replace(TRAINING, **_section(options, "training"), **changes.training)
    if changes.anneal:
        half = max(1, training.epochs // 2)
        training = replace(training, temperature_start=1.0, anneal_epochs=half)
    return RunConfig(data, model, training, cell.seed)


def draws_of(arm: ArmName) -> list[dict[str, Any]]:
    """The random search of an arm: the same learning rates, decays and epochs for every arm."""
    space = SPACE | (SPACE_OF_GATES if arm is Arm.TUNED else {})
    return draw(space, DRAWS, seed=TUNING_WORLD)


def _section(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in options.items() if k.startswith(prefix)}
