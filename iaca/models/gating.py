"""Inconsistency-Aware Cross-Attention (IACA): two stages of gates around any attention.

Tensors are ``(B, L, d)``; the paper writes ``d x L``.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from iaca.base.files import check_one_of
from iaca.data.states import STATES
from iaca.models.attention import Attended, attend
from iaca.models.fusions import JointRepresentation, rectifier
from iaca.models.layers import BiLSTM, SelfAttention
from iaca.models.told import RuleGate, one_hot

GateInit = Literal["xavier", "zero", "default"]
Stages = Literal["both", "first", "second"]
GateInput = Literal["own", "both", "raw"]
JointGateInput = Literal["joint", "all"]
Fallback = Literal["module", "raw", "lstm", "self_attention"]
Told = Literal["learned", "rule"]

FALLBACK_LAYERS: dict[Fallback, Callable[[int], nn.Module]] = {
    "lstm": BiLSTM,
    "self_attention": SelfAttention,
}
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
        check_one_of("gate_init", init, get_args(GateInit))
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


class FixedGate(nn.Module):
    """A gate that says the same at every clip, whatever it reads: a closed stage, or a frozen one.

    It has no parameters and is no part of a saved model.

    Args:
        weights: K weights that sum to 1.

    Raises:
        ValueError: if the weights are negative or do not sum to 1.
    """

    weights: Tensor

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        if (weights < 0).any() or abs(weights.sum().item() - 1.0) > 1e-4:
            raise ValueError(f"gate weights {weights.tolist()}: expected shares that sum to 1")
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``(B, L, d)`` to logits (``-inf`` for a closed choice) and weights, ``(B, L, K)``."""
        weights = self.weights.to(x).expand(*x.shape[:-1], -1)
        return weights.log(), weights


def _positive(temperature: float) -> float:
    if not temperature > 0:
        raise ValueError(f"temperature {temperature!r}: expected a positive number")
    return temperature


def _check_options(
    stages: Stages, gate_input: GateInput, joint_gate_input: JointGateInput, fallback: Fallback
) -> None:
    check_one_of("stages", stages, get_args(Stages))
    check_one_of("gate_input", gate_input, get_args(GateInput))
    check_one_of("joint_gate_input", joint_gate_input, get_args(JointGateInput))
    check_one_of("fallback", fallback, get_args(Fallback))
    if stages == "second" and (gate_input != "own" or fallback != "module"):
        raise ValueError(
            f"gate_input {gate_input!r}, fallback {fallback!r}: stage 1 is left out by stages "
            "'second', expected own and module"
        )
    if stages == "first" and joint_gate_input != "joint":
        raise ValueError(
            f"joint_gate_input {joint_gate_input!r}: stage 2 is left out by stages 'first', "
            "expected joint"
        )


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
    (0, 1), (0, 1) and (0, 0, 1) this is exactly `PlainFusion` with the same ``relu``, under every
    option. The options are for ablations; their defaults are the paper's model.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``, the reader's included.
        dim: d.
        temperature: T of all three gates.
        gate_init: how the gates' weights start, see `Gate`.
        gate_bias: whether the gates have a bias.
        stages: ``both``; ``first``, where the joint feature takes stage 2's place, as in the plain
            fusion; ``second``, where stage 1 always takes the attended feature. The gates of a
            stage that is left out have no parameters and always say the same.
        gate_input: what stage 1's gates read: ``own``, their modality's attended feature;
            ``both``, audio's and visual's attended features side by side; ``raw``, what the
            attention was given, audio's and visual's side by side.
        joint_gate_input: what stage 2's gate reads: ``joint``, or ``all`` three side by side.
        relu: whether Eqs. 7-9 have their ReLU.
        fallback: what stage 1 chooses in place of the attended feature: ``module``, what the
            attention returns for it; ``raw``, what the attention was given; ``lstm`` and
            ``self_attention``, a `BiLSTM` or `SelfAttention` of that, one for each modality.
        told: gates that read the true state in place of features, whatever the options above say
            of their input and start: ``learned``, tables from a state to logits, started at zero;
            ``rule``, the paper's own, see `RuleGate`. None for the paper's gates, which do not
            know the state.

    Raises:
        ValueError: for an unknown option, or one of a stage that is left out.
    """

    def __init__(
        self,
        attention: nn.Module,
        dim: int,
        temperature: float = TEMPERATURE,
        gate_init: GateInit = "xavier",
        gate_bias: bool = True,
        *,
        stages: Stages = "both",
        gate_input: GateInput = "own",
        joint_gate_input: JointGateInput = "joint",
        relu: bool = True,
        fallback: Fallback = "module",
        told: Told | None = None,
    ) -> None:
        super().__init__()
        _check_options(stages, gate_input, joint_gate_input, fallback)
        self.attention = attention
        self.gate_input, self.joint_gate_input = gate_input, joint_gate_input
        self.fallback, self.told = fallback, told
        self.rectify = rectifier(relu)
        self.joint = JointRepresentation(dim)

        def gate(reads: int, choices: int, left_out: bool) -> nn.Module:
            if left_out:  # the last choice is the attended feature, or the joint one
                return FixedGate(torch.eye(choices)[-1])
            if told == "rule":
                return RuleGate(choices - 1)
            if told == "learned":
                return Gate(len(STATES), choices, temperature, "zero", bias=False)
            return Gate(reads, choices, temperature, gate_init, gate_bias)

        reads = dim if gate_input == "own" else 2 * dim
        self.gate_audio = gate(reads, 2, stages == "second")
        self.gate_visual = gate(reads, 2, stages == "second")
        reads = dim if joint_gate_input == "joint" else 3 * dim
        self.gate_audio_visual = gate(reads, 3, stages == "first")
        fallback_layer = FALLBACK_LAYERS.get(fallback, nn.Identity)
        self.fall_back_audio, self.fall_back_visual = fallback_layer(dim), fallback_layer(dim)

    @contextmanager
    def at_temperature(self, temperature: float) -> Iterator[None]:
        """Give all gates another T within the block, and their own again after it.

        Raises:
            ValueError: if it is not positive.
        """
        gates = (self.gate_audio, self.gate_visual, self.gate_audio_visual)
        own = {gate: gate.temperature for gate in gates if isinstance(gate, Gate)}
        _positive(temperature)
        try:
            for gate in own:
                gate.temperature = temperature
            yield
        finally:
            for gate, before in own.items():
                gate.temperature = before

    def forward(
        self, audio: Tensor, visual: Tensor, state: Tensor | None = None
    ) -> tuple[Tensor, Gates]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, with the gates.

        Only told gates read the true ``state (B, L)``.

        Raises:
            DataError: if they are given none.
        """
        steps = self.steps(audio, visual, state)
        return steps.x_att_g, steps.gates

    def steps(self, audio: Tensor, visual: Tensor, state: Tensor | None = None) -> Steps:
        """The forward pass with everything it computed on the way."""
        attended = attend(self.attention, audio, visual)
        if self.fallback != "module":
            attended = attended._replace(
                self_audio=self.fall_back_audio(audio), self_visual=self.fall_back_visual(visual)
            )
        read_audio, read_visual = attended.audio, attended.visual
        known = one_hot(state).to(audio) if self.told else None  # (B, L, 7)
        if known is not None:
            read_audio = read_visual = known
        elif self.gate_input != "own":
            pair = (audio, visual) if self.gate_input == "raw" else (read_audio, read_visual)
            read_audio = read_visual = torch.cat(pair, dim=-1)  # (B, L, 2d)
        logits_audio, g_audio = self.gate_audio(read_audio)  # (B, L, 2), Eqs. 5-6
        logits_visual, g_visual = self.gate_visual(read_visual)
        x_att_gv = self.rectify(weigh(g_visual, attended.self_visual, attended.visual))  # Eq. 7
        x_att_ga = self.rectify(weigh(g_audio, attended.self_audio, attended.audio))  # Eq. 8
        x_att_gav = self.joint(x_att_ga, x_att_gv)  # (B, L, d)
        everything = x_att_ga, x_att_gv, x_att_gav
        if known is not None:
            read = known
        else:
            read = x_att_gav if self.joint_gate_input == "joint" else torch.cat(everything, dim=-1)
        logits_audio_visual, g_audio_visual = self.gate_audio_visual(read)  # (B, L, 3)
        x_att_g = self.rectify(weigh(g_audio_visual, *everything))  # Eq. 9, (B, L, d)
        logits = Gates(logits_audio, logits_visual, logits_audio_visual)
        gates = Gates(g_audio, g_visual, g_audio_visual)
        return Steps(attended, logits, gates, *everything, x_att_g)


def weigh(gate: Tensor, *features: Tensor) -> Tensor:
    """Weigh K features ``(B, L, d)`` by the columns of a gate ``(B, L, K)`` and add them up.

    The paper replicates each column to d rows; broadcasting does the same.
    """
    columns = gate.split(1, dim=-1)  # (B, L, 1) each
    weighted = (column * x for column, x in zip(columns, features, strict=True))
    return functools.reduce(torch.add, weighted)
