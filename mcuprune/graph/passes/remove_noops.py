"""Nodes that return what they read."""

from __future__ import annotations

from functools import singledispatch

from mcuprune.graph.ir import (
    Activation,
    AveragePool2d,
    Concat,
    Flatten,
    Graph,
    Input,
    MaxPool2d,
    Node,
    Pad,
    Window,
)
from mcuprune.graph.passes.fuse import is_clamp
from mcuprune.graph.passes.rewrite import rebuilt


def remove_noops(graph: Graph) -> Graph:
    """Remove flattenings of vectors, empty padding, 1x1 pooling, one-part concatenations and repeated ReLUs.

    A graph output keeps its node when removal would make an output of a graph input.
    """
    kept: dict[str, Node] = {}
    alias: dict[str, str] = {}
    for node in graph.nodes:
        source = kept[alias.get(node.inputs[0], node.inputs[0])] if node.inputs else node
        bare_output = node.name in graph.outputs and isinstance(source, Input)
        if is_noop(node, source, graph) and not bare_output:
            alias[node.name] = source.name
        else:
            kept[node.name] = node
    return rebuilt(graph, list(kept.values()), alias)


@singledispatch
def is_noop(node: Node, source: Node, graph: Graph) -> bool:
    """Whether a node returns its (first) input, the output of ``source``, unchanged."""
    return False


@is_noop.register
def _(node: Flatten, source: Node, graph: Graph) -> bool:
    return not graph.tensors[source.name].spatial


@is_noop.register
def _(node: Pad, source: Node, graph: Graph) -> bool:
    return not any(node.padding)


@is_noop.register
def _(node: Concat, source: Node, graph: Graph) -> bool:
    return len(node.inputs) == 1


@is_noop.register(MaxPool2d)
@is_noop.register(AveragePool2d)
def _(node: MaxPool2d | AveragePool2d, source: Node, graph: Graph) -> bool:
    one = Window((1, 1), (1, 1), (0, 0, 0, 0), node.window.dilation)
    return node.window == one and node.activation is None


@is_noop.register
def _(node: Activation, source: Node, graph: Graph) -> bool:
    before = source.function if is_clamp(source) else getattr(source, "activation", None)  # type: ignore
    return is_clamp(node) and before in ({"relu", "relu6"} if node.function == "relu" else {"relu6"})
