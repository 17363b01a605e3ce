"""Plain training and evaluation of a Graph on a Task."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from mcuprune.errors import UsageError
from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.training.augment import Augment
from mcuprune.training.graph_module import GraphModule, Hook, Seen
from mcuprune.training.recipe import Recipe, make_optimizer, set_rate
from mcuprune.training.schedules import linear_with_warmup

Loss = Callable[[Tensor, Tensor], Tensor]
Rate = Callable[[float, float], float]  # (share of steps done, peak) -> learning rate
RETRIES = 3  # of an epoch whose loss becomes NaN or infinite
BACKOFF = 0.3  # factor of the learning rate from then on


class DivergedError(UsageError):
    """A loss that is NaN or infinite."""


@dataclass(frozen=True)
class Arrays:
    """Inputs (N, *shape) float32 with their labels or targets; ``augment`` changes every batch of inputs.

    ``taught(x, y)`` makes the targets of a batch from its inputs, as augmented, and its own targets.
    """

    x: np.ndarray
    y: np.ndarray
    augment: Augment | None = None
    taught: Callable[[Tensor, Tensor], Tensor] | None = None


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch showed; ``usage`` is exact use over budget by resource."""

    epoch: int
    phase: str
    loss: float
    score: float
    learning_rate: float
    usage: Mapping[str, float] = field(default_factory=dict)
    multipliers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A trained graph, its history, and the processor seconds of its training steps (evaluation left out)."""

    graph: Graph
    history: tuple[EpochRecord, ...]
    seconds: float


ONE_THREAD_MACS = (
    1e9  # forward MACs of a batch below which more threads wait for each other longer than they help
)


@contextmanager
def threads_for(macs_per_batch: float) -> Iterator[None]:
    """One thread for small work, torch's own choice for large; the result of a sum depends on it."""
    before = torch.get_num_threads()
    if macs_per_batch < ONE_THREAD_MACS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def batches(data: Arrays, recipe: Recipe, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Shuffled batches of an epoch, the order by seed and epoch alone.  A short last batch is dropped.

    They are drawn and changed on the CPU, then moved to the recipe's device: a batch is a megabyte or two.
    """
    device = recipe.compute.find_device()
    order = np.random.default_rng((recipe.seed, epoch)).permutation(len(data.x))
    rng = np.random.default_rng((recipe.seed, epoch, 1))
    size = min(recipe.batch_size, len(order))
    for step in range(recipe.steps(len(order))):
        chosen = order[step * size : (step + 1) * size]
        x = data.x[chosen] if data.augment is None else data.augment(data.x[chosen], rng)
        inputs, targets = torch.from_numpy(x).to(device), torch.from_numpy(data.y[chosen]).to(device)
        yield inputs, targets if data.taught is None else data.taught(inputs, targets)


def predict(module: nn.Module, x: np.ndarray, batch: int = 512) -> np.ndarray:
    """Outputs in evaluation mode, (N, outputs) float32, computed where the module's parameters lie."""
    training = module.training
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    module.eval()
    with torch.no_grad():
        inputs = (torch.from_numpy(x[i : i + batch]).to(device) for i in range(0, len(x), batch))
        parts = [module(part).cpu().numpy() for part in inputs]
    module.train(training)
    return np.concatenate(parts)


def make_module(graph: Graph, recipe: Recipe) -> GraphModule:
    """``graph`` ready to train as the recipe says: device, number format, training mode."""
    compute = recipe.compute
    return GraphModule(graph, compute.is_bf16(graph, recipe.batch_size)).to(compute.find_device()).train()


def check_finite(loss: Tensor, epoch: int, rate: float) -> None:
    """Raises DivergedError for a loss that is NaN or infinite."""
    if not bool(torch.isfinite(loss)):
        raise DivergedError(
            f"training diverged in epoch {epoch + 1}: the loss is {float(loss)} at learning rate {rate:.2g}, "
            f"also after {RETRIES} restarts of the epoch at lower rates; "
            "lower --learning-rate, or look for extreme values in the data"
        )


def check_state(values: Iterable[Tensor], epoch: int, rate: float) -> None:
    """Raises DivergedError for weights, gates or prices of which one is NaN or infinite.

    A loss cannot show what its own step spoiled: at the end of an epoch that step would be kept for good.
    """
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise DivergedError(
            f"training diverged in epoch {epoch + 1}: weights or gates are no numbers at learning rate "
            f"{rate:.2g}, also after {RETRIES} restarts of the epoch at lower rates; "
            "lower --learning-rate, or look for extreme values in the data"
        )


def train(
    graph: Graph,
    data: Arrays,
    loss_function: Loss,
    recipe: Recipe,
    score: Callable[[nn.Module], float],
    progress: Progress = SILENT,
    phase: str = "plain",
    weight: Hook | None = None,
    activation: Hook | None = None,
    rate: Rate = linear_with_warmup,
) -> Trained:
    """Train all parameters of ``graph``; ``score(module)`` is called after each epoch.

    ``weight`` and ``activation`` are applied to every weight constant and every tensor in every forward pass
    (a fixed mask, or rounding).  ``rate(share of steps done, peak)`` is the learning rate.  An epoch in which
    the loss becomes NaN or infinite is repeated at a lower one; DivergedError when that does not help.
    """
    module = make_module(graph, recipe)
    optimizer = make_optimizer(module, recipe)
    seen = Seen(module, {"weight": weight, "activation": activation})
    history: list[EpochRecord] = []
    seconds, scale = 0.0, 1.0
    for epoch in range(recipe.epochs):
        started = time.process_time()
        before = copy.deepcopy((module.state_dict(), optimizer.state_dict()))
        for attempt in range(RETRIES + 1):
            try:
                mean = _epoch(seen, optimizer, data, loss_function, recipe, epoch, rate, scale)
                break
            except DivergedError:
                if attempt == RETRIES:
                    raise
                scale *= BACKOFF
                progress.note(f"epoch {epoch + 1} diverged; repeated at {scale:.2g} times the learning rate")
                values, momenta = copy.deepcopy(before)
                module.load_state_dict(values)
                optimizer.load_state_dict(momenta)
        seconds += time.process_time() - started
        record = EpochRecord(epoch, phase, mean, score(seen), float(optimizer.param_groups[0]["lr"]))
        history.append(record)
        progress.step(f"loss {mean:.3f}  score {record.score:.3f}")
    return Trained(module.to_graph(), tuple(history), seconds)


def _epoch(
    seen: Seen,
    optimizer: torch.optim.Optimizer,
    data: Arrays,
    loss_function: Loss,
    recipe: Recipe,
    epoch: int,
    rate: Rate,
    scale: float,
) -> float:
    """One epoch of plain training; its mean loss."""
    steps = recipe.steps(len(data.x))
    losses = []
    for step, (x, y) in enumerate(batches(data, recipe, epoch), start=epoch * steps + 1):
        now = scale * rate(step / (recipe.epochs * steps), recipe.learning_rate)
        set_rate(optimizer, now)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_function(seen(x), y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.detach())
        check_finite(losses[-1], epoch, now)
    check_state(optimizer.param_groups[0]["params"] + optimizer.param_groups[1]["params"], epoch, now)
    return float(torch.stack(losses).mean())
