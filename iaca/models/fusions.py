"""Fusions without gates: what IACA is compared with."""

import torch
from torch import Tensor, nn

from iaca.models.attention import Attended


class JointRepresentation(nn.Module):
    """The joint representation layer: concatenation and a fully connected layer, 2d -> d.

    The paper does not say what activation follows; the callers decide (Eq. 9 has a ReLU).
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * dim, dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, audio: Tensor, visual: Tensor) -> Tensor:
        """Map ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``."""
        return self.linear(torch.cat([audio, visual], dim=-1))


class PlainFusion(nn.Module):
    """An attention and its joint representation: ``ReLU(FC [ReLU x_att,a ; ReLU x_att,v])``.

    What is left of IACA when its gates always choose the attended, then the joint feature.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``.
        dim: d.
    """

    def __init__(self, attention: nn.Module, dim: int) -> None:
        super().__init__()
        self.attention = attention
        self.joint = JointRepresentation(dim)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, without gates."""
        attended: Attended = self.attention(audio, visual)
        fused = self.joint(torch.relu(attended.audio), torch.relu(attended.visual))
        return torch.relu(fused), None


class Concatenation(nn.Module):
    """Feature concatenation and a fully connected layer, clip by clip: no attention at all.

    The family of Kuhnke et al. 2020 and Ranganathan et al. 2016, references [8, 9] of the paper.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.joint = JointRepresentation(dim)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``."""
        return torch.relu(self.joint(audio, visual)), None
