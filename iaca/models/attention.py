"""The cross-attentions of the paper: CA, and its baselines JCA, RJCA and TCA.

Tensors are ``(B, L, d)``: batch, clips, features. The paper writes ``d x L``, so that its columns
are our rows. Encoders and projections stand outside: each module maps ``d`` features to ``d``.

Anything with ``forward(audio, visual) -> Attended`` is an attention here; `InconsistencyAware`
wraps it without knowing which one it is.
"""

import math
from typing import Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor, nn

from iaca.base.files import check_one_of
from iaca.models.layers import (
    HEADS,
    BiLSTM,
    Dropout,
    MultiheadAttention,
    check_heads,
    check_length,
    freeze_at_zero,
    sinusoidal_positions,
    tanh,
)

NormAxis = Literal["column", "printed"]


class Attended(NamedTuple):
    """What an attention returns.

    Attributes:
        audio: attended audio, ``(B, L, d)``.
        visual: attended visual, ``(B, L, d)``.
        self_audio: what stage 1 may fall back to for audio, ``(B, L, d)``.
        self_visual: the same for visual.
        scores: named score tensors, filled only with ``return_scores=True``; each module
            documents their axes.
    """

    audio: Tensor
    visual: Tensor
    self_audio: Tensor
    self_visual: Tensor
    scores: dict[str, Tensor] | None = None


class Attention(Protocol):
    """The contract that every attention satisfies, the reader's own included."""

    def __call__(self, audio: Tensor, visual: Tensor) -> Attended:
        """Attend ``audio (B, L, d)`` and ``visual (B, L, d)`` to each other."""
        ...


def attend(attention: Attention, audio: Tensor, visual: Tensor) -> Attended:
    """Call an attention and hold it to its contract.

    Raises:
        TypeError: if it returns anything but an `Attended`.
    """
    attended = attention(audio, visual)
    if not isinstance(attended, Attended):
        raise TypeError(
            f"{type(attention).__name__} returned a {type(attended).__name__}, expected "
            "iaca.models.attention.Attended(audio, visual, self_audio, self_visual)"
        )
    return attended


class CrossAttention(nn.Module):
    r"""Cross-attention (CA), Eqs. 1-4 of the paper.

    .. math::
        Z &= X_a^\top W X_v \\
        A_a &= \mathrm{colsoftmax}(Z), \quad A_v = \mathrm{colsoftmax}(Z^\top) \\
        \hat X_m &= X_m A_m, \quad X_{att,m} = \tanh(X_m + \hat X_m)

    The text asks for column-wise softmax of both maps; the formula printed for ``A_v`` sums over
    its second index instead, which makes ``A_v`` the transpose of ``A_a``. ``norm_axis="column"``
    follows the text, ``"printed"`` the formula.

    Scores: ``z``, ``a_audio`` and ``a_visual``, each ``(B, L, L)``. ``z[b, i, j]`` correlates
    audio clip i with visual clip j. Column j of ``a_audio`` says how much of each audio clip i
    goes into attended audio clip j.

    Args:
        dim: d.
        norm_axis: which reading of Eq. 1.
        scale: divide Z by ``sqrt(d)``, which the paper does not.
        uniform: keep W at 0, so that Z is 0 and attended features are means over clips.

    Raises:
        ValueError: for an unknown reading.
    """

    def __init__(
        self,
        dim: int,
        norm_axis: NormAxis = "column",
        scale: bool = False,
        uniform: bool = False,
    ) -> None:
        super().__init__()
        check_one_of("norm_axis", norm_axis, get_args(NormAxis))
        self.norm_axis = norm_axis
        self.scale = 1.0 / math.sqrt(dim) if scale else 1.0
        self.weight = nn.Parameter(torch.empty(dim, dim))
        nn.init.xavier_normal_(self.weight)
        if uniform:  # once drawn: what is drawn next stays the same
            freeze_at_zero(self, "weight")

    def forward(self, audio: Tensor, visual: Tensor, return_scores: bool = False) -> Attended:
        """Attend ``audio (B, L, d)`` and ``visual (B, L, d)``; both fall back to themselves."""
        z = audio @ self.weight @ visual.mT * self.scale  # (B, L, L): audio clip, visual clip
        a_audio = z.softmax(dim=-2)  # Eq. 1, columns sum to 1
        a_visual = z.mT.softmax(dim=-2 if self.norm_axis == "column" else -1)
        x_hat_audio = a_audio.mT @ audio  # Eq. 2, (B, L, d)
        x_hat_visual = a_visual.mT @ visual
        x_att_audio = tanh(audio + x_hat_audio)  # Eq. 3
        x_att_visual = tanh(visual + x_hat_visual)  # Eq. 4
        scores = {"z": z, "a_audio": a_audio, "a_visual": a_visual} if return_scores else None
        return Attended(x_att_audio, x_att_visual, audio, visual, scores)


class JointCrossAttention(nn.Module):
    r"""Joint cross-attention (JCA), equation form.

    With the joint feature ``J = [X_a, X_v]`` and, per modality m,

    .. math::
        C_m &= \tanh(X_m^\top W_{jm} J / \sqrt{2d}) \\
        H_m &= \mathrm{ReLU}(X_m^\top W_m + C_m W_{cm}) \\
        X_{att,m} &= (H_m W_{hm})^\top + X_m

    where ``W_jm`` is L x L, ``W_m`` is L x k, ``W_cm`` is 2d x k and ``W_hm`` is k x L, none with
    a bias. The clip axis is mapped by weights, so L is fixed.

    Source: Praveen et al., "Audio-visual fusion for emotion recognition in the valence-arousal
    space using joint cross-attention", IEEE T-BIOM 2023. Both attended features are returned; the
    released head read only the visual one.

    Scores: ``c_audio`` and ``c_visual``, ``(B, d, 2d)``: own feature, joint feature.

    Args:
        dim: d.
        length: L.
        hidden: k.
        uniform: keep both W_jm, and with them C_m, at 0: features attend to no other.
    """

    def __init__(self, dim: int, length: int = 16, hidden: int = 32, uniform: bool = False) -> None:
        super().__init__()
        self.length = length
        self.joint_audio = nn.Linear(length, length, bias=False)  # W_ja
        self.joint_visual = nn.Linear(length, length, bias=False)  # W_jv
        self.own_audio = nn.Linear(length, hidden, bias=False)  # W_a
        self.own_visual = nn.Linear(length, hidden, bias=False)  # W_v
        self.correlation_audio = nn.Linear(2 * dim, hidden, bias=False)  # W_ca
        self.correlation_visual = nn.Linear(2 * dim, hidden, bias=False)  # W_cv
        self.map_audio = nn.Linear(hidden, length, bias=False)  # W_ha
        self.map_visual = nn.Linear(hidden, length, bias=False)  # W_hv
        for weight in self.parameters():
            nn.init.xavier_uniform_(weight)
        if uniform:
            freeze_at_zero(self.joint_audio, "weight")
            freeze_at_zero(self.joint_visual, "weight")

    def forward(self, audio: Tensor, visual: Tensor, return_scores: bool = False) -> Attended:
        """Attend ``audio (B, L, d)`` and ``visual (B, L, d)`` to their concatenation.

        Raises:
            ValueError: if L is not the length that the weights were made for.
        """
        check_length(audio, self.length)
        joint = torch.cat([audio, visual], dim=-1)  # (B, L, 2d)
        x_att_audio, c_audio = self._attend(audio, joint, "audio")
        x_att_visual, c_visual = self._attend(visual, joint, "visual")
        scores = {"c_audio": c_audio, "c_visual": c_visual} if return_scores else None
        return Attended(x_att_audio, x_att_visual, audio, visual, scores)

    def _attend(self, x: Tensor, joint: Tensor, modality: str) -> tuple[Tensor, Tensor]:
        over_clips, own, correlation, back = (
            getattr(self, f"{part}_{modality}") for part in ("joint", "own", "correlation", "map")
        )
        mixed = over_clips(joint.mT).mT  # W_jm J, (B, L, 2d)
        # The product is d by 2d, the largest tensor of the model: scaled before.
        c = tanh((x / math.sqrt(joint.shape[-1])).mT @ mixed)  # (B, d, 2d)
        h = torch.relu(own(x.mT) + correlation(c))  # (B, d, k)
        return back(h).mT + x, c


class RecursiveJointCrossAttention(nn.Module):
    """Recursive joint cross-attention (RJCA): JCA fed with its own output, after BiLSTMs.

    A one-layer bidirectional LSTM models each modality first (d/2 units a direction); its output
    is what stage 1 may fall back to. The joint cross-attention is then applied ``recursions``
    times with the same weights.

    Source: Praveen et al., "Recursive joint attention for audio-visual fusion in regression based
    emotion recognition", ICASSP 2023. The released code has one block and no recursion; this is
    the paper's description. The BiLSTM over the fused feature belongs to the regressor, where it
    follows the plain and the gated fusion alike.

    Scores: those of the last recursion, see `JointCrossAttention`.
    """

    def __init__(
        self,
        dim: int,
        length: int = 16,
        hidden: int = 32,
        recursions: int = 2,
        uniform: bool = False,
    ) -> None:
        super().__init__()
        if recursions < 1:
            raise ValueError(f"recursions {recursions}: expected at least 1")
        self.audio_lstm = BiLSTM(dim)
        self.visual_lstm = BiLSTM(dim)
        self.blocks = nn.ModuleList([JointCrossAttention(dim, length, hidden, uniform)])
        self.recursions = recursions

    def forward(self, audio: Tensor, visual: Tensor, return_scores: bool = False) -> Attended:
        """Attend ``audio (B, L, d)`` and ``visual (B, L, d)``; L is fixed as in JCA."""
        own = self_audio, self_visual = self.audio_lstm(audio), self.visual_lstm(visual)
        attended = Attended(*own, *own)
        for _ in range(self.recursions):
            attended = self.blocks[0](attended.audio, attended.visual, return_scores)
        return attended._replace(self_audio=self_audio, self_visual=self_visual)


class TransformerCrossAttention(nn.Module):
    """Transformer cross-attention (TCA): self-attention, then cross-attention, then a feed-forward.

    The paper says only that "CA is integrated with the SA module" of Parthasarathy & Sundaram,
    "Detecting expressions with multimodal transformers", SLT 2021, for which there is no code.
    Positions, one pre-norm layer, 4 heads and a feed-forward of width d are therefore ours. The
    two cross-attentions of a layer run in parallel, each on the self-attended inputs; queries are
    a modality's own, keys and values the other's. Stage 1 falls back to the first layer's
    self-attention output: later ones already contain the other modality.

    Scores: ``a_audio`` and ``a_visual`` of the last layer, ``(B, heads, L, L)``: own clip,
    the other modality's clip; rows sum to 1. With ``uniform`` all cross-attention weights are 1/L;
    self-attention stays as it is.
    """

    def __init__(
        self,
        dim: int,
        layers: int = 1,
        heads: int = HEADS,
        dropout: float = 0.1,
        uniform: bool = False,
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.layers = nn.ModuleList(
            _TransformerLayer(dim, heads, dropout, uniform) for _ in range(layers)
        )

    def forward(self, audio: Tensor, visual: Tensor, return_scores: bool = False) -> Attended:
        """Attend ``audio (B, L, d)`` and ``visual (B, L, d)``; any L."""
        positions = sinusoidal_positions(audio.shape[1], audio.shape[2], audio.device).to(audio)
        first = attended = self.layers[0](audio + positions, visual + positions, return_scores)
        for layer in self.layers[1:]:
            attended = layer(attended.audio, attended.visual, return_scores)
        return attended._replace(self_audio=first.self_audio, self_visual=first.self_visual)


class _TransformerLayer(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float, uniform: bool) -> None:
        super().__init__()
        self.audio = _TransformerBranch(dim, heads, dropout, uniform)
        self.visual = _TransformerBranch(dim, heads, dropout, uniform)

    def forward(self, audio: Tensor, visual: Tensor, return_scores: bool) -> Attended:
        self_audio = self.audio.attend_self(audio)
        self_visual = self.visual.attend_self(visual)
        x_audio, a_audio = self.audio.attend_other(self_audio, self_visual)
        x_visual, a_visual = self.visual.attend_other(self_visual, self_audio)
        scores = {"a_audio": a_audio, "a_visual": a_visual} if return_scores else None
        return Attended(x_audio, x_visual, self_audio, self_visual, scores)


class _TransformerBranch(nn.Module):
    def __init__(self, dim: int, heads: int, dropout: float, uniform: bool) -> None:
        super().__init__()
        self.norm_self = nn.LayerNorm(dim)
        self.norm_query = nn.Identity() if uniform else nn.LayerNorm(dim)
        self.norm_other = nn.LayerNorm(dim)
        self.norm_feed = nn.LayerNorm(dim)
        self.self_attention = MultiheadAttention(dim, heads, dropout)
        self.cross_attention = MultiheadAttention(dim, heads, dropout, uniform)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), Dropout(dropout), nn.Linear(dim, dim)
        )

    def attend_self(self, x: Tensor) -> Tensor:
        normed = self.norm_self(x)
        return x + self.self_attention(normed, normed)[0]

    def attend_other(self, x: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        attended, weights = self.cross_attention(self.norm_query(x), self.norm_other(other))
        x = x + attended
        return x + self.feed_forward(self.norm_feed(x)), weights


class WithoutCrossAttention(nn.Module):
    """An attention that attends to nothing else: what it returns as attended is what it encodes.

    Under IACA's gates it tells how much of a gain is the gates' own. Stage 1 then chooses between
    a feature and itself, so that only stage 2 has anything to choose.

    Args:
        encode_audio: audio's own encoder, ``(B, L, d)`` to ``(B, L, d)``, which may look at other
            clips but at no other modality; `torch.nn.Identity` for none.
        encode_visual: the same for visual.
    """

    def __init__(self, encode_audio: nn.Module, encode_visual: nn.Module) -> None:
        super().__init__()
        self.encode_audio = encode_audio
        self.encode_visual = encode_visual

    def forward(self, audio: Tensor, visual: Tensor, return_scores: bool = False) -> Attended:
        """Encode ``audio (B, L, d)`` and ``visual (B, L, d)``; there are no scores."""
        audio, visual = self.encode_audio(audio), self.encode_visual(visual)
        return Attended(audio, visual, audio, visual, {} if return_scores else None)
