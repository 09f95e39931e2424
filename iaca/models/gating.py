"""Inconsistency-Aware Cross-Attention (IACA): two stages of gates around any attention.

Tensors are ``(B, L, d)``; the paper writes ``d x L``.
"""

import functools
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from iaca.models.attention import Attended
from iaca.models.fusions import JointRepresentation

GateInit = Literal["xavier", "zero", "default"]

TEMPERATURE = 0.1  # the paper says "a small temperature"; this is its sibling paper's and code's


class Gates(NamedTuple):
    """The weights that both stages chose, each row summing to 1.

    Attributes:
        audio: ``(B, L, 2)``, stage 1: self, cross-attended.
        visual: ``(B, L, 2)``, stage 1: self, cross-attended.
        audio_visual: ``(B, L, 3)``, stage 2: audio, visual, joint.
    """

    audio: Tensor
    visual: Tensor
    audio_visual: Tensor


class Gate(nn.Module):
    r"""A fully connected layer whose outputs compete in a softmax with temperature, Eqs. 5-6.

    .. math::
        W_{go} = X^\top W_{gl} + b, \quad G = \mathrm{softmax}(W_{go} / T)

    Args:
        dim: d, features it reads.
        choices: K, what it chooses among.
        temperature: T > 0; the smaller, the closer to a hard choice.
        init: of ``W_gl``: ``xavier`` uniform with zero bias (the released sibling's), ``zero``
            (every choice starts equal), or ``default`` (`torch.nn.Linear`'s).
        bias: whether there is b; Eq. 5 has none, the released sibling has one.

    Raises:
        ValueError: for a temperature that is not positive, or an unknown initialisation.
    """

    def __init__(
        self,
        dim: int,
        choices: int,
        temperature: float = TEMPERATURE,
        init: GateInit = "xavier",
        bias: bool = True,
    ) -> None:
        super().__init__()
        if init not in ("xavier", "zero", "default"):
            raise ValueError(f"gate_init {init!r}: expected xavier, zero or default")
        self.temperature = _positive(temperature)
        self.linear = nn.Linear(dim, choices, bias=bias)
        if init == "default":
            return
        initialise = nn.init.xavier_uniform_ if init == "xavier" else nn.init.zeros_
        initialise(self.linear.weight)
        if bias:
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, L, d)`` to logits (Eq. 5) and weights (Eq. 6), ``(B, L, K)`` each."""
        logits = self.linear(x)
        return logits, (logits / self.temperature).softmax(dim=-1)


def _positive(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature {temperature!r}: expected a positive number")
    return temperature


class Steps(NamedTuple):
    """Everything between an attention and the fused feature, named as in the paper.

    ``logits`` are Eq. 5's outputs, before temperature and softmax; ``x_att_*`` are ``(B, L, d)``.
    """

    attended: Attended
    logits: Gates
    gates: Gates
    x_att_ga: Tensor
    x_att_gv: Tensor
    x_att_gav: Tensor
    x_att_g: Tensor


class InconsistencyAware(nn.Module):
    r"""The two-stage gating of the paper, Eqs. 5-9, around an attention.

    Stage 1 chooses, per clip and modality, the un-attended or the cross-attended feature. Stage 2
    chooses among audio, visual and their joint representation.

    .. math::
        X_{att,gm} &= \mathrm{ReLU}(X_m \otimes G_{m0} + X_{att,m} \otimes G_{m1}) \\
        X_{att,gav} &= \mathrm{FC}\,[X_{att,ga} ; X_{att,gv}] \\
        X_{att,g} &= \mathrm{ReLU}(X_{att,ga} \otimes G_{av0} + X_{att,gv} \otimes G_{av1}
                     + X_{att,gav} \otimes G_{av2})

    Each gate reads what Eq. 5 gives it: stage 1 its own modality's attended feature, stage 2 the
    joint feature (the paper does not say; it is the parallel of Eq. 5). With its gates clamped to
    (0, 1), (0, 1) and (0, 0, 1) this is exactly `PlainFusion`.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``, the reader's included.
        dim: d.
        temperature: T of all three gates.
        gate_init: how the gates' weights start, see `Gate`.
        gate_bias: whether the gates have a bias.
    """

    def __init__(
        self,
        attention: nn.Module,
        dim: int,
        temperature: float = TEMPERATURE,
        gate_init: GateInit = "xavier",
        gate_bias: bool = True,
    ) -> None:
        super().__init__()
        self.attention = attention
        self.joint = JointRepresentation(dim)
        self.gate_audio = Gate(dim, 2, temperature, gate_init, gate_bias)
        self.gate_visual = Gate(dim, 2, temperature, gate_init, gate_bias)
        self.gate_audio_visual = Gate(dim, 3, temperature, gate_init, gate_bias)

    def set_temperature(self, temperature: float) -> None:
        """Change T of all three gates, for inference at another temperature than trained with."""
        for gate in (self.gate_audio, self.gate_visual, self.gate_audio_visual):
            gate.temperature = _positive(temperature)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Gates]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, with the gates."""
        steps = self.steps(audio, visual)
        return steps.x_att_g, steps.gates

    def steps(self, audio: Tensor, visual: Tensor) -> Steps:
        """The forward pass with everything it computed on the way."""
        attended: Attended = self.attention(audio, visual)
        logits_audio, g_audio = self.gate_audio(attended.audio)  # (B, L, 2), Eqs. 5-6
        logits_visual, g_visual = self.gate_visual(attended.visual)
        x_att_gv = choose(g_visual, attended.self_visual, attended.visual)  # (B, L, d), Eq. 7
        x_att_ga = choose(g_audio, attended.self_audio, attended.audio)  # Eq. 8
        x_att_gav = self.joint(x_att_ga, x_att_gv)  # (B, L, d)
        logits_audio_visual, g_audio_visual = self.gate_audio_visual(x_att_gav)  # (B, L, 3)
        x_att_g = choose(g_audio_visual, x_att_ga, x_att_gv, x_att_gav)  # Eq. 9
        return Steps(
            attended,
            Gates(logits_audio, logits_visual, logits_audio_visual),
            Gates(g_audio, g_visual, g_audio_visual),
            x_att_ga,
            x_att_gv,
            x_att_gav,
            x_att_g,
        )


def choose(gate: Tensor, *features: Tensor) -> Tensor:
    """Weigh K features ``(B, L, d)`` by the columns of a gate ``(B, L, K)``, then ReLU.

    The paper replicates each column to d rows; broadcasting does the same.
    """
    weighted = [gate[..., k, None] * feature for k, feature in enumerate(features)]
    return torch.relu(functools.reduce(torch.add, weighted))
