"""What a model costs: parameters, and multiply-adds of a forward pass, whatever its attention.

Multiply-adds are those of matrix products, as torch's own counter sees them. Elementwise work
(softmax, tanh, weighing by a gate, normalisation) is not counted: it is memory traffic rather than
arithmetic, and only a clock tells what it costs. Nothing is computed and no feature is stored, so
that a model of any size can be counted on any machine.
"""

import copy
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from iaca.learning.config import TrainingConfig, adamw
from iaca.learning.metrics import ccc_loss
from iaca.models.regressor import AffectRegressor, ModelConfig, build_fusion, count_parameters


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


def time_steps(
    configs: Mapping[str, ModelConfig],
    audio_dim: int,
    visual_dim: int,
    targets: int,
    batch: int,
    turns: int = 20,
    warm_up: int = 3,
    device: str = "cpu",
) -> dict[str, list[float]]:
    """Time whole training steps on random data: forward, loss, backward, AdamW.

    The models take turns, one step each, every other turn backwards: what else the machine does
    falls on all of them alike, and ratios within a turn can be trusted more than times.

    Args:
        configs: label -> model.
        audio_dim: d_a.
        visual_dim: d_v.
        targets: n.
        batch: B, windows a step.
        turns: steps of each model that are timed.
        warm_up: steps of each before.
        device: ``cpu`` or ``cuda``.

    Returns:
        Label -> seconds, one a turn.
    """
    steps = {
        label: _training_step(
            AffectRegressor(config, audio_dim, visual_dim, targets), batch, device
        )
        for label, config in configs.items()
    }
    return _take_turns(steps, turns, warm_up, device)


def time_predictions(
    configs: Mapping[str, ModelConfig],
    audio_dim: int,
    visual_dim: int,
    targets: int,
    batch: int,
    turns: int = 20,
    warm_up: int = 3,
    device: str = "cpu",
) -> dict[str, list[float]]:
    """Time forward passes in evaluation mode, without gradients, on random data.

    Divided by ``batch`` and the window's length, they are times a clip where many are predicted at
    once. All else is as in `time_steps`.
    """
    passes = {
        label: _forward_pass(AffectRegressor(config, audio_dim, visual_dim, targets), batch, device)
        for label, config in configs.items()
    }
    return _take_turns(passes, turns, warm_up, device)


def _take_turns(
    calls: Mapping[str, Callable[[], None]], turns: int, warm_up: int, device: str
) -> dict[str, list[float]]:
    labels = list(calls)
    seconds: dict[str, list[float]] = {label: [] for label in labels}
    for turn in range(-warm_up, turns):
        for label in labels if turn % 2 else reversed(labels):
            started = time.perf_counter()
            calls[label]()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn >= 0:
                seconds[label].append(time.perf_counter() - started)
    return seconds


def _forward_pass(model: AffectRegressor, batch: int, device: str) -> Callable[[], None]:
    model.to(device).eval()
    audio, visual = _random_windows(model, batch, device)

    def predict() -> None:
        with torch.inference_mode():
            model(audio, visual)

    return predict


def _random_windows(model: AffectRegressor, batch: int, device: str) -> tuple[Tensor, Tensor]:
    length = model.config.window
    widths = [encode.linear.in_features for encode in (model.encode_audio, model.encode_visual)]
    audio, visual = (torch.randn(batch, length, width, device=device) for width in widths)
    return audio, visual


def _training_step(model: AffectRegressor, batch: int, device: str) -> Callable[[], None]:
    model.to(device).train()
    audio, visual = _random_windows(model, batch, device)
    labels = torch.randn(*audio.shape[:2], len(model.heads), device=device)
    optimiser = adamw(model.named_parameters(), TrainingConfig(), device)

    def step() -> None:
        loss = ccc_loss(model(audio, visual).values, labels)
        assert loss is not None
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def _features(config: ModelConfig, batch: int) -> tuple[Tensor, Tensor]:
    shape = (batch, config.window, config.dim)
    return torch.empty(shape, device="meta"), torch.empty(shape, device="meta")
