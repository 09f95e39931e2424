"""Cross-attention that is made independent of content, as a control."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from toys import AUDIO_DIM, VISUAL_DIM, toy_split, toy_store

from iaca.learning.config import TrainingConfig
from iaca.learning.loop import train
from iaca.models.attention import CrossAttention
from iaca.models.regressor import AffectRegressor, ModelConfig, count_parameters

D, L = 8, 4
# What content decides: attention -> parameters that a uniform one lacks, by their names' ends.
OF_CONTENT = {
    "ca": ("attention.weight",),
    "jca": ("joint_audio.weight", "joint_visual.weight"),
    "rjca": ("joint_audio.weight", "joint_visual.weight"),
    "tca": ("norm_query.weight", "norm_query.bias"),
}
FEWER = {"ca": D * D, "jca": 2 * L * L, "rjca": 2 * L * L, "tca": 2 * (2 * D * D + 4 * D)}


def built(attention: str, **options: Any) -> AffectRegressor:
    torch.manual_seed(3)
    config = ModelConfig(attention, dim=D, window=L, **options)  # type: ignore[arg-type]
    return AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2).eval()


def features() -> list[torch.Tensor]:
    torch.manual_seed(5)
    return [torch.randn(3, L, dim) for dim in (AUDIO_DIM, VISUAL_DIM)]


def test_uniform_cross_attention_adds_the_mean_over_clips() -> None:
    audio, visual = torch.randn(2, 3, L, D, dtype=torch.float64)
    attended = CrossAttention(D, uniform=True).double()(audio, visual)
    for x, found in ((audio.numpy(), attended.audio), (visual.numpy(), attended.visual)):
        expected = np.tanh(x + x.mean(axis=1, keepdims=True))
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("fusion", ["plain", "iaca"])
@pytest.mark.parametrize("attention", OF_CONTENT)
def test_it_is_the_attention_with_some_weights_at_zero(attention: str, fusion: str) -> None:
    full, uniform = (built(attention, fusion=fusion, uniform=u) for u in (False, True))
    assert count_parameters(full) - count_parameters(uniform) == FEWER[attention]
    there = dict(uniform.named_parameters())
    for name, parameter in full.named_parameters():
        if name.endswith(OF_CONTENT[attention]):
            assert name not in there
            nn.init.zeros_(parameter)  # also a norm's scale: a query of zeros
            continue
        kept = parameter[2 * D :] if "cross_attention.in_proj" in name else parameter
        assert torch.equal(there[name], kept), name  # with one seed, the same start
    torch.testing.assert_close(uniform(*features()).values, full(*features()).values)


@pytest.mark.parametrize("fusion", ["plain", "iaca"])
@pytest.mark.parametrize("attention", OF_CONTENT)
def test_it_is_uniform_after_training(tmp_path: Path, attention: str, fusion: str) -> None:
    store = toy_store(tmp_path / "store", (20, 11, 15, 9))
    config = TrainingConfig(epochs=3, batch_size=4, hop=2, learning_rate=0.02, weight_decay=0.5)
    before = built(attention, fusion=fusion, uniform=True)
    model = train(before.config, config, store, toy_split(), 0, device="cpu").model
    assert not torch.equal(
        model.fusion.joint.linear.weight,  # type: ignore[union-attr]
        before.fusion.joint.linear.weight,  # type: ignore[union-attr]
    )
    attended = model.fusion.attention(*model.encode(*features()), return_scores=True)  # type: ignore[operator]
    for name, scores in attended.scores.items():
        expected = 1.0 / L if name.startswith("a_") else 0.0
        assert torch.equal(scores, torch.full_like(scores, expected)), name
    # Content or not, what is attended is a feature of every clip's own.
    assert attended.audio.std(dim=1).min() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "none"},
        {"attention": "none", "fusion": "leader_follower"},
        {"fusion": "gates_only"},
        {"fusion": "without_attention"},
        {"fusion": "audio_only"},
    ],
    ids=str,
)
def test_where_nothing_attends_it_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"uniform: fusion .* has no cross-attention"):
        built(**{"attention": "ca", "uniform": True, **options})
    with pytest.raises(ValueError, match="uniform: fusion 'plain' of a module"):
        config = ModelConfig("none", uniform=True, dim=D)
        AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, 2, CrossAttention(D))
