"""Gates that are learned beside the weights to make one choice before the widths are searched.

Which inputs, which blocks: the gates close while the choice's bound shrinks, and say at the end what stays;
the weights are thrown away.  A choice is a value that is advanced epoch by epoch and saved between epochs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mcuprune.graph.ir import Graph
from mcuprune.progress import SILENT, Progress
from mcuprune.prune import checkpoint
from mcuprune.prune.constrain import Augmented, Multipliers, Observed, pressure
from mcuprune.prune.gated import Gated
from mcuprune.prune.method import Context, Site, State, random_of
from mcuprune.prune.run import learned
from mcuprune.prune.setting import Setting
from mcuprune.training.divergence import check_finite, check_state, safe_epoch
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import batches, make_module
from mcuprune.training.recipe import make_optimizer, set_rate
from mcuprune.training.saved import load, save

BINDING = Augmented(penalty=0.2, rate=0.02)
WARMUP, DECIDED = 0.1, 0.7  # shares of the steps: no price before, all of it after
LEAST = 0.1  # of a bound: a use below it pushes no harder

Usage = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Choice:
    """What is chosen.

    ``forward(module, x, state)`` applies the gates; ``usage`` of open units per site is what ``bounds`` at a
    progress of 0 to 1 are about.  ``name`` is the file that keeps it, and what progress is reported under.
    """

    name: str
    method: Gated
    sites: tuple[Site, ...]
    forward: Callable[[GraphModule, Tensor, State], Tensor]
    usage: Usage
    bounds: Callable[[float], Mapping[str, float]]


@dataclass
class _Learning:
    """The state of a choice between two epochs."""

    module: GraphModule
    optimizer: torch.optim.Optimizer
    state: State
    multipliers: Multipliers
    epoch: int = 0
    rate_scale: float = 1.0
    seconds: float = 0.0


def learn(graph: Graph, setting: Setting, choice: Choice, progress: Progress = SILENT) -> tuple[State, float]:
    """The gates after the setting's epochs, and the processor seconds that they took.

    An interrupted choice goes on from its last whole epoch, kept in the setting's folder.  An epoch that
    diverges is repeated at a lower learning rate; DivergedError where that does not help.
    """
    path = None if setting.folder is None else setting.folder / f"{choice.name}.pt"
    run = _start(graph, setting, choice)
    if path is not None and path.exists():
        run = _unpack(graph, setting, load(path))
    progress.stage(f"choose {choice.name}", setting.recipe.epochs - run.epoch)

    def once(run: _Learning) -> None:
        started = time.process_time()
        loss = _epoch(run, setting, choice)
        run.seconds += time.process_time() - started
        run.epoch += 1
        progress.step(f"loss {loss:.3f}")

    while run.epoch < setting.recipe.epochs:
        run = safe_epoch(run, once, _pack, partial(_unpack, graph, setting), progress)
        if path is not None:
            save(path, _pack(run))
    return run.state, run.seconds


def _start(graph: Graph, setting: Setting, choice: Choice) -> _Learning:
    module = make_module(graph, setting.recipe, addressed=True)
    state = choice.method.init(module, choice.sites, torch.Generator().manual_seed(setting.recipe.seed))
    return _Learning(
        module, make_optimizer(module, setting.recipe), state, Multipliers.zero(choice.bounds(0.0))
    )


def _epoch(run: _Learning, setting: Setting, choice: Choice) -> float:
    """One epoch of steps; the mean loss."""
    recipe, losses = setting.recipe, list[Tensor]()
    steps = recipe.steps(len(setting.data.x))
    rate = recipe.learning_rate * run.rate_scale
    set_rate(run.optimizer, rate)
    run.module.train()
    for step, (x, y) in enumerate(batches(setting.data, recipe, run.epoch), start=run.epoch * steps):
        share = step / (recipe.epochs * steps)
        progress = min(max((share - WARMUP) / (DECIDED - WARMUP), 0.0), 1.0)
        bounds = choice.bounds(progress)
        context = _context(run, setting, choice, bounds, step, progress, x, y)
        losses.append(choice.method.step(context))
        check_finite(losses[-1], run.epoch, rate)
        if share >= WARMUP:
            run.multipliers = BINDING.update(run.multipliers, Observed(_violation(run, choice, bounds)))
    check_state(learned(run.module, run.state, run.multipliers), run.epoch, rate)
    return float(torch.stack(losses).mean())


def _context(
    run: _Learning,
    setting: Setting,
    choice: Choice,
    bounds: Mapping[str, float],
    step: int,
    progress: float,
    x: Tensor,
    y: Tensor,
) -> Context:
    multipliers = run.multipliers

    def loss() -> Tensor:
        return setting.loss(choice.forward(run.module, x, run.state), y)

    def price(expected: Mapping[str, Tensor]) -> Tensor:
        return pressure(choice.usage(expected), bounds, multipliers, BINDING)

    random = random_of(setting.recipe.seed, step)
    return Context(run.module, choice.sites, run.state, run.optimizer, loss, price, random, step, progress)


def _violation(run: _Learning, choice: Choice, bounds: Mapping[str, float]) -> dict[str, float]:
    """By the gates that are open now."""
    widths = choice.method.widths(run.state) or {site.key: site.size for site in choice.sites}
    used = choice.usage({key: torch.tensor(float(width)) for key, width in widths.items()})
    return {key: math.log(max(LEAST, float(used[key]) / bound)) for key, bound in bounds.items()}


def _pack(run: _Learning) -> dict[str, Any]:
    return {
        "values": checkpoint.values(run.module),
        "optimizer": run.optimizer.state_dict(),
        **checkpoint.pack_state(run.state),
        "multipliers": [dict(run.multipliers.values), dict(run.multipliers.sums)],
        "counters": [run.epoch, run.rate_scale, run.seconds],
    }


def _unpack(graph: Graph, setting: Setting, saved: Mapping[str, Any]) -> _Learning:
    module = make_module(graph, setting.recipe, addressed=True)
    checkpoint.restore(module, saved["values"])
    optimizer = make_optimizer(module, setting.recipe)
    optimizer.load_state_dict(saved["optimizer"])
    multipliers = Multipliers(*saved["multipliers"])
    return _Learning(module, optimizer, checkpoint.unpack_state(saved), multipliers, *saved["counters"])
