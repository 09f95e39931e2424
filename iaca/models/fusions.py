"""Fusions without gates: what IACA is compared with, and two of its controls."""

from typing import Literal

import torch
from torch import Tensor, nn

from iaca.models.attention import attend


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
    r"""An attention and its joint representation: ``ReLU(FC [ReLU x_att,a ; ReLU x_att,v])``.

    What is left of IACA when its gates always choose the attended, then the joint feature. The
    ReLUs are those of Eqs. 7-9: a gated model without them is compared with a plain one without.
    Two options make it a control:

    ``extra`` controls for size: a gain that as many parameters also bring at the same place is not
    the gates'. A small residual MLP reads the joint feature J, as stage 2's gate does, and J + W_2
    ReLU(W_1 J + b_1) + b_2 takes J's place.

    ``raw`` controls for access: FC reads everything that stage 1 chooses from, ``[x_a ; x_att,a ;
    x_v ; x_att,v]``, where ``x_m`` is what the attention lets stage 1 fall back to. A fixed mixture
    of un-attended and attended features is within its reach, a choice that differs from clip to
    clip is not. That adds 2d² parameters, many more than the gates.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``.
        dim: d.
        relu: whether there are ReLUs, the MLP's excepted; without them the fusion is linear, the
            head is not.
        extra: parameters that the MLP should add; its hidden size h is the one whose
            h (2d + 1) + d is nearest to it, and at least 1. None for no MLP.
        raw: whether FC reads un-attended features too.
    """

    def __init__(
        self,
        attention: nn.Module,
        dim: int,
        relu: bool = True,
        extra: int | None = None,
        raw: bool = False,
    ) -> None:
        super().__init__()
        self.attention, self.raw = attention, raw
        self.joint = JointRepresentation(dim, features=4 if raw else 2)
        self.mlp = None
        if extra is not None:
            hidden = max(1, round((extra - dim) / (2 * dim + 1)))
            self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.rectify = rectifier(relu)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, without gates."""
        x = attend(self.attention, audio, visual)
        read = (x.self_audio, x.audio, x.self_visual, x.visual) if self.raw else x[:2]
        joint = self.joint(*map(self.rectify, read))
        return self.rectify(joint if self.mlp is None else joint + self.mlp(joint)), None


class Unimodal(nn.Module):
    """One modality alone, as if there were no other: ``ReLU(FC X_m)``, the plain fusion's half.

    The floor for a fusion whose second modality goes missing.

    Args:
        encode: the modality's own encoder, ``(B, L, d)`` to ``(B, L, d)``, or an identity.
        dim: d.
        modality: ``audio`` or ``visual``.
        relu: whether the feature passes a ReLU, as in `PlainFusion`.
    """

    def __init__(
        self, encode: nn.Module, dim: int, modality: Literal["audio", "visual"], relu: bool = True
    ) -> None:
        super().__init__()
        self.encode = encode
        self.modality = modality
        self.joint = JointRepresentation(dim, features=1)
        self.rectify = rectifier(relu)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Map ``audio (B, L, d)`` or ``visual (B, L, d)`` to ``(B, L, d)``; drop the other."""
        x = self.encode(audio if self.modality == "audio" else visual)
        return self.rectify(self.joint(self.rectify(x))), None


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
