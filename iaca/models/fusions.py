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

    With ``extra`` parameters, a small residual MLP reads the joint feature, as stage 2's gate does:

    .. math::
        J &= \mathrm{FC}\,[\mathrm{ReLU}\,X_{att,a} ; \mathrm{ReLU}\,X_{att,v}] \\
        X &= \mathrm{ReLU}(J + W_2\,\mathrm{ReLU}(W_1 J + b_1) + b_2)

    That controls for size: a gain that as many parameters also bring at the same place is not the
    gates'.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``.
        dim: d.
        relu: whether there are ReLUs, the MLP's excepted; without them the fusion is linear, the
            head is not.
        extra: parameters that the MLP should add; its hidden size h is the one whose
            h (2d + 1) + d is nearest to it, and at least 1. None for no MLP.
    """

    def __init__(
        self, attention: nn.Module, dim: int, relu: bool = True, extra: int | None = None
    ) -> None:
        super().__init__()
        self.attention = attention
        self.joint = JointRepresentation(dim)
        self.mlp = None
        if extra is not None:
            hidden = max(1, round((extra - dim) / (2 * dim + 1)))
            self.mlp = nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
        self.rectify = rectifier(relu)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, without gates."""
        attended = attend(self.attention, audio, visual)
        joint = self.joint(self.rectify(attended.audio), self.rectify(attended.visual))
        return self.rectify(joint if self.mlp is None else joint + self.mlp(joint)), None


class RawAndAttendedFusion(nn.Module):
    """The plain fusion with everything that stage 1 chooses from, side by side: no gates.

    ``ReLU(FC [ReLU x_a ; ReLU x_att,a ; ReLU x_v ; ReLU x_att,v])``, where ``x_m`` is what the
    attention lets stage 1 fall back to. It controls for access: a fixed mixture of un-attended and
    attended features is within its reach, a choice that differs from clip to clip is not. It has
    2d² parameters more than the plain fusion, many more than the gates.

    Args:
        attention: any module with ``forward(audio, visual) -> Attended``.
        dim: d.
        relu: whether there are ReLUs, as in `PlainFusion`.
    """

    def __init__(self, attention: nn.Module, dim: int, relu: bool = True) -> None:
        super().__init__()
        self.attention = attention
        self.joint = JointRepresentation(dim, features=4)
        self.rectify = rectifier(relu)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """Fuse ``audio (B, L, d)`` and ``visual (B, L, d)`` to ``(B, L, d)``, without gates."""
        attended = attend(self.attention, audio, visual)
        everything = attended.self_audio, attended.audio, attended.self_visual, attended.visual
        return self.rectify(self.joint(*(self.rectify(x) for x in everything))), None


class Unimodal(nn.Module):
    """One modality alone, as if there were no other: ``ReLU(FC X_m)``, the plain fusion's half.

    The floor for a fusion whose second modality goes missing.

    Args:
        encode: the modality's own encoder, ``(B, L, d)`` to ``(B, L, d)``; `torch.nn.Identity`
            for none.
        dim: d.
        modality: ``audio`` or ``visual``.
        relu: whether the feature passes a ReLU, as in `PlainFusion`.
    """

    def __init__(
        self,
        encode: nn.Module,
        dim: int,
        modality: Literal["audio", "visual"],
        relu: bool = True,
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
