"""The families of the related work and of Table 1: what all of them keep to, and the gates."""

import warnings
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
from reference import Array, affine, lstm, multi_head_attention, relu, sigmoid
from torch import Tensor, nn

from iaca.models.layers import HEADS, BiLSTM
from iaca.models.regressor import (
    AffectRegressor,
    FusionName,
    ModelConfig,
    build_fusion,
    count_parameters,
)
from iaca.models.related_work import (
    FAMILIES,
    ConditionalGating,
    FamilyName,
    ForgetGateAttention,
    GatedMultimodalUnit,
    GatedSequence,
    LSTMFusion,
)

B, L, D = 3, 6, 8
AUDIO_DIM, VISUAL_DIM = 5, 3


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(5)


def config(fusion: str, **options: Any) -> ModelConfig:
    return ModelConfig("none", fusion, **{"dim": D, "window": L, "dropout": 0.0, **options})


def features(seed: int = 0, dims: tuple[int, int] = (D, D)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    audio, visual = (
        torch.randn(B, L, dim, generator=generator, dtype=torch.float64) for dim in dims
    )
    return audio, visual


def spread(module: nn.Module) -> Any:
    """Every parameter away from zero, so that none can be missing unseen."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


families = pytest.mark.parametrize("name", FAMILIES)


def test_every_name_has_a_module() -> None:
    assert set(get_args(FamilyName)) == set(FAMILIES) < set(get_args(FusionName))


@families
@pytest.mark.parametrize("length", [1, L, 16])
def test_shapes_without_a_warning(name: str, length: int) -> None:
    audio, visual = torch.randn(2, B, length, D)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        module = build_fusion(config(name, dropout=0.2))
        for training in (True, False):
            fused, gates = module.train(training)(audio, visual)
            assert fused.shape == (B, length, D) and gates is None
            assert torch.isfinite(fused).all()
        with torch.inference_mode():  # where torch's layers take other paths
            quick = module(audio, visual)[0]
    torch.testing.assert_close(quick, fused, rtol=1e-4, atol=1e-5)


@families
def test_gradients_reach_every_parameter_and_both_modalities(name: str) -> None:
    module = spread(build_fusion(config(name)))
    audio, visual = (x.requires_grad_() for x in features())
    module(audio, visual)[0].square().sum().backward()
    assert audio.grad.abs().max() > 1e-6 and visual.grad.abs().max() > 1e-6
    for key, parameter in module.named_parameters():
        assert parameter.grad.abs().max() > 1e-6, key


@families
def test_modalities_are_not_interchangeable_and_windows_do_not_mix(name: str) -> None:
    module = spread(build_fusion(config(name)))
    audio, visual = features()
    fused = module(audio, visual)[0]
    assert not torch.allclose(fused, module(visual, audio)[0])
    torch.testing.assert_close(module(audio[1:2], visual[1:2])[0], fused[1:2])


# Of pieces, counted without the package: weights and biases.
def fully(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def recurrent(d: int, inputs: int) -> int:
    return 2 * 4 * (d // 2) * (inputs + d // 2 + 2)  # directions, gates, units; two biases


def attention(d: int) -> int:
    return 4 * fully(d, d)  # queries, keys, values, output


def transformer(d: int) -> int:
    norm = 2 * d
    return norm + 2 * (attention(d) + 2 * fully(d, d) + 2 * norm) + norm


def convolutions(d: int) -> int:
    return 3 * 2 * (3 * d * d + d)  # blocks of two, kernels of three clips


PARAMETERS: dict[str, Callable[[int], int]] = {
    "lstm": lambda d: recurrent(d, 2 * d) + recurrent(d, d),
    "gmu": lambda d: d * d + d * d + 2 * d * d,
    "conditional_gating": lambda d: (
        2 * (recurrent(d, d) + attention(d) + 2 * fully(2 * d, d)) + fully(2 * d, d)
    ),
    "forget_gate": lambda d: 2 * (attention(d) + fully(2 * d, d)) + fully(2 * d, d),
    "gated_sequence": lambda d: 3 * recurrent(d, d) + fully(2 * d, 1),
    "leader_follower": lambda d: (
        2 * (convolutions(d) + 3 * fully(d, d // 4)) + 2 * d // 4 + fully(d + 2 * (d // 4), d)
    ),
    "lstm_transformer": lambda d: fully(2 * d, d) + recurrent(d, d) + transformer(d),
    "tcn_transformer": lambda d: 2 * convolutions(d) + fully(2 * d, d) + transformer(d),
    "transformer": lambda d: fully(2 * d, d) + transformer(d),
}


@families
@pytest.mark.parametrize("d", [8, 64])
def test_parameters_follow_from_the_description(name: str, d: int) -> None:
    assert count_parameters(build_fusion(config(name, dim=d))) == PARAMETERS[name](d)


@families
def test_one_seed_starts_the_same_model(name: str) -> None:
    """Encoders and heads start as they do around any other fusion."""
    models = []
    for fusion in (name, name, "plain"):
        torch.manual_seed(3)
        models.append(AffectRegressor(config(fusion), AUDIO_DIM, VISUAL_DIM, 1).state_dict())
    one, again, plain = models
    assert all(torch.equal(one[key], again[key]) for key in one)
    shared = [key for key in plain if not key.startswith("fusion")]
    assert shared and all(torch.equal(one[key], plain[key]) for key in shared)


@families
def test_an_attention_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*'ca', expected 'none'"):
        build_fusion(ModelConfig("ca", name, dim=D))
    with pytest.raises(ValueError, match=f"{name}.*a module, expected 'none'"):
        build_fusion(config(name), nn.Identity())


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "gmu"])
def test_a_width_that_does_not_divide_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="dim 7"):
        build_fusion(config(name, dim=7))


def rows(x: Tensor) -> Array:
    """One window in the papers' layout."""
    return np.asarray(x.detach().mT)


def weights(module: nn.Module) -> dict[str, Array]:
    return {name: value.detach().numpy() for name, value in module.named_parameters()}


def logistic(x: Array) -> Array:
    return np.vectorize(sigmoid)(x)


def both_ways(x: Array, module: BiLSTM, layer: int = 0) -> Array:
    parts = []
    for suffix in ("", "_reverse"):
        w = {
            kind: getattr(module.lstm, f"{kind}_l{layer}{suffix}").detach().numpy()
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        bias = w["bias_ih"] + w["bias_hh"]
        parts.append(lstm(x, w["weight_ih"], w["weight_hh"], bias, backwards=bool(suffix)))
    return np.concatenate(parts)


def fully_connected(module: nn.Linear, *parts: Array) -> Array:
    w = weights(module)
    return affine(np.concatenate(parts), w["weight"], w["bias"])


def cross(module: nn.MultiheadAttention, own: Array, other: Array) -> Array:
    return multi_head_attention(own, other, weights(module), HEADS)[0]


def compare(module: nn.Module, transcription: Callable[[Array, Array], Array]) -> None:
    audio, visual = features(seed=1)
    fused = module(audio, visual)[0]
    for window in range(2):
        expected = transcription(rows(audio[window]), rows(visual[window]))
        np.testing.assert_allclose(rows(fused[window]), expected, atol=1e-12)


def test_lstm_fusion_against_numpy() -> None:
    module = spread(LSTMFusion(D))

    def transcription(x_a: Array, x_v: Array) -> Array:
        return both_ways(both_ways(np.concatenate([x_a, x_v]), module.lstm), module.lstm, layer=1)

    compare(module, transcription)


def test_dropout_of_lstm_fusion_lies_between_its_layers() -> None:
    module = LSTMFusion(D, dropout=1.0).train()
    one, other = (module(*(x.float() for x in features(seed)))[0] for seed in (0, 1))
    torch.testing.assert_close(one, other)  # nothing of the input comes through


def test_gated_multimodal_unit_against_numpy() -> None:
    module = spread(GatedMultimodalUnit(D))
    w = weights(module)

    def transcription(x_a: Array, x_v: Array) -> Array:
        out = np.zeros_like(x_a)
        for t in range(x_a.shape[1]):
            z = logistic(w["gate.weight"] @ np.concatenate([x_a[:, t], x_v[:, t]]))
            h_a = np.tanh(w["audio.weight"] @ x_a[:, t])
            h_v = np.tanh(w["visual.weight"] @ x_v[:, t])
            out[:, t] = z * h_a + (1.0 - z) * h_v
        return out

    compare(module, transcription)


def test_conditional_gating_against_numpy() -> None:
    module = spread(ConditionalGating(D))

    def gated(branch: Any, own: Array, other: Array) -> Array:
        c = cross(branch.attention, own, other)
        t = np.tanh(fully_connected(branch.transform, own, c))
        g = logistic(fully_connected(branch.gate, own, c))
        return g * t + (1.0 - g) * own

    def transcription(x_a: Array, x_v: Array) -> Array:
        h_a, h_v = both_ways(x_a, module.audio_lstm), both_ways(x_v, module.visual_lstm)
        y_a, y_v = gated(module.audio, h_a, h_v), gated(module.visual, h_v, h_a)
        return relu(fully_connected(module.joint.linear, y_a, y_v))

    compare(module, transcription)


def test_the_forget_gate_against_numpy() -> None:
    module = spread(ForgetGateAttention(D))

    def gated(branch: Any, own: Array, other: Array) -> Array:
        c = cross(branch.attention, own, other)
        return own + logistic(fully_connected(branch.forget, own, c)) * c

    def transcription(x_a: Array, x_v: Array) -> Array:
        y_a, y_v = gated(module.audio, x_a, x_v), gated(module.visual, x_v, x_a)
        return relu(fully_connected(module.joint.linear, y_a, y_v))

    compare(module, transcription)


def test_the_gated_sequence_against_numpy() -> None:
    module = spread(GatedSequence(D))

    def transcription(x_a: Array, x_v: Array) -> Array:
        h_a, h_v = both_ways(x_a, module.audio_lstm), both_ways(x_v, module.visual_lstm)
        z = logistic(fully_connected(module.gate, h_a, h_v))  # (1, L)
        assert z.shape == (1, L)
        return both_ways(z * h_a + (1.0 - z) * h_v, module.fused_lstm)

    compare(module, transcription)
