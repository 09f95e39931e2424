"""What follows from the paper's equations alone, computed on random features."""

import torch
from torch import Tensor

from companion.chapters.claims.ledger import Ruling
from companion.reference.lines import Results
from iaca.models.attention import Attended, CrossAttention
from iaca.models.gating import InconsistencyAware

LENGTH, DIM = 16, 8


def _features() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    audio, visual = torch.randn(2, 1, LENGTH, DIM, generator=generator, dtype=torch.float64)
    return audio, visual


def _attention(norm_axis: str = "column") -> CrossAttention:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return CrossAttention(DIM, norm_axis).double()  # type: ignore[arg-type]


@torch.no_grad()
def printed_columns(_: Results) -> Ruling:
    """Whether columns of A_v sum to 1 as Eq. 1 prints it."""
    scores = _attention("printed")(*_features(), return_scores=True).scores
    assert scores is not None
    sums = scores["a_visual"].sum(dim=-2)
    if torch.allclose(sums, torch.ones_like(sums)):
        return Ruling("supported", "all columns sum to 1")
    transposed = torch.allclose(scores["a_visual"], scores["a_audio"].mT)
    what = "as printed, A_v is the transpose of A_a, and its" if transposed else "its"
    low, high = sums.min().item(), sums.max().item()
    return Ruling("contradicted", f"{what} columns sum to {low:.2f} up to {high:.2f}")


@torch.no_grad()
def audio_from_audio(_: Results) -> Ruling:
    """Whether attended audio is made of audio values alone, and the face only weighs them."""
    audio, visual = _features()
    attended = _attention()(audio, visual, return_scores=True)
    weights = attended.scores["a_audio"]
    made = torch.tanh(audio + weights.mT @ audio)
    sums = weights.sum(dim=-2)
    convex = bool((weights >= 0).all()) and torch.allclose(sums, torch.ones_like(sums))
    if convex and torch.allclose(attended.audio, made):
        return Ruling("supported", "the attended voice is the voice plus a weighted mean of it")
    return Ruling("contradicted", "the attended voice holds something else")


@torch.no_grad()
def mean_weight(_: Results) -> Ruling:
    """What a good and a bad face do to the mean of the attention weights."""
    audio, visual = _features()
    sizes = {"a face as it is": 1.0, "one ten times as large": 10.0, "a blank one": 0.0}
    means = {}
    for name, size in sizes.items():
        scores = _attention()(audio, size * visual, return_scores=True).scores
        assert scores is not None
        means[name] = scores["a_audio"].mean().item()
    text = ", ".join(f"{mean:.4f} with {name}" for name, mean in means.items())
    return Ruling(
        "cannot be tested here",
        "the paper does not name the tensor that it draws, and the weights of Eq. 1 cannot be "
        f"meant: their mean is {text}",
    )


class _Foreign(torch.nn.Module):
    """An attention that the package does not know: each modality plus the other's mean."""

    def forward(self, audio: Tensor, visual: Tensor) -> Attended:
        return Attended(
            audio + visual.mean(1, keepdim=True),
            visual + audio.mean(1, keepdim=True),
            audio,
            visual,
        )


@torch.no_grad()
def wraps_any(_: Results) -> Ruling:
    """Whether both stages of gates stand around an attention that they do not know."""
    model = InconsistencyAware(_Foreign(), DIM).double()
    fused, gates = model(*_features())
    rows = torch.cat([gates.audio.sum(-1), gates.visual.sum(-1), gates.audio_visual.sum(-1)])
    fits = fused.shape == (1, LENGTH, DIM) and torch.allclose(rows, torch.ones_like(rows))
    return Ruling(
        "supported" if fits else "contradicted",
        f"fused features of shape {tuple(fused.shape)} from an attention of another kind",
    )
