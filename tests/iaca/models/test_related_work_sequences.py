"""The related work's Transformers and convolutions against transcriptions in NumPy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from reference import Array, affine, layer_norm, multi_head_attention, positions, relu
from torch import Tensor, nn

from iaca.models.layers import (
    DILATIONS,
    HEADS,
    KERNEL_SIZE,
    SequenceTransformer,
    TemporalConvolutions,
)
from iaca.models.related_work import ConcatenatedTransformer, LeaderFollowerAttention

B, L, D = 2, 10, 8
SINGLE = 1e-6  # positions are computed in single precision


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(7)


def features() -> tuple[Tensor, Tensor]:
    audio, visual = torch.randn(2, B, L, D, dtype=torch.float64)
    return audio, visual


def spread(module: nn.Module) -> Any:
    """Every parameter away from zero, so that none can be missing unseen."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.double().eval()


def columns(x: Tensor) -> Array:
    """One window in the papers' ``d x L`` layout."""
    return np.asarray(x.detach().mT)


def weights(module: nn.Module) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def apply(module: nn.Linear | nn.LayerNorm, x: Array) -> Array:
    w = weights(module)
    return (affine if isinstance(module, nn.Linear) else layer_norm)(x, w["weight"], w["bias"])


def transformer(module: SequenceTransformer, x: Array) -> Array:
    x = apply(module.norm, x) + positions(*x.shape)
    *layers, last = module.encoder
    for layer in layers:
        normed = apply(layer.norm1, x)
        x = x + multi_head_attention(normed, normed, weights(layer.self_attn), HEADS)[0]
        hidden = relu(apply(layer.linear1, apply(layer.norm2, x)))
        x = x + apply(layer.linear2, hidden)
    return apply(last, x)


def convolve(module: nn.Conv1d, x: Array, dilation: int) -> Array:
    """The last tap is on the clip itself, the others on clips before it."""
    w = weights(module)
    out = np.tile(w["bias"][:, None], (1, x.shape[1]))
    for t in range(x.shape[1]):
        for tap in range(KERNEL_SIZE):
            source = t - (KERNEL_SIZE - 1 - tap) * dilation
            if source >= 0:
                out[:, t] += w["weight"][:, :, tap] @ x[:, source]
    return out


def tcn(module: TemporalConvolutions, x: Array) -> Array:
    for block, dilation in zip(module.blocks, (1, 2, 4), strict=True):
        h = relu(convolve(block.first, x, dilation))
        x = relu(x + relu(convolve(block.second, h, dilation)))
    return x


@pytest.mark.parametrize("grad", [True, False])
def test_the_transformer_against_numpy(grad: bool) -> None:
    module = spread(SequenceTransformer(D))
    x, _ = features()
    with torch.set_grad_enabled(grad):  # without, torch may take its fused kernel
        found = module(x)
    for window in range(B):
        expected = transformer(module, columns(x[window]))
        np.testing.assert_allclose(columns(found[window]), expected, atol=SINGLE)


def test_its_layers_start_from_different_weights() -> None:
    one, other, _ = SequenceTransformer(D).encoder
    assert not torch.equal(one.linear1.weight, other.linear1.weight)


def test_convolutions_against_numpy() -> None:
    module = spread(TemporalConvolutions(D))
    x, _ = features()
    found = module(x)
    for window in range(B):
        np.testing.assert_allclose(columns(found[window]), tcn(module, columns(x[window])))


def test_a_convolution_sees_no_later_clip_and_a_whole_window_of_earlier_ones() -> None:
    module = TemporalConvolutions(D).double().eval()
    for parameter in module.parameters():
        nn.init.constant_(parameter, 0.1)  # all positive: no ReLU hides what arrives
    length = 40
    x = torch.ones(1, length, D, dtype=torch.float64, requires_grad=True)
    module(x)[0, -1].sum().backward()
    seen = x.grad[0].abs().sum(dim=-1) > 0
    reach = 1 + 2 * (KERNEL_SIZE - 1) * sum(DILATIONS)
    assert reach == 29 and seen.tolist() == [False] * (length - reach) + [True] * reach
    x.grad = None
    module(x)[0, 5].sum().backward()
    assert x.grad[0].abs().sum(dim=-1).gt(0).tolist() == [True] * 6 + [False] * (length - 6)


def test_leader_follower_against_numpy() -> None:
    module = spread(LeaderFollowerAttention(D))
    audio, visual = features()
    fused, _ = module(audio, visual)
    e = D // 4
    for window in range(B):
        h_a = tcn(module.audio_tcn, columns(audio[window]))
        h_v = tcn(module.visual_tcn, columns(visual[window]))
        tokens = [apply(module.audio_tokens, h_a), apply(module.visual_tokens, h_v)]
        q, k, v = ([token[part * e : (part + 1) * e] for token in tokens] for part in range(3))
        followers = []
        for m in range(2):
            mixed = v[m].copy()
            for t in range(L):
                logits = [q[m][:, t] @ k[n][:, t] / math.sqrt(e) for n in range(2)]
                total = sum(math.exp(logit) for logit in logits)
                for n in range(2):
                    mixed[:, t] += math.exp(logits[n]) / total * v[n][:, t]
            followers.append(apply(module.norm, mixed))
        expected = relu(apply(module.output, np.concatenate([h_v, *followers])))
        np.testing.assert_allclose(columns(fused[window]), expected, atol=1e-12)


@pytest.mark.parametrize("convolved", [False, True])
def test_concatenated_transformer_against_numpy(convolved: bool) -> None:
    module = spread(ConcatenatedTransformer(D, tcn=convolved))
    audio, visual = features()
    fused, _ = module(audio, visual)
    for window in range(B):
        pair = [columns(audio[window]), columns(visual[window])]
        if convolved:
            pair = [tcn(module.audio_tcn, pair[0]), tcn(module.visual_tcn, pair[1])]
        joint = apply(module.joint.linear, np.concatenate(pair))
        expected = transformer(module.transformer, joint)
        np.testing.assert_allclose(columns(fused[window]), expected, atol=SINGLE)


def test_lstm_transformer_is_the_mean_of_both() -> None:
    module = spread(ConcatenatedTransformer(D, lstm=True))
    audio, visual = features()
    fused, _ = module(audio, visual)
    recurrent, _ = module.lstm.lstm(module.joint(audio, visual))  # torch's own
    attentive = module.transformer(module.joint(audio, visual))
    torch.testing.assert_close(fused, torch.stack([recurrent, attentive]).mean(dim=0))


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="dim 6 is not a multiple of the 4 heads"):
        SequenceTransformer(6)
    with pytest.raises(ValueError, match="dim 6: expected a multiple of 4"):
        LeaderFollowerAttention(6)
