"""What the baselines' released code computes, where that differs from their papers.

Three models share one program: JCA, RJCA and DCA, the sibling of IACA that has its first stage
of gates. They read the frozen backbones' outputs as they are: 512 audio features, and 512 channels
at 7 x 7 positions for vision, flattened to 25088. Tensors are ``(B, L, d)``. ``dim`` is d,
``length`` L, ``dropout`` a probability.

Their joint attention is not the papers' (`iaca.models.attention` has that). As in JCA's equations,
features are correlated and not clips, and there is no softmax. But the values are multiplied with
the map itself, through one more tanh, and what comes of it is added to them; and it is applied
once, or in DCA twice with separate weights, never recursively. Its linear layers over the clips
fix L. The models are here to be studied; no run of the book trains them.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from iaca.base.files import check_one_of
from iaca.data.windows import WINDOW_LENGTH
from iaca.models.gating import Gate, Gates, weigh
from iaca.models.layers import check_length
from iaca.models.regressor import Prediction

ReleasedName = Literal["jca", "rjca", "dca"]
Layout = Literal["scrambled", "chw"]

BLOCKS: dict[ReleasedName, int] = {"jca": 1, "rjca": 1, "dca": 2}
DIM = 512  # features of a clip's audio, channels of its vision
POSITIONS = 49  # 7 x 7, where the visual backbone's average pooling was taken out
ENCODER_DROPOUT = 0.1  # of the recurrent encoders of one modality; the joint one has none
LSTM_LAYERS = 2
HEAD_HIDDEN = 128


@dataclass(frozen=True)
class ReleasedConfig:
    """Which released model, and of what size; by default as released.

    Attributes:
        name: ``jca``; ``rjca``, with a recurrent encoder for each modality; ``dca``, with a second
            joint attention and stage 1's gates too.
        layout: how 25088 visual features become 49 tokens, see `AudioGuidedAttention`.
        dim: d, features of a clip's audio and channels of its vision; even.
        positions: tokens of a clip's vision.
        window: L, clips; fixed by the weights.
        dropout: probability, in the joint attention and in the heads.
    """

    name: ReleasedName = "rjca"
    layout: Layout = "scrambled"
    dim: int = DIM
    positions: int = POSITIONS
    window: int = WINDOW_LENGTH
    dropout: float = 0.6


class TemporalEncoder(nn.Module):
    """Two BiLSTM layers with a learned first state, a residual linear layer and unit length.

    ``normalise(FC [x ; BiLSTM x])`` of any number of ``features``, with dropout between the layers
    and before FC. d is even: d/2 units a direction.
    """

    def __init__(self, features: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            features, dim // 2, LSTM_LAYERS, dropout=dropout, batch_first=True, bidirectional=True
        )
        # First half the hidden states, second half the cells', a row a layer and direction.
        self.state = nn.Parameter(torch.empty(2 * 2 * LSTM_LAYERS, dim // 2))
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features + dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, L, features)`` to ``(B, L, d)``, each clip's vector of length 1."""
        first = self.state.unsqueeze(1).expand(-1, len(x), -1)  # (8, B, d/2)
        hidden, cells = (part.contiguous() for part in first.chunk(2))
        modelled, _ = self.lstm(x.contiguous(), (hidden, cells))  # (B, L, d)
        both = self.dropout(torch.cat([x, modelled], dim=-1))
        return nn.functional.normalize(self.linear(both), dim=-1)


class AudioGuidedAttention(nn.Module):
    r"""Audio chooses among the positions of the visual feature map.

    .. math::
        v'_t &= \mathrm{ReLU}(W_{video} v_t), \quad a' = \mathrm{ReLU}(W_{audio} a) \\
        z_t &= w_h^\top \tanh(W_v v'_t + (W_g a')_t) \\
        \alpha &= \mathrm{softmax}(z), \quad x = W_{feat} \sum_t \alpha_t v_t

    The audio term of token t is a number that is added to all hidden units. A clip's visual vector
    is laid out channel by channel, (d, 7, 7) flattened. With ``layout="chw"`` a token is one
    position with its d channels. With ``"scrambled"``, as released, the vector is cut into 49
    pieces of d numbers instead, each of them parts of eleven or twelve channels, so that no
    position can be chosen. ``positions`` counts tokens, and hidden units.
    """

    def __init__(self, dim: int, positions: int, layout: Layout) -> None:
        super().__init__()
        check_one_of("layout", layout, get_args(Layout))
        self.positions, self.layout = positions, layout
        self.video = nn.Linear(dim, dim)  # W_video
        self.audio = nn.Linear(dim, dim)  # W_audio
        self.from_video = nn.Linear(dim, positions, bias=False)  # W_v
        self.from_audio = nn.Linear(dim, positions, bias=False)  # W_g
        self.score = nn.Linear(positions, 1, bias=False)  # w_h
        self.feature = nn.Linear(dim, dim)  # W_feat

    def tokens(self, visual: Tensor) -> Tensor:
        """Cut ``(N, 49 d)`` into ``(N, 49, d)``."""
        if self.layout == "chw":
            return visual.unflatten(-1, (-1, self.positions)).mT
        return visual.unflatten(-1, (self.positions, -1))

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Map ``visual (B, L, 49 d)`` and ``audio (B, L, d)`` to ``x (B, L, d)`` and ``alpha``.

        ``alpha (B, L, 49)`` are the weights, rows summing to 1.
        """
        tokens = self.tokens(visual.flatten(0, 1))  # (B L, 49, d)
        rows = self.video(tokens.flatten(0, 1)).relu_()  # (B L 49, d), the largest tensor here
        from_video = self.from_video(rows).view(-1, self.positions, self.positions)
        from_audio = self.from_audio(torch.relu(self.audio(audio.flatten(0, 1))))  # (B L, 49)
        z = self.score(torch.tanh(from_video + from_audio.unsqueeze(-1)))  # (B L, 49, 1)
        alpha = z.mT.softmax(dim=-1)  # (B L, 1, 49)
        x = self.feature(alpha @ tokens)  # (B L, 1, d)
        clips = visual.shape[:2]
        return x.squeeze(1).unflatten(0, clips), alpha.squeeze(1).unflatten(0, clips)


class JointAttention(nn.Module):
    r"""The released joint attention: a map of features by joint features, with a residual.

    With ``J = [X_v ; X_a]``, and for each modality m

    .. math::
        Q &= W_q J, \quad K_m = W_{km} X_m^\top, \quad V_m = W_{vm} X_m \\
        S_m &= \mathrm{Dropout}(\tanh(K_m Q / \sqrt{2d})) \\
        X_m &\leftarrow X_m + \mathrm{Dropout}(\mathrm{ReLU}(W_{om}\,\mathrm{ReLU}(\tanh(V_m S_m))))

    all of them with a bias. ``K_m`` maps the axis of the clips, so that L is fixed; ``S_m`` is
    d x 2d.
    """

    def __init__(self, dim: int, length: int, dropout: float) -> None:
        super().__init__()
        self.length = length
        self.query = nn.Linear(2 * dim, 2 * dim)
        self.key_visual = nn.Linear(length, length)
        self.key_audio = nn.Linear(length, length)
        self.value_visual = nn.Linear(dim, dim)
        self.value_audio = nn.Linear(dim, dim)
        self.output_visual = nn.Linear(2 * dim, dim)
        self.output_audio = nn.Linear(2 * dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Attend ``visual (B, L, d)`` and ``audio (B, L, d)`` to both of them.

        Raises:
            ValueError: if L is not the length that the weights were made for.
        """
        check_length(audio, self.length)
        query = self.query(torch.cat([visual, audio], dim=-1))  # (B, L, 2d)
        return self._attend(visual, query, "visual"), self._attend(audio, query, "audio")

    def _attend(self, x: Tensor, query: Tensor, modality: str) -> Tensor:
        key, value, output = (
            getattr(self, f"{part}_{modality}") for part in ("key", "value", "output")
        )
        s = torch.tanh(key(x.mT) @ query / math.sqrt(query.shape[-1]))  # (B, d, 2d)
        h = torch.relu(torch.tanh(value(x) @ self.dropout(s)))  # (B, L, 2d)
        return x + self.dropout(torch.relu(output(h)))  # (B, L, d)


class ReleasedModel(nn.Module):
    """JCA, RJCA or DCA as released: from the backbones' features to one value a target.

    Args:
        config: which model.
        targets: n, a head each.

    Raises:
        ValueError: for an unknown name or layout.
    """

    def __init__(self, config: ReleasedConfig, targets: int = 2) -> None:
        super().__init__()
        check_one_of("name", config.name, BLOCKS)
        self.config = config
        dim, recurrent = config.dim, config.name != "jca"

        def encoder() -> nn.Module:
            return TemporalEncoder(dim, dim, ENCODER_DROPOUT) if recurrent else nn.Identity()

        self.encode_audio, self.encode_visual = encoder(), encoder()
        self.spatial = AudioGuidedAttention(dim, config.positions, config.layout)
        self.blocks = nn.ModuleList(
            JointAttention(dim, config.window, config.dropout) for _ in range(BLOCKS[config.name])
        )
        self.gate_audio = Gate(dim, 2) if config.name == "dca" else None
        self.gate_visual = Gate(dim, 2) if config.name == "dca" else None
        self.encode_joint = TemporalEncoder(2 * dim, dim, dropout=0.0)
        self.heads = nn.ModuleList(_head(dim, config.dropout) for _ in range(targets))
        self.apply(_initialise)

    def forward(self, audio: Tensor, visual: Tensor, mask: Tensor | None = None) -> Prediction:
        """Predict ``(B, L, n)``; DCA's gates have a stage 2 that always says joint.

        Args:
            audio: ``(B, L, d)``.
            visual: ``(B, L, 49 d)``, channel by channel.
            mask: ``(B, L)``, true at rows that exist; the others are read as zero vectors. The
                released code has whole windows only.

        Raises:
            ValueError: if L is not the length that the weights were made for.
        """
        if mask is not None:
            audio, visual = (torch.where(mask.unsqueeze(-1), x, 0.0) for x in (audio, visual))
        x_audio = self.encode_audio(nn.functional.normalize(audio, dim=-1))  # (B, L, d)
        guided, _ = self.spatial(nn.functional.normalize(visual, dim=-1), x_audio)
        x_visual = self.encode_visual(guided)
        att_audio, att_visual = x_audio, x_visual
        for block in self.blocks:
            att_visual, att_audio = block(att_visual, att_audio)
        gates = None
        if self.gate_audio is not None and self.gate_visual is not None:
            _, g_audio = self.gate_audio(att_audio)  # (B, L, 2)
            _, g_visual = self.gate_visual(att_visual)
            att_audio = torch.relu(weigh(g_audio, x_audio, att_audio))
            att_visual = torch.relu(weigh(g_visual, x_visual, att_visual))
            joint_only = g_audio.new_tensor([0.0, 0.0, 1.0]).expand(*g_audio.shape[:2], -1)
            gates = Gates(g_audio, g_visual, joint_only)
        joint = self.encode_joint(torch.cat([att_visual, att_audio], dim=-1))  # (B, L, d)
        return Prediction(torch.cat([head(joint) for head in self.heads], dim=-1), gates)


def _head(dim: int, dropout: float) -> nn.Module:
    hidden = nn.Linear(dim, HEAD_HIDDEN)
    return nn.Sequential(hidden, nn.ReLU(), nn.Dropout(dropout), nn.Linear(HEAD_HIDDEN, 1))


def _initialise(module: nn.Module) -> None:
    """As released: Xavier for linear layers and learned states, zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, TemporalEncoder):
        nn.init.xavier_uniform_(module.state)
