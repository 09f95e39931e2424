"""Engines: how the steps of one or several trainings are carried out.

`Sequential`, the reference, takes one training after the other, step by step. On a GPU, where
starting an operation takes longer than a small one itself, `Graphed` replays each training's step
as one CUDA graph, and `Batched` trains several models of one architecture as a single model with
one more axis. All take the same batches in the same order; sums are added in other orders.
"""

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state
from torch.nn.attention import SDPBackend, sdpa_kernel

from iaca.learning.config import adamw
from iaca.learning.protocol import Protocol as Switches
from iaca.learning.training import Training
from iaca.models.regressor import AffectRegressor, ModelConfig

EngineName = Literal["sequential", "graphed", "batched"]
Step = Callable[[Tensor], Tensor]
WARM_UP = 3  # steps before a capture: libraries choose their algorithms in the first ones


class Engine(Protocol):
    """Carries out an epoch of some trainings."""

    def run_epoch(self, plans: Sequence[Mapping[int, Tensor]]) -> list[Tensor]:
        """Take a step on each batch of each training's plan; returns the losses, on the device."""


class Sequential:
    """One training after the other, one operation after the other."""

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = trainings

    def run_epoch(self, plans: Sequence[Mapping[int, Tensor]]) -> list[Tensor]:
        """See `Engine`."""
        losses = []
        for training, plan in zip(self.trainings, plans, strict=True):
            with training.randomness():
                training.model.train()
                losses.append(_stacked([training.step(chosen) for chosen in plan.values()]))
        return losses


class Graphed:
    """Each training's step as a CUDA graph, each on a stream of its own; on a CPU without either.

    A graph holds T and the learning rate as they were: where they change it is captured again.
    """

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = trainings
        self.graphs: list[tuple[object, Step]] = [(None, training.step) for training in trainings]
        self.streams = [new_stream(training.device) for training in trainings]

    def run_epoch(self, plans: Sequence[Mapping[int, Tensor]]) -> list[Tensor]:
        """See `Engine`."""
        batches = [[*plan.values()] for plan in plans]
        losses: list[list[Tensor]] = [[] for _ in plans]
        for each, training in enumerate(self.trainings):
            training.model.train()
            constants = _constants(training)
            if batches[each] and self.graphs[each][0] != constants:
                self.graphs[each] = None, training.step  # frees an old graph
                chosen, stream = batches[each][0], self.streams[each]
                with training.randomness():
                    step = capture(
                        training.step, chosen, training.optimiser, training.generator, stream
                    )
                self.graphs[each] = constants, step
        if self.streams[0] is not None:
            torch.cuda.synchronize()
        for number in range(max(map(len, batches))):
            for each, training in enumerate(self.trainings):
                if number < len(batches[each]):
                    with torch.cuda.stream(self.streams[each]), training.randomness():
                        losses[each].append(self.graphs[each][1](batches[each][number]))
        if self.streams[0] is not None:
            torch.cuda.synchronize()
        return [_stacked(each) for each in losses]


class Batched:
    """Models of one architecture as one model with one more axis, K, by ``torch.vmap``.

    Each model keeps its weights, as a part of the common ones, its batches and its clipping; all
    draw dropout from the first training's stream, so that it depends on who trains together.

    Args:
        trainings: with the same configuration but for seeds and the gates' start, and as many
            batches an epoch; see `engine_for`.
    """

    def __init__(self, trainings: Sequence[Training]) -> None:
        self.trainings = trainings
        self.first = trainings[0]
        models: list[nn.Module] = [training.model for training in trainings]
        self.weights, self.buffers = stack_module_state(models)  # name -> (K, ...)
        for k, training in enumerate(trainings):
            training.fixed_size = True
            for name, parameter in training.model.named_parameters():
                parameter.data = self.weights[name].data[k]
        self.optimiser = adamw(self.weights.items(), self.first.config, self.first.device)
        if self.first.optimiser.state:  # a resumed training
            self._gather_moments()
        self.graph: tuple[object, Step] = (None, self.step)
        self.stream = new_stream(self.first.device)

    def run_epoch(self, plans: Sequence[Mapping[int, Tensor]]) -> list[Tensor]:
        """See `Engine`."""
        batches = torch.stack([_stacked([*plan.values()]) for plan in plans], dim=1)  # (N, K, B)
        for training in self.trainings:
            training.model.train()
        for mine, theirs in zip(
            self.optimiser.param_groups, self.first.optimiser.param_groups, strict=True
        ):
            mine["lr"] = theirs["lr"]
        with self.first.randomness():
            if (constants := _constants(self.first)) != self.graph[0]:
                self.graph = None, self.step  # frees an old graph
                generator = self.first.generator
                graph = capture(self.step, batches[0], self.optimiser, generator, self.stream)
                self.graph = constants, graph
            losses = torch.stack([self.graph[1](chosen) for chosen in batches])  # (N, K)
        self._hand_out_moments()
        return [*losses.T]

    def step(self, chosen: Tensor) -> Tensor:
        """Train every model on its batch, ``chosen (K, B)``; returns the losses, ``(K,)``."""
        first = self.first
        each = [training.batch(mine) for training, mine in zip(self.trainings, chosen, strict=True)]
        inputs = zip(*(batch[:4] for batch in each), strict=True)
        audio, visual, labels, mask = (torch.stack(parts) for parts in inputs)
        states = [batch.state for batch in each if batch.state is not None]
        state = (torch.stack(states),) if len(states) == len(each) else ()

        def forward(weights: Any, buffers: Any, *features: Tensor) -> Tensor:
            return functional_call(first.model, (weights, buffers), features).values

        bfloat16 = first.config.precision == "bf16"
        autocast = torch.autocast(first.device.type, torch.bfloat16, enabled=bfloat16)
        # Within vmap no tensor says that it needs a gradient: a GPU's fused attention would not
        # keep what its own takes.
        with autocast, sdpa_kernel(SDPBackend.MATH):
            values = torch.vmap(forward, randomness="different")(
                self.weights, self.buffers, audio, visual, mask, *state
            )  # (K, B, L, n)
        losses = torch.vmap(first.loss_of)(values, labels)
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()
        clip_each(self.weights.values(), first.config.clip_norm)
        self.optimiser.step()
        return losses.detach()

    def _hand_out_moments(self) -> None:
        """Give each training's optimiser its part of the common one's state: it may be saved."""
        for k, training in enumerate(self.trainings):
            for name, parameter in training.model.named_parameters():
                common = self.optimiser.state[self.weights[name]]
                training.optimiser.state[parameter] = {
                    key: x[k] if x.dim() > 0 else x for key, x in common.items()
                }

    def _gather_moments(self) -> None:
        for name in self.weights:
            states = [
                training.optimiser.state[training.model.get_parameter(name)]
                for training in self.trainings
            ]
            self.optimiser.state[self.weights[name]] = {
                key: torch.stack([state[key] for state in states]) if x.dim() > 0 else x.clone()
                for key, x in states[0].items()
            }


ENGINES: dict[EngineName, Callable[[Sequence[Training]], Engine]] = {
    "sequential": Sequential,
    "graphed": Graphed,
    "batched": Batched,
}


@functools.cache
def engine_for(config: ModelConfig, protocol: Switches, device: str) -> EngineName:
    """The engine of a model's runs: the fastest on a GPU, the reference on a CPU.

    ``torch.vmap`` has no recurrent layers, and all models of a batch take a step together, which a
    loss that leaves batches out does not let them.
    """
    if device == "cpu":
        return "sequential"
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = AffectRegressor(config, 1, 1, 1)
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    return "graphed" if recurrent or protocol.loss != "biased" else "batched"


def new_stream(device: torch.device) -> torch.cuda.Stream | None:
    """A stream of a GPU, for a graph of its own; a CPU has none."""
    return torch.cuda.Stream() if device.type == "cuda" else None


def capture(
    step: Step,
    chosen: Tensor,
    optimiser: torch.optim.Optimizer,
    generator: torch.Generator,
    stream: torch.cuda.Stream | None,
) -> Step:
    """Capture a training step as a CUDA graph. The step itself where that is not possible.

    Args:
        step: maps window numbers, always as many, to losses.
        chosen: some windows.
        optimiser: of the weights that the step changes; weights and moments are left as they were.
        generator: what the step draws from, and the default one now; left as it was.
        stream: where the step is tried and captured; None on a CPU, where nothing is.
    """
    if stream is None:
        return step
    weights = [weight for group in optimiser.param_groups for weight in group["params"]]
    before = [weight.detach().clone() for weight in weights]
    moments = {w: {k: x.clone() for k, x in state.items()} for w, state in optimiser.state.items()}
    drawn, given, graph = generator.get_state(), chosen.clone(), torch.cuda.CUDAGraph()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step(given)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.no_grad():
        for weight, value in zip(weights, before, strict=True):
            weight.copy_(value)
            for key, moment in optimiser.state[weight].items():
                moment.copy_(moments[weight][key]) if weight in moments else moment.zero_()
    generator.set_state(drawn)
    optimiser.zero_grad(set_to_none=True)
    # cuBLAS keeps its workspace for a stream, also one that a graph will write to whenever it is
    # replayed: no two graphs, and nothing that is not of a graph, may have the same.
    torch._C._cuda_clearCublasWorkspaces()
    try:
        # A capture that fails does not leave the stream that it entered: the outer block does.
        capturing = torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local")
        with torch.cuda.stream(stream), capturing:
            losses = step(given)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        warnings.warn(f"no CUDA graph, each step is started anew: {error}", stacklevel=2)
        _renew(generator, drawn)
        return step
    finally:
        torch._C._cuda_clearCublasWorkspaces()

    def replay(chosen: Tensor) -> Tensor:
        given.copy_(chosen)
        graph.replay()
        return losses.clone()

    return replay


def _renew(generator: torch.Generator, state: Tensor) -> None:
    """Let a generator, the default one now, draw again: a failed capture leaves it locked."""
    fresh = torch.Generator(generator.device)
    fresh.set_state(state)
    default = torch.cuda.default_generators[torch.cuda.current_device()]
    for each in (generator, default):
        each.graphsafe_set_state(fresh)


def clip_each(weights: Any, largest: float) -> None:
    """Clip the gradient of each of K models to a norm: ``torch.nn.utils.clip_grad_norm_`` for each.

    Args:
        weights: ``(K, ...)`` each, with gradients.
        largest: norm of all gradients of one model together.
    """
    gradients = [weight.grad for weight in weights]
    norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)  # (K,)
    factor = (largest / (norms + 1e-6)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


def _constants(training: Training) -> object:
    """What a graph of a training's step holds fixed and an epoch can change: T, learning rate."""
    gates = (getattr(m, "temperature", None) for m in training.model.modules())
    return tuple(gates), tuple(group["lr"] for group in training.optimiser.param_groups)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack([*parts]) if parts else torch.empty(0)
