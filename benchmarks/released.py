"""Time a training step of a released model against its straight transcription and their floor.

    python benchmarks/released.py [--threads 1 2] [--name dca] [--turns 7]

Both steps have the same weights, data and optimiser. They differ in the joint attention's map of
features: the transcription makes, squashes, drops and reads it as the formula is written, with
PyTorch's own dropout; the package does it two windows at a time. Before anything is timed, both are
checked to give the same predictions and the same gradients in training, with the same values
dropped.

The floor is what the transcription's matrix products, recurrent layers and tanh take, by PyTorch's
profiler, in the step that is timed. The package's own floor is that of its own step: smaller,
because a product that is written into the cache is faster than one into memory that the system has
to find first. The steps take turns, and ratios are formed within a turn.
"""

import argparse
import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch

import torch
from reporting import machine, spread, table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from iaca.learning.metrics import ccc_loss
from iaca.models import released
from iaca.models.released import (
    BLOCKS,
    DIM,
    POSITIONS,
    WINDOWS_IN_CACHE,
    ReleasedConfig,
    ReleasedModel,
    probability_kept,
    thin_out,
)

BATCH, LENGTH, TARGETS = 64, 16, 2
LEARNING_RATE, WEIGHT_DECAY = 3e-4, 1e-5  # DCA's
WARM_UP = 1  # turns
FLOOR = {
    "aten::mm",
    "aten::bmm",
    "aten::addmm",
    "aten::baddbmm",
    "aten::tanh",
    "aten::tanh_",
    "aten::lstm",
    "aten::mkldnn_rnn_layer",
    "aten::mkldnn_rnn_layer_backward",
}
Step = Callable[[], None]
Form = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def transcription(keys: Tensor, query: Tensor, values: Tensor, dropout: float) -> Tensor:
    """What `iaca.models.released.correlate` computes, as the formula is written."""
    s = torch.tanh(torch.bmm(keys, query) / math.sqrt(query.shape[-1]))  # (B, d, 2d)
    return torch.bmm(values, torch.nn.functional.dropout(s, dropout))


def same_values_dropped(keys: Tensor, query: Tensor, values: Tensor, dropout: float) -> Tensor:
    """The transcription, with the values dropped that the package would drop."""
    s = torch.tanh(torch.bmm(keys, query) / math.sqrt(query.shape[-1]))
    mask = torch.ones_like(s)
    for part in mask.split(WINDOWS_IN_CACHE):
        thin_out(part, dropout)
    return torch.bmm(values, s * mask / probability_kept(dropout))


@contextmanager
def transcribed(form: Form = transcription) -> Iterator[None]:
    """Run the models with the transcription."""
    with patch.object(released, "correlate", form):
        yield


class Data(NamedTuple):
    """A batch as the frozen backbones would give it: vision has been through a ReLU."""

    audio: Tensor
    visual: Tensor
    labels: Tensor


def make_data(windows: int) -> Data:
    """Random features of ``windows`` windows."""
    generator = torch.Generator().manual_seed(0)
    audio, visual, labels = (
        torch.randn(windows, LENGTH, size, generator=generator)
        for size in (DIM, DIM * POSITIONS, TARGETS)
    )
    return Data(audio, visual.relu(), labels.tanh())


def loss_of(model: ReleasedModel, data: Data) -> Tensor:
    """The loss of a batch."""
    loss = ccc_loss(model(data.audio, data.visual).values, data.labels)
    assert loss is not None
    return loss


def make_step(model: ReleasedModel, data: Data) -> Step:
    """A whole training step: forward, loss, backward, AdamW."""
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, fused=True
    )

    def step() -> None:
        loss = loss_of(model, data)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    return step


def check_same(config: ReleasedConfig, data: Data) -> None:
    """Compare both forms' predictions and gradients in training, in float64.

    Raises:
        AssertionError: saying what differs, and by how much.
    """
    torch.manual_seed(0)
    model = ReleasedModel(config).double().train()
    data = Data(*(part.double() for part in data))

    def results() -> list[Tensor]:
        torch.manual_seed(1)
        model.zero_grad(set_to_none=True)
        loss = loss_of(model, data)
        loss.backward()
        gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
        return [loss.detach(), model(data.audio, data.visual).values.detach(), *gradients]

    own = results()
    with transcribed(same_values_dropped):
        other = results()
    for one, two in zip(own, other, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9 * two.abs().max().item())


class Timed(NamedTuple):
    """Seconds of a step, and of what counts as its floor."""

    step: float
    floor: float


def timed(step: Step) -> Timed:
    """One step under the profiler."""
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        start = time.perf_counter()
        step()
        elapsed = time.perf_counter() - start
    events = recorded.key_averages()
    floor = sum(event.self_cpu_time_total for event in events if event.key in FLOOR) / 1e6
    return Timed(elapsed, floor)


def measure(config: ReleasedConfig, turns: int) -> list[tuple[Timed, Timed]]:
    """The package's step and the transcription's, turn by turn."""
    data = make_data(BATCH)
    torch.manual_seed(0)
    model = ReleasedModel(config).train()
    own_step, other_step = make_step(model, data), make_step(copy.deepcopy(model), data)

    def other() -> Timed:
        with transcribed():
            return timed(other_step)

    found = []
    for turn in range(-WARM_UP, turns):
        if turn % 2:  # every other turn backwards, so that neither gains by what it follows
            of_own, of_other = timed(own_step), other()
        else:
            of_other, of_own = other(), timed(own_step)
        if turn >= 0:
            found.append((of_own, of_other))
    return found


def main() -> None:
    """Check, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}))
    parser.add_argument("--name", default="dca", choices=[*BLOCKS])
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()

    config = ReleasedConfig(options.name)
    print(f"{machine()}\n")
    print(
        f"{options.name.upper()}, (B, L) = ({BATCH}, {LENGTH}), audio {DIM}, visual "
        f"{DIM * POSITIONS}, float32, {options.turns} turns"
    )
    check_same(config, make_data(4))
    print("Predictions and gradients of both, in float64: the same to rounding\n")
    rows = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        found = measure(config, options.turns)
        rows.append(
            [
                str(threads),
                spread([other.step for _, other in found], digits=2),
                spread([other.floor for _, other in found], digits=2),
                spread([own.step for own, _ in found], digits=2),
                spread([own.step / other.step for own, other in found], digits=2),
                spread([own.step / other.floor for own, other in found], digits=2),
                spread([own.step / own.floor for own, _ in found], digits=2),
            ]
        )
    header = [
        "threads",
        "transcription, s",
        "its floor, s",
        "package, s",
        "to transcription",
        "to its floor",
        "to own floor",
    ]
    print(table(header, rows))
    print("\nMedians, quartiles in brackets; the last three are ratios of the package's step.")


if __name__ == "__main__":
    main()
