"""The families of the paper's Table 1, entries of the ABAW challenges, on the common features.

Each is *this family on our features*, never the cited team's entry: those had other backbones,
often several, other windows, ensembles and extra data. What the table prints is theirs; what these
modules reach is not comparable with it. Every module says which of its choices are ours.

Tensors are ``(B, L, d)``: batch, clips, features. None has gates.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from iaca.models.fusions import JointRepresentation
from iaca.models.layers import BiLSTM, check_heads, sinusoidal_positions

HEADS = 4  # of every Transformer here, as in TCA
LAYERS = 2  # of the same
KERNEL_SIZE = 3  # clips, of a temporal convolution
DILATIONS = (1, 2, 4)  # clips, one a block: 29 clips of history, more than a window of 16


class SequenceTransformer(nn.Module):
    """Positions and a Transformer encoder over clips: pre-norm, feed-forward of width d.

    Features and positions are made equally large by a LayerNorm before, whatever norm the
    regressor's encoders have: positions would drown vectors of length 1.

    Args:
        dim: d, a multiple of 4.
        dropout: probability, on attention weights and in and after the feed-forward.

    Raises:
        ValueError: if d is not a multiple of 4.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        check_heads(dim, HEADS)
        # nn.TransformerEncoder would copy one layer, so that all start from the same weights.
        layers = (
            nn.TransformerEncoderLayer(
                dim, HEADS, dim_feedforward=dim, dropout=dropout, batch_first=True, norm_first=True
            )
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(dim)
        self.encoder = nn.Sequential(*layers, nn.LayerNorm(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d)`` to ``(B, L, d)``; any L."""
        return self.encoder(self.norm(x) + sinusoidal_positions(x.shape[1], x.shape[2]).to(x))


class ConcatenatedTransformer(nn.Module):
    """A Transformer on concatenated features: ``Transformer(FC [x_a ; x_v])``.

    The family of W. Zhang et al. 2023, reference [27] of the paper; their masked autoencoder and
    what it was trained on are left out. Concatenated features are brought back to d first, and two
    layers of four heads follow: ours.

    Args:
        dim: d, a multiple of 4.
        dropout: probability, see `SequenceTransformer`.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.joint = JointRepresentation(dim)
        self.transformer = SequenceTransformer(dim, dropout)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``; any L."""
        return self.transformer(self.joint(audio, visual)), None


class LSTMTransformer(nn.Module):
    """An LSTM and a Transformer side by side on concatenated features; the mean of both.

    ``(LSTM(J) + Transformer(J)) / 2`` with ``J = FC [x_a ; x_v]``. The family of Karas et al. 2022
    and Meng et al. 2022, references [25, 23] of the paper, who average predictions of several
    models of either kind; one model whose two branches are trained together is ours. The LSTM has
    one layer in both directions of time.

    Args:
        dim: d, a multiple of 4.
        dropout: probability, see `SequenceTransformer`.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.joint = JointRepresentation(dim)
        self.lstm = BiLSTM(dim)
        self.transformer = SequenceTransformer(dim, dropout)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``; any L."""
        joint = self.joint(audio, visual)
        return (self.lstm(joint) + self.transformer(joint)) / 2, None


class TemporalConvolutions(nn.Module):
    """Temporal convolutional network (TCN): residual blocks of dilated causal convolutions.

    A clip sees itself and clips before it, never later ones; before a window's first clip there is
    nothing. Source: Bai et al., "An empirical evaluation of generic convolutional and recurrent
    networks for sequence modeling", 2018. Three blocks as in reference [26] of the paper; kernels
    of 3 clips (LFAN has 5), d channels throughout and no weight normalisation are ours.

    Args:
        dim: d.
        dropout: probability, after each convolution.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(_TemporalBlock(dim, step, dropout) for step in DILATIONS))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d)`` to ``(B, L, d)``; any L."""
        return self.blocks(x.mT).mT


class _TemporalBlock(nn.Module):
    def __init__(self, dim: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.before = (KERNEL_SIZE - 1) * dilation  # clips of zeros that keep it causal
        self.first = nn.Conv1d(dim, dim, KERNEL_SIZE, dilation=dilation)
        self.second = nn.Conv1d(dim, dim, KERNEL_SIZE, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, d, L)`` to ``(B, d, L)``."""
        h = self.dropout(torch.relu(self.first(pad(x, (self.before, 0)))))
        h = self.dropout(torch.relu(self.second(pad(h, (self.before, 0)))))
        return torch.relu(x + h)


class TCNTransformer(nn.Module):
    """A TCN a modality, then a Transformer on both: ``Transformer(FC [TCN x_a ; TCN x_v])``.

    The family of Zhou et al. 2023, reference [26] of the paper, with one feature set a modality in
    place of their several. For what is ours see `TemporalConvolutions` and `SequenceTransformer`.

    Args:
        dim: d, a multiple of 4.
        dropout: probability, in the TCNs and the Transformer.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.audio_tcn = TemporalConvolutions(dim, dropout)
        self.visual_tcn = TemporalConvolutions(dim, dropout)
        self.joint = JointRepresentation(dim)
        self.transformer = SequenceTransformer(dim, dropout)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``; any L."""
        joint = self.joint(self.audio_tcn(audio), self.visual_tcn(visual))
        return self.transformer(joint), None


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

    Args:
        dim: d, a multiple of 4.
        dropout: probability, in the TCNs.

    Raises:
        ValueError: if d is not a multiple of 4.
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
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``; any L."""
        h_audio, leader = self.audio_tcn(audio), self.visual_tcn(visual)
        tokens = torch.stack([self.audio_tokens(h_audio), self.visual_tokens(leader)], dim=-2)
        q, k, v = tokens.chunk(3, dim=-1)  # (B, L, 2, e)
        s = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(dim=-1)  # (B, L, 2, 2)
        followers = self.norm(s @ v + v).flatten(-2)  # (B, L, 2e)
        return torch.relu(self.output(torch.cat([leader, followers], dim=-1))), None
