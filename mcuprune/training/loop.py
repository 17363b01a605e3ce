"""Plain training and evaluation of a Graph on a Task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.training.augment import Augment
from mcuprune.training.divergence import check_finite, check_state, safe_epoch
from mcuprune.training.graph_module import GraphModule, Seen
from mcuprune.training.lanes import NO_LANES, Lanes
from mcuprune.training.recipe import Recipe, make_optimizer, set_rate
from mcuprune.training.saved import load, save
from mcuprune.training.schedules import HALF, linear_with_warmup

Loss = Callable[[Tensor, Tensor], Tensor]
Rate = Callable[[float, float], float]  # (share of steps done, peak) -> learning rate


@dataclass(frozen=True)
class Arrays:
    """Inputs (N, *shape) float32 with their labels or targets; ``augment`` changes every batch of inputs.

    ``taught(x, y)`` makes the targets of a batch from its inputs, as augmented, and its own targets.
    """

    x: np.ndarray
    y: np.ndarray
    augment: Augment | None = None
    taught: Callable[[Tensor, Tensor], Tensor] | None = None


class Rounding(Protocol):
    """How training sees weight constants and tensors, and what it has learned of them."""

    def weight(self, name: str, value: Tensor) -> Tensor: ...

    def activation(self, name: str, value: Tensor) -> Tensor: ...

    def state(self) -> dict[str, Tensor]: ...

    def restore(self, state: dict[str, Tensor]) -> None: ...


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


def pack_history(history: Sequence[EpochRecord]) -> list[dict[str, Any]]:
    return [asdict(record) for record in history]


def unpack_history(saved: Sequence[Mapping[str, Any]]) -> list[EpochRecord]:
    return [EpochRecord(**record) for record in saved]


@dataclass(frozen=True)
class Trained:
    """A trained graph, its history, and the processor seconds of its training steps (evaluation left out)."""

    graph: Graph
    history: tuple[EpochRecord, ...]
    seconds: float


# forward MACs of a batch below which more threads wait for each other longer than they help
ONE_THREAD_MACS = 1e9


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


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """One step of the optimizer by the gradient of ``loss``, which is returned detached."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


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


def make_module(graph: Graph, recipe: Recipe, addressed: bool = False) -> GraphModule:
    """``graph`` ready to train as the recipe says: device, number format, training mode.

    ``addressed``: gates or masks will touch its channels or weights, so there are no spare ones.
    """
    compute = recipe.compute
    bf16, lanes = compute.is_bf16(graph, recipe.batch_size), NO_LANES if addressed else Lanes.of(graph)
    return GraphModule(graph, bf16, lanes).to(compute.find_device()).train()


def train(
    graph: Graph,
    data: Arrays,
    loss_function: Loss,
    recipe: Recipe,
    score: Callable[[nn.Module], float],
    progress: Progress = SILENT,
    phase: str = "plain",
    rounding: Rounding | None = None,
    rate: Rate = linear_with_warmup,
    unfinished: Path | None = None,
) -> Trained:
    """Train all parameters of ``graph``; ``score(module)`` is called after each epoch.

    With ``rounding`` the network is seen through it.  ``rate(share of steps done, peak)`` is the learning
    rate.  An epoch in which the loss becomes NaN or infinite is repeated at a lower one; DivergedError when
    that does not help.  After each epoch all of it is saved in the file ``unfinished``, from which a later
    call goes on.
    """
    module = make_module(graph, recipe)
    run = _Run(module, make_optimizer(module, recipe), rounding)
    hooks = {} if rounding is None else {"weight": rounding.weight, "activation": rounding.activation}
    seen = Seen(module, hooks)
    if unfinished is not None and unfinished.exists():
        run = _unpack(run, load(unfinished))
        progress.note(f"resuming after epoch {run.epoch}")

    def once(run: _Run) -> None:
        started = time.process_time()
        run.loss = _epoch(seen, run, data, loss_function, recipe, rate)
        run.seconds += time.process_time() - started
        run.epoch += 1

    while run.epoch < recipe.epochs:
        run = safe_epoch(run, once, _pack, partial(_unpack, run), progress)
        last = float(run.optimizer.param_groups[0]["lr"])
        run.history.append(EpochRecord(run.epoch - 1, phase, run.loss, score(seen), last))
        progress.step(f"loss {run.loss:.3f}  score {run.history[-1].score:.3f}")
        if unfinished is not None:
            save(unfinished, _pack(run))
    return Trained(module.to_graph(), tuple(run.history), run.seconds)


@dataclass
class _Run:
    """Plain training between two epochs; ``loss`` is the mean of the last one."""

    module: GraphModule
    optimizer: torch.optim.Optimizer
    rounding: Rounding | None = None
    epoch: int = 0
    rate_scale: float = 1.0
    seconds: float = 0.0
    loss: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)


def _pack(run: _Run) -> dict[str, Any]:
    return {
        "values": run.module.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "rounding": None if run.rounding is None else run.rounding.state(),
        "counters": [run.epoch, run.rate_scale, run.seconds, run.loss],
        "history": pack_history(run.history),
    }


def _unpack(run: _Run, saved: Mapping[str, Any]) -> _Run:
    """In the module and the rounding of ``run``: they are seen from elsewhere."""
    run.module.load_state_dict(saved["values"])
    run.optimizer.load_state_dict(saved["optimizer"])
    if run.rounding is not None:
        run.rounding.restore(saved["rounding"])
    epoch, rate_scale, seconds, loss = saved["counters"]
    history = unpack_history(saved["history"])
    return _Run(run.module, run.optimizer, run.rounding, epoch, rate_scale, seconds, loss, history)


def _epoch(
    seen: Seen,
    run: _Run,
    data: Arrays,
    loss_function: Loss,
    recipe: Recipe,
    rate: Rate,
) -> float:
    """One epoch of plain training; its mean loss."""
    epoch, optimizer = run.epoch, run.optimizer
    steps = recipe.steps(len(data.x))
    losses = []
    for step, (x, y) in enumerate(batches(data, recipe, epoch), start=epoch * steps):
        share = (step + HALF) / (recipe.epochs * steps)
        now = run.rate_scale * rate(share, recipe.learning_rate)
        set_rate(optimizer, now)
        losses.append(take_step(optimizer, loss_function(seen(x), y)))
        check_finite(losses[-1], epoch, now)
    check_state(optimizer.param_groups[0]["params"] + optimizer.param_groups[1]["params"], epoch, now)
    return float(torch.stack(losses).mean())
