"""The parts of `gpu.py`, each in a process of its own: ``gpu_parts.py PART FILE [options]``.

Engines and models take turns, some steps each, so that whatever else the machine does falls on all
of them; ratios are formed within a turn. A first turn warms up and is not counted.
"""

import argparse
import importlib.util
import math
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from made import Made, Task, release, seconds, take_turns
from reporting import Found
from store import AFFWILD2_ROWS, lengths
from torch.utils.flop_counter import FlopCounterMode

from iaca.base.files import DataError
from iaca.base.processes import usable_cores
from iaca.data.windows import WINDOW_LENGTH
from iaca.learning.config import Precision, TrainingConfig, TrainingError, products
from iaca.learning.engines import engine_for
from iaca.learning.loop import train_together
from iaca.learning.protocol import STRICT
from iaca.learning.training import Training
from iaca.models.regressor import AttentionName, FusionName, ModelConfig
from iaca.runs.arms import ARMS
from iaca.runs.execution import execute_together
from iaca.runs.profiles import get_profile, training_on
from iaca.runs.runs import CPU_THREADS, Run, RunConfig
from iaca.sources.loading import DataConfig, open_data

ROOT = Path(__file__).resolve().parents[1]
ATTENTIONS: tuple[AttentionName, ...] = ("ca", "tca", "jca", "rjca")
FUSIONS: tuple[FusionName, ...] = ("plain", "iaca")
# Targets, on an H100 or H200.
FASTER = {512: 1.5, 64: 3.0}  # a graphed step than an eager one, by d
GATES_PERCENT, EPOCH_SECONDS, TABLE_SECONDS, EXTRACTION_PERCENT = 10.0, 2.0, 240.0, 90.0
Tasks = dict[tuple[str, str], Task]  # (fusion, how its steps are taken) -> they


class Outcomes:
    """Keeps the outcome of each test, and why it failed or was skipped."""

    def __init__(self, found: Found) -> None:
        self.found, self.tests = found, found.content.setdefault("tests", {})

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called by pytest: a test's setup, call and teardown."""
        if report.when == "call" or report.outcome != "passed":
            why = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longreprtext
            self.tests[report.nodeid] = f"{report.outcome} {why[-2000:]}".strip()
            self.found.write()


def tests(found: Found, options: argparse.Namespace) -> None:
    """The tests marked `cuda`."""
    if importlib.util.find_spec("pytest") is None:
        found.say("skipped", "pytest is not installed")
        return
    import pytest

    files = sorted((ROOT / "tests" / "iaca").rglob("test_*.py"))
    marked = [
        x for x in files if any(w in x.read_text("utf-8") for w in ("mark.cuda", "import DEVICES"))
    ]
    where = [f"--rootdir={ROOT}", "-c", str(ROOT / "pyproject.toml"), *map(str, marked)]
    outcomes = Outcomes(found)
    status = pytest.main(["-q", "-m", "cuda", "-p", "no:cacheprovider", *where], [outcomes])
    counts = Counter(text.split()[0] for text in outcomes.tests.values())
    found.note("tests that passed", [counts["passed"]], f"of {counts.total()}")
    if status != pytest.ExitCode.OK:
        failed = [name for name, text in outcomes.tests.items() if text.startswith("failed")]
        found.say("error", f"pytest ended with {status!r}; failed: {', '.join(failed) or 'none'}")


def steps(found: Found, options: argparse.Namespace) -> None:
    """Eager steps against graphed and batched ones, their share of the card's rate, the gates."""
    device, tiny = options.device, options.tiny
    batch, turns, count, many = (4, 1, 1, 2) if tiny else (64, 5, 20, 10)
    if device == "cpu":
        print("no GPU: only eager steps" if not tiny else "no GPU: all steps are eager ones")
        count, many = 1, many if tiny else 0
    side = 256 if tiny else {"cuda": 8192, "cpu": 2048}[device]
    left, right = torch.randn(2, side, side, device=device)

    def product() -> float:
        with products("32", torch.device(device)):
            return seconds(lambda: left @ right, device)

    for dim in (16,) if tiny else FASTER:
        store = Made([600] * (2 if tiny else 21), dim, 1, device)
        config = TrainingConfig(batch_size=batch)
        print(f"\n(B, L, d) = ({batch}, {WINDOW_LENGTH}, {dim}), float32, {turns} turns")
        for attention in ATTENTIONS:
            tasks: Tasks = {}
            operations = {}
            for fusion in FUSIONS:
                model = ModelConfig(attention, fusion, dim=dim)
                trainings = store.begin(model, config, range(3 + many if many else 1))
                operations[fusion] = count_operations(trainings[0])
                tasks[fusion, "eager"] = Task("sequential", trainings[:1], count)
                if not many:
                    continue
                tasks[fusion, "graphed"] = Task("graphed", trainings[1:2], count)
                engine = engine_for(model, STRICT, "cuda")
                if engine == "batched":
                    tasks[fusion, "batched"] = Task(engine, trainings[2:3], count)
                tasks[fusion, f"{engine}, a model of {many}"] = Task(
                    engine, trainings[3:], -(-count // 4)
                )
            squares = take_turns([*tasks.values()], turns, product)
            rates = [2 * side**3 / elapsed for elapsed in squares]
            label = f"d = {dim}, product of {side} x {side}"
            found.note(label, [rate / 1e12 for rate in rates], "TFLOP/s")
            report_steps(found, f"d = {dim}, {attention.upper()}", dim, tasks, operations, rates)
            tasks, trainings = {}, []
            release(device)


def report_steps(
    found: Found,
    name: str,
    dim: int,
    tasks: Tasks,
    operations: dict[str, int],
    rates: Sequence[float],
) -> None:
    """The figures of one attention."""
    for (fusion, how), task in tasks.items():
        label = f"{name}{' + IACA' * (fusion == 'iaca')}, {how}"
        found.note(label, [1e3 * each for each in task.times], "ms a step")
        needed = [operations[fusion] / rate for rate in rates]
        share = percent(needed, task.times)
        found.note(f"{label}: of the product's rate", share, "%")
        graphed = how == "graphed"
        if how != "eager":
            faster = [x / 100 for x in percent(tasks[fusion, "eager"].times, task.times)]
            least = FASTER.get(dim) if graphed else None
            found.note(f"{label}: times as fast as eager", faster, "x", least=least)
        if fusion == "iaca":
            more = [x - 100 for x in percent(task.times, tasks["plain", how].times)]
            most = GATES_PERCENT if graphed else None
            found.note(f"{label}: longer than plain", more, "%", most=most)


def percent(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Ratios within the turns."""
    return [100 * a / b for a, b in zip(above, below, strict=True)]


def count_operations(training: Training) -> int:
    """Floating-point operations of a step's matrix products; those in an LSTM are not seen."""
    with FlopCounterMode(display=False) as counter:
        training.step(next(iter(training.plan().values())))
    return counter.get_total_flops()


def epoch(found: Found, options: argparse.Namespace) -> None:
    """An epoch of CA at Aff-Wild2's size: order drawn, all steps taken, losses read."""
    device = options.device
    rows, count, dim, turns = (4000, 4, 16, 1) if options.tiny else (AFFWILD2_ROWS, 594, 512, 3)
    store = Made(lengths(count, rows), dim, 32, device)
    sizes: tuple[tuple[int, Precision], ...] = ((512, "32"), (512, "bf16"), (64, "32"))
    for batch, precision in sizes:
        for fusion in FUSIONS:
            model = ModelConfig("ca", fusion, dim=dim)
            (training,) = store.begin(
                model, TrainingConfig(batch_size=batch, precision=precision), [0]
            )
            task = Task(engine_for(model, STRICT, device), [training], 2)
            task.take()  # a graph is captured

            def whole(task: Task = task, training: Training = training) -> None:
                with products(training.config.precision, training.device):
                    (losses,) = task.engine.run_epoch([training.plan()])
                    assert math.isfinite(sum(losses.tolist()))

            times = [seconds(whole, device) for _ in range(turns)]
            label = f"epoch, {rows:,} rows, {len(training.batches):,} windows of {WINDOW_LENGTH}"
            label += f", d = {dim}, B = {batch}, {precision}, CA{' + IACA' * (fusion == 'iaca')}"
            found.note(label, times, "s", most=EPOCH_SECONDS)
            del task, training, whole
            release(device)


def precision(found: Found, options: argparse.Namespace) -> None:
    """What a precision does to the time of a step, and to the score of a short training."""
    device, tiny = options.device, options.tiny
    dim, seeds = (16, range(2)) if tiny else (512, range(5))
    short = TrainingConfig(epochs=1, hop=64) if tiny else TrainingConfig(epochs=10)
    store, split = open_data(DataConfig(options.manifest), options.folder / "data")
    made = Made([600] * (2 if tiny else 21), dim, 1, device)
    attentions: tuple[AttentionName, ...] = ("ca",) if tiny else ("ca", "jca")
    for attention in attentions:
        model = ModelConfig(attention, "iaca", dim=dim)
        engine = engine_for(model, STRICT, device)
        reference: list[float] = []
        for each in get_args(Precision):
            label = f"{attention.upper()} + IACA, d = {dim}, {each}"
            if each == "tf32" and device == "cpu":
                print(f"{label}: only a GPU has it")
                continue
            config = replace(short, precision=each)
            task = Task(engine, made.begin(model, replace(config, batch_size=64), [0]), 20)
            take_turns([task], 1 if tiny else 5, lambda: 0.0)
            found.note(label, [1e3 * x for x in task.times], "ms a step")
            trainings = [Training(model, config, store, split, s, device) for s in seeds]
            outcomes = train_together(trainings, engine, [None] * len(seeds))
            if failed := [str(x) for x in outcomes if isinstance(x, TrainingError)]:
                raise TrainingError("; ".join(failed))
            scores = [training.best_score for training in trainings]
            found.note(f"{label}: CCC on select", scores, "")
            reference = reference or scores
            changes = [a - b for a, b in zip(scores, reference, strict=True)]
            found.note(f"{label}: change from 32, by seed", changes, "")
            del task, trainings, outcomes
            release(device)


def table(found: Found, options: argparse.Namespace) -> None:
    """Table 2, all seeds of the profile `full`, as a sweep makes its runs."""
    data, profile = DataConfig(options.manifest), get_profile("full")
    training, seeds, dim = training_on(profile, data), profile.seeds, profile.dim
    attentions = ATTENTIONS
    if options.tiny:
        training, seeds, dim = replace(training, epochs=1, hop=64), (0, 1), 16
        attentions = ("ca", "rjca")
    open_data(data, options.folder / "data")  # made beforehand
    times = []
    for attention in attentions:
        configs = {
            arm: [
                RunConfig(data, ModelConfig(attention, dim=dim, **fields), training, seed)
                for seed in seeds
            ]
            for arm, fields in ARMS.items()
        }
        everything = [config for each in configs.values() for config in each]
        start = time.perf_counter()
        outcomes = execute_together(everything, options.folder, options.device)
        times.append(time.perf_counter() - start)
        name = f"Table 2, d = {dim}, {attention.upper()}"
        found.note(f"{name}, {len(everything)} runs", times[-1:], "s")
        runs = {config: run for config, run in outcomes.items() if isinstance(run, Run)}
        if failed := [str(outcomes[config]) for config in everything if config not in runs]:
            raise TrainingError("; ".join(failed))
        for arm, each in configs.items():
            scores = [[*runs[config].metrics["report"].values()] for config in each]
            means = [sum(x or 0.0 for x in score) / len(score) for score in scores]
            found.note(f"{name}, {arm}: mean CCC on report", means, "")
        release(options.device)
    count = len(attentions) * len(ARMS) * len(seeds)
    found.note(f"Table 2, d = {dim}, {count} runs", [sum(times)], "s", most=TABLE_SECONDS)


def extraction(found: Found, options: argparse.Namespace) -> None:
    """Clips a second of an extraction, from videos to a store, against the networks alone."""
    try:
        import extraction as benchmark

        from iaca.extraction.backbones import RANDOM, build_backbones, torchvision

        torchvision()
    except (ImportError, DataError) as error:
        found.say("skipped", f"the extra 'media' is not installed: {error}")
        return
    videos, frames, stride, batch, turns = usable_cores(), 512, 2, 64, 3
    if options.tiny:
        videos, frames, stride, batch, turns = 1, 32, 32, 2, 1
    work = benchmark.Work("r3d_18", stride, batch, options.device, videos)
    networks = build_backbones(work.backbone, (RANDOM, RANDOM), device=work.device)
    clips = videos * frames // stride
    video = benchmark.make_video(options.folder / "v.mkv", frames)
    bare, whole = [], []
    for _ in range(-1, turns):
        bare.append(benchmark.time_bare(clips, work, networks))
        whole.append(benchmark.time_extraction(video, options.folder, work, networks))
    what = f"R3D-18, {videos} videos of {frames} frames"
    for name, times in (("networks alone", bare), ("extraction", whole)):
        found.note(f"{what}, {name}", [clips / each for each in times[1:]], "clips/s")
    shares = percent(bare[1:], whole[1:])
    found.note(f"{what}: of the networks alone", shares, "%", least=EXTRACTION_PERCENT)


PARTS = {each.__name__: each for each in (tests, steps, epoch, precision, extraction, table)}


def main() -> int:
    """Run one part; its error is written beside what it had found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("file", type=Path, help="where what is found is written")
    parser.add_argument("--device", required=True)
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.device == "cpu":
        torch.set_num_threads(CPU_THREADS)
    aims = options.device == "cuda" and not options.tiny
    found = Found(options.file, options.device, aims)
    with tempfile.TemporaryDirectory() as folder:
        options.folder = Path(folder)
        try:
            PARTS[options.part](found, options)
        except Exception as error:  # of any kind: what was found is kept, and why it ended
            traceback.print_exc()
            found.say("error", f"{type(error).__name__}: {error}")
    return 1 if "error" in found.content else 0


if __name__ == "__main__":
    sys.exit(main())
