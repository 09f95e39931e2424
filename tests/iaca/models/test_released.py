"""The released models: their sizes, their equations in NumPy, their layouts, their fast map."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from reference import Array, lstm, relu
from torch import Tensor, nn

from iaca.models.regressor import count_parameters
from iaca.models.released import (
    BLOCKS,
    AudioGuidedAttention,
    JointAttention,
    ReleasedConfig,
    ReleasedModel,
    TemporalEncoder,
)

B, L, D, POSITIONS = 3, 5, 6, 4


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


def small(name: str, **options: Any) -> ReleasedConfig:
    sizes = {"dim": D, "positions": POSITIONS, "window": L}
    return ReleasedConfig(name, **{**sizes, **options})  # type: ignore[arg-type]


def spread(module: nn.Module) -> Any:
    """Every parameter away from zero, so that none can be missing unseen."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


def features() -> tuple[Tensor, Tensor]:
    audio = torch.randn(B, L, D, dtype=torch.float64)
    return audio, torch.randn(B, L, D * POSITIONS, dtype=torch.float64)


def numbers(tensor: Tensor) -> Array:
    return tensor.detach().numpy()


def linear(x: Array, layer: nn.Linear) -> Array:
    out = x @ numbers(layer.weight).T
    return out if layer.bias is None else out + numbers(layer.bias)


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


def unit(x: Array) -> Array:
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def temporal(x: Array, module: TemporalEncoder) -> Array:
    state, modelled = numbers(module.state), x.T
    for layer in range(2):
        ways = []
        for way, suffix in enumerate(("", "_reverse")):
            w = {
                kind: numbers(getattr(module.lstm, f"{kind}_l{layer}{suffix}"))
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            row = 2 * layer + way
            ways.append(
                lstm(
                    modelled,
                    w["weight_ih"],
                    w["weight_hh"],
                    w["bias_ih"] + w["bias_hh"],
                    backwards=way == 1,
                    first=(state[row], state[4 + row]),
                )
            )
        modelled = np.concatenate(ways)
    return unit(linear(np.concatenate([x, modelled.T], axis=1), module.linear))


def guided(visual: Array, audio: Array, module: AudioGuidedAttention) -> tuple[Array, Array]:
    out, weights = [], []
    for v, a in zip(visual, audio, strict=True):
        channels = [v[c * POSITIONS : (c + 1) * POSITIONS] for c in range(D)]
        if module.layout == "chw":
            tokens = [np.array([channel[t] for channel in channels]) for t in range(POSITIONS)]
        else:
            tokens = [v[t * D : (t + 1) * D] for t in range(POSITIONS)]
        from_audio = linear(relu(linear(a, module.audio)), module.from_audio)
        z = [
            linear(
                np.tanh(linear(relu(linear(token, module.video)), module.from_video) + shift),
                module.score,
            )[0]
            for token, shift in zip(tokens, from_audio, strict=True)
        ]
        alpha = softmax(np.array(z))
        chosen = sum(weight * token for weight, token in zip(alpha, tokens, strict=True))
        out.append(linear(chosen, module.feature))
        weights.append(alpha)
    return np.array(out), np.array(weights)


def joint(visual: Array, audio: Array, module: JointAttention) -> tuple[Array, Array]:
    query = linear(np.concatenate([visual, audio], axis=1), module.query)  # (L, 2d)
    out = []
    for x, key, value, output in (
        (visual, module.key_visual, module.value_visual, module.output_visual),
        (audio, module.key_audio, module.value_audio, module.output_audio),
    ):
        s = np.tanh(linear(x.T, key) @ query / math.sqrt(2 * D))  # (d, 2d)
        h = relu(np.tanh(linear(x, value) @ s))
        out.append(x + relu(linear(h, output)))
    return out[0], out[1]


def whole(audio: Array, visual: Array, model: ReleasedModel) -> Array:
    x_a, v = unit(audio), unit(visual)
    recurrent = model.config.name != "jca"
    if recurrent:
        x_a = temporal(x_a, model.encode_audio)  # type: ignore[arg-type]
    x_v, _ = guided(v, x_a, model.spatial)
    if recurrent:
        x_v = temporal(x_v, model.encode_visual)  # type: ignore[arg-type]
    att_v, att_a = x_v, x_a
    for block in model.blocks:
        att_v, att_a = joint(att_v, att_a, block)  # type: ignore[arg-type]
    if model.config.name == "dca":
        gated = []
        for x, att, gate in ((x_v, att_v, model.gate_visual), (x_a, att_a, model.gate_audio)):
            g = softmax(linear(att, gate.linear) / 0.1)  # type: ignore[union-attr]
            gated.append(relu(g[:, :1] * x + g[:, 1:] * att))
        att_v, att_a = gated
    fused = temporal(np.concatenate([att_v, att_a], axis=1), model.encode_joint)
    values = [linear(relu(linear(fused, head[0])), head[3]) for head in model.heads]  # type: ignore[index]
    return np.concatenate(values, axis=1)


@pytest.mark.parametrize("layout", ["scrambled", "chw"])
@pytest.mark.parametrize("name", BLOCKS)
def test_the_models_are_the_equations(name: str, layout: str) -> None:
    model = spread(ReleasedModel(small(name, layout=layout)))
    audio, visual = features()
    found = model(audio, visual)
    assert found.values.shape == (B, L, 2)
    for b in range(B):
        expected = whole(numbers(audio[b]), numbers(visual[b]), model)
        np.testing.assert_allclose(numbers(found.values[b]), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters"), [("jca", 8_586_323), ("rjca", 15_947_859), ("dca", 18_574_967)]
)
def test_the_sizes_are_the_released_ones(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = ReleasedModel(ReleasedConfig(name))  # type: ignore[arg-type]
    assert count_parameters(model) == parameters


def test_linear_layers_start_as_released() -> None:
    model = ReleasedModel(ReleasedConfig("dca", dim=32, positions=9))
    linear_layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
    for module in linear_layers:
        assert module.bias is None or not module.bias.any()
        bound = math.sqrt(6.0 / sum(module.weight.shape))  # Glorot & Bengio 2010, Eq. 16
        assert 0.5 * bound < module.weight.abs().max() <= bound
    assert model.encode_joint.state.abs().max() <= math.sqrt(6.0 / (8 + 16))
    assert model.encode_joint.lstm.bias_ih_l0.any()  # torch's own


def test_scrambled_tokens_are_no_positions() -> None:
    """Every value says which channel and position it is of."""
    channel, position = torch.meshgrid(torch.arange(512), torch.arange(49), indexing="ij")
    with torch.device("meta"):
        right, released = (AudioGuidedAttention(512, 49, each) for each in ("chw", "scrambled"))
    for token in range(49):
        channels = right.tokens(channel.reshape(1, -1))[0, token]
        assert channels.tolist() == list(range(512))
        assert set(right.tokens(position.reshape(1, -1))[0, token].tolist()) == {token}
        mixed = released.tokens(channel.reshape(1, -1))[0, token]
        assert len(set(mixed.tolist())) in (11, 12)
        assert len(set(released.tokens(position.reshape(1, -1))[0, token].tolist())) == 49


def test_only_the_right_layout_finds_a_face_wherever_it_is() -> None:
    """Without its say on tokens by number, attention does not care where a position lies."""
    moved = torch.randperm(POSITIONS)
    audio, visual = features()
    elsewhere = visual.unflatten(-1, (D, POSITIONS))[..., moved].flatten(-2)
    found = {}
    for layout in ("chw", "scrambled"):
        module = spread(AudioGuidedAttention(D, POSITIONS, layout))  # type: ignore[arg-type]
        nn.init.zeros_(module.from_audio.weight)
        (before, alpha), (after, alpha_moved) = module(visual, audio), module(elsewhere, audio)
        found[layout] = (after - before).abs().max().item()
        if layout == "chw":
            torch.testing.assert_close(alpha_moved, alpha[..., moved])
    assert found["chw"] < 1e-12
    assert found["scrambled"] > 1e-3


@pytest.mark.parametrize("name", BLOCKS)
def test_every_parameter_learns(name: str) -> None:
    model = spread(ReleasedModel(small(name))).train()
    (model(*features()).values ** 2).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_only_dca_has_gates_and_only_the_first_stage() -> None:
    audio, visual = features()
    for name in ("jca", "rjca"):
        assert spread(ReleasedModel(small(name)))(audio, visual).gates is None
    gates = spread(ReleasedModel(small("dca")))(audio, visual).gates
    assert gates is not None
    ones = torch.ones(B, L, dtype=torch.float64)
    torch.testing.assert_close(gates.audio.sum(dim=-1), ones)
    torch.testing.assert_close(gates.visual.sum(dim=-1), ones)
    assert gates.audio_visual[1, 2].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("name", BLOCKS)
def test_padding_does_not_matter(name: str) -> None:
    model = spread(ReleasedModel(small(name)))
    audio, visual = features()
    mask = torch.ones(B, L, dtype=torch.bool)
    mask[0, 3:] = False
    first = model(audio, visual, mask).values
    audio[0, 3:], visual[0, 3:] = 9.0, -7.0
    assert torch.equal(model(audio, visual, mask).values, first)
    assert torch.isfinite(first).all()


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="name 'tca': expected one of"):
        ReleasedModel(small("tca"))
    with pytest.raises(ValueError, match="layout 'hwc': expected one of"):
        ReleasedModel(small("jca", layout="hwc"))
    with pytest.raises(ValueError, match="windows of 4 clips, but the weights fix 5"):
        JointAttention(D, L, 0.0)(torch.zeros(1, 4, D), torch.zeros(1, 4, D))
