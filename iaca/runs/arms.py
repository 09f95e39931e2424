"""Plain attention and its gated arms."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from torch import Tensor

from iaca.runs.runs import Run


class Arm(StrEnum):
    """What is done with an attention, by the label that tables and figures show.

    The paper says of its gates neither how they start, nor whether they have a bias, nor what T
    is. ``SIBLING`` has what the code of the same authors' earlier gate has: Xavier, a bias, 0.1.
    That gate has stage 1 alone; that stage 2 starts in the same way is our reading.
    ``ZERO_STARTED`` is ours: weights and biases start at zero, the rest is the same.
    """

    PLAIN = "plain"
    SIBLING = "sibling's gates"
    ZERO_STARTED = "zero-started"


# Arm -> the fields of `ModelConfig` in which the arms of an attention differ.
ARMS: dict[Arm, dict[str, Any]] = {
    Arm.PLAIN: {"fusion": "plain"},
    Arm.SIBLING: {"fusion": "iaca", "gate_init": "xavier"},
    Arm.ZERO_STARTED: {"fusion": "iaca", "gate_init": "zero"},
}
GATED_ARMS = (Arm.SIBLING, Arm.ZERO_STARTED)


def by_seed(runs: Iterable[Run]) -> list[dict[str, Tensor]]:
    """Reported predictions, one mapping per seed; a seed's folds are put together."""
    seeds: dict[int, dict[str, Tensor]] = {}
    for run in runs:
        seeds.setdefault(run.config.seed, {}).update(run.predictions)
    return [seeds[seed] for seed in sorted(seeds)]
