"""IACA against a transcription of Eqs. 5-9, and against what it must be when its gates are shut."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from toys import toy_split, toy_store

from iaca.learning.config import TrainingConfig
from iaca.learning.loop import train_together
from iaca.learning.training import Training
from iaca.models.attention import Attended, CrossAttention
from iaca.models.gating import FixedGate, Gate, InconsistencyAware
from iaca.models.regressor import AffectRegressor, ModelConfig

B, L, D = 3, 5, 4
ATTENTIONS = ("ca", "jca", "rjca", "tca")
Array = NDArray[np.float64]


def features(seed: int = 0, dim: int = D, length: int = L) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(2, B, length, dim, generator=generator, dtype=torch.float64)
    return audio, visual


def wrapped(**options: object) -> InconsistencyAware:
    torch.manual_seed(1)
    model = InconsistencyAware(CrossAttention(D), D, **options).double()  # type: ignore[arg-type]
    for parameter in model.parameters():  # biases that start at zero would hide a missing one
        nn.init.normal_(parameter, std=0.3)
    return model


def softmax_over(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(z / temperature) for z in logits]
    return [power / sum(powers) for power in powers]


def linear(x: Array, layer: nn.Linear) -> list[float]:
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    return [sum(x[i] * weight[k, i] for i in range(len(x))) + bias[k] for k in range(len(bias))]


def transcribed(
    model: InconsistencyAware, attended: Attended, temperature: float
) -> tuple[Array, Array, Array, Array]:
    """Eqs. 5-9, one clip and one feature at a time: ``G_a, G_v, G_av, X_att,g``."""
    x_a, x_v = (x.detach().numpy() for x in (attended.self_audio, attended.self_visual))
    att_a, att_v = (x.detach().numpy() for x in (attended.audio, attended.visual))
    g_a, g_v, g_av = np.zeros((B, L, 2)), np.zeros((B, L, 2)), np.zeros((B, L, 3))
    out = np.zeros((B, L, D))
    for b in range(B):
        for t in range(L):
            g_a[b, t] = softmax_over(linear(att_a[b, t], model.gate_audio.linear), temperature)
            g_v[b, t] = softmax_over(linear(att_v[b, t], model.gate_visual.linear), temperature)
            ga, gv = np.zeros(D), np.zeros(D)
            for i in range(D):
                gv[i] = max(0.0, x_v[b, t, i] * g_v[b, t, 0] + att_v[b, t, i] * g_v[b, t, 1])
                ga[i] = max(0.0, x_a[b, t, i] * g_a[b, t, 0] + att_a[b, t, i] * g_a[b, t, 1])
            gav = linear(np.concatenate([ga, gv]), model.joint.linear)
            g_av[b, t] = softmax_over(
                linear(np.array(gav), model.gate_audio_visual.linear), temperature
            )
            for i in range(D):
                out[b, t, i] = max(
                    0.0, ga[i] * g_av[b, t, 0] + gv[i] * g_av[b, t, 1] + gav[i] * g_av[b, t, 2]
                )
    return g_a, g_v, g_av, out


@pytest.mark.parametrize("temperature", [0.1, 0.7, 3.0])
def test_equations_5_to_9_against_their_transcription(temperature: float) -> None:
    model = wrapped(temperature=temperature)
    audio, visual = features()
    fused, gates = model(audio, visual)
    g_a, g_v, g_av, x_att_g = transcribed(model, model.attention(audio, visual), temperature)
    for found, expected in ((gates.audio, g_a), (gates.visual, g_v), (gates.audio_visual, g_av)):
        np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(fused.detach().numpy(), x_att_g, atol=1e-12)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_clamped_to_attended_and_joint_it_is_plain_exactly(attention: str) -> None:
    config = {"attention": attention, "dim": 8, "window": L, "dropout": 0.0}
    torch.manual_seed(3)
    plain = AffectRegressor(ModelConfig(**config), 6, 7, 2).double().eval()
    gated = AffectRegressor(ModelConfig(**config, fusion="iaca"), 6, 7, 2).double().eval()
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert missing and all(key.startswith("fusion.gate_") for key in missing)
    gated.fusion.gate_audio = FixedGate(torch.tensor([0.0, 1.0]))
    gated.fusion.gate_visual = FixedGate(torch.tensor([0.0, 1.0]))
    gated.fusion.gate_audio_visual = FixedGate(torch.tensor([0.0, 0.0, 1.0]))
    generator = torch.Generator().manual_seed(4)
    audio = torch.randn(B, L, 6, generator=generator, dtype=torch.float64)
    visual = torch.randn(B, L, 7, generator=generator, dtype=torch.float64)
    expected = plain(audio, visual).values
    # A recurrent layer may round its last bit differently from one call to the next.
    torch.testing.assert_close(gated(audio, visual).values, expected, atol=1e-14, rtol=0)
    gated.fusion.gate_audio = FixedGate(torch.tensor([1.0, 0.0]))
    assert (gated(audio, visual).values - expected).abs().max() > 1e-6


def test_zero_started_gates_start_even_and_still_learn() -> None:
    gate = Gate(D, 3, init="zero").double()
    x, _ = features()
    _, weights = gate(x)
    assert torch.equal(weights, torch.full_like(weights, 1 / 3))
    weights[..., 0].sum().backward()
    assert gate.linear.weight.grad is not None and gate.linear.weight.grad.abs().sum() > 0


def test_initialisation_follows_its_name() -> None:
    bound = math.sqrt(6 / (512 + 2))  # Glorot & Bengio 2010, eq. 16
    torch.manual_seed(0)
    weight = Gate(512, 2, init="xavier").linear.weight
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert torch.equal(Gate(512, 2, init="xavier").linear.bias, torch.zeros(2))
    assert Gate(512, 2, init="default").linear.weight.abs().max() <= 1 / math.sqrt(512)
    assert Gate(512, 2, bias=False).linear.bias is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature 0.0: expected a positive"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"gate_init": "ones"}, "gate_init 'ones': expected one of xavier, zero, default"),
    ],
)
def test_bad_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InconsistencyAware(CrossAttention(D), D, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("gate_init", ["xavier", "zero", "default"])
def test_with_one_seed_all_arms_start_from_the_same_shared_weights(
    attention: str, gate_init: str
) -> None:
    config = {"attention": attention, "dim": 8, "window": L}
    torch.manual_seed(5)
    plain = AffectRegressor(ModelConfig(**config), 6, 7, 2).state_dict()
    torch.manual_seed(5)
    gated = AffectRegressor(ModelConfig(**config, fusion="iaca", gate_init=gate_init), 6, 7, 2)
    for name, weights in gated.state_dict().items():
        if not name.startswith("fusion.gate_"):
            assert torch.equal(weights, plain[name]), name


def test_training_draws_the_same_dropout_in_every_arm(tmp_path: Path) -> None:
    store = toy_store(tmp_path / "store", rows=(20, 20, 20, 20))
    states = []
    for options in ({}, {"fusion": "iaca"}, {"fusion": "iaca", "gate_init": "zero"}):
        model = ModelConfig(dim=8, dropout=0.3, **options)
        training = Training(model, TrainingConfig(epochs=1), store, toy_split(), 3, "cpu")
        began = training.generator.get_state()
        train_together([training], "sequential", [None])
        assert not torch.equal(training.generator.get_state(), began)
        states += [(began, training.generator.get_state())]
    for began, ended in states:
        assert torch.equal(began, states[0][0]) and torch.equal(ended, states[0][1])
