"""Fusions without gates: what IACA is compared with, and two of its controls."""

import torch
from torch import Tensor, nn

from iaca.models.attention import Attended


class JointRepresentation(nn.Module):
    """The joint representation layer: concatenation and a fully connected layer, 2d -> d.

    The paper does not say what activation follows; the callers decide (Eq. 9 has a ReLU).

    Args:
        dim: d.
        features: how many features are concatenated; the paper's two, audio and visual.
    """

    def __init__(self, dim: int, features: int = 2) -> None:
        super().__init__()
        self.linear = nn.Linear(features * dim, dim)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, *features: Tensor) -> Tensor:
        """Map features of ``(B, L, d)``, audio before visual, to ``(B, L, d)``."""
        return self.linear(torch.cat(features, dim=-1))


def rectifier(wanted: bool) -> nn.Module:
    """Eqs. 7-9's ReLU, or nothing in its place."""
    return nn.ReLU() if wanted else nn.Identity()


class PlainFusion(nn.Module):
    """An attention and its joint representation: ``ReLU(FC [ReLU x_att,a ; ReLU x_att,v])``.

    What is left of IACA when its gates always choose the attended, then the joint feature. The
    ReLUs are those of Eqs. 7-9: a gated model without them is compared with a plain one without.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``.
        dim: d.
        relu: whether there are ReLUs; without them the fusion is linear, the head is not.
    """

    def __init__(self, attention: nn.Module, dim: int, relu: bool = True) -> None:
        super().__init__()
        self.attention = attention
        self.joint = JointRepresentation(dim)
        self.rectify = rectifier(relu)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, without gates."""
        attended: Attended = self.attention(audio, visual)
        fused = self.joint(self.rectify(attended.audio), self.rectify(attended.visual))
        return self.rectify(fused), None


class Concatenation(nn.Module):
    """Feature concatenation and a fully connected layer, clip by clip: no attention at all.

    The family of Kuhnke et al. 2020 and Ranganathan et al. 2016, references [8, 9] of the paper.

    Args:
        dim: d.
        relu: whether the fused feature passes a ReLU, as in `PlainFusion`.
    """

    def __init__(self, dim: int, relu: bool = True) -> None:
        super().__init__()
        self.joint = JointRepresentation(dim)
        self.rectify = rectifier(relu)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``."""
        return self.rectify(self.joint(audio, visual)), None
