"""Notebook `05_sota`: what the models cost."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from companion.analysis.costs import count_regressor, time_predictions, time_steps
from companion.chapters.sota.side import BASELINE, Model
from companion.experiments.side_by_side import MODELS, label_of
from iaca.base.devices import Device
from iaca.models.regressor import ModelConfig
from iaca.runs.arms import GATED_ARMS

WARM_UP = 2  # turns before those that are timed


class Costs(NamedTuple):
    """What a model costs.

    Attributes:
        parameters: numbers that it learns.
        multiply_adds: of the matrix products of one window's forward pass.
        step: ms, a training step, median.
        ratio: the step's time divided by concatenation's in the same turn, median.
        clip: µs, prediction of a clip, median.
        clip_ratio: the same to concatenation's.
    """

    parameters: int
    multiply_adds: int
    step: float
    ratio: float
    clip: float
    clip_ratio: float


def kind(arm: str) -> str:
    """What tells the cost of an arm: gates cost the same however they start."""
    return "IACA" if arm in GATED_ARMS else arm


def priced(dim: int) -> dict[Model, ModelConfig]:
    """What is counted: every family, and every attention without and with gates."""
    return {
        (name, kind(arm)): replace(model, dim=dim)
        for name, arms in MODELS.items()
        for arm, model in arms.items()
    }


def costs_of(
    models: Mapping[Model, ModelConfig],
    dims: tuple[int, int, int],
    batch: int,
    turns: int,
    device: Device,
) -> dict[Model, Costs]:
    """Count and time models, concatenation among them; they take turns, a step each.

    Args:
        models: name and arm -> model, all with one window.
        dims: features of an audio and of a visual row, and targets.
        batch: windows a step.
        turns: that are timed.
        device: ``cpu`` or ``cuda``.
    """
    labelled = {label_of(*model): config for model, config in models.items()}
    how = {"batch": batch, "turns": turns, "warm_up": WARM_UP, "device": device}
    steps = pd.DataFrame(time_steps(labelled, *dims, **how))  # type: ignore[arg-type]
    passes = pd.DataFrame(time_predictions(labelled, *dims, **how))  # type: ignore[arg-type]
    first = label_of(*BASELINE)
    found = {}
    for model, config in models.items():
        label, counted = label_of(*model), count_regressor(config, *dims)
        found[model] = Costs(
            counted.parameters,
            counted.multiply_adds,
            1e3 * steps[label].median(),
            (steps[label] / steps[first]).median(),
            1e6 * passes[label].median() / (batch * config.window),
            (passes[label] / passes[first]).median(),
        )
    return found


def costs_table(models: Mapping[Model, Costs]) -> pd.DataFrame:
    """A row for each model: what it costs."""
    return pd.DataFrame(
        [
            {
                "Model": label_of(*model),
                "Parameters": f"{cost.parameters:,}",
                "Multiply-adds (millions)": f"{cost.multiply_adds / 1e6:,.2f}",
                "Training step": f"{cost.step:.1f} ms (× {cost.ratio:.1f})",
                "Prediction of a clip": f"{cost.clip:.1f} µs (× {cost.clip_ratio:.1f})",
            }
            for model, cost in models.items()
        ]
    )
