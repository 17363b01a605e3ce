"""After the freeze several networks train for a while on the same batches; the one that learns best goes on.

Saliency says which units of a layer matter, and little about how layers compare once most of the network is
gone: a few kilobytes hold many shapes, and a stem that is starved cannot be repaired by training.  So the
allocator proposes several sets of widths, every one within the budgets, and the training loss decides, by
heats as in successive halving (Jamieson & Talwalkar 2016, arXiv 1502.07943).  Rivals see the same batches,
so that even small differences of their losses mean something.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mcuprune.errors import BudgetError
from mcuprune.prune.allocate import Levels, Problem, allocate
from mcuprune.prune.method import curve
from mcuprune.prune.shrink import Keep, carry_optimizer, constant_indices, shrink
from mcuprune.prune.target import Target
from mcuprune.resources.macs import total_macs
from mcuprune.training.graph_module import GraphModule, fold_gates
from mcuprune.training.loop import make_module
from mcuprune.training.recipe import Recipe, make_optimizer
from mcuprune.training.schedules import Phases, allr_start, weights_of

MOST = 9  # rivals at the start
HEATS = ((0.4, 3), (1.0, 1))  # ends of the heats, as shares of the race, and how many go on
TILT = 1.0  # standard deviation of the logarithm of a group's weight in a random proposal
LOOSE = 0.5  # floors of random proposals, as a share of the uniform widths
MEMORY = 0.97  # of the running mean of a rival's loss
WORTH = 0.905  # times the dense training: what a run with its race is expected to cost, with a margin
GATED = 1.2  # times a dense step: one with gates, with the allocations between steps
INT8 = 2.5  # times a step of a small network: one that rounds weights and activations
UNSHRUNK = 0.25  # of a step's work: inputs and outputs, and bf16 that pays for large networks alone
NODE = 3.5e6  # MACs of a step that take as long as a folded node without any: 0.23 ms, one thread
_TINY = 1e-6  # of a group's importance: what is left of it without any unit


@dataclass
class Rival:
    """A network cut from the dense one; ``keep`` are its units, ``loss`` its running mean."""

    module: GraphModule
    optimizer: torch.optim.Optimizer
    keep: dict[str, np.ndarray]
    restart_rate: float
    loss: float = math.nan

    def note(self, loss: float) -> None:
        first = math.isnan(self.loss)
        self.loss = loss if first else MEMORY * self.loss + (1 - MEMORY) * loss


def proposals(
    problem: Problem, target: Target, norms: Mapping[str, np.ndarray], count: int, seed: int
) -> list[Levels]:
    """At most ``count`` different levels, all within every budget, the method's own allocation first.

    Then those with all groups alike; the one by filter ``norms`` (group -> (units,) scores), whose opinion of
    layers is another one; uniform widths, filled; those for which a group's loss grows without bound as it
    empties; and groups weighted by chance.
    """
    by_norms = replace(problem, curves={group: curve(norms[group]) for group in problem.curves})
    filled = replace(alike(problem), floors=target.uniform)
    ways = ((problem, True), (alike(problem), True), (by_norms, True), (filled, False))
    found = [allocate(way, refine) for way, refine in (*ways, (logarithmic(problem), True))[:count]]
    rng = np.random.default_rng((seed, len(problem.curves)))
    for _ in range(2 * count):
        if len(unique := list({tuple(levels.values()): levels for levels in found}.values())) >= count:
            break
        found.append(_tilted(problem, target, rng))
    return unique[:count]


def logarithmic(problem: Problem) -> Problem:
    """Curves ``T log(T / kept)``: the additive ones while little is removed, infinite when nothing is left.

    ``T`` is a group's whole importance, ``kept`` what its remaining units have of it.
    """
    return replace(problem, curves={k: float(c[0]) * _relative(c) for k, c in problem.curves.items()})


def alike(problem: Problem) -> Problem:
    """Curves ``log(T / kept)``: equal shares of importance cost the same in every group."""
    return replace(problem, curves={k: _relative(c) for k, c in problem.curves.items()})


def _relative(curve: np.ndarray) -> np.ndarray:
    if curve[0] <= 0.0:
        curve = np.arange(len(curve), 0.0, -1.0) - 1.0
    share = 1.0 - curve / curve[0]
    return -np.log(np.maximum(share, _TINY))


def _tilted(problem: Problem, target: Target, rng: np.random.Generator) -> Levels:
    tilts = np.exp(TILT * rng.standard_normal(len(problem.curves)))
    even = alike(problem)
    curves = {k: tilt * even.curves[k] for k, tilt in zip(even.curves, tilts, strict=True)}
    floors = {k: max(1, math.floor(LOOSE * width)) for k, width in target.uniform.items()}
    try:
        return allocate(replace(problem, curves=curves, floors=floors), refine=False)
    except BudgetError:  # packing is not monotone in the widths: lower floors may not fit
        return allocate(replace(problem, curves=curves), refine=False)


def affordable(target: Target, batch_size: int, phases: Phases) -> int:
    """Rivals with which the run is not expected to take longer than training the dense network.

    A step of a small network takes about its share of the widths (activations, not MACs, are what is slow),
    but what a node takes for being there stays: :data:`NODE`.
    """
    graph, freeze, race = target.resources.graph, phases.freeze, phases.race - phases.freeze
    work = batch_size * total_macs(graph)
    fixed = NODE * len(graph.nodes) / (NODE * len(graph.nodes) + work)
    full = sum(graph.widths[group] for group in target.uniform)
    widths = sum(target.uniform.values()) / max(1, full)
    share = fixed + (1.0 - fixed) * (UNSHRUNK + (1.0 - UNSHRUNK) * widths)
    int8 = 1.0 - phases.int8
    left = WORTH - GATED * freeze - share * (1.0 - freeze + (INT8 - 1.0) * int8)
    races = (
        left / (share * race) + 1.0 if race > 0.0 else 1.0
    )  # of one rival alone; the winner's is not extra
    end, staying = HEATS[0]
    count = races if races <= staying else (races - staying * (1.0 - end)) / end
    return int(min(max(count, 1.0), MOST))


def cut(
    module: GraphModule,
    optimizer: torch.optim.Optimizer,
    gates: Mapping[str, Tensor],
    keeps: Sequence[Keep],
    recipe: Recipe,
    left: float,
) -> list[Rival]:
    """A rival for every choice of units of ``module``, weights, batch norms and optimizer state cut alike.

    Gates that are neither open nor closed are folded into the weights behind them, so that a rival goes on
    with what was trained; ``left`` is the share of the run that remains.
    """
    opened = {group: torch.where(gate > 0, gate, 1.0) for group, gate in gates.items()}
    before, found = fold_gates(module.to_graph(), opened), []
    for keep in keeps:
        narrow = shrink(before, keep)
        own = make_module(narrow, recipe)
        own_optimizer = make_optimizer(own, recipe)
        carry_optimizer(module, optimizer, own, own_optimizer, constant_indices(before, keep))
        rate = allr_start(recipe.learning_rate, weights_of(before), weights_of(narrow), left)
        found.append(Rival(own, own_optimizer, dict(keep), rate))
    return found


def survivors(rivals: list[Rival], done: float) -> list[Rival]:
    """Those left at ``done`` (0..1) of the race, the best first."""
    left = min([count for end, count in HEATS if done >= end], default=MOST)
    if len(rivals) <= left:
        return rivals
    return sorted(rivals, key=lambda rival: math.inf if math.isnan(rival.loss) else rival.loss)[:left]
