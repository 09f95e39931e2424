"""Parameters and multiply-adds against counts by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from companion.analysis.costs import (
    Cost,
    count,
    count_fusion,
    count_regressor,
    time_predictions,
    time_steps,
)
from iaca.models.attention import Attended, TransformerCrossAttention
from iaca.models.gating import Gate
from iaca.models.layers import BiLSTM
from iaca.models.regressor import FAMILIES, AffectRegressor, ModelConfig, build_attention

B, L, D = 2, 5, 8
CLIPS = B * L
FEATURES = torch.zeros(B, L, D)


def config(attention: str = "ca", fusion: str = "plain", **options: Any) -> ModelConfig:
    return ModelConfig(attention, fusion, dim=D, window=L, **options)


def attention_cost(attention: str, **options: Any) -> Cost:
    return count(build_attention(config(attention, **options)), FEATURES, FEATURES)


def test_layers() -> None:
    # One product a pair of input and output; adding the bias comes with the last of them.
    assert count(nn.Linear(3, 7), torch.zeros(4, 3)) == Cost(3 * 7 + 7, 4 * 3 * 7)
    assert count(Gate(D, 3), FEATURES) == Cost(3 * D + 3, CLIPS * D * 3)
    assert count(Gate(D, 2, bias=False), FEATURES) == Cost(2 * D, CLIPS * D * 2)


@pytest.mark.parametrize("training", [True, False])
def test_lstms_and_attention_are_counted_in_either_mode_on_any_machine(training: bool) -> None:
    units = D // 2
    # Each of two directions: four gates a unit, each reads d inputs and d/2 hidden states.
    lstm = Cost(2 * 4 * units * (D + units + 2), CLIPS * 2 * 4 * units * (D + units))
    assert count(BiLSTM(D).train(training), FEATURES) == lstm
    # TCA, a modality: two attentions of four d x d maps a clip and 2 d a pair; d to d to d.
    each = 2 * (4 * CLIPS * D * D + 2 * B * L * L * D) + 2 * CLIPS * D * D
    maps, norms = 2 * 4 * (D * D + D) + 2 * (D * D + D), 4 * 2 * D
    tca = count(TransformerCrossAttention(D).train(training), FEATURES, FEATURES)
    assert tca == Cost(2 * (maps + norms), 2 * each)


def test_cross_attentions() -> None:
    # CA. X_a W: d x d a clip. Z: d for each pair of clips. X_m A_m: d for each pair, twice.
    expected = CLIPS * D * D + B * L * L * D + 2 * B * L * L * D
    assert attention_cost("ca") == Cost(D * D, expected)
    assert attention_cost("ca", norm_axis="printed", scale=True).multiply_adds == expected
    # JCA, a modality: W_j J maps 2d columns of L; C is d x 2d over L clips; X^T W, C W_c and H W_h.
    k = 32
    each = 2 * D * L * L + D * 2 * D * L + D * L * k + D * 2 * D * k + D * k * L
    jca = Cost(2 * (L * L + L * k + 2 * D * k + k * L), B * 2 * each)
    assert attention_cost("jca") == jca
    lstm = count(BiLSTM(D), FEATURES)  # RJCA is JCA twice after two of them, with one set of maps
    parameters = jca.parameters + 2 * lstm.parameters
    assert attention_cost("rjca") == Cost(parameters, 2 * jca[1] + 2 * lstm.multiply_adds)


@pytest.mark.parametrize("attention", ["ca", "jca", "rjca", "tca"])
def test_gates_add_the_same_to_every_attention(attention: str) -> None:
    plain = count_fusion(config(attention), B)
    iaca = count_fusion(config(attention, "iaca"), B)
    assert iaca.parameters - plain.parameters == 7 * D + 7
    assert iaca.multiply_adds - plain.multiply_adds == CLIPS * D * (2 + 2 + 3)
    assert plain.multiply_adds == attention_cost(attention).multiply_adds + CLIPS * 2 * D * D


def test_controls() -> None:
    plain, wide, residual, only = (
        count_fusion(config(fusion=fusion), B).multiply_adds
        for fusion in ("plain", "raw_and_attended", "residual_mlp", "gates_only")
    )
    assert wide - plain == CLIPS * 2 * D * D
    assert residual - plain == CLIPS * 2 * D * 3  # hidden size 3
    assert only == CLIPS * 2 * D * D + CLIPS * 3 * D


def test_a_regressor_adds_encoders_and_heads() -> None:
    audio_dim, visual_dim, targets, hidden = 6, 7, 2, D // 2
    whole = count_regressor(config(), audio_dim, visual_dim, targets, B)
    fusion = count_fusion(config(), B)
    encoders, heads = (audio_dim + visual_dim) * D, targets * (D * hidden + hidden)
    assert whole.multiply_adds - fusion.multiply_adds == CLIPS * (encoders + heads)
    biases = 2 * D + targets * (hidden + 1)
    assert whole.parameters - fusion.parameters == encoders + heads + biases


class Mean(nn.Module):
    def forward(self, audio: Tensor, visual: Tensor) -> Attended:
        return Attended((audio + visual) / 2, (audio + visual) / 2, audio, visual)


def test_a_readers_own_attention_is_counted_too() -> None:
    alone = attention_cost("ca")
    own = count_fusion(config(fusion="iaca"), B, attention=Mean())
    ca = count_fusion(config(fusion="iaca"), B)
    assert own == Cost(ca.parameters - alone.parameters, ca.multiply_adds - alone.multiply_adds)
    whole = count_regressor(config(), 6, 7, 1, B, attention=Mean()).multiply_adds
    assert whole == count_regressor(config(), 6, 7, 1, B).multiply_adds - alone.multiply_adds


def test_counting_changes_nothing_and_takes_no_memory_at_the_papers_size() -> None:
    module = nn.Linear(D, D)
    before = module.weight.detach().clone()
    count(module, FEATURES)
    assert torch.equal(module.weight, before) and module.weight.device.type == "cpu"
    clips, d = 64 * 16, 512
    expected = clips * (d * d + 3 * 16 * d + 2 * d * d + 7 * d)
    assert count_fusion(ModelConfig("ca", "iaca", dim=d), 64).multiply_adds == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_counted_and_costs_grow_with_the_batch(family: str) -> None:
    one, three = (count_fusion(config("none", family), batch) for batch in (1, 3))
    assert three == Cost(one.parameters, 3 * one.multiply_adds)


def test_families() -> None:
    # h_a and h_v: d x d a clip each; z reads both features.
    assert count_fusion(config("none", "gmu"), B) == Cost(4 * D * D, CLIPS * 4 * D * D)
    # A TCN: three blocks of two convolutions with kernels of 3; padding is cut by the kernel.
    tcn = CLIPS * 3 * 2 * 3 * D * D
    with_it, without = (
        count_fusion(config("none", family), B).multiply_adds
        for family in ("tcn_transformer", "transformer")
    )
    assert with_it - without == 2 * tcn


@pytest.mark.parametrize(("timed", "training"), [(time_steps, True), (time_predictions, False)])
def test_models_take_turns_and_only_timed_turns_are_returned(
    timed: Callable[..., dict[str, list[float]]], training: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    class Noting(AffectRegressor):
        def forward(self, *arguments: Any) -> Any:
            output = super().forward(*arguments)
            assert self.training == output.values.requires_grad == training
            assert output.values.shape[:2] == (B, L)
            order.append(self.config.fusion)
            return output

    monkeypatch.setattr("companion.analysis.costs.AffectRegressor", Noting)
    configs = {"plain": config(), "iaca": config(fusion="iaca")}
    seconds = timed(configs, 3, 4, 2, batch=B, turns=4, warm_up=1)
    assert {label: len(found) for label, found in seconds.items()} == {"plain": 4, "iaca": 4}
    assert all(value > 0 for found in seconds.values() for value in found)
    assert sorted(order) == ["iaca"] * 5 + ["plain"] * 5
    turns = [tuple(order[i : i + 2]) for i in range(0, 10, 2)]
    assert set(turns) == {("plain", "iaca"), ("iaca", "plain")}  # neither always goes first
