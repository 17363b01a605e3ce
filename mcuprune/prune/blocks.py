"""Depth: whole residual blocks that a network can do without, chosen by gates on their branches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mcuprune.graph.channels import all_constant_axes, build_graph
from mcuprune.graph.ir import Activation, Add, Graph, Input, Node
from mcuprune.progress import SILENT, Progress
from mcuprune.prune.choice import Choice, learn
from mcuprune.prune.constrain import homotopy
from mcuprune.prune.method import Site, State
from mcuprune.prune.methods.bernoulli import Bernoulli
from mcuprune.prune.setting import Setting
from mcuprune.training.graph_module import GraphModule

GATES = Bernoulli(gate_rate=0.5)


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
            skip = next(name for name in inputs if name not in branch.nodes)
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


@dataclass(frozen=True)
class Depth:
    """``graph``: the network, with its initial weights, without the branches in ``dropped``."""

    graph: Graph
    dropped: tuple[Branch, ...] = ()
    seconds: float = 0.0


def choose_depth(
    graph: Graph,
    setting: Setting,
    figures: Callable[[Graph], Mapping[str, float]],
    budgets: Mapping[str, float],
    share: float = 0.3,
    progress: Progress = SILENT,
) -> Depth:
    """``graph`` without the branches that Bernoulli gates closed.

    One gate per branch, with no floor (Guenter & Sideris 2024, arXiv 2406.04549), trained beside the weights
    for the setting's epochs; its price is all that the branch takes by ``figures``.  Depth may carry
    ``share`` of the way, in logarithms, from the dense usage to the budgets; the widths carry the rest.
    """
    found = branches(graph)
    if not found:
        return Depth(graph)
    state, seconds = learn(graph, setting, _choice(graph, found, figures, budgets, share), progress)
    kept, small = GATES.widths(state), graph
    closed = tuple(branch for branch in found if not kept[branch.output])
    for branch in closed:
        small = without(small, branch)
    return Depth(small, closed, seconds)


def _choice(
    graph: Graph,
    found: tuple[Branch, ...],
    figures: Callable[[Graph], Mapping[str, float]],
    budgets: Mapping[str, float],
    share: float,
) -> Choice:
    dense = figures(graph)
    smaller = {branch.output: figures(without(graph, branch)) for branch in found}
    saved = {k: {o: dense[k] - f[k] for o, f in smaller.items()} for k in budgets}

    def forward(module: GraphModule, x: Tensor, state: State) -> Tensor:
        gates = {name: gate.to(x.device) for name, gate in state["gate"].items()}
        return module(x, activation=lambda name, value: value * gates[name] if name in gates else value)  # type: ignore[no-any-return]

    def usage(on: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rest = {k: sum((1 - on[o].reshape(())) * v for o, v in saved[k].items()) for k in budgets}
        return {k: dense[k] - torch.as_tensor(rest[k]) for k in budgets}

    def bounds(progress: float) -> Mapping[str, float]:
        return homotopy(dense, homotopy(dense, budgets, share), progress)

    sites = tuple(Site(branch.output, "block", 1) for branch in found)
    return Choice("blocks", GATES, sites, forward, usage, bounds)
