"""What several models are built of: recurrent, self-attentive and convolutional layers.

Tensors are ``(B, L, d)``: batch, clips, features.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from iaca.data.windows import Statistics

HEADS = 4  # of every attention with heads
TRANSFORMER_LAYERS = 2
KERNEL_SIZE = 3  # clips, of a temporal convolution
DILATIONS = (1, 2, 4)  # clips, one a block: 29 clips of history, more than a window of 16


class Standardise(nn.Module):
    """Subtract the training split's mean and divide by its deviation, column by column.

    The statistics are buffers, so that a saved model carries them. Constant columns map to 0.
    """

    mean: Tensor
    factor: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("factor", torch.ones(dim))

    def fit(self, statistics: Statistics) -> None:
        """Take over the statistics, ``(d,)`` each."""
        constant = statistics.deviation == 0
        self.mean.copy_(statistics.mean)
        self.factor.copy_(torch.where(constant, 0.0, 1.0 / statistics.deviation))

    def forward(self, x: Tensor) -> Tensor:
        """Standardise ``(B, L, d)``."""
        return (x - self.mean) * self.factor


class Dropout(nn.Module):
    """Dropout as `torch.nn.Dropout` does it, with less work for a CPU's random numbers.

    On a CPU each element is kept by 16 random bits instead of a random float, so that its
    probability is rounded to a multiple of 2^-16; what is kept is scaled to match.

    Args:
        probability: of an element to become 0; at least 0 and less than 1.

    Raises:
        ValueError: for another probability.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0.0 <= probability < 1.0:
            raise ValueError(f"dropout {probability}: expected a probability, 0 to less than 1")
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Set some elements of ``x``, of any shape, to 0 while training."""
        if not self.training or self.probability == 0.0:
            return x
        if x.device.type != "cpu":
            return nn.functional.dropout(x, self.probability)
        count, kept = x.numel(), max(1, round((1.0 - self.probability) * 2**16))
        bits = torch.randint(-(2**63), 2**63 - 1, (-(-count // 4),)).view(torch.int16)
        keep = bits[:count].view(x.shape) < kept - 2**15
        return x * (keep * (2**16 / kept))


class L2Norm(nn.Module):
    """Scale every clip's feature vector to length 1, as the baselines' released code does."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis of ``(B, L, d)``."""
        return nn.functional.normalize(x, dim=-1)


class MultiheadAttention(nn.Module):
    """Attention with heads: the weights and the function of `torch.nn.MultiheadAttention`.

    Written out, since on a CPU the dropout of torch's takes long, and in ``torch.vmap`` its fused
    attention cannot be used.

    Args:
        dim: d, a multiple of the heads.
        heads: attention heads.
        dropout: probability, on the attention weights.
        uniform: attend to all clips alike, whatever they hold; queries and keys have no weights.
    """

    def __init__(
        self, dim: int, heads: int = HEADS, dropout: float = 0.0, uniform: bool = False
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads, self.scale = heads, 1.0 / math.sqrt(dim // heads)
        weights = nn.MultiheadAttention(dim, heads)  # made and initialised by torch
        self.in_proj_weight, self.in_proj_bias = weights.in_proj_weight, weights.in_proj_bias
        self.out_proj = weights.out_proj
        self.dropout, self.uniform = Dropout(dropout), uniform
        if uniform:
            self.in_proj_weight, self.in_proj_bias = (
                nn.Parameter(parameter[2 * dim :].detach().clone())
                for parameter in (self.in_proj_weight, self.in_proj_bias)
            )

    def forward(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """Attend ``x (B, L, d)`` to ``other (B, L, d)``, itself for self-attention.

        Returns:
            ``(B, L, d)``, and the weights before dropout, ``(B, heads, L, L)``: rows sum to 1.
        """
        weight, bias, dim = self.in_proj_weight, self.in_proj_bias, x.shape[-1]
        if self.uniform:
            v = self._by_head(nn.functional.linear(other, weight, bias))
            length = other.shape[1]
            a = v.new_full((len(x), self.heads, x.shape[1], length), 1.0 / length)
            return self._combined(a, v), a
        if x is other:
            projected = nn.functional.linear(x, weight, bias).chunk(3, dim=-1)
        else:
            query = nn.functional.linear(x, weight[:dim], bias[:dim])
            pair = nn.functional.linear(other, weight[dim:], bias[dim:])
            projected = (query, *pair.chunk(2, dim=-1))
        q, k, v = map(self._by_head, projected)
        a = (q * self.scale @ k.mT).softmax(dim=-1)  # (B, heads, L, L)
        return self._combined(a, v), a

    def _by_head(self, y: Tensor) -> Tensor:
        return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, d / heads)

    def _combined(self, a: Tensor, v: Tensor) -> Tensor:
        return self.out_proj((self.dropout(a) @ v).transpose(1, 2).flatten(2))  # (B, L, d)


class SelfAttention(nn.Module):
    """Self-attention of one modality, residual and pre-norm: ``x + MHA(LN x)``.

    What TCA does before its cross-attention, as a module of its own.

    Args:
        dim: d, a multiple of the heads.
        heads: attention heads.
        dropout: probability, on the attention weights.
        positions: add sinusoidal positions to the input first.
    """

    def __init__(
        self, dim: int, heads: int = HEADS, dropout: float = 0.0, positions: bool = False
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.positions = positions
        self.norm = nn.LayerNorm(dim)
        self.attention = MultiheadAttention(dim, heads, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d)`` to ``(B, L, d)``."""
        if self.positions:
            x = x + sinusoidal_positions(x.shape[1], x.shape[2], x.device).to(x)
        normed = self.norm(x)
        return x + self.attention(normed, normed)[0]


class BiLSTM(nn.Module):
    """A bidirectional LSTM to d features: d/2 units a direction.

    Args:
        dim: d, even.
        features: how many it reads; d by default.
        layers: one upon the other.
        dropout: probability, between layers.
    """

    def __init__(
        self, dim: int, features: int | None = None, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"dim {dim}: expected an even number, half for each direction")
        self.lstm = nn.LSTM(
            features or dim, dim // 2, layers, dropout=dropout, batch_first=True, bidirectional=True
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, features)`` to ``(B, L, d)``."""
        # Layouts round differently, and gates change the layout: equal features, equal output.
        return self.lstm(x.contiguous())[0]


class SequenceTransformer(nn.Module):
    """Positions and a Transformer encoder over clips: pre-norm, feed-forward of width d.

    Features and positions are made equally large by a LayerNorm before, whatever norm the
    regressor's encoders have: positions would drown vectors of length 1.

    Args:
        dim: d, a multiple of 4.
        dropout: probability, on attention weights and in and after the feed-forward.
    """

    def __init__(self, dim: int, dropout: float = 0.1) -> None:
        super().__init__()
        check_heads(dim, HEADS)
        # nn.TransformerEncoder would copy one layer, so that all start from the same weights.
        layers = (
            nn.TransformerEncoderLayer(
                dim, HEADS, dim_feedforward=dim, dropout=dropout, batch_first=True, norm_first=True
            )
            for _ in range(TRANSFORMER_LAYERS)
        )
        self.norm = nn.LayerNorm(dim)
        self.encoder = nn.Sequential(*layers, nn.LayerNorm(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d)`` to ``(B, L, d)``; any L."""
        return self.encoder(
            self.norm(x) + sinusoidal_positions(x.shape[1], x.shape[2], x.device).to(x)
        )


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
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, d, L)`` to ``(B, d, L)``."""
        h = self.dropout(torch.relu(self.first(pad(x, (self.before, 0)))))
        h = self.dropout(torch.relu(self.second(pad(h, (self.before, 0)))))
        return torch.relu(x + h)


def tanh(x: Tensor) -> Tensor:
    """tanh of any tensor; in float32 on a CPU by the identity tanh x = 2 sigmoid(2x) - 1.

    There torch's sigmoid takes a sixth of its tanh's time; they differ by rounding, 1e-7.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32:  # bfloat16 has too few digits for it
        return torch.tanh(x)
    result: Tensor = _TanhBySigmoid.apply(x)
    return result


class _TanhBySigmoid(torch.autograd.Function):
    """In place, and with tanh's own gradient: JCA's maps are large."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return torch.sigmoid(2.0 * x).mul_(2.0).sub_(1.0)

    @staticmethod
    def setup_context(context: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        context.save_for_backward(output)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (output,) = context.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, output)


def freeze_at_zero(module: nn.Module, name: str) -> None:
    """Make a parameter of a module a constant 0, which is neither learned nor saved."""
    zeros = torch.zeros_like(module.get_parameter(name))
    delattr(module, name)
    module.register_buffer(name, zeros, persistent=False)


def check_length(x: Tensor, expected: int) -> None:
    """Raise a ValueError unless ``x (B, L, d)`` has the length that a layer's weights fix."""
    if x.shape[1] != expected:
        raise ValueError(
            f"windows of {x.shape[1]} clips, but the weights fix {expected} (they map one clip "
            "axis onto another)"
        )


def check_heads(dim: int, heads: int) -> None:
    """Raise a ValueError unless d features can be shared out among the heads."""
    if dim % heads:
        raise ValueError(f"dim {dim} is not a multiple of the {heads} heads")


def sinusoidal_positions(length: int, dim: int, device: torch.device | None = None) -> Tensor:
    """Sine and cosine positions, ``(L, d)``, of Vaswani et al. 2017, section 3.5."""
    # Made where they are needed: a CUDA graph cannot fetch them.
    position = torch.arange(length, device=device).unsqueeze(1)  # (L, 1)
    frequency = torch.exp(torch.arange(0, dim, 2, device=device) * (-math.log(10_000.0) / dim))
    angles = position * frequency  # (L, d/2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :dim]
