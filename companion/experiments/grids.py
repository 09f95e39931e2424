"""Which runs chapter `04_ablations` needs: Table 2, the dial with its controls, options, versions.

A grid is a nested dictionary whose leaves are lists of configurations, a run a seed (and a fold if
the data have any). Cells that a profile does not compute are not in it. Grids share runs: the
central share of the dial is Table 2's, and the sensitivity rows are chapter 3's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from iaca.learning.protocol import STRICT, Protocol
from iaca.models.gating import TEMPERATURE, GateInit
from iaca.models.regressor import (
    LEAVING_OUT,
    AttentionName,
    EncoderNorm,
    ModelConfig,
)
from iaca.runs.arms import ARMS, arm_runs, model_runs, over_seeds
from iaca.runs.profiles import BENCHMARK, Profile, at_share
from iaca.runs.runs import RunConfig
from iaca.sources.loading import DataConfig
from iaca.sources.manifest import load_manifest

BACKBONES: dict[str, AttentionName] = {"CA": "ca", "TCA": "tca", "JCA": "jca", "RJCA": "rjca"}

# Table 2 of the paper, CCC on Aff-Wild2's validation set: without IACA, with IACA.
PAPER_TABLE_2 = {
    "CA": {"valence": (0.541, 0.632), "arousal": (0.517, 0.597)},
    "TCA": {"valence": (0.564, 0.637), "arousal": (0.543, 0.629)},
    "JCA": {"valence": (0.657, 0.693), "arousal": (0.580, 0.609)},
    "RJCA": {"valence": (0.721, 0.749), "arousal": (0.694, 0.725)},
}

PUBLISHED, ZERO_STARTED = [arm for arm in ARMS if arm != "plain"]
CONTROLS: dict[str, dict[str, Any]] = {
    "as many parameters, no gates": {"fusion": "residual_mlp"},
    "un-attended beside attended, no gates": {"fusion": "raw_and_attended"},
    "gates as published, no cross-attention": {"fusion": "gates_only", "gate_init": "xavier"},
    "zero-started gates, no cross-attention": {"fusion": "gates_only", "gate_init": "zero"},
    "neither gates nor cross-attention": {"fusion": "without_attention"},
}
# Criterion (b) holds an arm against three: the gates without attention start as its own do. The
# last control is for reading the others: it has nothing that the paper is about.
CONTROLS_OF: dict[str, tuple[str, ...]] = {
    arm: tuple(
        label
        for label, options in CONTROLS.items()
        if options["fusion"] in ("residual_mlp", "raw_and_attended")
        or options.get("gate_init") == ARMS[arm]["gate_init"]
    )
    for arm in (PUBLISHED, ZERO_STARTED)
}

OPTIONS: dict[str, dict[str, Any]] = {
    "gates without bias (Eq. 5 as printed)": {"gate_bias": False},
    "temperature from 1 down to 0.1": {"anneal": True},
    "stage 1 only": {"stages": "first"},
    "stage 2 only": {"stages": "second"},
    "stage 1 reads both attended features": {"gate_input": "both"},
    "stage 1 reads the un-attended pair": {"gate_input": "raw"},
    "stage 2 reads audio, visual and joint": {"joint_gate_input": "all"},
    "stage 1 falls back to the encoders": {"fallback": "raw"},
    "stage 1 falls back to a BiLSTM": {"fallback": "lstm"},
    "stage 1 falls back to self-attention": {"fallback": "self_attention"},
    "no ReLU in Eqs. 7 to 9": {"gate_relu": False},
    "Eq. 1's second map as its formula has it": {"norm_axis": "printed"},
    "Eq. 1 scaled by the root of d": {"scale": True},
}
# Options of what the arms share: plain has them too, and is trained again for the comparison.
SHARED_OPTIONS = {"gate_relu", "norm_axis", "scale"}
# Options that change something for some attentions only: the others have no Eq. 1, or let stage 1
# fall back to the encoders' output already.
ONLY_FOR: dict[tuple[str, Any], tuple[AttentionName, ...]] = {
    ("norm_axis", "printed"): ("ca",),
    ("scale", True): ("ca",),
    ("fallback", "raw"): ("rjca", "tca"),
}

AS_IT_IS = "the benchmark as it is"
# The versions over which criterion (d) wants one sign: three encoder norms, three data seeds.
SIGN_VERSIONS = (
    AS_IT_IS,
    "encoder norm: layer",
    "encoder norm: none",
    "data seed 1",
    "data seed 2",
)

Runs = list[RunConfig]


def table_2_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, Runs]]:
    """Backbone -> arm -> runs, on any data set."""
    return {
        label: arm_runs(profile, data, output_dir, attention)
        for label, attention in BACKBONES.items()
    }


def dial_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, dict[float, Runs]]]:
    """Backbone -> arm or control -> share -> runs, on a benchmark."""
    grid: dict[str, dict[str, dict[float, Runs]]] = {}
    for label, attention in BACKBONES.items():
        if attention in profile.dial_attentions:
            grid[label] = {
                model: {
                    share: model_runs(profile, at_share(data, share), output_dir, **options)
                    for share in (profile.shares if model in ARMS else profile.control_shares)
                }
                for model, options in _dialled(attention).items()
            }
    return grid


def _dialled(attention: AttentionName) -> dict[str, dict[str, Any]]:
    """Arms and controls of an attention, as options of the model."""
    models = {label: {"attention": attention, **options} for label, options in ARMS.items()}
    for label, options in CONTROLS.items():
        # Without its cross-attention, JCA is what CA is: it has no other part.
        alike = options["fusion"] in LEAVING_OUT and attention == "jca"
        models[label] = {"attention": "ca" if alike else attention, **options}
    return models


def option_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, dict[str, Runs]]]:
    """Backbone -> option -> arm -> runs; ``plain`` is there for options that it shares."""
    return {
        label: {
            option: {
                arm: model_runs(
                    profile, data, output_dir, attention=attention, **{**changes, **gates}
                )
                for arm, gates in ARMS.items()
                if arm in profile.option_arms
                or (arm == "plain" and changes.keys() <= SHARED_OPTIONS)
            }
            for option, changes in OPTIONS.items()
            if all(attention in ONLY_FOR.get(change, (attention,)) for change in changes.items())
            and not _left_out(changes, profile)
        }
        for label, attention in BACKBONES.items()
        if attention in profile.option_attentions
    }


def _left_out(changes: Mapping[str, Any], profile: Profile) -> bool:
    named = {*changes, *(f"{field}={value}" for field, value in changes.items())}
    return not named.isdisjoint(profile.without_options)


def gate_map_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[tuple[GateInit, float], Runs]]:
    """Backbone -> (initialisation, temperature) -> runs with both stages of gates."""
    return {
        label: {
            (init, temperature): model_runs(
                profile,
                data,
                output_dir,
                attention=attention,
                fusion="iaca",
                gate_init=init,
                temperature=temperature,
            )
            for init in get_args(GateInit)
            for temperature in sorted({TEMPERATURE, *profile.temperatures})
        }
        for label, attention in BACKBONES.items()
        if attention in profile.option_attentions
    }


def version_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, dict[str, Runs]]]:
    """Backbone -> version of the experiment -> arm -> runs, at a benchmark's central share."""
    norms = [norm for norm in get_args(EncoderNorm) if norm != ModelConfig().encoder_norm]
    worlds = {f"noise × {x:g}": replace(data, noise_factor=x) for x in profile.noise_factors}
    worlds |= {
        f"time constants × {x:g}": replace(data, time_factor=x) for x in profile.time_factors
    }
    grid = {}
    for label, attention in BACKBONES.items():
        if attention not in profile.option_attentions:
            continue
        versions = {AS_IT_IS: arm_runs(profile, data, output_dir, attention)}
        for norm in norms:
            versions[f"encoder norm: {norm}"] = arm_runs(
                profile, data, output_dir, attention, encoder_norm=norm
            )
        versions |= sensitivity_runs(profile, output_dir, attention, data)
        for world, changed in worlds.items():
            versions[world] = arm_runs(profile, changed, output_dir, attention)
        grid[label] = versions
    return grid


def ablation_runs(
    profile: Profile, output_dir: Path, manifest: str | None = None
) -> list[RunConfig]:
    """The union of the chapter's runs; ``manifest`` takes the benchmark's place."""
    data = DataConfig() if manifest is None else DataConfig(manifest)
    grids: list[Any] = [
        table_2_runs(profile, data, output_dir),
        option_runs(profile, data, output_dir),
        gate_map_runs(profile, data, output_dir),
    ]
    if load_manifest(data.manifest).benchmark is not None:
        grids.append(dial_runs(profile, data, output_dir))
        grids.append(version_runs(profile, data, output_dir))
    return list(dict.fromkeys(config for grid in grids for config in leaves(grid)))


def leaves(grid: Mapping[Any, Any] | Runs) -> Iterator[RunConfig]:
    """All configurations of a grid, however deep it is; one that two cells share comes twice."""
    for branch in grid.values() if isinstance(grid, Mapping) else [grid]:
        if isinstance(branch, Mapping):
            yield from leaves(branch)
        else:
            yield from branch


VALIDITY_SHARES = (0.0, 0.6)


VALIDITY_MODELS: dict[str, AttentionName] = {
    "Concatenation + MLP": "none",
    "CA": "ca",
    "JCA": "jca",
    "RJCA": "rjca",
    "TCA": "tca",
}


def validity_runs(profile: Profile, share: float) -> dict[str, list[RunConfig]]:
    """The ungated models of the benchmark's validity table at one share, a run a seed."""
    data = DataConfig(share=share)
    rows = {
        label: over_seeds(profile, data, ModelConfig(attention, dim=profile.dim))
        for label, attention in VALIDITY_MODELS.items()
        if share == 0.0 or attention in profile.weak_validity
    }
    told = replace(data, oracle=True)
    rows["Oracle: told the state"] = over_seeds(profile, told, ModelConfig("none", dim=profile.dim))
    return rows


def norm_runs(profile: Profile, norm: EncoderNorm) -> list[RunConfig]:
    """Plain CA at share 0 under one encoder norm, for the comparison on `select`."""
    model = ModelConfig("ca", dim=profile.dim, encoder_norm=norm)
    return over_seeds(profile, DataConfig(share=0.0), model)


def sensitivity_runs(
    profile: Profile,
    output_dir: Path,
    attention: AttentionName = "ca",
    data: DataConfig = BENCHMARK,
) -> dict[str, dict[str, list[RunConfig]]]:
    """The three arms on other versions of a benchmark, at its central share."""
    benchmark = load_manifest(data.manifest).benchmark
    assert benchmark is not None
    versions = {"not norm-matched": replace(data, norm_matched=False)}
    for data_seed in benchmark.data_seeds[1:]:
        versions[f"data seed {data_seed}"] = replace(data, data_seed=data_seed)
    return {
        label: arm_runs(profile, version, output_dir, attention)
        for label, version in versions.items()
    }


# Options that bear on what a gate can detect: whether it is alone, and what it reads.
READING = (
    "stage 1 only",
    "stage 2 only",
    "stage 1 reads both attended features",
    "stage 1 reads the un-attended pair",
    "stage 2 reads audio, visual and joint",
)


def reading_runs(profile: Profile, output_dir: Path) -> dict[str, dict[str, dict[str, Runs]]]:
    """Backbone -> option of `READING` -> gated arm -> runs."""
    return {
        backbone: {option: options[option] for option in READING}
        for backbone, options in option_runs(profile, BENCHMARK, output_dir).items()
    }


def unmatched_runs(profile: Profile, output_dir: Path) -> dict[str, dict[str, Runs]]:
    """Backbone -> arm -> runs on the benchmark whose corrupted clips are not norm-matched."""
    return {
        backbone: versions["not norm-matched"]
        for backbone, versions in version_runs(profile, BENCHMARK, output_dir).items()
    }


def diagnosis_runs(profile: Profile, output_dir: Path) -> list[RunConfig]:
    """The union of the chapter's runs on the benchmark.

    Its last section reads the arms on real conversations too, which are
    `iaca.runs.arms.arm_runs` of those data and can be had only where the data can.
    """
    grids: list[Any] = [
        table_2_runs(profile, BENCHMARK, output_dir),
        unimodal_runs(profile, BENCHMARK, output_dir),
        unmatched_runs(profile, output_dir),
        gate_map_runs(profile, BENCHMARK, output_dir),
        reading_runs(profile, output_dir),
    ]
    return list(dict.fromkeys(config for grid in grids for config in leaves(grid)))


# Half of the windows see both modalities whole, half lose a share of one: ours, not tuned.
MODALITY_DROPOUT = 0.5


UNIMODAL = {"voice alone": "audio_only", "face alone": "visual_only"}


def unimodal_runs(profile: Profile, data: DataConfig, output_dir: Path) -> dict[str, Runs]:
    """The floor: RJCA's path for one modality alone, BiLSTMs and joint layer, without the other."""
    return {
        label: model_runs(profile, data, output_dir, attention="rjca", fusion=fusion)
        for label, fusion in UNIMODAL.items()
    }


def dropout_runs(
    profile: Profile, data: DataConfig, output_dir: Path
) -> dict[str, dict[str, Runs]]:
    """Backbone -> arm -> runs trained with modality dropout."""
    return {
        label: arm_runs(profile, data, output_dir, attention, modality_dropout=MODALITY_DROPOUT)
        for label, attention in BACKBONES.items()
        if attention in profile.dropout_attentions
    }


def robustness_runs(
    profile: Profile, output_dir: Path, manifest: str | None = None
) -> list[RunConfig]:
    """The union of the chapter's runs; ``manifest`` takes the benchmark's place."""
    data = DataConfig() if manifest is None else DataConfig(manifest)
    tables = [
        *table_2_runs(profile, data, output_dir).values(),
        *dropout_runs(profile, data, output_dir).values(),
        unimodal_runs(profile, data, output_dir),
    ]
    return [config for table in tables for runs in table.values() for config in runs]


# What cannot be had from finished runs: choices that another training stands behind.
TRAINED_UNDER = {
    "strict": STRICT,
    "selected on report": Protocol(selection="report"),
    "windows in order": Protocol(shuffle=False),
}


# A clip of Aff-Wild2 is 32 frames, so the released windows of 20 and 50 frames are 0.6 and 1.6
# clips; the benchmark has a row a clip and no frames between. Rounded, and at least one.
SAME_TIME = {"valence": 1, "arousal": 2}


SAME_ROWS = {"valence": 20, "arousal": 50}


# A released batch: 64 windows of 16 clips, each clip ending at another frame, in the order of one
# video. Together they end at 1,024 frames in a row, which is 32 clips, or two windows without
# overlap.
RELEASED_BATCH = 2


def audit_runs(profile: Profile, output_dir: Path) -> dict[str, Runs]:
    """Plain CA on the benchmark, a run a seed, under each protocol of `TRAINED_UNDER`.

    The first are runs of Table 2. Whatever data the other chapters run on, these are the
    benchmark's: its labels are all valid, so what is invalid is known.
    """
    strict = model_runs(profile, DataConfig(), output_dir, attention="ca", **ARMS["plain"])
    return {
        label: [replace(run, protocol=protocol) for run in strict]
        for label, protocol in TRAINED_UNDER.items()
    }
