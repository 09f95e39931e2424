"""Controls without IACA's gates, or without a cross-attention under them."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from iaca.models.attention import (
    Attended,
    CrossAttention,
    RecursiveJointCrossAttention,
    TransformerCrossAttention,
    WithoutCrossAttention,
)
from iaca.models.fusions import PlainFusion, Unimodal
from iaca.models.gating import FixedGate, InconsistencyAware
from iaca.models.layers import BiLSTM, SelfAttention
from iaca.models.regressor import (
    AffectRegressor,
    ModelConfig,
    build_encoder,
    count_parameters,
    gate_parameters,
)

B, L, D = 3, 5, 8
ATTENTIONS = ("ca", "jca", "rjca", "tca")
CONTROLS = ("residual_mlp", "raw_and_attended", "gates_only", "without_attention")


def features(seed: int = 0, dim: int = D) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(2, B, L, dim, generator=generator, dtype=torch.float64)
    return audio, visual


def without_cross_attention(config: ModelConfig) -> WithoutCrossAttention:
    return WithoutCrossAttention(build_encoder(config), build_encoder(config))


def spread(module: nn.Module) -> nn.Module:
    """Every parameter away from zero, so that none can be missing unseen."""
    torch.manual_seed(2)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


def array(x: Tensor) -> Any:
    return x.detach().numpy()


class Shifted(nn.Module):
    """An attention whose four outputs all differ, without parameters."""

    def forward(self, audio: Tensor, visual: Tensor) -> Attended:
        return Attended(audio + visual.roll(1, 1), visual * audio, audio - 0.5, 2.0 * visual)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("options", [{"extra": 60}, {"raw": True}], ids=str)
def test_the_ungated_controls_against_numpy(options: dict[str, Any], relu: bool) -> None:
    model = spread(PlainFusion(Shifted(), D, relu, **options))
    audio, visual = features()
    attended = Shifted()(audio, visual)

    def rectified(x: Any) -> Any:
        return np.maximum(x, 0.0) if relu else x

    order = [attended.audio, attended.visual]
    if "raw" in options:
        order = [attended.self_audio, attended.audio, attended.self_visual, attended.visual]
    read = np.concatenate([array(x) for x in order], axis=-1)
    w = {name: array(value) for name, value in model.named_parameters()}
    joint = rectified(read) @ w["joint.linear.weight"].T + w["joint.linear.bias"]
    if "extra" in options:
        inner = np.maximum(joint @ w["mlp.0.weight"].T + w["mlp.0.bias"], 0.0)
        joint = joint + inner @ w["mlp.2.weight"].T + w["mlp.2.bias"]
    fused, gates = model(audio, visual)
    assert gates is None
    np.testing.assert_allclose(array(fused), rectified(joint), atol=1e-12)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("dim", [16, 64])
def test_the_residual_control_is_as_large_as_iaca(attention: str, dim: int) -> None:
    def size(fusion: str) -> int:
        return count_parameters(AffectRegressor(ModelConfig(attention, fusion, dim=dim), 6, 7, 2))

    # Eq. 5 twice with d x 2 + 2 numbers, and stage 2 with d x 3 + 3.
    assert size("iaca") - size("plain") == 7 * dim + 7
    assert size("iaca") - size("residual_mlp") == 4  # of 455 at d = 64
    assert size("raw_and_attended") - size("plain") == 2 * dim**2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 7 * D + 7),
        ({"gate_bias": False}, 7 * D),
        ({"gate_input": "both"}, 2 * (2 * 2 * D + 2) + 3 * D + 3),
        ({"joint_gate_input": "all"}, 2 * (2 * D + 2) + 3 * 3 * D + 3),
        ({"stages": "first"}, 4 * D + 4),
        ({"stages": "second"}, 3 * D + 3),
        # Two LSTMs of two directions, 4 gates of d/2 units, two biases each.
        ({"fallback": "lstm"}, 7 * D + 7 + 2 * 2 * (4 * D // 2) * (D + D // 2 + 2)),
    ],
    ids=str,
)
def test_what_the_gates_add_is_counted(options: dict[str, Any], expected: int) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert gate_parameters(ModelConfig(dim=D, **options)) == expected
    assert torch.equal(torch.get_rng_state(), before)


def test_without_cross_attention_neither_modality_knows_of_the_other() -> None:
    for attention in ATTENTIONS:
        config = ModelConfig(attention, dim=D, window=L)
        module = spread(without_cross_attention(config))
        audio, visual = features()
        found = module(audio, visual)
        assert found.audio is found.self_audio and found.visual is found.self_visual
        other = module(audio, torch.randn_like(visual))
        assert torch.equal(found.audio, other.audio) and not torch.equal(found.visual, other.visual)


def test_what_is_left_of_each_attention_is_its_own() -> None:
    """The encoders are those that the backbone puts before its cross-attention."""
    audio, visual = features()
    for attention in ("ca", "jca"):
        left = without_cross_attention(ModelConfig(attention, dim=D))(audio, visual)
        assert torch.equal(left.audio, audio) and torch.equal(left.visual, visual)

    rjca = spread(RecursiveJointCrossAttention(D, L))
    left = without_cross_attention(ModelConfig("rjca", dim=D)).double()
    assert isinstance(left.encode_audio, BiLSTM)
    left.encode_audio.load_state_dict(rjca.audio_lstm.state_dict())
    left.encode_visual.load_state_dict(rjca.visual_lstm.state_dict())
    torch.testing.assert_close(left(audio, visual).visual, rjca(audio, visual).self_visual)

    tca = spread(TransformerCrossAttention(D))
    left = without_cross_attention(ModelConfig("tca", dim=D)).double().eval()
    for name in ("audio", "visual"):
        own, branch = getattr(left, f"encode_{name}"), getattr(tca.layers[0], name)
        assert isinstance(own, SelfAttention)
        own.norm.load_state_dict(branch.norm_self.state_dict())
        own.attention.load_state_dict(branch.self_attention.state_dict())
    torch.testing.assert_close(left(audio, visual).audio, tca(audio, visual).self_audio)


def test_over_no_cross_attention_stage_1_has_no_choice() -> None:
    """Why `gates_only` leaves stage 1 out: whatever its gates say, nothing changes."""
    torch.manual_seed(0)
    without = WithoutCrossAttention(nn.Identity(), nn.Identity())
    model = InconsistencyAware(without, D).double()
    fused, gates = model(*features())
    nn.init.normal_(model.gate_audio.linear.weight, std=3.0)
    changed, others = model(*features())
    assert not torch.allclose(gates.audio, others.audio)
    torch.testing.assert_close(changed, fused)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_gates_only_is_stage_2_over_encoders(attention: str) -> None:
    config = ModelConfig(attention, "gates_only", dim=D, window=L, gate_init="zero")
    model = AffectRegressor(config, 6, 7, 1)
    assert isinstance(model.fusion, InconsistencyAware)
    assert isinstance(model.fusion.attention, WithoutCrossAttention)
    assert ("joint_encoder.lstm.weight_ih_l0" in model.state_dict()) == (attention == "rjca")
    gates = model(torch.randn(B, L, 6), torch.randn(B, L, 7)).gates
    assert gates is not None
    assert torch.equal(gates.audio, torch.tensor([0.0, 1.0]).expand(B, L, 2))
    torch.testing.assert_close(gates.audio_visual, torch.full((B, L, 3), 1 / 3))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_without_attention_is_gates_only_with_its_gate_on_joint(attention: str) -> None:
    configs = [
        ModelConfig(attention, fusion, dim=D, window=L)
        for fusion in ("without_attention", "gates_only")
    ]
    plain, gated = (spread(AffectRegressor(config, 6, 7, 2)) for config in configs)
    gated.load_state_dict(plain.state_dict(), strict=False)
    gated.fusion.gate_audio_visual = FixedGate(torch.tensor([0.0, 0.0, 1.0]).double())
    (audio, _), (_, visual) = features(dim=6), features(dim=7)
    assert torch.equal(plain(audio, visual).values, gated(audio, visual).values)
    assert plain(audio, visual).gates is None


@pytest.mark.parametrize("fusion", CONTROLS)
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_gradients_reach_every_parameter_of_a_control(fusion: str, attention: str) -> None:
    config = ModelConfig(attention, fusion, dim=D, window=L, dropout=0.0, temperature=3.0)
    model = spread(AffectRegressor(config, 6, 7, 2))  # wide enough that no ReLU is off throughout
    (audio, _), (_, visual) = features(dim=6), features(dim=7)
    model(audio, visual).values.square().sum().backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # Keys of an attention are only known up to a constant, which softmax takes out.
    assert not [name for name in idle if "in_proj_bias" not in name]


def test_controls_are_the_plain_model_but_for_their_fusion() -> None:
    """The same seed gives the same encoders and attention, whatever comes after them."""
    models = {}
    for fusion in ("plain", "iaca", "residual_mlp", "raw_and_attended"):
        torch.manual_seed(8)
        models[fusion] = AffectRegressor(ModelConfig("ca", fusion, dim=D), 6, 7, 1).state_dict()
    shared = [k for k in models["plain"] if k.startswith(("encode", "fusion.attention"))]
    assert len(shared) == 5
    for weights in models.values():
        assert all(torch.equal(weights[key], models["plain"][key]) for key in shared)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "none", "fusion": "residual_mlp"}, "needs an attention to wrap"),
        ({"attention": "none", "fusion": "gates_only"}, "needs an attention to wrap"),
        ({"fusion": "gates_only", "stages": "first"}, "'gates_only' has only the second"),
        ({"fusion": "gates_only", "fallback": "raw"}, "stage 1 is left out"),
    ],
    ids=str,
)
def test_controls_that_make_no_sense_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AffectRegressor(ModelConfig(dim=D, **options), 3, 3, 1)


@pytest.mark.parametrize("attention", ["none", *ATTENTIONS])
@pytest.mark.parametrize("fusion", ["audio_only", "visual_only"])
def test_a_unimodal_model_sees_its_modality_alone(fusion: str, attention: str) -> None:
    config = ModelConfig(attention, fusion, dim=D, window=L)
    model = spread(AffectRegressor(config, 6, 7, 2))
    (audio, _), (_, visual) = features(dim=6), features(dim=7)
    values = model(audio, visual).values
    (other_audio, _), (_, other_visual) = features(1, 6), features(1, 7)
    without_visual = torch.equal(model(audio, other_visual).values, values)
    without_audio = torch.equal(model(other_audio, visual).values, values)
    assert (without_visual, without_audio) == (fusion == "audio_only", fusion == "visual_only")


@pytest.mark.parametrize("relu", [True, False])
def test_the_unimodal_fusion_against_numpy(relu: bool) -> None:
    model = spread(Unimodal(nn.Identity(), D, "visual", relu))
    audio, visual = features()
    weight, bias = array(model.joint.linear.weight), array(model.joint.linear.bias)
    rectify = (lambda x: np.maximum(x, 0.0)) if relu else (lambda x: x)
    expected = rectify(rectify(array(visual)) @ weight.T + bias)
    np.testing.assert_allclose(array(model(audio, visual)[0]), expected, atol=1e-12)


@pytest.mark.parametrize("fusion", ["gates_only", "without_attention", "audio_only"])
def test_what_leaves_an_attention_out_takes_none(fusion: str) -> None:
    with pytest.raises(ValueError, match="takes no attention"):
        AffectRegressor(ModelConfig("ca", fusion, dim=D), 3, 3, 1, CrossAttention(D))
