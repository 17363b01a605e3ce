"""Shapes in an integer network: what a node makes of its inputs, and how TFLite shapes become ours.

Node classes that a float Graph has too follow its rules (:mod:`mcuprune.graph.channels`), one node at a time;
those of ``ir.INTEGER_ONLY`` have theirs here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import singledispatch

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.channels import build_graph

Shape = tuple[int, ...]


def canonical_shape(dims: Shape) -> Shape:
    """The shape here of a TFLite tensor whose dimensions, batch first, are ``dims``.

    ``()`` is (1,), ``(c,)`` and ``(1, c)`` are (c,), ``(n, c)`` and ``(1, n, c)`` are (n, 1, c),
    ``(1, h, w, c)`` and ``(h, w, c)`` are (h, w, c); of more dimensions the leading ones are counted as rows.
    The order of elements in memory is the same for all.
    """
    inner = dims[1:] if len(dims) > 1 and dims[0] == 1 else dims
    if len(inner) < 2:
        return inner or (1,)
    if len(inner) == 2:
        return (inner[0], 1, inner[1])
    return (math.prod(inner[:-2]), inner[-2], inner[-1])


@singledispatch
def output_shape(
    node: ir.Node, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    """The shape of what ``node`` makes of inputs of these shapes.

    ``declared`` is what its source says; nodes that may have any shape give it back.  Raises
    UnsupportedError, naming the layer, where sizes do not fit together.
    """
    names = [f"input {index}" for index in range(len(inputs))]
    single = type(node)(**{**vars(node), "inputs": tuple(names)})
    nodes = [*(ir.Input(name, ()) for name in names), single]
    graph = build_graph("", nodes, dict(zip(names, inputs, strict=True)), (node.name,), constants)
    return tuple(int(size) for size in graph.shape(node.name))


@output_shape.register
def _(
    node: ir.Copy, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    return inputs[0]


@output_shape.register
def _(
    node: ir.State, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    if constants[node.initial].values.size != math.prod(declared):
        raise UnsupportedError(f"layer '{node.name}': its initial values do not fill {declared}")
    return declared


@output_shape.register
def _(
    node: ir.Input, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    return declared


@output_shape.register
def _(
    node: ir.Reshape, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    if math.prod(inputs[0]) != math.prod(declared):
        raise UnsupportedError(f"layer '{node.name}': {inputs[0]} cannot be reshaped to {declared}")
    return declared


@output_shape.register
def _(
    node: ir.Stored, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    return tuple(constants[node.constant].values.shape)


@output_shape.register
def _(
    node: ir.Reduce, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    first = 3 - len(inputs[0])  # a vector has axis 2 only
    return tuple(1 if axis in node.axes else size for axis, size in enumerate(inputs[0], first))


@output_shape.register(ir.Rearrange)
def _(
    node: ir.Rearrange, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    """Any shape with the right number of elements, all read inside the input."""
    reach = [(count - 1) * stride for count, stride in zip(node.counts, node.strides, strict=True)]
    first, last = (node.start + sum(f(0, step) for step in reach) for f in (min, max))
    if first < 0 or last >= math.prod(inputs[0]) or math.prod(node.counts) != math.prod(declared):
        raise UnsupportedError(f"layer '{node.name}': elements {first}..{last} of {inputs[0]} to {declared}")
    return declared


@output_shape.register(ir.Take)
def _(
    node: ir.Take, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    height, width, channels = inputs[0]
    for numbers, size in ((node.rows, height), (node.columns, width)):
        if not all(0 <= number < size for number in numbers):
            raise UnsupportedError(f"layer '{node.name}': it reads outside its input {inputs[0]}")
    return (len(node.rows), len(node.columns), channels)


@output_shape.register(ir.ResizeBilinear)
def _(
    node: ir.ResizeBilinear, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    return (*node.size, inputs[0][2])


@output_shape.register(ir.LogSoftmax)
def _(
    node: ir.LogSoftmax, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    return inputs[0]


@output_shape.register(ir.Lstm)
def _(
    node: ir.Lstm, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    sequence, state = inputs
    units, features = constants[node.weights[0]].values.shape
    fits = all(constants[name].values.shape == (units, features) for name in node.weights)
    fits &= all(constants[name].values.shape == (units, units) for name in node.recurrent)
    fits &= all(constants[name].values.shape == (units,) for name in node.biases)
    if not fits or state != (units + (units + 1) // 2,) or sequence[1:] != (1, features):
        raise UnsupportedError(f"layer '{node.name}': weights, state and sequence {sequence} do not fit")
    return (sequence[0], 1, units)


@output_shape.register(ir.Svdf)
def _(
    node: ir.Svdf, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    filters, features = constants[node.weight].values.shape
    memory = constants[node.time].values.shape[1]
    units, rest = divmod(filters, node.rank)
    fits = constants[node.time].values.shape[0] == filters and not rest
    fits &= node.bias is None or constants[node.bias].values.shape == (units,)
    if not fits or inputs != ((features,), (filters * memory,)):
        raise UnsupportedError(f"layer '{node.name}': weights, state and features {inputs[0]} do not fit")
    return (units,)


def _broadcast(
    node: ir.Node, inputs: tuple[Shape, ...], constants: Mapping[str, ir.Constant], declared: Shape
) -> Shape:
    """Every axis as long as the longest of the operands, the others 1."""
    longest = tuple(max(sizes) for sizes in zip(*inputs, strict=True))
    for shape in inputs:
        if any(size not in (1, most) for size, most in zip(shape, longest, strict=True)):
            raise UnsupportedError(f"layer '{node.name}': {inputs[0]} and {inputs[1]} do not broadcast")
    return longest


for _kind in ir.ELEMENTWISE:
    output_shape.register(_kind, _broadcast)
