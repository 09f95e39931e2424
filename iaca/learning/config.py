"""How a model is trained: the optimiser and its settings."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

from iaca.models.regressor import GATED, ModelConfig

Precision = Literal["32", "tf32", "bf16"]


class TrainingError(RuntimeError):
    """Training cannot start or go on.

    A configuration that makes no sense, no window to train on, a checkpoint that is damaged or
    another training's, or a loss or prediction that is not finite: the message names the field,
    the file, or the epoch, the batch and its windows.
    """


@dataclass(frozen=True)
class TrainingConfig:
    """How a model is trained; the same for all models.

    Attributes:
        epochs: passes over the training windows.
        batch_size: windows a step.
        hop: rows between the starts of training windows.
        learning_rate: AdamW's; constant, unless the protocol lets it jump.
        gate_rate: factor on the learning rate of the gates' parameters alone.
        weight_decay: AdamW's.
        clip_norm: largest gradient norm.
        precision: of training; evaluation is in float32. ``32``: float32 throughout. ``tf32``: a
            GPU's matrix products round their inputs to 10 bits of mantissa. ``bf16``: forward
            passes in bfloat16 where torch deems it safe, weights in float32.
        temperature_start: T of the gates in the first epoch; it then falls (or rises) by the same
            factor every epoch to the model's own T. Without it, T is the model's throughout.
        anneal_epochs: epochs until the model's own T is reached.
        modality_dropout: probability that a window loses clips, see `drop_modality`.
    """

    epochs: int = 20
    batch_size: int = 32
    hop: int = 8
    learning_rate: float = 2e-3
    gate_rate: float = 1.0
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    precision: Precision = "32"
    temperature_start: float | None = None
    anneal_epochs: int = 10
    modality_dropout: float = 0.0

    def temperature(self, epoch: int, final: float) -> float:
        """T in an epoch (counted from 0) of a model whose own T is ``final``."""
        start = self.temperature_start
        if start is None or epoch >= self.anneal_epochs:
            return final
        return start * (final / start) ** (epoch / self.anneal_epochs)

    def check(self, model: ModelConfig, device: torch.device) -> None:
        """Raise `TrainingError`, naming the field, for what makes no sense for a model."""
        start, dropout, epochs = self.temperature_start, self.modality_dropout, self.anneal_epochs
        expected = [
            (self.epochs >= 1, f"epochs {self.epochs}: expected at least 1"),
            (self.gate_rate > 0, f"gate_rate {self.gate_rate}: expected a positive number"),
            (
                self.gate_rate == 1.0 or model.fusion in GATED,
                f"gate_rate {self.gate_rate}: fusion {model.fusion!r} has no gates that learn",
            ),
            (self.batch_size >= 1, f"batch_size {self.batch_size}: expected at least 1"),
            (0.0 <= dropout <= 1.0, f"modality_dropout {dropout}: expected a probability, 0 to 1"),
            (
                self.precision in get_args(Precision),
                f"precision {self.precision!r}: expected one of {', '.join(get_args(Precision))}",
            ),
            (
                self.precision != "tf32" or device.type == "cuda",
                "precision 'tf32': a GPU's, expected '32' or 'bf16' on a CPU",
            ),
        ]
        if start is not None:
            expected += [
                (start > 0, f"temperature_start {start}: expected a positive number"),
                (epochs >= 1, f"anneal_epochs {epochs}: expected at least 1"),
                (
                    model.fusion in GATED,
                    f"temperature_start: fusion {model.fusion!r} has no gates that learn",
                ),
            ]
        for holds, message in expected:
            if not holds:
                raise TrainingError(message)


def adamw(
    parameters: Iterable[tuple[str, nn.Parameter]],
    config: TrainingConfig,
    device: torch.device | str,
) -> torch.optim.AdamW:
    """The optimiser of parameters on a device; on a GPU, a CUDA graph can capture its step.

    With a `gate_rate` of their own, gates are a second group; `set_rate` changes the rate of both.

    Args:
        parameters: a regressor's, by name.
        config: rates and decay.
        device: where they are.
    """
    named = dict(parameters)
    groups: list[dict[str, Any]] = [{"params": [*named.values()], "factor": 1.0}]
    if config.gate_rate != 1.0:
        gates = [named.pop(name) for name in [*named] if name.startswith("fusion.gate_")]
        groups[0]["params"] = [*named.values()]
        groups.append({"params": gates, "factor": config.gate_rate})
    optimiser = torch.optim.AdamW(
        groups,
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
        fused=True,  # the default takes one parameter at a time on a CPU, in Python
        capturable=torch.device(device).type == "cuda",
    )
    set_rate(optimiser, config.learning_rate)
    return optimiser


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate; the gates' keeps its factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


@contextmanager
def products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Let a GPU round the inputs of float32 products if ``tf32`` is asked for, else never."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def dropout_seed(seed: int) -> int:
    """Seed of the random stream that training itself uses, apart from initialisation's."""
    return 2**32 + seed
