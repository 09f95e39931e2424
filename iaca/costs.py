"""What a model costs: parameters, and multiply-adds of a forward pass, whatever its attention.

Multiply-adds are those of matrix products, as torch's own counter sees them. Elementwise work
(softmax, tanh, weighing by a gate, normalisation) is not counted: it is memory traffic rather than
arithmetic, and only a clock tells what it costs. Nothing is computed and no feature is stored, so
that a model of any size can be counted on any machine.
"""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from iaca.models.regressor import (
    AffectRegressor,
    ModelConfig,
    build_attention,
    build_fusion,
    count_parameters,
)


class Cost(NamedTuple):
    """What a module costs.

    Attributes:
        parameters: numbers that it learns.
        multiply_adds: of the matrix products of one forward pass.
    """

    parameters: int
    multiply_adds: int


def count(module: nn.Module, *inputs: Tensor) -> Cost:
    """Count a module at inputs of some shapes; their content does not matter, nor their device.

    A backward pass costs about twice as much again. The module is copied, not changed.
    """
    # Without data every product is one that the counter knows; on a CPU the fused kernels of
    # LSTMs and of attention in evaluation mode are not.
    shadow = copy.deepcopy(module).to("meta")
    shapes = [torch.empty_like(x, device="meta") for x in inputs]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(*shapes)
    return Cost(count_parameters(module), counter.get_total_flops() // 2)


def count_attention(config: ModelConfig, batch: int = 1) -> Cost:
    """Count a configuration's attention alone, at ``(batch, L, d)``."""
    return count(build_attention(config), *_features(config, batch))


def count_fusion(config: ModelConfig, batch: int = 1, attention: nn.Module | None = None) -> Cost:
    """Count an attention with what fuses its features, gates included, at ``(batch, L, d)``.

    Args:
        config: the model.
        batch: B.
        attention: the reader's own module in place of the one that ``config`` names.
    """
    return count(build_fusion(config, attention), *_features(config, batch))


def count_regressor(
    config: ModelConfig,
    audio_dim: int,
    visual_dim: int,
    targets: int,
    batch: int = 1,
    attention: nn.Module | None = None,
) -> Cost:
    """Count a whole model, encoders and heads included, at ``(batch, L, d_a)`` and ``d_v``."""
    model = AffectRegressor(config, audio_dim, visual_dim, targets, attention)
    audio = torch.empty(batch, config.window, audio_dim, device="meta")
    visual = torch.empty(batch, config.window, visual_dim, device="meta")
    return count(model, audio, visual)


def _features(config: ModelConfig, batch: int) -> tuple[Tensor, Tensor]:
    shape = (batch, config.window, config.dim)
    return torch.empty(shape, device="meta"), torch.empty(shape, device="meta")
