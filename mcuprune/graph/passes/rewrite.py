"""What all passes share: who reads a tensor, and a graph rebuilt around changed nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcuprune.graph.channels import constant_axes
from mcuprune.graph.ir import Constant, Graph, Input, Node


def readers(graph: Graph) -> dict[str, tuple[Node, ...]]:
    """The nodes that read each tensor, in graph order; a node that reads it twice is listed once."""
    found: dict[str, tuple[Node, ...]] = {node.name: () for node in graph.nodes}
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            found[name] += (node,)
    return found


def only_reader(graph: Graph, reading: Mapping[str, tuple[Node, ...]], tensor: str) -> bool:
    """Whether a tensor is read by exactly one node and is no graph output."""
    return len(reading[tensor]) == 1 and tensor not in graph.outputs


def rebuilt(
    graph: Graph,
    nodes: Sequence[Node],
    alias: Mapping[str, str] | None = None,
    constants: Mapping[str, Constant] | None = None,
) -> Graph:
    """``graph`` with its nodes replaced by ``nodes``.

    ``alias`` maps a removed tensor to the one of the same type that takes its place, in readers and outputs;
    ``constants`` are added to, or replace, the graph's.  Tensors, constants and groups that nothing uses any
    more are dropped.
    """
    alias = alias or {}

    def follow(name: str) -> str:
        while name in alias:
            name = alias[name]
        return name

    rewired = tuple(replace(node, inputs=tuple(follow(name) for name in node.inputs)) for node in nodes)
    tensors = {node.name: graph.tensors[node.name] for node in rewired}
    groups = {block.group for kind in tensors.values() for block in kind.channels}
    draft = replace(
        graph,
        nodes=rewired,
        outputs=tuple(follow(name) for name in graph.outputs),
        tensors=tensors,
        widths={group: width for group, width in graph.widths.items() if group in groups},
        constants={**graph.constants, **(constants or {})},
        frozen=graph.frozen & groups,
    )
    used = {name for node in rewired for name in constant_axes(node, draft)}
    return replace(draft, constants={name: c for name, c in draft.constants.items() if name in used})


def remove_dead(graph: Graph) -> Graph:
    """Drop nodes that no output depends on; graph inputs stay, for they are the model's interface."""
    alive = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in alive:
            alive.update(node.inputs)
    return rebuilt(graph, [n for n in graph.nodes if n.name in alive or isinstance(n, Input)])


def fresh_constant(graph: Graph, wanted: str, taken: Mapping[str, object]) -> str:
    """A constant name based on ``wanted`` that neither the graph nor ``taken`` uses."""
    name, count = wanted, 2
    while name in graph.constants or name in taken:
        name, count = f"{wanted}.{count}", count + 1
    return name
