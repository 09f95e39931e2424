"""From standardised features to predictions: encoders, a fusion, one head a target."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from iaca.base.files import check_one_of
from iaca.data.windows import WINDOW_LENGTH
from iaca.models.attention import (
    CrossAttention,
    JointCrossAttention,
    NormAxis,
    RecursiveJointCrossAttention,
    TransformerCrossAttention,
    WithoutCrossAttention,
)
from iaca.models.fusions import Concatenation, PlainFusion, Unimodal
from iaca.models.gating import (
    TEMPERATURE,
    Fallback,
    GateInit,
    GateInput,
    Gates,
    InconsistencyAware,
    JointGateInput,
    Stages,
    Told,
)
from iaca.models.layers import BiLSTM, Dropout, L2Norm, SelfAttention, Standardise
from iaca.models.related_work import FAMILIES, FamilyName

AttentionName = Literal["none", "ca", "jca", "rjca", "tca"]
FusionName = Literal[
    "plain",
    "iaca",
    "told",
    "told_rule",
    "residual_mlp",
    "raw_and_attended",
    "gates_only",
    "without_attention",
    "audio_only",
    "visual_only",
    FamilyName,
]
EncoderNorm = Literal["l2", "layer", "none"]

GATED: tuple[FusionName, ...] = ("iaca", "gates_only", "told")  # the fusions whose gates learn
TOLD: dict[FusionName, Told] = {"told": "learned", "told_rule": "rule"}  # that know the state
LEAVING_OUT: tuple[FusionName, ...] = ("gates_only", "without_attention")  # the cross-attention
UNIMODAL: dict[str, Literal["audio", "visual"]] = {"audio_only": "audio", "visual_only": "visual"}


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a model's parameters and forward pass, dimensions of data aside.

    Attributes:
        attention: ``none`` is concatenation without attention.
        fusion: ``plain``, or ``iaca`` with the paper's two stages of gates, or ``told`` or
            ``told_rule``, the same with gates that know the true state (`InconsistencyAware` with
            ``told``), or one of four controls: ``residual_mlp`` and ``raw_and_attended``
            (`PlainFusion` with ``extra`` and ``raw``), ``gates_only`` (stage 2 over
            `WithoutCrossAttention`), ``without_attention`` (`PlainFusion` over the same); or the
            floor, ``audio_only`` or ``visual_only`` (`Unimodal`); or one of `FAMILIES`, which fuse
            by themselves, with ``attention="none"``, and read nothing below but ``dim``,
            ``encoder_norm`` and ``dropout``.
        dim: d, features inside the model.
        encoder_norm: what follows the encoders' linear layer; the same for all models.
        dropout: probability, on encoded features and in the heads.
        norm_axis: reading of Eq. 1, see `CrossAttention`.
        scale: whether Eq. 1 is divided by ``sqrt(d)``; the paper's is not.
        uniform: whether the cross-attention is independent of content, as a control: CA with W
            and JCA and RJCA with both W_jm kept at 0, TCA with even cross-attention weights.
        window: L, clips.
        temperature: T of the gates, at which the model is evaluated; a training may come down to
            it, see `TrainingConfig`. This and what follows are for gates alone,
            ``gate_relu`` excepted.
        gate_init: how the gates start, see `Gate`.
        gate_bias: whether the gates have a bias.
        stages, gate_input, joint_gate_input, fallback: see `InconsistencyAware`.
        gate_relu: whether Eqs. 7-9 have their ReLU; the plain fusion has the same ones, or none.
    """

    attention: AttentionName = "ca"
    fusion: FusionName = "plain"
    dim: int = 64
    encoder_norm: EncoderNorm = "l2"
    dropout: float = 0.1
    norm_axis: NormAxis = "column"
    scale: bool = False
    uniform: bool = False
    window: int = WINDOW_LENGTH
    temperature: float = TEMPERATURE
    gate_init: GateInit = "xavier"
    gate_bias: bool = True
    stages: Stages = "both"
    gate_input: GateInput = "own"
    joint_gate_input: JointGateInput = "joint"
    gate_relu: bool = True
    fallback: Fallback = "module"


class Prediction(NamedTuple):
    """What the regressor returns: ``values (B, L, n)`` and, if the fusion has any, its gates."""

    values: Tensor
    gates: Gates | None


class Encoder(nn.Module):
    """``Linear(d_m -> d)``, the chosen norm, dropout."""

    def __init__(self, features: int, config: ModelConfig) -> None:
        super().__init__()
        norms: dict[str, Callable[[], nn.Module]] = {
            "l2": L2Norm,
            "layer": lambda: nn.LayerNorm(config.dim),
            "none": nn.Identity,
        }
        check_one_of("encoder_norm", config.encoder_norm, norms)
        self.linear = nn.Linear(features, config.dim)
        self.norm = norms[config.encoder_norm]()
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d_m)`` to ``(B, L, d)``."""
        return self.dropout(self.norm(self.linear(x)))


class Head(nn.Module):
    """The paper's MLP for one target: d -> d/2 -> 1, no output activation."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = max(1, config.dim // 2)
        self.layers = nn.Sequential(
            nn.Linear(config.dim, hidden), nn.ReLU(), Dropout(config.dropout)
        )
        self.output = nn.Linear(hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d)`` to ``(B, L, 1)``."""
        return self.output(self.layers(x))


class AffectRegressor(nn.Module):
    """Standardisation, encoders, fusion and heads around any attention.

    Args:
        config: the model.
        audio_dim: d_a, features of an audio row.
        visual_dim: d_v.
        targets: n.
        attention: the reader's own module in place of the one that ``config`` names.
    """

    def __init__(
        self,
        config: ModelConfig,
        audio_dim: int,
        visual_dim: int,
        targets: int,
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.standardise_audio = Standardise(audio_dim)
        self.standardise_visual = Standardise(visual_dim)
        self.encode_audio = Encoder(audio_dim, config)
        self.encode_visual = Encoder(visual_dim, config)
        # RJCA models the fused sequence too, in the plain and the gated arm alike.
        self.joint_encoder = BiLSTM(config.dim) if config.attention == "rjca" else nn.Identity()
        self.heads = nn.ModuleList(Head(config) for _ in range(targets))
        # Last, and the gates last in it: with one seed, all arms start from the same weights.
        self.fusion = build_fusion(config, attention)

    @property
    def gating(self) -> InconsistencyAware:
        """The fusion, if it is one with IACA's gates.

        Raises:
            ValueError: if it is not.
        """
        if not isinstance(self.fusion, InconsistencyAware):
            raise ValueError(f"fusion {self.config.fusion!r} has no gates")
        return self.fusion

    def encode(
        self, audio: Tensor, visual: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return ``X_a`` and ``X_v``, ``(B, L, d)`` each: what the attention is given.

        Rows outside the mask become zero vectors, whatever the padding held.
        """
        x_audio = self.encode_audio(self.standardise_audio(audio))  # (B, L, d)
        x_visual = self.encode_visual(self.standardise_visual(visual))
        if mask is None:
            return x_audio, x_visual
        rows = mask.unsqueeze(-1)
        return torch.where(rows, x_audio, 0.0), torch.where(rows, x_visual, 0.0)

    def forward(
        self,
        audio: Tensor,
        visual: Tensor,
        mask: Tensor | None = None,
        state: Tensor | None = None,
    ) -> Prediction:
        """Predict ``(B, L, n)`` from raw features.

        Args:
            audio: ``(B, L, d_a)``.
            visual: ``(B, L, d_v)``.
            mask: ``(B, L)``, true at rows that exist; all of them by default. Predictions at
                other rows mean nothing, and at valid rows do not depend on the padding.
            state: ``(B, L)``, true states, any at other rows; only the fusions `TOLD` are given it.

        Raises:
            DataError: if such a fusion lacks it.
        """
        told = (state,) if self.config.fusion in TOLD else ()
        fused, gates = self.fusion(*self.encode(audio, visual, mask), *told)
        fused = self.joint_encoder(fused)  # (B, L, d)
        values = torch.cat([head(fused) for head in self.heads], dim=-1)  # (B, L, n)
        return Prediction(values, gates)


def build_attention(config: ModelConfig) -> nn.Module:
    """Build the attention that a configuration names.

    Raises:
        ValueError: for an unknown name.
    """
    match config.attention:
        case "ca":
            return CrossAttention(config.dim, config.norm_axis, config.scale, config.uniform)
        case "jca":
            return JointCrossAttention(config.dim, config.window, uniform=config.uniform)
        case "rjca":
            return RecursiveJointCrossAttention(config.dim, config.window, uniform=config.uniform)
        case "tca":
            return TransformerCrossAttention(
                config.dim, dropout=config.dropout, uniform=config.uniform
            )
    raise ValueError(f"attention {config.attention!r}: expected ca, jca, rjca or tca")


def build_fusion(config: ModelConfig, attention: nn.Module | None = None) -> nn.Module:
    """Build the fusion that a configuration names, around its attention or the given one.

    Raises:
        ValueError: for an unknown fusion, a fusion that needs an attention and has none, one of
            `FAMILIES` with an attention, or one that leaves the attention out (``gates_only``,
            ``without_attention``, ``audio_only``, ``visual_only``) around one whose own encoders
            are not known; or if ``uniform`` finds no attention of the package's own.
    """
    check_one_of("fusion", config.fusion, get_args(FusionName))
    without = config.attention == "none" or config.fusion in (*LEAVING_OUT, *UNIMODAL)
    if config.uniform and (without or attention is not None):
        found = f"attention {config.attention!r}" if attention is None else "a module"
        raise ValueError(
            f"uniform: fusion {config.fusion!r} of {found} has no cross-attention of the package's "
            "own to make uniform, expected ca, jca, rjca or tca"
        )
    if config.fusion in FAMILIES:
        if config.attention != "none" or attention is not None:
            found = repr(config.attention) if attention is None else "a module"
            raise ValueError(
                f"fusion {config.fusion!r} fuses by itself: attention {found}, expected 'none'"
            )
        return FAMILIES[config.fusion](config.dim, config.dropout)
    if attention is not None and config.fusion in (*LEAVING_OUT, *UNIMODAL):
        raise ValueError(f"fusion {config.fusion!r} takes no attention: it leaves one out")
    if modality := UNIMODAL.get(config.fusion):
        return Unimodal(build_encoder(config), config.dim, modality, config.gate_relu)
    if config.attention == "none" and attention is None:
        if config.fusion != "plain":
            raise ValueError(f"fusion {config.fusion!r} needs an attention to wrap, not 'none'")
        return Concatenation(config.dim, config.gate_relu)
    if config.fusion in LEAVING_OUT:
        attention = WithoutCrossAttention(build_encoder(config), build_encoder(config))
    attention = attention or build_attention(config)
    match config.fusion:
        case "plain" | "without_attention":
            return PlainFusion(attention, config.dim, config.gate_relu)
        case "gates_only":
            if config.stages == "first":
                raise ValueError("stages 'first': fusion 'gates_only' has only the second")
            # Stage 1 would choose between a feature and itself.
            return build_gates(replace(config, stages="second"), attention)
        case "residual_mlp":
            return PlainFusion(attention, config.dim, config.gate_relu, gate_parameters(config))
        case "raw_and_attended":
            return PlainFusion(attention, config.dim, config.gate_relu, raw=True)
    return build_gates(config, attention)


def build_encoder(config: ModelConfig) -> nn.Module:
    """Build what a configuration's attention does to one modality alone, before it is attended.

    That is nothing for CA and JCA, a BiLSTM for RJCA, positions and self-attention for TCA.
    """
    match config.attention:
        case "rjca":
            return BiLSTM(config.dim)
        case "tca":
            return SelfAttention(config.dim, dropout=config.dropout, positions=True)
    return nn.Identity()


def gate_parameters(config: ModelConfig) -> int:
    """How many parameters the gates of a configuration have: what IACA adds to a plain model."""
    with torch.random.fork_rng(devices=[]):  # counting must not change what is drawn next
        gated = build_gates(config, nn.Identity())
    return count_parameters(gated) - count_parameters(gated.joint)


def count_parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


def build_gates(config: ModelConfig, attention: nn.Module) -> InconsistencyAware:
    """Wrap an attention in the gates that a configuration describes."""
    return InconsistencyAware(
        attention,
        config.dim,
        config.temperature,
        config.gate_init,
        config.gate_bias,
        stages=config.stages,
        gate_input=config.gate_input,
        joint_gate_input=config.joint_gate_input,
        relu=config.gate_relu,
        fallback=config.fallback,
        told=TOLD.get(config.fusion),
    )
