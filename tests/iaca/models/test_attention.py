"""Every attention against a plain transcription of its equations, and the contract they share."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import reference
import torch
from torch import Tensor, nn

from iaca.models.attention import (
    Attended,
    CrossAttention,
    JointCrossAttention,
    RecursiveJointCrossAttention,
    TransformerCrossAttention,
)
from iaca.models.layers import BiLSTM, Dropout, MultiheadAttention, sinusoidal_positions, tanh
from iaca.models.regressor import AffectRegressor, ModelConfig

DIM, LENGTH = 4, 3

MODULES: dict[str, Callable[[], nn.Module]] = {
    "ca": lambda: CrossAttention(DIM),
    "ca printed": lambda: CrossAttention(DIM, norm_axis="printed"),
    "ca scaled": lambda: CrossAttention(DIM, scale=True),
    "jca": lambda: JointCrossAttention(DIM, LENGTH, hidden=5),
    "rjca": lambda: RecursiveJointCrossAttention(DIM, LENGTH, hidden=5),
    "tca": lambda: TransformerCrossAttention(DIM, layers=2, heads=2),
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(7)


def features(batch: int = 2, length: int = LENGTH, dim: int = DIM) -> tuple[Tensor, Tensor]:
    return (
        torch.randn(batch, length, dim, dtype=torch.float64),
        torch.randn(batch, length, dim, dtype=torch.float64),
    )


def module(name: str) -> nn.Module:
    return MODULES[name]().double().eval()


def columns(x: Tensor) -> np.ndarray:
    """One sample, ``(L, d)``, in the papers' layout, ``(d, L)``."""
    return x.detach().numpy().T


def close(found: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=1e-12)


def numbers(layer: nn.Module) -> dict[str, np.ndarray]:
    return {key: value.detach().numpy() for key, value in layer.state_dict().items()}


@pytest.mark.parametrize("printed", [False, True])
@pytest.mark.parametrize("scale", [False, True])
def test_cross_attention_is_equations_1_to_4(printed: bool, scale: bool) -> None:
    attention = CrossAttention(DIM, "printed" if printed else "column", scale).double()
    audio, visual = features()
    found = attention(audio, visual, return_scores=True)
    factor = 1.0 / math.sqrt(DIM) if scale else 1.0
    for b in range(len(audio)):
        due = reference.cross_attention(
            columns(audio[b]), columns(visual[b]), numbers(attention)["weight"], printed, factor
        )
        for key in ("z", "a_audio", "a_visual"):
            close(found.scores[key][b], due[key])
        close(found.audio[b].mT, due["audio"])
        close(found.visual[b].mT, due["visual"])


def test_both_readings_of_equation_1() -> None:
    audio, visual = features()
    column = CrossAttention(DIM).double()
    printed = CrossAttention(DIM, norm_axis="printed").double()
    printed.load_state_dict(column.state_dict())
    in_text = column(audio, visual, return_scores=True).scores
    in_formula = printed(audio, visual, return_scores=True).scores
    ones = torch.ones(2, LENGTH, dtype=torch.float64)
    for scores, key in ((in_text, "a_audio"), (in_text, "a_visual"), (in_formula, "a_audio")):
        torch.testing.assert_close(scores[key].sum(dim=1), ones)  # columns
    torch.testing.assert_close(in_formula["a_visual"], in_formula["a_audio"].mT)
    torch.testing.assert_close(in_text["a_audio"], in_formula["a_audio"])
    assert not torch.allclose(in_text["a_visual"], in_formula["a_visual"])


def test_attended_audio_is_a_mean_of_audio_values_only() -> None:
    """Vision enters through the weights alone: with one clip there is no choice to make."""
    attention = CrossAttention(DIM).double()
    audio, visual = features(length=1)
    first = attention(audio, visual).audio
    torch.testing.assert_close(first, torch.tanh(2.0 * audio))
    torch.testing.assert_close(first, attention(audio, 5.0 * visual).audio)


def joint_weights(block: JointCrossAttention) -> dict[str, np.ndarray]:
    w = numbers(block)
    names = {
        "ja": "joint_audio",
        "jv": "joint_visual",
        "a": "own_audio",
        "v": "own_visual",
        "ca": "correlation_audio",
        "cv": "correlation_visual",
        "ha": "map_audio",
        "hv": "map_visual",
    }
    return {short: w[f"{long}.weight"] for short, long in names.items()}


def test_joint_cross_attention_is_its_equations() -> None:
    attention = JointCrossAttention(DIM, LENGTH, hidden=5).double()
    audio, visual = features()
    found = attention(audio, visual, return_scores=True)
    for b in range(len(audio)):
        due = reference.joint_cross_attention(
            columns(audio[b]), columns(visual[b]), joint_weights(attention)
        )
        close(found.audio[b].mT, due["a"])
        close(found.visual[b].mT, due["v"])
        close(found.scores["c_audio"][b], due["c_a"])
        close(found.scores["c_visual"][b], due["c_v"])


def bilstm(x: np.ndarray, layer: BiLSTM) -> np.ndarray:
    w = numbers(layer.lstm)
    return np.concatenate(
        [
            reference.lstm(
                x,
                w[f"weight_ih_l0{end}"],
                w[f"weight_hh_l0{end}"],
                w[f"bias_ih_l0{end}"] + w[f"bias_hh_l0{end}"],
                backwards=bool(end),
            )
            for end in ("", "_reverse")
        ]
    )


@pytest.mark.parametrize("recursions", [1, 2, 3])
def test_recursive_attention_feeds_jca_with_its_output(recursions: int) -> None:
    attention = RecursiveJointCrossAttention(DIM, LENGTH, 5, recursions).double()
    audio, visual = features(batch=1)
    found = attention(audio, visual, return_scores=True)
    x_a = bilstm(columns(audio[0]), attention.audio_lstm)
    x_v = bilstm(columns(visual[0]), attention.visual_lstm)
    close(found.self_audio[0].mT, x_a)
    close(found.self_visual[0].mT, x_v)
    for _ in range(recursions):
        due = reference.joint_cross_attention(x_a, x_v, joint_weights(attention.blocks[0]))
        x_a, x_v = due["a"], due["v"]
    close(found.audio[0].mT, x_a)
    close(found.visual[0].mT, x_v)
    close(found.scores["c_audio"][0], due["c_a"])


def norm(x: np.ndarray, layer: nn.Module) -> np.ndarray:
    return reference.layer_norm(x, numbers(layer)["weight"], numbers(layer)["bias"])


def test_transformer_attention_is_self_then_cross_then_feed_forward() -> None:
    heads = 2
    attention = TransformerCrossAttention(DIM, layers=2, heads=heads).double().eval()
    for parameter in attention.parameters():  # biases and norms start at 0 and 1: hide nothing
        nn.init.normal_(parameter, std=0.5)
    audio, visual = features(batch=1)
    found = attention(audio, visual, return_scores=True)
    at = reference.positions(DIM, LENGTH)
    x = {"audio": columns(audio[0]) + at, "visual": columns(visual[0]) + at}
    other = {"audio": "visual", "visual": "audio"}
    fallbacks = []
    for layer in attention.layers:
        own, weights = {}, {}
        for name in x:
            branch = getattr(layer, name)
            normed = norm(x[name], branch.norm_self)
            own[name] = (
                x[name]
                + reference.multi_head_attention(
                    normed, normed, numbers(branch.self_attention), heads
                )[0]
            )
        for name in x:
            branch = getattr(layer, name)
            attended, weights[name] = reference.multi_head_attention(
                norm(own[name], branch.norm_query),
                norm(own[other[name]], branch.norm_other),
                numbers(branch.cross_attention),
                heads,
            )
            summed = own[name] + attended
            w = numbers(branch.feed_forward)
            hidden = reference.affine(norm(summed, branch.norm_feed), w["0.weight"], w["0.bias"])
            x[name] = summed + reference.affine(reference.relu(hidden), w["3.weight"], w["3.bias"])
        fallbacks.append(own)
    # Single-precision positions bound the agreement.
    for name in x:
        np.testing.assert_allclose(columns(getattr(found, name)[0]), x[name], atol=1e-6)
        np.testing.assert_allclose(
            columns(getattr(found, f"self_{name}")[0]), fallbacks[0][name], atol=1e-6
        )
        np.testing.assert_allclose(
            found.scores[f"a_{name}"][0].detach().numpy(), weights[name], atol=1e-6
        )


@pytest.mark.parametrize("dim", [4, 5, 64])
def test_sinusoidal_positions(dim: int) -> None:
    np.testing.assert_allclose(
        sinusoidal_positions(16, dim).numpy().T, reference.positions(dim, 16), atol=1e-5
    )


@pytest.mark.parametrize("name", MODULES)
def test_samples_of_a_batch_do_not_touch(name: str) -> None:
    attention = module(name)
    audio, visual = features(batch=3)
    together = attention(audio, visual)
    changed = audio.clone(), visual.clone()
    for x in changed:
        x[1] += 3.0
    other = attention(*changed)
    alone = attention(audio[:1], visual[:1])
    for field in ("audio", "visual", "self_audio", "self_visual"):
        torch.testing.assert_close(getattr(together, field)[:1], getattr(alone, field))
        torch.testing.assert_close(getattr(together, field)[0], getattr(other, field)[0])
        assert not torch.allclose(getattr(together, field)[1], getattr(other, field)[1])


@pytest.mark.parametrize("name", MODULES)
def test_every_attention_keeps_the_contract(name: str) -> None:
    attention = module(name)
    audio, visual = features()
    plain, scored = attention(audio, visual), attention(audio, visual, return_scores=True)
    assert isinstance(plain, Attended)
    assert plain.scores is None
    assert scored.scores
    assert len(scored.scores) in (2, 3)
    for field in ("audio", "visual", "self_audio", "self_visual"):
        assert getattr(plain, field).shape == audio.shape
        torch.testing.assert_close(getattr(plain, field), getattr(scored, field))
    if name.startswith(("ca", "jca")):  # raw input
        assert plain.self_audio is audio
        assert plain.self_visual is visual
    else:  # of its own modality alone
        again = attention(audio, visual.flip(dims=(1,)) ** 3)
        torch.testing.assert_close(plain.self_audio, again.self_audio)
        assert not torch.allclose(plain.self_visual, again.self_visual)
        assert not torch.allclose(plain.audio, again.audio)
        assert not torch.allclose(plain.self_audio, audio)


@pytest.mark.parametrize("name", ["jca", "rjca"])
def test_another_length_than_the_weights_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match=r"windows of 5 clips.*fix 3"):
        module(name)(*features(length=5))


@pytest.mark.parametrize("name", ["ca", "tca"])
def test_any_length_will_do(name: str) -> None:
    assert module(name)(*features(length=9)).audio.shape == (2, 9, DIM)


def test_impossible_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        BiLSTM(5)
    with pytest.raises(ValueError, match="multiple"):
        TransformerCrossAttention(6, heads=4)
    with pytest.raises(ValueError, match="recursions 0"):
        RecursiveJointCrossAttention(DIM, LENGTH, recursions=0)


def test_attention_at_initialisation(capsys: pytest.CaptureFixture[str]) -> None:
    """How peaked Eq. 1 is before training depends on the encoder's norm and on d."""
    rows = []
    entropy: dict[tuple[str, int], float] = {}
    for norm_name in ("l2", "layer", "none"):
        for dim in (64, 512):
            torch.manual_seed(0)
            model = AffectRegressor(ModelConfig(dim=dim, encoder_norm=norm_name), 32, 48, 2).eval()
            with torch.no_grad():
                encoded = model.encode(torch.randn(32, 16, 32), torch.randn(32, 16, 48))
                scores = model.fusion.attention(*encoded, return_scores=True).scores
            a = scores["a_audio"]
            # Of a column's distribution, relative to the uniform one: 1 is uniform, 0 one-hot.
            relative = -torch.xlogy(a, a).sum(dim=1) / math.log(16)
            entropy[norm_name, dim] = float(relative.mean())
            deviation = float(scores["z"].std())
            rows.append(f"{norm_name:>5} {dim:4d} {deviation:9.3f} {entropy[norm_name, dim]:9.3f}")
            # W has variance 1/d; the vectors have length 1 under l2 and sqrt(d) under layer.
            if norm_name == "l2":
                assert deviation == pytest.approx(1.0 / math.sqrt(dim), rel=0.15)
            elif norm_name == "layer":
                assert deviation == pytest.approx(math.sqrt(dim), rel=0.15)
    with capsys.disabled():
        print("\nCA at initialisation\n norm    d  std of Z   entropy", *rows, sep="\n")
    for dim in (64, 512):
        assert entropy["l2", dim] > 0.99
        assert entropy["layer", dim] < 0.4
        assert entropy["layer", dim] < entropy["none", dim] < entropy["l2", dim]
    assert entropy["layer", 512] < entropy["layer", 64]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_tanh_is_tanh_and_so_is_its_gradient(dtype: torch.dtype) -> None:
    x = torch.tensor([-60.0, -3.0, -1e-3, 0.0, 1e-6, 0.2, 9.0], dtype=dtype, requires_grad=True)
    found = tanh(x)
    found.sum().backward()
    exact = np.tanh(x.detach().double().numpy())
    tolerance = 2 * torch.finfo(dtype).eps
    np.testing.assert_allclose(found.detach().double(), exact, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(x.grad.double(), 1 - exact**2, atol=4 * torch.finfo(dtype).eps)  # type: ignore[union-attr]


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_dropout_keeps_its_share_and_the_mean(probability: float) -> None:
    torch.manual_seed(0)
    layer, x = Dropout(probability), torch.full((7, 11, 1301), 3.0, requires_grad=True)
    y = layer(x)
    kept = y != 0
    deviation = (probability * (1 - probability) / x.numel()) ** 0.5
    assert abs(float(kept.double().mean()) - (1 - probability)) < 5 * deviation + 2**-16
    torch.testing.assert_close(
        y[kept], torch.full_like(y[kept], 3 / (1 - probability)), rtol=1e-4, atol=0
    )
    y.sum().backward()
    torch.testing.assert_close(x.grad, y.detach() / 3)
    neighbours = (kept[..., 1:] & kept[..., :-1]).double().mean()  # elements are independent
    assert abs(float(neighbours) - (1 - probability) ** 2) < 0.01
    assert not torch.equal(layer(x), y) and layer.eval()(x) is x
    with pytest.raises(ValueError, match=r"dropout 1\.0: expected"):
        Dropout(1.0)


@pytest.mark.parametrize("itself", [True, False])
def test_attention_with_heads_is_torchs(itself: bool) -> None:
    torch.manual_seed(0)
    mine, theirs = MultiheadAttention(8, 2, 0.3).eval(), nn.MultiheadAttention(8, 2, 0.3).eval()
    nn.init.normal_(mine.in_proj_bias)
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(3, 5, 8)
    other = x if itself else torch.randn(3, 5, 8)
    theirs.batch_first = True
    found = mine(x, other)
    expected = theirs(x, other, other, average_attn_weights=False)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)
    mine.train()
    assert not torch.allclose(mine(x, other)[0], found[0])  # dropout
    torch.testing.assert_close(mine(x, other)[1], found[1])  # of which the weights show nothing
