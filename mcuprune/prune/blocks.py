"""Depth: what a network can do without, whole residual blocks and stretches of a plain chain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from mcuprune.graph.channels import all_constant_axes, build_graph
from mcuprune.graph.ir import Activation, Add, BatchNorm, Conv2d, Graph, Input, Linear, Node


@dataclass(frozen=True)
class Branch:
    """What the addition ``add`` adds to ``skip``: ``output``, computed by ``nodes`` from ``skip``."""

    add: str
    skip: str
    output: str
    nodes: frozenset[str]


@dataclass(frozen=True)
class Stretch:
    """Layers in a row that make of ``start`` a tensor ``end`` of the same shape and kind: ``nodes``."""

    start: str
    end: str
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


def runs(graph: Graph) -> tuple[tuple[Stretch, ...], ...]:
    """Stretches that can go, in the order of the network; those that follow each other are one run.

    Nothing passes by a stretch, no two tensors join in it, and it holds a layer that mixes channels.  Without
    weights those of one run are alike: how many stay is all that there is to choose.
    """
    found, start = list[list[Stretch]](), ""
    for here, there in pairwise(_ends(graph)):
        stretch = Stretch(here, there, _between(graph, here, there))
        if not _is_plain(graph, stretch):
            continue
        if here != start:
            found.append([])
        found[-1].append(stretch)
        start = there
    return tuple(map(tuple, found))


def _ends(graph: Graph) -> list[str]:
    """Tensors that all that follows is computed from, behind whole layers: with norm and activation."""
    readers = {node.name: [r for r in graph.nodes if node.name in r.inputs] for node in graph.nodes}
    found, unread, mixes = list[str](), dict[str, int](), False
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            unread[name] -= 1
        unread[node.name] = len(readers[node.name])
        mixes |= isinstance(node, Conv2d | Linear)
        alone = sum(unread.values()) == unread[node.name]
        if mixes and alone and not any(isinstance(r, BatchNorm | Activation) for r in readers[node.name]):
            found.append(node.name)
            mixes = False
    return found


def _is_plain(graph: Graph, stretch: Stretch) -> bool:
    nodes = {node.name: node for node in graph.nodes}
    ends = [nodes[name] for name in (stretch.start, stretch.end)]
    if any(len(nodes[name].inputs) > 1 for name in stretch.nodes) or stretch.end in graph.outputs:
        return False
    first, second = (_kind(node) for node in ends)
    return first == second and graph.shape(stretch.start) == graph.shape(stretch.end)


def _kind(node: Node) -> tuple[type[Node], object]:
    function = node.function if isinstance(node, Activation) else getattr(node, "activation", None)
    return type(node), function


def without(graph: Graph, piece: Branch | Stretch) -> Graph:
    """``graph`` less the piece; the activation of a branch's addition stays."""
    nodes, renamed = list[Node](), dict[str, str]()
    if isinstance(piece, Stretch):
        renamed[piece.end] = piece.start
    for node in graph.nodes:
        if node.name in piece.nodes:
            continue
        inputs = tuple(renamed.get(name, name) for name in node.inputs)
        if isinstance(piece, Branch) and isinstance(node, Add) and node.name == piece.add:
            skip = next(name for name in inputs if name not in piece.nodes)
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
