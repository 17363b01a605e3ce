"""Depth: whole residual blocks that a network can do without, chosen by gates on their branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import all_constant_axes, build_graph
from mcuprune.graph.ir import Activation, Add, Graph, Input, Node
from mcuprune.prune.constrain import Augmented, Multipliers, Observed, homotopy, pressure
from mcuprune.prune.method import Context, Site
from mcuprune.prune.methods.bernoulli import Bernoulli
from mcuprune.prune.setting import Setting
from mcuprune.training.loop import batches, check_finite, make_module, make_optimizer, set_rate

BINDING = Augmented(penalty=0.2, rate=0.02)
GATES = Bernoulli(gate_rate=0.5)
WARMUP, DECIDED = 0.1, 0.7  # shares of the steps: no price before, all of it after


@dataclass(frozen=True)
class Branch:
    """What the addition ``add`` adds to ``skip``: ``output``, computed by ``nodes`` from ``skip``."""

    add: str
    skip: str
    output: str
    nodes: frozenset[str]


def branches(graph: Graph) -> tuple[Branch, ...]:
    """The branches that can go: nothing else reads them, and they read nothing but what they are added to."""
    found = []
    for node in graph.nodes:
        if isinstance(node, Add):
            for skip, output in (node.inputs, node.inputs[::-1]):
                inside = _between(graph, skip, output)
                if inside and _private(graph, inside, node.name):
                    found.append(Branch(node.name, skip, output, inside))
                    break
    return tuple(found)


def _between(graph: Graph, start: str, end: str) -> frozenset[str]:
    """Nodes on the way back from ``end`` to ``start``; empty where another tensor enters."""
    producers, inside, open_ends = {n.name: n for n in graph.nodes}, set[str](), [end]
    while open_ends:
        name = open_ends.pop()
        if name == start or name in inside:
            continue
        if isinstance(producers[name], Input):
            return frozenset()
        inside.add(name)
        open_ends += producers[name].inputs
    return frozenset(inside)


def _private(graph: Graph, inside: frozenset[str], add: str) -> bool:
    readers = [n.name for n in graph.nodes if any(i in inside for i in n.inputs)]
    return not inside & set(graph.outputs) and all(r in inside or r == add for r in readers)


def without(graph: Graph, branch: Branch) -> Graph:
    """``graph`` less the branch; the addition's own activation stays."""
    nodes, renamed = list[Node](), dict[str, str]()
    for node in graph.nodes:
        if node.name in branch.nodes:
            continue
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if isinstance(node, Add) and node.name == branch.add:
            skip = renamed.get(branch.skip, branch.skip)
            if node.activation is None:
                renamed[node.name] = skip
                continue
            nodes.append(Activation(node.name, (skip,), node.activation))
        else:
            nodes.append(replace(node, inputs=inputs))
    shapes = {n.name: graph.shape(n.name) for n in nodes if isinstance(n, Input)}
    outputs = [renamed.get(name, name) for name in graph.outputs]
    small = build_graph(graph.name, nodes, shapes, outputs, graph.constants)
    used = all_constant_axes(small)
    return replace(small, constants={k: v for k, v in graph.constants.items() if k in used})


def choose_depth(
    graph: Graph,
    setting: Setting,
    figures: Callable[[Graph], Mapping[str, float]],
    budgets: Mapping[str, float],
    share: float = 0.3,
) -> tuple[Graph, tuple[Branch, ...]]:
    """``graph`` (its initial weights) without the branches that Bernoulli gates closed, and those branches.

    One gate per branch, with no floor (Guenter & Sideris 2024, arXiv 2406.04549), trained beside the weights
    for the setting's epochs; its price is all that the branch takes by ``figures``.  Depth may carry
    ``share`` of the way, in logarithms, from the dense usage to the budgets; the widths carry the rest.
    """
    found = branches(graph)
    if not found:
        return graph, ()
    closed = _closed(graph, found, setting, figures, budgets, share)
    small = graph
    for branch in closed:
        small = without(small, branch)
    return small, closed


def _closed(
    graph: Graph,
    found: tuple[Branch, ...],
    setting: Setting,
    figures: Callable[[Graph], Mapping[str, float]],
    budgets: Mapping[str, float],
    share: float,
) -> tuple[Branch, ...]:
    dense = figures(graph)
    smaller = {branch.output: figures(without(graph, branch)) for branch in found}
    saved = {k: {o: dense[k] - f[k] for o, f in smaller.items()} for k in budgets}
    recipe = setting.recipe
    module = make_module(graph, recipe)
    sites = tuple(Site(branch.output, "block", 1) for branch in found)
    state = GATES.init(module, sites, torch.Generator().manual_seed(recipe.seed))
    optimizer, multipliers = make_optimizer(module, recipe), Multipliers.zero(budgets)
    set_rate(optimizer, recipe.learning_rate)
    total = recipe.epochs * recipe.steps(len(setting.data.x))

    def usage(on: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rest = {k: sum((1 - on[o].reshape(())) * v for o, v in saved[k].items()) for k in budgets}
        return {k: dense[k] - torch.as_tensor(rest[k]) for k in budgets}

    steps = ((e, x, y) for e in range(recipe.epochs) for x, y in batches(setting.data, recipe, e))
    for step, (epoch, x, y) in enumerate(steps):
        progress = min(max((step / total - WARMUP) / (DECIDED - WARMUP), 0.0), 1.0)
        bound = homotopy(dense, homotopy(dense, budgets, share), progress)

        def loss(x: Tensor = x, y: Tensor = y) -> Tensor:
            gates = {k: gate.to(x.device) for k, gate in state["gate"].items()}
            return setting.loss(
                module(x, activation=lambda name, value: value * gates[name] if name in gates else value), y
            )

        def price(
            expected: Mapping[str, Tensor],
            bound: Mapping[str, float] = bound,
            multipliers: Multipliers = multipliers,
        ) -> Tensor:
            return pressure(usage(expected), bound, multipliers, BINDING)

        random = torch.Generator().manual_seed(recipe.seed * 1_000_003 + step)
        rate = recipe.learning_rate
        context = Context(module, sites, state, optimizer, loss, price, random, step, progress, rate)
        check_finite(GATES.step(context), epoch, rate)
        if step >= WARMUP * total:
            now = usage(state["gate"])
            violation = {k: float(np.log(max(float(now[k]), 1e-9) / bound[k])) for k in budgets}
            multipliers = BINDING.update(multipliers, Observed(violation))
    kept = GATES.widths(state)
    return tuple(branch for branch in found if not kept[branch.output])
