"""Room for what is concatenated: rescaling behind outputs whose int8 scale is prescribed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch

from mcuprune.graph.ir import (
    Activation,
    AveragePool2d,
    Concat,
    Flatten,
    Graph,
    MaxPool2d,
    Node,
    Pad,
    Softmax,
    TensorType,
)
from mcuprune.graph.passes.rewrite import rebuilt

# Ranges for which TensorFlow Lite Micro prescribes the scale; equal ranges have equal scales
PRESCRIBED = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
PRESCRIBED_SOFTMAX = (0.0, 1.0)

Ranges = Mapping[str, tuple[float, float] | None]  # of tensors; None: the scale is free


def separate_scales(graph: Graph) -> Graph:
    """Rescale sigmoids, tanhs and softmaxes before they are concatenated with tensors of another range.

    All parts of a concatenation share one int8 scale.  A prescribed one would clip the other parts, so a
    leaky ReLU of slope 1 comes between: it changes no value, and in integers it is a plain rescaling.
    """
    ranges: dict[str, tuple[float, float] | None] = {}
    nodes: list[Node] = []
    tensors: dict[str, TensorType] = dict(graph.tensors)
    for node in graph.nodes:
        ranges[node.name] = prescribed_range(node, ranges)
        if isinstance(node, Concat) and ranges[node.name] is None:
            copies: dict[str, str] = {}
            for source in dict.fromkeys(name for name in node.inputs if ranges[name]):
                copies[source] = _fresh(f"{source}.rescaled", tensors)
                nodes.append(Activation(copies[source], (source,), "leaky_relu", slope=1.0))
                tensors[copies[source]] = tensors[source]
            node = replace(node, inputs=tuple(copies.get(name, name) for name in node.inputs))
        nodes.append(node)
    return rebuilt(replace(graph, tensors=tensors), nodes)


@singledispatch
def prescribed_range(node: Node, ranges: Ranges) -> tuple[float, float] | None:
    """The range whose scale a node's output must have, or None where the scale is free."""
    return None


@prescribed_range.register
def _(node: Activation, ranges: Ranges) -> tuple[float, float] | None:
    return PRESCRIBED.get(node.function)


@prescribed_range.register
def _(node: Softmax, ranges: Ranges) -> tuple[float, float] | None:
    return PRESCRIBED_SOFTMAX


@prescribed_range.register(Concat)
@prescribed_range.register(MaxPool2d)
@prescribed_range.register(AveragePool2d)
@prescribed_range.register(Flatten)
@prescribed_range.register(Pad)
def _(node: Node, ranges: Ranges) -> tuple[float, float] | None:
    """These keep the scale of what they read; None where they read several."""
    found = {ranges[name] for name in node.inputs}
    return found.pop() if len(found) == 1 else None


def _fresh(wanted: str, taken: Mapping[str, object]) -> str:
    name, count = wanted, 2
    while name in taken:
        name, count = f"{wanted}{count}", count + 1
    return name
