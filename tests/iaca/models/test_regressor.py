"""The regressor: standardisation, padding, heads, and names that do not exist."""

from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from iaca.data.windows import Statistics
from iaca.models.regressor import (
    AffectRegressor,
    Encoder,
    L2Norm,
    ModelConfig,
    Standardise,
    build_attention,
)

ATTENTIONS = ("none", "ca", "jca", "rjca", "tca")
AUDIO_DIM, VISUAL_DIM, WINDOW = 5, 3, 6


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(11)


def regressor(targets: int = 2, **changes: Any) -> AffectRegressor:
    config = ModelConfig(**{"dim": 8, "window": WINDOW, **changes})
    return AffectRegressor(config, AUDIO_DIM, VISUAL_DIM, targets).eval()


def features(batch: int = 3) -> tuple[Tensor, Tensor]:
    return torch.randn(batch, WINDOW, AUDIO_DIM), torch.randn(batch, WINDOW, VISUAL_DIM)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_valid_rows_do_not_depend_on_the_padding(attention: str) -> None:
    model = regressor(attention=attention, encoder_norm="layer")
    audio, visual = features()
    mask = torch.arange(WINDOW) < torch.tensor([[4], [1], [WINDOW]])
    other_audio = torch.where(mask.unsqueeze(-1), audio, 30.0 * torch.randn_like(audio))
    other_visual = torch.where(mask.unsqueeze(-1), visual, 30.0 * torch.randn_like(visual))
    one = model(audio, visual, mask).values
    other = model(other_audio, other_visual, mask).values
    assert torch.equal(one[mask], other[mask])
    assert torch.isfinite(one).all()
    if attention != "none":  # without the mask the padding does reach the valid rows
        careless = model(audio, visual).values, model(other_audio, other_visual).values
        assert not torch.allclose(careless[0][mask], careless[1][mask])


def test_a_full_mask_changes_nothing() -> None:
    model = regressor()
    audio, visual = features()
    everything = torch.ones(3, WINDOW, dtype=torch.bool)
    assert torch.equal(model(audio, visual).values, model(audio, visual, everything).values)


def test_standardisation() -> None:
    standardise = Standardise(3)
    mean, deviation = torch.tensor([1.0, -2.0, 4.0]), torch.tensor([0.5, 3.0, 0.0])
    standardise.fit(Statistics(mean, deviation))
    x = torch.randn(2, 7, 3)
    x[..., 2] = 4.0
    found = standardise(x)
    expected = (x.numpy()[..., :2] - [1.0, -2.0]) / [0.5, 3.0]
    np.testing.assert_allclose(found[..., :2].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert not found[..., 2].any()
    x[..., 2] = 1e6  # constant in training, anything but that in the test
    assert not standardise(x)[..., 2].any()


def test_statistics_are_saved_with_the_weights(tmp_path: Any) -> None:
    model = regressor()
    model.standardise_audio.fit(Statistics(torch.randn(AUDIO_DIM), torch.rand(AUDIO_DIM) + 0.5))
    model.standardise_visual.fit(Statistics(torch.randn(VISUAL_DIM), torch.rand(VISUAL_DIM) + 0.5))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    torch.manual_seed(99)
    rebuilt = regressor()
    audio, visual = features()
    assert not torch.allclose(rebuilt(audio, visual).values, model(audio, visual).values)
    rebuilt.load_state_dict(load_file(tmp_path / "model.safetensors"))
    assert torch.equal(rebuilt(audio, visual).values, model(audio, visual).values)
    trained = {name for name, _ in model.named_parameters()}
    assert not [name for name in trained if "standardise" in name]


@pytest.mark.parametrize("targets", [1, 2, 3])
def test_each_target_has_a_head_of_its_own(targets: int) -> None:
    model = regressor(targets)
    audio, visual = features()
    before = model(audio, visual).values
    assert before.shape == (3, WINDOW, targets)
    with torch.no_grad():
        model.heads[-1].output.bias += 1.0
    after = model(audio, visual).values
    assert torch.equal(after[..., :-1], before[..., :-1])
    torch.testing.assert_close(after[..., -1], before[..., -1] + 1.0)


def test_encoder_norms() -> None:
    x = torch.randn(2, WINDOW, AUDIO_DIM)
    lengths = {}
    for name in ("l2", "layer", "none"):
        torch.manual_seed(3)
        encoder = Encoder(AUDIO_DIM, ModelConfig(dim=8, encoder_norm=name)).eval()
        lengths[name] = encoder(x).norm(dim=-1)
        raw = encoder.linear(x)
    torch.testing.assert_close(lengths["l2"], torch.ones(2, WINDOW))
    torch.testing.assert_close(lengths["layer"], torch.full((2, WINDOW), 8**0.5), rtol=1e-3, atol=0)
    torch.testing.assert_close(lengths["none"], raw.norm(dim=-1))


def test_a_zero_vector_has_no_direction() -> None:
    zero = torch.zeros(1, 1, 4, requires_grad=True)
    L2Norm()(zero).sum().backward()
    assert torch.isfinite(zero.grad).all()


def test_the_joint_bilstm_belongs_to_rjca_alone() -> None:
    assert isinstance(regressor(attention="rjca").joint_encoder, nn.Module)
    recurrent = {
        name
        for name in ATTENTIONS
        if any("joint_encoder" in key for key in regressor(attention=name).state_dict())
    }
    assert recurrent == {"rjca"}


def test_plain_fusion_is_relu_of_a_layer_on_relus() -> None:
    model = regressor(attention="ca")
    audio, visual = features()
    attended = model.fusion.attention(*model.encode(audio, visual))
    both = torch.cat([attended.audio.clamp(min=0), attended.visual.clamp(min=0)], dim=-1)
    layer = model.fusion.joint.linear
    fused = (both @ layer.weight.mT + layer.bias).clamp(min=0)
    hidden = [head.layers[0] for head in model.heads]
    outputs = [head.output for head in model.heads]
    expected = torch.cat(
        [
            (fused @ h.weight.mT + h.bias).clamp(min=0) @ o.weight.mT + o.bias
            for h, o in zip(hidden, outputs, strict=True)
        ],
        dim=-1,
    )
    torch.testing.assert_close(model(audio, visual).values, expected)
    assert model(audio, visual).gates is None


@pytest.mark.parametrize(
    "changes",
    [{"attention": "cross"}, {"encoder_norm": "batch"}, {"fusion": "gated?"}, {"norm_axis": "row"}],
    ids=lambda changes: next(iter(changes)),
)
def test_unknown_names_are_refused(changes: dict[str, str]) -> None:
    (value,) = changes.values()
    with pytest.raises(ValueError, match=value.replace("?", r"\?")):
        regressor(**changes)


def test_no_attention_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="none"):
        build_attention(ModelConfig(attention="none"))
