"""Parameters and multiply-adds against counts by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from companion.analysis.costs import (
    Cost,
    count,
    count_attention,
    count_fusion,
    count_regressor,
    time_predictions,
    time_steps,
)
from iaca.models.attention import Attended, CrossAttention, TransformerCrossAttention
from iaca.models.gating import Gate
from iaca.models.layers import BiLSTM
from iaca.models.regressor import AffectRegressor, ModelConfig
from iaca.models.related_work import FAMILIES

B, L, D = 2, 5, 8
CLIPS = B * L


def config(attention: str = "ca", fusion: str = "plain", **options: Any) -> ModelConfig:
    return ModelConfig(attention, fusion, dim=D, window=L, **options)


def test_a_linear_layer() -> None:
    # One product a pair of input and output; adding the bias comes with the last of them.
    assert count(nn.Linear(3, 7), torch.zeros(4, 3)) == Cost(3 * 7 + 7, 4 * 3 * 7)


def test_cross_attention() -> None:
    # X_a W: d x d a clip. Z: d for each pair of clips. X_m A_m: d for each pair, twice.
    expected = CLIPS * D * D + B * L * L * D + 2 * B * L * L * D
    assert count_attention(config(), B) == Cost(D * D, expected)
    assert count_attention(config(norm_axis="printed", scale=True), B).multiply_adds == expected


def test_a_gate() -> None:
    assert count(Gate(D, 3), torch.zeros(B, L, D)) == Cost(3 * D + 3, CLIPS * D * 3)
    without_bias = count(Gate(D, 2, bias=False), torch.zeros(B, L, D))
    assert without_bias == Cost(2 * D, CLIPS * D * 2)


def test_joint_cross_attention() -> None:
    k = 32
    # A modality: W_j J maps 2d columns of L; C is d x 2d over L clips; X^T W, C W_c and H W_h.
    each = 2 * D * L * L + D * 2 * D * L + D * L * k + D * 2 * D * k + D * k * L
    parameters = 2 * (L * L + L * k + 2 * D * k + k * L)
    assert count_attention(config("jca"), B) == Cost(parameters, B * 2 * each)


def test_an_lstm_is_counted_on_any_machine() -> None:
    units = D // 2
    # Each of two directions: four gates a unit, each reads d inputs and d/2 hidden states.
    expected = CLIPS * 2 * 4 * units * (D + units)
    parameters = 2 * 4 * units * (D + units + 2)
    for training in (True, False):
        module = BiLSTM(D).train(training)
        assert count(module, torch.zeros(B, L, D)) == Cost(parameters, expected)


def test_rjca_is_jca_twice_after_two_lstms() -> None:
    lstm = count(BiLSTM(D), torch.zeros(B, L, D))
    jca, rjca = count_attention(config("jca"), B), count_attention(config("rjca"), B)
    assert rjca.multiply_adds == 2 * jca.multiply_adds + 2 * lstm.multiply_adds
    assert rjca.parameters == jca.parameters + 2 * lstm.parameters  # one set for both recursions


@pytest.mark.parametrize("training", [True, False])
def test_transformer_cross_attention(training: bool) -> None:
    # A modality: two attentions of four d x d maps a clip and 2 d a pair of clips; d -> d -> d.
    each = 2 * (4 * CLIPS * D * D + 2 * B * L * L * D) + 2 * CLIPS * D * D
    inputs = torch.zeros(B, L, D), torch.zeros(B, L, D)
    found = count(TransformerCrossAttention(D).train(training), *inputs)
    assert found.multiply_adds == 2 * each
    maps, norms = 2 * 4 * (D * D + D) + 2 * (D * D + D), 4 * 2 * D
    assert found.parameters == 2 * (maps + norms)


@pytest.mark.parametrize("attention", ["ca", "jca", "rjca", "tca"])
def test_gates_add_the_same_to_every_attention(attention: str) -> None:
    plain = count_fusion(config(attention), B)
    iaca = count_fusion(config(attention, "iaca"), B)
    assert iaca.parameters - plain.parameters == 7 * D + 7
    assert iaca.multiply_adds - plain.multiply_adds == CLIPS * D * (2 + 2 + 3)
    joint = CLIPS * 2 * D * D
    assert plain.multiply_adds == count_attention(config(attention), B).multiply_adds + joint


def test_controls() -> None:
    plain = count_fusion(config(), B)
    wide = count_fusion(config(fusion="raw_and_attended"), B)
    assert wide.multiply_adds - plain.multiply_adds == CLIPS * 2 * D * D
    residual = count_fusion(config(fusion="residual_mlp"), B)
    assert residual.multiply_adds - plain.multiply_adds == CLIPS * 2 * D * 3  # hidden size 3
    only = count_fusion(config(fusion="gates_only"), B)
    assert only.multiply_adds == CLIPS * 2 * D * D + CLIPS * 3 * D


def test_a_regressor_adds_encoders_and_heads() -> None:
    audio_dim, visual_dim, targets, hidden = 6, 7, 2, D // 2
    whole = count_regressor(config(), audio_dim, visual_dim, targets, B)
    fusion = count_fusion(config(), B)
    encoders, heads = (audio_dim + visual_dim) * D, targets * (D * hidden + hidden)
    assert whole.multiply_adds - fusion.multiply_adds == CLIPS * (encoders + heads)
    biases = 2 * D + targets * (hidden + 1)
    assert whole.parameters - fusion.parameters == encoders + heads + biases


def test_cost_grows_with_the_batch_and_parameters_do_not() -> None:
    one, four = (count_fusion(config("rjca", "iaca"), batch) for batch in (1, 4))
    assert four == Cost(one.parameters, 4 * one.multiply_adds)


class Mean(nn.Module):
    def forward(self, audio: Tensor, visual: Tensor) -> Attended:
        return Attended((audio + visual) / 2, (audio + visual) / 2, audio, visual)


def test_a_readers_own_attention_is_counted_too() -> None:
    own = count_fusion(config(fusion="iaca"), B, attention=Mean())
    ca, alone = count_fusion(config(fusion="iaca"), B), count_attention(config(), B)
    assert own == Cost(ca.parameters - alone.parameters, ca.multiply_adds - alone.multiply_adds)
    whole = count_regressor(config(), 6, 7, 1, B, attention=Mean())
    assert whole.multiply_adds == (
        count_regressor(config(), 6, 7, 1, B).multiply_adds - alone.multiply_adds
    )


def test_counting_changes_nothing() -> None:
    module = CrossAttention(D)
    before = module.weight.detach().clone()
    count(module, torch.zeros(B, L, D), torch.zeros(B, L, D))
    assert torch.equal(module.weight, before) and module.weight.device.type == "cpu"


def test_counting_the_papers_size_takes_no_memory() -> None:
    clips, d = 64 * 16, 512
    big = ModelConfig("ca", "iaca", dim=d)
    expected = clips * (d * d + 3 * 16 * d + 2 * d * d + 7 * d)
    assert count_fusion(big, 64).multiply_adds == expected


def test_models_take_turns_and_only_timed_steps_are_returned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    order: list[str] = []
    configs = {"plain": config(), "iaca": config(fusion="iaca")}

    class Noting(AffectRegressor):
        def forward(self, *arguments: Any) -> Any:
            assert self.training
            order.append(self.config.fusion)
            return super().forward(*arguments)

    monkeypatch.setattr("companion.analysis.costs.AffectRegressor", Noting)
    seconds = time_steps(configs, 3, 4, 2, batch=B, turns=4, warm_up=1)
    assert {label: len(found) for label, found in seconds.items()} == {"plain": 4, "iaca": 4}
    assert all(value > 0 for found in seconds.values() for value in found)
    assert sorted(order) == ["iaca"] * 5 + ["plain"] * 5
    turns = [tuple(order[i : i + 2]) for i in range(0, 10, 2)]
    assert set(turns) == {("plain", "iaca"), ("iaca", "plain")}  # neither always goes first


def test_predictions_are_timed_without_gradients_and_without_dropout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passes: list[tuple[str, int, bool]] = []

    class Noting(AffectRegressor):
        def forward(self, *arguments: Any) -> Any:
            output = super().forward(*arguments)
            assert not self.training and not output.values.requires_grad
            passes.append((self.config.fusion, *output.values.shape[:2]))
            return output

    monkeypatch.setattr("companion.analysis.costs.AffectRegressor", Noting)
    configs = {"one": config("none"), "other": config("none", "gmu")}
    seconds = time_predictions(configs, 3, 4, 2, batch=B, turns=3, warm_up=2)
    assert {label: len(found) for label, found in seconds.items()} == {"one": 3, "other": 3}
    assert all(value > 0 for found in seconds.values() for value in found)
    assert sorted(passes) == [("gmu", B, L)] * 5 + [("plain", B, L)] * 5


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_can_be_counted_and_costs_grow_with_the_batch(family: str) -> None:
    one, three = (count_fusion(config("none", family), batch) for batch in (1, 3))
    assert three == Cost(one.parameters, 3 * one.multiply_adds)


def test_a_gated_multimodal_unit_is_two_maps_and_a_gate() -> None:
    # h_a and h_v: d x d a clip each; z reads both features.
    assert count_fusion(config("none", "gmu"), B) == Cost(4 * D * D, CLIPS * 4 * D * D)


def test_convolutions_are_counted_where_they_are_computed() -> None:
    # A TCN: three blocks of two convolutions with kernels of 3; padding is cut by the kernel.
    tcn = CLIPS * 3 * 2 * 3 * D * D
    fusion = count_fusion(config("none", "tcn_transformer"), B)
    same_without = count_fusion(config("none", "transformer"), B)
    assert fusion.multiply_adds - same_without.multiply_adds == 2 * tcn
