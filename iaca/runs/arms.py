"""Plain attention and its gated arms."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from torch import Tensor

from iaca.runs.runs import Run


class Arm(StrEnum):
    """What is done with an attention, by the label that tables and figures show."""

    PLAIN = "plain"
    PUBLISHED = "IACA as published"
    ZERO_STARTED = "IACA zero-started (ours)"


# Arm -> the fields of `ModelConfig` in which the arms of an attention differ.
ARMS: dict[Arm, dict[str, Any]] = {
    Arm.PLAIN: {"fusion": "plain"},
    Arm.PUBLISHED: {"fusion": "iaca", "gate_init": "xavier"},
    Arm.ZERO_STARTED: {"fusion": "iaca", "gate_init": "zero"},
}
GATED_ARMS = (Arm.PUBLISHED, Arm.ZERO_STARTED)


def by_seed(runs: Iterable[Run]) -> list[dict[str, Tensor]]:
    """Reported predictions, one mapping per seed; a seed's folds are put together."""
    seeds: dict[int, dict[str, Tensor]] = {}
    for run in runs:
        seeds.setdefault(run.config.seed, {}).update(run.predictions)
    return [seeds[seed] for seed in sorted(seeds)]
