"""What several models are built of: recurrent and self-attentive layers, and positions.

Tensors are ``(B, L, d)``: batch, clips, features.
"""

import math

import torch
from torch import Tensor, nn


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
        self, dim: int, heads: int = 4, dropout: float = 0.0, positions: bool = False
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.positions = positions
        self.norm = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, dropout, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, d)`` to ``(B, L, d)``."""
        if self.positions:
            x = x + sinusoidal_positions(x.shape[1], x.shape[2]).to(x)
        normed = self.norm(x)
        return x + self.attention(normed, normed, normed, need_weights=False)[0]


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
            features or dim,
            dim // 2,
            layers,
            dropout=dropout,
            batch_first=True,
            bidirectional=True,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, features)`` to ``(B, L, d)``."""
        # Layouts round differently, and gates change the layout: equal features, equal output.
        return self.lstm(x.contiguous())[0]


def check_heads(dim: int, heads: int) -> None:
    """Raise a ValueError unless d features can be shared out among the heads."""
    if dim % heads:
        raise ValueError(f"dim {dim} is not a multiple of the {heads} heads")


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Sine and cosine positions, ``(L, d)``, of Vaswani et al. 2017, section 3.5."""
    position = torch.arange(length).unsqueeze(1)  # (L, 1)
    frequency = torch.exp(torch.arange(0, dim, 2) * (-math.log(10_000.0) / dim))
    angles = position * frequency  # (L, d/2)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[:, :dim]
