"""Time a training step of every attention, plain and with IACA's gates.

    python benchmarks/steps.py [--threads 1 2] [--attention ca tca] [--device cuda] [--profile]

The arms take turns, one step each and one square matrix product, so that whatever else the machine
does falls on all of them alike. IACA's overhead is the median of the ratios within the turns. The
share is the step's matrix-product operations, counted by PyTorch, over its time, against the rate
of the square product in the same turn.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

import torch
from reporting import machine, spread, table
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from iaca.learning.config import TrainingConfig, adamw
from iaca.learning.metrics import ccc_loss
from iaca.models.regressor import AffectRegressor, AttentionName, FusionName, ModelConfig

LENGTH, DIM, TARGETS = 16, 512, 2
ATTENTIONS: tuple[AttentionName, ...] = ("ca", "tca", "jca", "rjca")
FUSIONS: tuple[FusionName, ...] = ("plain", "iaca")  # the first is what the others are held against
WARM_UP = 5  # turns
SQUARE = {"cpu": 2048, "cuda": 8192}  # side of the matrices whose product gives the machine's rate

Step = Callable[[], None]


@dataclass
class Arm:
    """One model and what was measured of it: operations a step, seconds of every turn."""

    attention: AttentionName
    fusion: FusionName
    step: Step
    operations: int
    seconds: list[float] = field(default_factory=list)


def make_step(config: ModelConfig, device: str, batch: int) -> Step:
    """A whole training step on random data: forward, loss, backward, clipping, AdamW."""
    generator = torch.Generator().manual_seed(0)
    audio, visual = (
        torch.randn(batch, LENGTH, config.dim, generator=generator).to(device) for _ in range(2)
    )
    labels = torch.rand(batch, LENGTH, TARGETS, generator=generator).to(device)
    mask = torch.ones(batch, LENGTH, dtype=torch.bool, device=device)
    torch.manual_seed(0)
    model = AffectRegressor(config, config.dim, config.dim, TARGETS).to(device)
    training = TrainingConfig()
    optimiser = adamw(model.parameters(), training, device)

    def step() -> None:
        loss = ccc_loss(model(audio, visual, mask).values, labels)
        assert loss is not None
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), training.clip_norm)
        optimiser.step()

    return step


def make_product(device: str) -> tuple[Step, int]:
    """One float32 product of two square matrices, and its operations."""
    side = SQUARE[device]
    left, right = torch.randn(2, side, side, device=device)
    out = torch.empty(side, side, device=device)

    def product() -> None:
        torch.mm(left, right, out=out)

    return product, 2 * side**3


def count_operations(step: Step) -> int:
    """Floating-point operations of the step's matrix products, two a multiplication."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def seconds(step: Step, device: str) -> float:
    """Wall-clock time of one call, to the end of what it started on the GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(arms: Sequence[Arm], product: Step, turns: int, device: str) -> list[float]:
    """Fill in the arms' times, turn by turn; return those of the square product."""
    product_seconds = []
    for turn in range(-WARM_UP, turns):
        # Every other turn backwards, so that none gains by what it follows.
        for arm in arms if turn % 2 else reversed(arms):
            elapsed = seconds(arm.step, device)
            if turn >= 0:
                arm.seconds.append(elapsed)
        elapsed = seconds(product, device)
        if turn >= 0:
            product_seconds.append(elapsed)
    return product_seconds


def make_arms(attentions: Sequence[AttentionName], device: str, batch: int) -> list[Arm]:
    """The fusions of each attention, at the size of the benchmark."""
    arms = []
    for attention in attentions:
        for fusion in FUSIONS:
            config = ModelConfig(attention=attention, fusion=fusion, dim=DIM, window=LENGTH)
            step = make_step(config, device, batch)
            arms.append(Arm(attention, fusion, step, count_operations(step)))
    return arms


def report(arms: Sequence[Arm], rates: Sequence[float], threads: int) -> list[list[str]]:
    """A row an arm; ``rates`` are the machine's operations a second in every turn."""
    rows = []
    for arm in arms:
        base = next(a for a in arms if (a.attention, a.fusion) == (arm.attention, FUSIONS[0]))
        ratios = [own / other for own, other in zip(arm.seconds, base.seconds, strict=True)]
        shares = [
            arm.operations / elapsed / rate
            for elapsed, rate in zip(arm.seconds, rates, strict=True)
        ]
        rows.append(
            [
                f"{arm.attention.upper()}{' + IACA' if arm.fusion == 'iaca' else ''}",
                str(threads),
                f"{arm.operations / 1e9:.2f}",
                spread([1e3 * elapsed for elapsed in arm.seconds], digits=2),
                "1" if arm is base else spread(ratios, digits=3),
                f"{median(shares):.0%}",
            ]
        )
    return rows


def show_profile(arm: Arm, device: str, steps: int = 20) -> None:
    """Print where the time of an arm's steps goes, operator by operator."""
    activities = [ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as recorded:
        for _ in range(steps):
            arm.step()
    print(f"\n{arm.attention} {arm.fusion}, {steps} steps")
    print(recorded.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=25))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}))
    parser.add_argument("--attention", nargs="+", default=ATTENTIONS, choices=ATTENTIONS)
    parser.add_argument("--batch", type=int, default=64, help="windows a step")
    parser.add_argument("--turns", type=int, default=50)
    parser.add_argument("--device", default="cpu", choices=[*SQUARE])
    parser.add_argument("--profile", action="store_true", help="also time every operator")
    options = parser.parse_args()

    print(f"{machine(options.device)}\n")
    print(f"(B, L, d) = ({options.batch}, {LENGTH}, {DIM}), float32, {options.turns} turns\n")
    rows, rates_line = [], []
    product, product_operations = make_product(options.device)
    arms = make_arms(options.attention, options.device, options.batch)
    for threads in options.threads:
        torch.set_num_threads(threads)
        fresh = [replace(arm, seconds=[]) for arm in arms]
        product_seconds = measure(fresh, product, options.turns, options.device)
        rates = [product_operations / elapsed for elapsed in product_seconds]
        rates_line.append(f"{spread([rate / 1e9 for rate in rates])} with {threads}")
        rows += report(fresh, rates, threads)
        if options.profile:
            for arm in fresh:
                show_profile(arm, options.device)
    header = ["model", "threads", "GFLOP a step", "ms a step", "ratio to plain", "share of rate"]
    print(table(header, rows))
    side = SQUARE[options.device]
    print(
        f"\nProduct of two {side} x {side} matrices, GFLOP/s by threads: {'; '.join(rates_line)}."
    )
    print("Medians, quartiles in brackets. Operations are those of matrix products alone; the")
    print("counter does not see inside an LSTM.")


if __name__ == "__main__":
    main()
