"""The fusions of the paper's related work and of its Table 1, on the common features.

Each is *this family on our features*, never the cited authors' system: their backbones, losses,
further modalities, windows, ensembles and extra data are left out, and what a table prints of them
is not comparable with what these modules reach. Every module says which of its choices are ours.
Concatenation with an MLP, references [8, 9], is `iaca.models.fusions.Concatenation`.

Tensors are ``(B, L, d)``: batch, clips, features. Every ``forward`` fuses ``audio (B, L, d)`` and
``visual (B, L, d)`` to ``(B, L, d)``, for any L, and returns None in place of IACA's gates.
``dim`` is d, even where there is an LSTM and a multiple of 4 where there are heads or followers; a
ValueError says so. ``dropout`` is a probability: on attention weights, between an LSTM's layers,
and in TCNs and Transformers.

A new family takes a class here, its name in `FamilyName` and a line in `FAMILIES`.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from iaca.models.fusions import JointRepresentation
from iaca.models.layers import (
    HEADS,
    BiLSTM,
    MultiheadAttention,
    SequenceTransformer,
    TemporalConvolutions,
    check_heads,
)

FamilyName = Literal[
    "lstm",
    "gmu",
    "conditional_gating",
    "forget_gate",
    "gated_sequence",
    "leader_follower",
    "lstm_transformer",
    "tcn_transformer",
    "transformer",
]


class LSTMFusion(nn.Module):
    """Concatenated features in a recurrent network: ``LSTM [x_a ; x_v]``.

    The family of Tzirakis et al. 2017 and Schoneveld et al. 2021, references [10, 11] of the paper.
    Two layers are as in [10]; both directions of time, with d/2 units each, are ours, and make it
    see what the other models see.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.lstm = BiLSTM(dim, features=2 * dim, layers=2, dropout=dropout)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        return self.lstm(torch.cat([audio, visual], dim=-1)), None


class GatedMultimodalUnit(nn.Module):
    r"""Gated multimodal unit (GMU): a gate for every feature, clip by clip.

    .. math::
        h_m &= \tanh(W_m x_m) \\
        z &= \sigma(W_z [x_a ; x_v]) \\
        x &= z \odot h_a + (1 - z) \odot h_v

    The bimodal unit of Arevalo et al. 2020, reference [15] of the paper, here without biases.
    Theirs fuses one text with one picture; ours fuses every clip by itself.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.audio = nn.Linear(dim, dim, bias=False)  # W_a
        self.visual = nn.Linear(dim, dim, bias=False)  # W_v
        self.gate = nn.Linear(2 * dim, dim, bias=False)  # W_z

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        z = torch.sigmoid(self.gate(torch.cat([audio, visual], dim=-1)))  # (B, L, d)
        return z * torch.tanh(self.audio(audio)) + (1 - z) * torch.tanh(self.visual(visual)), None


class ConditionalGating(nn.Module):
    r"""Conditional gating: how much of a non-linear cross-modal feature replaces a modality's own.

    With n the other modality than m,

    .. math::
        h_m &= \mathrm{LSTM}(x_m) \\
        c_m &= \mathrm{Attention}(h_m, h_n, h_n) \\
        t_m &= \tanh(W_t [h_m ; c_m] + b_t), \quad g_m = \sigma(W_g [h_m ; c_m] + b_g) \\
        y_m &= g_m \odot t_m + (1 - g_m) \odot h_m \\
        x &= \mathrm{ReLU}(\mathrm{FC}\,[y_a ; y_v])

    The family of Kumar & Vepa 2020, reference [17] of the paper, in the paper's words "the
    conditional gating mechanism using a nonlinear transformation by modulating the cross-modal
    interactions". Recurrent contexts and cross-attention with the other modality's values are
    theirs; only parts of their text were at hand, so that the exact gate, four scaled heads in
    place of one bilinear form, LSTMs in place of GRUs, and two modalities in place of three, are
    ours. Their self-attention is left out.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        check_heads(dim, HEADS)
        self.audio_lstm = BiLSTM(dim)
        self.visual_lstm = BiLSTM(dim)
        self.audio = _ConditionalGate(dim, dropout)
        self.visual = _ConditionalGate(dim, dropout)
        self.joint = JointRepresentation(dim)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        h_audio, h_visual = self.audio_lstm(audio), self.visual_lstm(visual)
        y_audio, y_visual = self.audio(h_audio, h_visual), self.visual(h_visual, h_audio)
        return torch.relu(self.joint(y_audio, y_visual)), None


class _ConditionalGate(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiheadAttention(dim, HEADS, dropout)
        self.transform = nn.Linear(2 * dim, dim)  # W_t
        self.gate = nn.Linear(2 * dim, dim)  # W_g

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        cross = self.attention(own, other)[0]  # (B, L, d)
        both = torch.cat([own, cross], dim=-1)
        g = torch.sigmoid(self.gate(both))  # (B, L, d)
        return g * torch.tanh(self.transform(both)) + (1 - g) * own


class ForgetGateAttention(nn.Module):
    r"""Cross-attention with a forget gate: what the other modality adds can be let go.

    With n the other modality than m,

    .. math::
        c_m &= \mathrm{Attention}(x_m, x_n, x_n) \\
        f_m &= \sigma(W_f [x_m ; c_m] + b_f) \\
        y_m &= x_m + f_m \odot c_m \\
        x &= \mathrm{ReLU}(\mathrm{FC}\,[y_a ; y_v])

    With everything forgotten it is `Concatenation`. The family of Jiang & Ji 2022, reference [18]
    of the paper, of which the abstract was at hand: cross-attention of modality pairs and "a forget
    gate to filter the noisy and redundant signals introduced in the interaction procedure". What
    the gate reads, the sum it works on, four heads, and no positions (as in Eqs. 1-4) are ours.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        check_heads(dim, HEADS)
        self.audio = _ForgetGate(dim, dropout)
        self.visual = _ForgetGate(dim, dropout)
        self.joint = JointRepresentation(dim)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        y_audio, y_visual = self.audio(audio, visual), self.visual(visual, audio)
        return torch.relu(self.joint(y_audio, y_visual)), None


class _ForgetGate(nn.Module):
    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.attention = MultiheadAttention(dim, HEADS, dropout)
        self.forget = nn.Linear(2 * dim, dim)  # W_f

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        cross = self.attention(own, other)[0]  # (B, L, d)
        f = torch.sigmoid(self.forget(torch.cat([own, cross], dim=-1)))  # (B, L, d)
        return own + f * cross


class GatedSequence(nn.Module):
    r"""Gated-sequence network: a coefficient a clip weighs the modalities, between two recurrences.

    .. math::
        h_m &= \mathrm{LSTM}_m(x_m) \\
        z &= \sigma(w^\top [h_a ; h_v] + b) \\
        x &= \mathrm{LSTM}(z\,h_a + (1 - z)\,h_v)

    with one z in (0, 1) a clip. The family of Aspandi et al. 2023, reference [19] of the paper, of
    which the abstract was at hand: "a sequence-based predictor with attention and gating
    mechanisms that effectively merges both modalities". The equations and both directions of time
    are ours. Their latent-feature generator, their discriminator and their attention are left out.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.audio_lstm = BiLSTM(dim)
        self.visual_lstm = BiLSTM(dim)
        self.gate = nn.Linear(2 * dim, 1)  # w, b
        self.fused_lstm = BiLSTM(dim)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        h_audio, h_visual = self.audio_lstm(audio), self.visual_lstm(visual)
        z = torch.sigmoid(self.gate(torch.cat([h_audio, h_visual], dim=-1)))  # (B, L, 1)
        return self.fused_lstm(z * h_audio + (1 - z) * h_visual), None


class ConcatenatedTransformer(nn.Module):
    """A Transformer on concatenated features: ``Transformer(J)`` with ``J = FC [x_a ; x_v]``.

    The family of W. Zhang et al. 2023, reference [27] of the paper; their masked autoencoder and
    what it was trained on are left out. Concatenated features are brought back to d first, and two
    layers of four heads follow: ours.

    With ``lstm``, ``(LSTM(J) + Transformer(J)) / 2``: the family of Karas et al. 2022 and Meng et
    al. 2022, references [25, 23], who average predictions of several models of either kind; one
    model whose two branches are trained together is ours. The LSTM has one layer in both directions
    of time.

    With ``tcn``, a TCN a modality first: ``J = FC [TCN x_a ; TCN x_v]``. The family of Zhou et al.
    2023, reference [26], with one feature set a modality in place of their several. For what is
    ours see `TemporalConvolutions` and `SequenceTransformer`.
    """

    def __init__(
        self, dim: int, dropout: float = 0.1, *, lstm: bool = False, tcn: bool = False
    ) -> None:
        super().__init__()
        self.audio_tcn = TemporalConvolutions(dim, dropout) if tcn else nn.Identity()
        self.visual_tcn = TemporalConvolutions(dim, dropout) if tcn else nn.Identity()
        self.joint = JointRepresentation(dim)
        self.lstm = BiLSTM(dim) if lstm else None
        self.transformer = SequenceTransformer(dim, dropout)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        joint = self.joint(self.audio_tcn(audio), self.visual_tcn(visual))
        attentive = self.transformer(joint)
        return attentive if self.lstm is None else (self.lstm(joint) + attentive) / 2, None


class LeaderFollowerAttention(nn.Module):
    r"""Leader-follower attention (LFAN): vision leads, what both modalities attend to follows.

    A TCN a modality gives ``h_a`` and ``h_v``. In each clip by itself the two modalities are the
    tokens of an attention, with e = d/4 features a token:

    .. math::
        q_m, k_m, v_m &= W_{qm} h_m + b_{qm},\ W_{km} h_m + b_{km},\ W_{vm} h_m + b_{vm} \\
        s_{mn} &= \mathrm{softmax}_n(q_m^\top k_n / \sqrt e) \\
        f_m &= \mathrm{LayerNorm}(\textstyle\sum_n s_{mn} v_n + v_m) \\
        x &= \mathrm{ReLU}(\mathrm{FC}\,[h_v ; f_a ; f_v])

    The family of S. Zhang et al. 2021, reference [24] of the paper. Their released code multiplies
    keys with queries rather than queries with keys, which is this with the two names exchanged.
    e is a quarter of the leader's features, as theirs (32 of 128). One audio feature set in place
    of three, a TCN that keeps d channels, and an FC to d before the common heads are ours. Its TCNs
    are its only view of other clips, so that it is causal as a whole.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        if dim % 4:
            raise ValueError(f"dim {dim}: expected a multiple of 4, the followers have a quarter")
        width = dim // 4  # e
        self.audio_tcn = TemporalConvolutions(dim, dropout)
        self.visual_tcn = TemporalConvolutions(dim, dropout)
        self.audio_tokens = nn.Linear(dim, 3 * width)  # W_qa, W_ka, W_va
        self.visual_tokens = nn.Linear(dim, 3 * width)  # W_qv, W_kv, W_vv
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(dim + 2 * width, dim)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse both modalities, ``(B, L, d)`` each."""
        h_audio, leader = self.audio_tcn(audio), self.visual_tcn(visual)
        tokens = torch.stack([self.audio_tokens(h_audio), self.visual_tokens(leader)], dim=-2)
        q, k, v = tokens.chunk(3, dim=-1)  # (B, L, 2, e)
        s = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)  # (B, L, 2, 2)
        followers = self.norm(s @ v + v).flatten(-2)  # (B, L, 2e)
        return torch.relu(self.output(torch.cat([leader, followers], dim=-1))), None


# Name -> (d, dropout) -> module.
FAMILIES: dict[FamilyName, Callable[[int, float], nn.Module]] = {
    "lstm": LSTMFusion,
    "gmu": lambda dim, _: GatedMultimodalUnit(dim),
    "conditional_gating": ConditionalGating,
    "forget_gate": ForgetGateAttention,
    "gated_sequence": lambda dim, _: GatedSequence(dim),
    "leader_follower": LeaderFollowerAttention,
    "lstm_transformer": partial(ConcatenatedTransformer, lstm=True),
    "tcn_transformer": partial(ConcatenatedTransformer, tcn=True),
    "transformer": ConcatenatedTransformer,
}
