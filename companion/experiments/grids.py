"""The grids that chapters compare: which models, on which data, under which training.

A grid is a nested dictionary whose leaves are lists of configurations: one run per seed, and per
fold if the data have any. Cells that a profile does not compute are not in it. Grids share runs:
the central share of the dial is Table 2's, and other versions of the benchmark are chapter 3's.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, get_args

from companion.experiments.arms import CROSS_ATTENTION, arm_runs, model_runs
from companion.experiments.breadth import ATTENTIONS, breadth_of
from iaca.learning.protocol import STRICT, Protocol
from iaca.models.gating import TEMPERATURE, GateInit
from iaca.models.regressor import LEAVING_OUT, AttentionName, EncoderNorm, FusionName, ModelConfig
from iaca.runs.arms import ARMS, Arm
from iaca.runs.profiles import Profile, at_share
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

Runs = list[RunConfig]

BENCHMARK = DataConfig()  # the bundled one at its central share
BACKBONES: dict[str, AttentionName] = {"CA": "ca", "TCA": "tca", "JCA": "jca", "RJCA": "rjca"}


class Control(StrEnum):
    """What an arm is held against, by the label that tables and figures show."""

    MORE_PARAMETERS = "as many parameters, no gates"
    BOTH_FEATURES = "un-attended beside attended, no gates"
    SIBLING_GATES = "sibling's gates, no cross-attention"
    ZERO_STARTED_GATES = "zero-started gates, no cross-attention"
    NEITHER = "neither gates nor cross-attention"


CONTROLS = {
    Control.MORE_PARAMETERS: ModelConfig(fusion="residual_mlp"),
    Control.BOTH_FEATURES: ModelConfig(fusion="raw_and_attended"),
    Control.SIBLING_GATES: ModelConfig(fusion="gates_only", gate_init="xavier"),
    Control.ZERO_STARTED_GATES: ModelConfig(fusion="gates_only", gate_init="zero"),
    Control.NEITHER: ModelConfig(fusion="without_attention"),
}
# Criterion (b) holds an arm against three: the gates without attention start as its own do. The
# last control is for reading the others: it has nothing that the paper is about.
CONTROLS_OF = {
    arm: (Control.MORE_PARAMETERS, Control.BOTH_FEATURES, gates)
    for arm, gates in (
        (Arm.SIBLING, Control.SIBLING_GATES),
        (Arm.ZERO_STARTED, Control.ZERO_STARTED_GATES),
    )
}


class Option(NamedTuple):
    """A change of the models, or of their training, that is tried on top of an arm.

    Attributes:
        model: with the one field that it changes.
        anneal: whether it changes the training in place of the model, see `model_runs`.
        shared: whether it changes what the arms share; plain is then trained again to compare with.
        attentions: for which it changes anything: the others have no Eq. 1, or let stage 1 fall
            back to the encoders' output already.
        reading: whether it bears on what a gate can detect: whether it is alone, what it reads.
        extra: whether only a profile with ``all_options`` tries it.
    """

    model: ModelConfig
    anneal: bool = False
    shared: bool = False
    attentions: tuple[AttentionName, ...] = ATTENTIONS
    reading: bool = False
    extra: bool = False


OPTIONS = {
    "gates without bias (Eq. 5 as printed)": Option(ModelConfig(gate_bias=False)),
    "temperature from 1 down to 0.1": Option(ModelConfig(), anneal=True),
    "stage 1 only": Option(ModelConfig(stages="first"), reading=True),
    "stage 2 only": Option(ModelConfig(stages="second"), reading=True),
    "stage 1 reads both attended features": Option(ModelConfig(gate_input="both"), reading=True),
    "stage 1 reads the un-attended pair": Option(ModelConfig(gate_input="raw"), reading=True),
    "stage 2 reads audio, visual and joint": Option(
        ModelConfig(joint_gate_input="all"), reading=True
    ),
    "stage 1 falls back to the encoders": Option(
        ModelConfig(fallback="raw"), attentions=("rjca", "tca")
    ),
    "stage 1 falls back to a BiLSTM": Option(ModelConfig(fallback="lstm"), extra=True),
    "stage 1 falls back to self-attention": Option(
        ModelConfig(fallback="self_attention"), extra=True
    ),
    "no ReLU in Eqs. 7 to 9": Option(ModelConfig(gate_relu=False), shared=True, extra=True),
    "Eq. 1's second map as its formula has it": Option(
        ModelConfig(norm_axis="printed"), shared=True, attentions=("ca",)
    ),
    "Eq. 1 scaled by the root of d": Option(
        ModelConfig(scale=True), shared=True, attentions=("ca",), extra=True
    ),
}
READING = tuple(label for label, option in OPTIONS.items() if option.reading)

AS_IT_IS = "the benchmark as it is"
NOT_NORM_MATCHED = "not norm-matched"
# The versions over which criterion (d) wants one sign: three encoder norms, three data seeds.
SIGN_VERSIONS = (
    AS_IT_IS, "encoder norm: layer", "encoder norm: none", "data seed 1", "data seed 2"
)  # fmt: skip

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


def dial_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[Arm | Control, dict[float, Runs]]]:
    """Backbone -> arm or control -> share -> runs, on a benchmark."""
    breadth = breadth_of(profile)
    return {
        label: {
            key: {
                share: model_runs(profile, at_share(data, share), output_dir, model)
                for share in (breadth.shares if key in ARMS else breadth.control_shares)
            }
            for key, model in _dialled(backbone).items()
        }
        for label, backbone in _backbones(breadth.dial_attentions).items()
    }


def _dialled(backbone: ModelConfig) -> dict[Arm | Control, ModelConfig]:
    """The arms and controls of an attention."""
    models: dict[Arm | Control, ModelConfig] = {
        arm: replace(backbone, **gates) for arm, gates in ARMS.items()
    }
    for control, model in CONTROLS.items():
        # Without its cross-attention, JCA is what CA is: it has no other part.
        alike = model.fusion in LEAVING_OUT and backbone.attention == "jca"
        models[control] = replace(model, attention="ca" if alike else backbone.attention)
    return models


def option_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, dict[Arm, Runs]]]:
    """Backbone -> option -> arm -> runs; ``plain`` is there for options that it shares."""
    breadth = breadth_of(profile)
    return {
        label: {
            name: {
                arm: model_runs(
                    profile,
                    data,
                    output_dir,
                    replace(option.model, attention=backbone.attention, **gates),
                    anneal=option.anneal,
                )
                for arm, gates in ARMS.items()
                if arm in breadth.option_arms or (arm == Arm.PLAIN and option.shared)
            }
            for name, option in OPTIONS.items()
            if backbone.attention in option.attentions and (breadth.all_options or not option.extra)
        }
        for label, backbone in _backbones(breadth.option_attentions).items()
    }


def reading_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, dict[Arm, Runs]]]:
    """Backbone -> option of `READING` -> gated arm -> runs."""
    return {
        backbone: {option: options[option] for option in READING}
        for backbone, options in option_runs(profile, data, output_dir).items()
    }


def gate_map_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[tuple[GateInit, float], Runs]]:
    """Backbone -> (initialisation, temperature) -> runs with both stages of gates."""
    breadth = breadth_of(profile)
    return {
        label: {
            (init, temperature): model_runs(
                profile,
                data,
                output_dir,
                replace(backbone, fusion="iaca", gate_init=init, temperature=temperature),
            )
            for init in get_args(GateInit)
            for temperature in sorted({TEMPERATURE, *breadth.temperatures})
        }
        for label, backbone in _backbones(breadth.option_attentions).items()
    }


def _other_worlds(data: DataConfig) -> dict[str, DataConfig]:
    """A benchmark with other embeddings and latents, and without matched norms."""
    benchmark = load_manifest(data.manifest).benchmark
    assert benchmark is not None
    seeds = {
        f"data seed {seed}": replace(data, data_seed=seed) for seed in benchmark.data_seeds[1:]
    }
    return {NOT_NORM_MATCHED: replace(data, norm_matched=False), **seeds}


def sensitivity_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[Arm, Runs]]:
    """Version of a benchmark -> arm of CA -> runs, at its central share."""
    worlds = _other_worlds(data)
    return {label: arm_runs(profile, world, output_dir) for label, world in worlds.items()}


def version_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, dict[Arm, Runs]]]:
    """Backbone -> version of the experiment -> arm -> runs, at a benchmark's central share."""
    breadth = breadth_of(profile)
    worlds = _other_worlds(data)
    worlds |= {f"noise × {x:g}": replace(data, noise_factor=x) for x in breadth.noise_factors}
    worlds |= {
        f"time constants × {x:g}": replace(data, time_factor=x) for x in breadth.time_factors
    }
    grid = {}
    for label, backbone in _backbones(breadth.option_attentions).items():
        norms = [norm for norm in get_args(EncoderNorm) if norm != backbone.encoder_norm]
        versions = {AS_IT_IS: (data, backbone)}
        versions |= {f"encoder norm: {n}": (data, replace(backbone, encoder_norm=n)) for n in norms}
        versions |= {world: (changed, backbone) for world, changed in worlds.items()}
        grid[label] = {
            version: arm_runs(profile, changed, output_dir, model)
            for version, (changed, model) in versions.items()
        }
    return grid


def unmatched_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[Arm, Runs]]:
    """Backbone -> arm -> runs on a benchmark whose corrupted clips are not norm-matched."""
    return {
        backbone: versions[NOT_NORM_MATCHED]
        for backbone, versions in version_runs(profile, data, output_dir).items()
    }


def unimodal_runs(profile: Profile, data: DataConfig, output_dir: Path) -> dict[str, Runs]:
    """The floor: RJCA's path for one modality alone, BiLSTMs and joint layer, without the other."""
    return {
        label: model_runs(profile, data, output_dir, ModelConfig("rjca", fusion))
        for label, fusion in UNIMODAL.items()
    }


def dropout_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[Arm, Runs]]:
    """Backbone -> arm -> runs trained with modality dropout."""
    return {
        label: arm_runs(profile, data, output_dir, model, modality_dropout=MODALITY_DROPOUT)
        for label, model in _backbones(breadth_of(profile).dropout_attentions).items()
    }


def audit_runs(profile: Profile, data: DataConfig, output_dir: Path) -> dict[str, Runs]:
    """Plain CA under each protocol of `TRAINED_UNDER`; the first are runs of Table 2."""
    strict = model_runs(profile, data, output_dir, CROSS_ATTENTION)
    return {
        label: [replace(run, protocol=protocol) for run in strict]
        for label, protocol in TRAINED_UNDER.items()
    }
