"""Which nodes the passes may reason about; every other node is left alone.

A node is *known* if its class is one of :data:`KNOWN`, its arithmetic is ``s8``, its tensors are int8 and
related in size as its class says.  Anything else is *opaque*: its output may hold anything, it needs all of
its inputs whole, it may have effects beyond its output, and it is never rewritten.  So a new operator, or a
new option of an old one, is safe before anybody teaches it to these passes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import singledispatch

from mcuprune.graph import ir
from mcuprune.graph.op_shape import op_shape
from mcuprune.quantize.multipliers import WEIGHTED

Weighted = ir.Conv2d | ir.DepthwiseConv2d | ir.Linear
WINDOWED = (ir.MaxPool2d, ir.AveragePool2d)
BINARY = (ir.Add, ir.Mul)
KNOWN = (*WEIGHTED, *WINDOWED, *BINARY, ir.Activation, ir.Concat, ir.Pad, ir.Reduce, *ir.ALIASES)


def known(node: ir.Node, graph: ir.QuantizedGraph) -> bool:
    """Whether the passes may reason about ``node``; exact classes only, since a subclass may mean more."""
    if type(node) not in KNOWN or getattr(node, "arithmetic", "s8") != "s8":
        return False
    tensors = (*node.inputs, node.name)
    if any(name not in graph.quantization or graph.quantization[name].dtype != "int8" for name in tensors):
        return False
    return _sizes_agree(node, graph)


@singledispatch
def _sizes_agree(node: ir.Node, graph: ir.QuantizedGraph) -> bool:
    """Whether the tensors have the sizes that the class's meaning gives; by default those of its input."""
    return all(graph.shape(name) == graph.shape(node.name) for name in node.inputs)


@_sizes_agree.register(ir.Conv2d)
@_sizes_agree.register(ir.DepthwiseConv2d)
@_sizes_agree.register(ir.MaxPool2d)
@_sizes_agree.register(ir.AveragePool2d)
def _(node: ir.Conv2d, graph: ir.QuantizedGraph) -> bool:
    source, target = graph.shape(node.inputs[0]), graph.shape(node.name)
    return len(source) == len(target) == 3 and node.window.output_size(*source[:2]) == target[:2]


@_sizes_agree.register
def _(node: ir.Linear, graph: ir.QuantizedGraph) -> bool:
    return all(len(graph.shape(name)) == 1 for name in (node.inputs[0], node.name))


@_sizes_agree.register(ir.Add)
@_sizes_agree.register(ir.Mul)
def _(node: ir.Add | ir.Mul, graph: ir.QuantizedGraph) -> bool:
    shape = op_shape(node, graph.shape)
    height, width, channels = shape.output
    return len(shape.inputs) == 2 and all(
        dims[:2] in ((height, width), (1, 1)) and dims[2] in (channels, 1) for dims in shape.inputs
    )


@_sizes_agree.register
def _(node: ir.Concat, graph: ir.QuantizedGraph) -> bool:
    shapes, target = [graph.shape(name) for name in node.inputs], graph.shape(node.name)
    return {s[:-1] for s in shapes} == {target[:-1]} and sum(s[-1] for s in shapes) == target[-1]


@_sizes_agree.register(ir.Flatten)
@_sizes_agree.register(ir.Reshape)
def _(node: ir.Flatten | ir.Reshape, graph: ir.QuantizedGraph) -> bool:
    return math.prod(graph.shape(node.name)) == math.prod(graph.shape(node.inputs[0]))


@_sizes_agree.register
def _(node: ir.Reduce, graph: ir.QuantizedGraph) -> bool:
    """Only reductions in space: the channels of the input are those of the output."""
    source, target = graph.shape(node.inputs[0]), graph.shape(node.name)
    sizes = tuple(1 if axis in node.axes else size for axis, size in enumerate(source))
    return 2 not in node.axes and len(source) == 3 and target == sizes


@_sizes_agree.register
def _(node: ir.Pad, graph: ir.QuantizedGraph) -> bool:
    height, width, channels = op_shape(node, graph.shape).inputs[0]
    top, left, bottom, right = node.padding
    return graph.shape(node.name) == (height + top + bottom, width + left + right, channels)


def pinned(graph: ir.QuantizedGraph) -> frozenset[str]:
    """Tensors that are seen outside of a run: outputs, states, and what is left for the next run."""
    changed = (state for node in graph.nodes for state in node.changes)
    return frozenset((*graph.outputs, *graph.updates, *graph.updates.values(), *changed))


def channels(graph: ir.QuantizedGraph, tensor: str) -> int:
    return graph.shape(tensor)[-1]


def readers(graph: ir.QuantizedGraph) -> dict[str, tuple[ir.Node, ...]]:
    """The nodes that read each tensor, in order; outputs of the graph are not counted."""
    found: dict[str, list[ir.Node]] = {node.name: [] for node in graph.nodes}
    for node in graph.nodes:
        for name in dict.fromkeys(node.inputs):
            found.setdefault(name, []).append(node)
    return {name: tuple(nodes) for name, nodes in found.items()}


def constants_of(node: ir.Node, constants: Mapping[str, ir.Constant]) -> tuple[str, ...]:
    """Names of the constants that any field of ``node``, of whatever class, mentions."""
    values = [getattr(node, entry.name) for entry in fields(node)]
    flat = [v for value in values for v in (value if isinstance(value, tuple) else (value,))]
    return tuple(v for v in flat if isinstance(v, str) and v in constants)


def with_nodes(
    graph: ir.QuantizedGraph,
    nodes: tuple[ir.Node, ...],
    constants: Mapping[str, ir.Constant] | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> ir.QuantizedGraph:
    """``graph`` with other nodes, and only the tensors and constants that these use."""
    stored, sizes = constants or graph.constants, shapes or graph.shapes
    used = {name for node in nodes for name in constants_of(node, stored)}
    names = {node.name for node in nodes} | {name for node in nodes for name in node.inputs}
    return replace(
        graph,
        nodes=nodes,
        shapes={k: v for k, v in sizes.items() if k in names},
        quantization={k: v for k, v in graph.quantization.items() if k in names},
        constants={k: v for k, v in stored.items() if k in used},
    )
