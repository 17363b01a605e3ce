"""Operators that disappear into a neighbour: ReLUs into the layer before, padding into the window after."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph.ir import (
    CLAMPS,
    Activation,
    Add,
    AveragePool2d,
    Conv2d,
    DepthwiseConv2d,
    Graph,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
)
from mcuprune.graph.passes.rewrite import only_reader, readers, rebuilt, remove_dead

CLAMPING = Conv2d | DepthwiseConv2d | Linear | MaxPool2d | AveragePool2d | Add | Mul


def is_clamp(node: Node) -> bool:
    """Whether a node is a plain ReLU or ReLU6, the activations that other nodes can absorb."""
    return isinstance(node, Activation) and node.function in CLAMPS and node.gain == 1.0


def fuse_activation(graph: Graph) -> Graph:
    """Put each ReLU/ReLU6 into the node it reads, if it is that node's only reader."""
    reading = readers(graph)
    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    for node in graph.nodes:
        source = nodes.get(alias.get(node.inputs[0], node.inputs[0])) if node.inputs else None
        free = isinstance(source, CLAMPING) and source.activation is None
        if is_clamp(node) and free and only_reader(graph, reading, node.inputs[0]):
            nodes[source.name] = replace(source, activation=node.function)  # type: ignore
            alias[node.name] = source.name  # type: ignore[union-attr]
        else:
            nodes[node.name] = node
    return rebuilt(graph, list(nodes.values()), alias)


def fuse_pad(graph: Graph) -> Graph:
    """Let convolutions do the zero padding before them; a Pad that others read too stays for them."""
    pads = {node.name: node for node in graph.nodes if isinstance(node, Pad)}
    nodes: list[Node] = []
    for node in graph.nodes:
        while isinstance(node, Conv2d | DepthwiseConv2d) and node.inputs[0] in pads:
            pad = pads[node.inputs[0]]
            top, left, bottom, right = (a + b for a, b in zip(node.window.padding, pad.padding, strict=True))
            window = replace(node.window, padding=(top, left, bottom, right))
            node = replace(node, inputs=pad.inputs, window=window)
        nodes.append(node)
    return remove_dead(rebuilt(graph, nodes))
