"""Arithmetic on two tensors, and reductions, of a .tflite file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.frontends.tflite_axes import axis_of, grouped, image, integers
from mcuprune.frontends.tflite_reader import TfliteReader
from mcuprune.graph import ir
from mcuprune.graph.axes import broadcast_levels
from mcuprune.graph.op_shape import WIDE, as_dims

Operator = Callable[[TfliteReader, schema.OperatorT], None]
Dims = tuple[int, ...]


def elementwise(kind: type[ir.Node], fuses: bool = False) -> Operator:
    """An operator on two tensors or constants of any shapes that broadcast."""

    def convert(reader: TfliteReader, operator: schema.OperatorT) -> None:
        index = int(operator.outputs[0])
        dims = reader.dimensions(index)
        operands = [_padded(reader.dimensions(int(i)), len(dims)) for i in operator.inputs[:2]]
        clamp = (reader.fused(operator),) if fuses else ()
        shapes = _common_shapes(operands, dims)
        if shapes is None:
            raise reader.refuse(operator, f"broadcasting {operands[0]} and {operands[1]} to {dims}")
        result = shapes[2]
        repeated = _repeated(shapes[:2], result)
        inputs = tuple(
            operand(reader, operator, i, shape, result if i in repeated else shape)
            for i, shape in enumerate(shapes[:2])
        )
        node = kind(reader.names[index], inputs, *clamp)
        if WIDE in (reader.arithmetic(name) for name in inputs):
            node = replace(node, arithmetic=WIDE)  # type: ignore[call-arg]
        reader.define(node, index, result)

    return convert


def _padded(dims: Dims, rank: int) -> Dims:
    return (1,) * (rank - len(dims)) + dims


def _common_shapes(operands: list[Dims], dims: Dims) -> tuple[Dims, Dims, Dims] | None:
    """Both operands and the result as (height, width, channels).

    Images stay as they are where two loops can run over them; else axes that broadcast alike are merged.
    """
    if len(dims) == 4 and dims[0] == 1:
        first, second, result = operands[0][1:], operands[1][1:], dims[1:]
        levels = broadcast_levels((as_dims(first), as_dims(second)), as_dims(result))
        if levels is not None and len(levels) <= 2:
            return first, second, result
    marks = [tuple(sizes[axis] == dims[axis] for sizes in operands) for axis in range(len(dims))]
    if any(sizes[axis] not in (1, dims[axis]) for sizes in operands for axis in range(len(dims))):
        return None
    found = grouped(dims, marks)
    if found is None:
        return None
    first, second = (
        tuple(size if whole[side] else 1 for size, whole in zip(found.shape, found.marks, strict=True))
        for side in (0, 1)
    )
    return first, second, found.shape


def _repeated(shapes: tuple[Dims, ...], result: Dims) -> tuple[int, ...]:
    """The operands that must be repeated to the size of the result, because kernels have two loops only."""
    first = int(math.prod(shapes[1]) < math.prod(shapes[0]))  # rather the smaller one
    for chosen in ((), (first,), (1 - first,)):
        sides = [result if i in chosen else shape for i, shape in enumerate(shapes)]
        levels = broadcast_levels((as_dims(sides[0]), as_dims(sides[1])), as_dims(result))
        if levels is not None and len(levels) <= 2:
            return chosen
    return (0, 1)


def operand(
    reader: TfliteReader, operator: schema.OperatorT, position: int, shape: Dims, wanted: Dims | None = None
) -> str:
    """The node of an input under ``shape``, an activation or a stored constant; repeated to ``wanted``."""
    index, wanted = int(operator.inputs[position]), wanted or shape
    if index not in reader.values and index >= 0 and reader.is_stored(index):
        return _stored(reader, operator, index, shape, wanted)
    source = reader.view(reader.source(operator, position, ("int8", "int16")), shape)
    if wanted == shape:
        return source
    if reader.arithmetic(source) == WIDE:
        raise reader.refuse(operator, f"broadcasting int16 values {shape} to {wanted}")
    strides = (0, *(0 if size == 1 else math.prod(shape[axis + 1 :]) for axis, size in enumerate(shape)))
    name = reader.fresh(f"{source}/repeated")
    node = ir.Rearrange(name, (source,), 0, (1, *wanted), strides)  # type: ignore[arg-type]
    reader.record(node, wanted, reader.quantization[source])
    return name


def _stored(reader: TfliteReader, operator: schema.OperatorT, index: int, shape: Dims, wanted: Dims) -> str:
    """The node of a constant, under the constant's own name where no other node has it."""
    name, values = reader.names[index], reader.array(index)
    scale, zero_point = reader.scales(index)
    if values.dtype != np.int8 or scale.size != 1:
        raise reader.refuse(operator, f"its constant '{name}' is not int8 with one scale")
    if reader.shapes.get(name) == wanted:
        return name
    if name in reader.shapes:
        name = reader.fresh(name)
    key = f"{name}/values"
    repeated = np.ascontiguousarray(np.broadcast_to(values.reshape(shape), wanted))
    reader.constants[key] = ir.Constant(repeated)
    reader.record(ir.Stored(name, (), key), wanted, ir.Quantization(float(scale[0]), int(zero_point[0])))
    return name


def _reduce(kind: str) -> Operator:
    def convert(reader: TfliteReader, operator: schema.OperatorT) -> None:
        index = int(operator.outputs[0])
        dims = reader.dimensions(int(operator.inputs[0]))
        wanted = integers(reader, operator, 1, "its axes")
        axes = {axis_of(reader, operator, axis, len(dims)) for axis in wanted}
        if len(reader.shape(int(operator.inputs[0]))) == 1 and len(dims) - 1 in axes:
            node = ir.Reduce(reader.names[index], (reader.source(operator),), kind, (2,))
            reader.define(node, index, (1,))
            return
        found = image(dims, axes) or grouped(dims, [axis in axes for axis in range(len(dims))])
        if found is None:
            raise reader.refuse(operator, f"axes {sorted(axes)} of {dims}, with others between them")
        source = reader.view(reader.source(operator), found.shape)
        joined = tuple(axis for axis, mark in enumerate(found.marks) if mark)
        shape = tuple(1 if axis in joined else size for axis, size in enumerate(found.shape))
        node = ir.Reduce(reader.names[index], (source,), kind, joined)
        reader.define(node, index, shape)

    return convert


ARITHMETIC: Mapping[str, Operator] = {
    "SUB": elementwise(ir.Sub, fuses=True),
    "DIV": elementwise(ir.Div, fuses=True),
    "SQUARED_DIFFERENCE": elementwise(ir.SquaredDifference),
    "MINIMUM": elementwise(ir.Minimum),
    "MAXIMUM": elementwise(ir.Maximum),
    "PRELU": elementwise(ir.Prelu),
    "MEAN": _reduce("mean"),
    "SUM": _reduce("sum"),
    "REDUCE_MAX": _reduce("max"),
    "REDUCE_MIN": _reduce("min"),
}
