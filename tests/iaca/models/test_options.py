"""IACA's options, each against a transcription of Eqs. 5-9 that takes the same options."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from reference import affine, layer_norm, lstm, multi_head_attention
from torch import Tensor, nn

from iaca.models.attention import CrossAttention
from iaca.models.gating import FixedGate, Gate, InconsistencyAware
from iaca.models.layers import SelfAttention
from iaca.models.regressor import AffectRegressor, ModelConfig

B, L, D = 3, 5, 4
T = 0.5
Array = NDArray[np.float64]

# Every option at least once away from its default, and some that meet each other.
OPTIONS: list[dict[str, Any]] = [
    {"stages": "first"},
    {"stages": "second"},
    {"gate_input": "both"},
    {"gate_input": "raw"},
    {"joint_gate_input": "all"},
    {"relu": False},
    {"fallback": "raw"},
    {"fallback": "lstm"},
    {"fallback": "self_attention"},
    {"gate_bias": False},
    {"stages": "first", "gate_input": "both", "relu": False, "fallback": "lstm"},
    {"stages": "second", "joint_gate_input": "all", "relu": False},
    {"gate_input": "raw", "joint_gate_input": "all", "gate_bias": False, "fallback": "raw"},
]


def named(options: dict[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items())


class Doubled(nn.Module):
    """CA, but what stage 1 may fall back to is not what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = CrossAttention(D)

    def forward(self, audio: Tensor, visual: Tensor) -> Any:
        attended = self.inner(audio, visual)
        return attended._replace(self_audio=2.0 * audio, self_visual=-3.0 * visual)


def wrapped(**options: Any) -> InconsistencyAware:
    torch.manual_seed(1)
    model = InconsistencyAware(Doubled(), D, T, **options).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def features(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    audio, visual = torch.randn(2, B, L, D, generator=generator, dtype=torch.float64)
    return audio, visual


def array(x: Tensor) -> Array:
    return x.detach().numpy().astype(np.float64)


def gate_of(x: Array, gate: nn.Module) -> Array:
    """Eqs. 5-6 at one clip."""
    weight = array(gate.linear.weight)
    bias = np.zeros(len(weight)) if gate.linear.bias is None else array(gate.linear.bias)
    powers = [math.exp((float(row @ x) + b) / T) for row, b in zip(weight, bias, strict=True)]
    return np.array(powers) / sum(powers)


def fallen_back(option: str, x: Array, returned: Array, module: nn.Module) -> Array:
    """What stage 1 may choose in place of the attended feature; ``x`` is ``(B, L, d)``."""
    if option == "module":
        return returned
    if option == "raw":
        return x
    w = {name: array(value) for name, value in module.named_parameters()}
    out = np.zeros_like(x)
    for b in range(B):
        columns = x[b].T
        if option == "lstm":
            halves = [
                lstm(
                    columns,
                    w[f"lstm.weight_ih_l0{way}"],
                    w[f"lstm.weight_hh_l0{way}"],
                    w[f"lstm.bias_ih_l0{way}"] + w[f"lstm.bias_hh_l0{way}"],
                    backwards=way == "_reverse",
                )
                for way in ("", "_reverse")
            ]
            out[b] = np.concatenate(halves).T
        else:
            normed = layer_norm(columns, w["norm.weight"], w["norm.bias"])
            inner = {key.removeprefix("attention."): value for key, value in w.items()}
            out[b] = (columns + multi_head_attention(normed, normed, inner, heads=4)[0]).T
    return out


def transcribed(model: InconsistencyAware, audio: Tensor, visual: Tensor, **options: Any) -> dict:
    """Eqs. 5-9 clip by clip, with what the options put in their places."""
    attended = model.attention(audio, visual)
    x_a, x_v, att_a, att_v = (array(x) for x in (audio, visual, attended.audio, attended.visual))
    option = options.get("fallback", "module")
    self_a = fallen_back(option, x_a, array(attended.self_audio), model.fall_back_audio)
    self_v = fallen_back(option, x_v, array(attended.self_visual), model.fall_back_visual)

    def rectified(x: Array) -> Array:
        return np.maximum(x, 0.0) if options.get("relu", True) else x

    g_a, g_v, g_av = np.zeros((B, L, 2)), np.zeros((B, L, 2)), np.zeros((B, L, 3))
    out = np.zeros((B, L, D))
    stages = options.get("stages", "both")
    for b in range(B):
        for t in range(L):
            read_a, read_v = {
                "own": (att_a[b, t], att_v[b, t]),
                "both": (np.concatenate([att_a[b, t], att_v[b, t]]),) * 2,
                "raw": (np.concatenate([x_a[b, t], x_v[b, t]]),) * 2,
            }[options.get("gate_input", "own")]
            if stages == "second":
                g_a[b, t] = g_v[b, t] = 0.0, 1.0
            else:
                g_a[b, t] = gate_of(read_a, model.gate_audio)
                g_v[b, t] = gate_of(read_v, model.gate_visual)
            ga = rectified(g_a[b, t, 0] * self_a[b, t] + g_a[b, t, 1] * att_a[b, t])
            gv = rectified(g_v[b, t, 0] * self_v[b, t] + g_v[b, t, 1] * att_v[b, t])
            pair = np.concatenate([ga, gv])
            weight, bias = array(model.joint.linear.weight), array(model.joint.linear.bias)
            gav = affine(pair[:, None], weight, bias)[:, 0]
            if stages == "first":
                g_av[b, t] = 0.0, 0.0, 1.0
            else:
                everything = options.get("joint_gate_input", "joint") == "all"
                read = np.concatenate([pair, gav]) if everything else gav
                g_av[b, t] = gate_of(read, model.gate_audio_visual)
            out[b, t] = rectified(g_av[b, t, 0] * ga + g_av[b, t, 1] * gv + g_av[b, t, 2] * gav)
    return {"audio": g_a, "visual": g_v, "audio_visual": g_av, "fused": out}


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_each_option_against_a_transcription(options: dict[str, Any]) -> None:
    model = wrapped(**options)
    audio, visual = features()
    fused, gates = model(audio, visual)
    expected = transcribed(model, audio, visual, **options)
    np.testing.assert_allclose(array(fused), expected["fused"], atol=1e-12)
    for name, weights in gates._asdict().items():
        np.testing.assert_allclose(array(weights), expected[name], atol=1e-12)


@pytest.mark.parametrize("options", OPTIONS, ids=named)
def test_each_option_changes_the_model(options: dict[str, Any]) -> None:
    """Otherwise the transcription could agree because an option is ignored on both sides."""
    model, audio, visual = wrapped(**options), *features()
    if set(options) & {"gate_input", "joint_gate_input"}:  # gates of another size cannot be shared
        with pytest.raises(RuntimeError, match="size mismatch for gate_"):
            wrapped().load_state_dict(model.state_dict(), strict=False)
        return
    default = transcribed(model, audio, visual, **{"stages": options.get("stages", "both")})
    if "gate_bias" in options:
        assert not [name for name in model.state_dict() if "gate" in name and "bias" in name]
    elif "stages" in options:
        gated = {name for name in model.state_dict() if "gate_" in name}
        assert gated and gated < {name for name in wrapped().state_dict() if "gate_" in name}
    else:
        assert not np.allclose(array(model(audio, visual)[0]), default["fused"])


def default_keys(fusion: str) -> list[str]:
    """Names of the parameters of a default CA model with two targets: saved runs have them."""
    parts = ["standardise_audio.mean", "standardise_audio.factor"]
    parts += ["standardise_visual.mean", "standardise_visual.factor"]
    parts += [f"encode_{m}.linear.{p}" for m in ("audio", "visual") for p in ("weight", "bias")]
    parts += ["fusion.attention.weight", "fusion.joint.linear.weight", "fusion.joint.linear.bias"]
    if fusion == "iaca":
        gates = ("audio", "visual", "audio_visual")
        parts += [f"fusion.gate_{g}.linear.{p}" for g in gates for p in ("weight", "bias")]
    layers = ("layers.0", "output")
    return parts + [
        f"heads.{n}.{x}.{p}" for n in (0, 1) for x in layers for p in ("weight", "bias")
    ]


@pytest.mark.parametrize("fusion", ["plain", "iaca"])
def test_default_models_keep_the_names_of_their_parameters(fusion: str) -> None:
    model = AffectRegressor(ModelConfig("ca", fusion, dim=8), 3, 4, 2)
    assert sorted(model.state_dict()) == sorted(default_keys(fusion))


CONFIGURED: list[dict[str, Any]] = [
    {},
    {"stages": "first"},
    {"stages": "second"},
    {"gate_input": "both"},
    {"joint_gate_input": "all"},
    {"gate_relu": False},
    {"gate_relu": False, "stages": "second"},
    {"fallback": "lstm"},
    {"fallback": "self_attention", "gate_input": "raw"},
]


@pytest.mark.parametrize("options", CONFIGURED, ids=named)
@pytest.mark.parametrize("attention", ["ca", "rjca", "tca"])
def test_with_its_gates_clamped_every_option_is_the_plain_model_exactly(
    attention: str, options: dict[str, Any]
) -> None:
    """Plain and gated differ in the gates alone, whichever gates they are."""
    base = {"attention": attention, "dim": 8, "window": L, "dropout": 0.0, **options}
    torch.manual_seed(3)
    plain = AffectRegressor(ModelConfig(**base), 6, 7, 2).double().eval()
    gated = AffectRegressor(ModelConfig(**base, fusion="iaca"), 6, 7, 2).double().eval()
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert not unexpected
    assert all(key.startswith(("fusion.gate_", "fusion.fall_back_")) for key in missing)
    inputs = torch.randn(B, L, 6, dtype=torch.float64), torch.randn(B, L, 7, dtype=torch.float64)
    assert not torch.equal(gated(*inputs).values, plain(*inputs).values)
    for gate, choices in (("audio", 2), ("visual", 2), ("audio_visual", 3)):
        setattr(gated.fusion, f"gate_{gate}", FixedGate(torch.eye(choices)[-1]))
    assert torch.equal(gated(*inputs).values, plain(*inputs).values)


def test_without_relu_the_plain_fusion_is_linear_and_the_head_is_not() -> None:
    config = ModelConfig("none", dim=8, encoder_norm="none", dropout=0.0, gate_relu=False)
    model = AffectRegressor(config, 3, 3, 1).double().eval()
    audio, visual = torch.randn(2, B, L, 3, dtype=torch.float64)
    zero = torch.zeros_like(audio)

    def bent(function: Any) -> Tensor:
        """Zero for an affine function, whatever its constant."""
        first, second = function(audio, zero), function(zero, visual)
        return function(audio, visual) - first - second + function(zero, zero)

    assert bent(lambda a, v: model.fusion(*model.encode(a, v))[0]).abs().max() < 1e-12
    assert bent(lambda a, v: model(a, v).values).abs().max() > 1e-6


@pytest.mark.parametrize("options", [*OPTIONS, {}], ids=named)
def test_gradients_reach_every_parameter(options: dict[str, Any]) -> None:
    model = wrapped(**options)
    model(*features())[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_stage_left_out_has_a_constant_gate_without_parameters() -> None:
    model = wrapped(stages="second")
    assert isinstance(model.gate_audio, FixedGate) and isinstance(model.gate_audio_visual, Gate)
    assert not list(model.gate_audio.parameters()) and not model.gate_audio.state_dict()
    _, gates = model(*features())
    assert torch.equal(gates.visual, torch.tensor([0.0, 1.0]).double().expand(B, L, 2))
    with model.at_temperature(7.0):
        assert model.gate_audio_visual.temperature == 7.0
    assert model.gate_audio_visual.temperature == T


def test_a_fixed_gate_says_what_it_was_given() -> None:
    gate = FixedGate(torch.tensor([0.25, 0.75]))
    logits, weights = gate(torch.randn(B, L, D))
    assert torch.equal(weights, torch.tensor([0.25, 0.75]).expand(B, L, 2))
    torch.testing.assert_close(logits.softmax(dim=-1), weights)
    with pytest.raises(ValueError, match="expected shares that sum to 1"):
        FixedGate(torch.tensor([0.5, 0.6]))
    with pytest.raises(ValueError, match="expected shares that sum to 1"):
        FixedGate(torch.tensor([1.5, -0.5]))


def test_self_attention_knows_its_place_only_with_positions() -> None:
    torch.manual_seed(0)
    x = torch.randn(B, L, 8)
    order = torch.tensor([2, 0, 4, 1, 3])
    for positions in (False, True):
        module = SelfAttention(8, positions=positions).eval()
        moved = torch.allclose(module(x)[:, order], module(x[:, order]), atol=1e-6)
        assert moved is not positions
    with pytest.raises(ValueError, match="dim 6 is not a multiple of the 4 heads"):
        SelfAttention(6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": "third"}, "stages 'third': expected one of both, first, second"),
        ({"gate_input": "all"}, "gate_input 'all': expected one of own, both, raw"),
        ({"joint_gate_input": "own"}, "joint_gate_input 'own': expected one of joint, all"),
        ({"fallback": "none"}, "fallback 'none': expected one of module, raw"),
        ({"stages": "second", "fallback": "raw"}, "stage 1 is left out"),
        ({"stages": "second", "gate_input": "both"}, "stage 1 is left out"),
        ({"stages": "first", "joint_gate_input": "all"}, "stage 2 is left out"),
    ],
    ids=lambda x: x if isinstance(x, str) else named(x),
)
def test_options_that_make_no_sense_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AffectRegressor(ModelConfig("ca", "iaca", dim=8, **options), 3, 3, 1)
