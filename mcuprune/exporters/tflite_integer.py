"""Node classes that only integer networks have, as .tflite operators."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.exporters.tflite_file import FUSED, TfliteFile, affine, lower
from mcuprune.frontends.tflite_reader import TAKEN_ROWS
from mcuprune.graph import ir

_BINARY = {
    ir.SquaredDifference: ("SQUARED_DIFFERENCE", schema.SquaredDifferenceOptionsT),
    ir.Minimum: ("MINIMUM", schema.MaximumMinimumOptionsT),
    ir.Maximum: ("MAXIMUM", schema.MaximumMinimumOptionsT),
}
_REDUCTIONS = {"mean": "MEAN", "sum": "SUM", "max": "REDUCE_MAX", "min": "REDUCE_MIN"}


@lower.register(ir.Stored)
def _(node: ir.Stored, file: TfliteFile) -> None:
    found = file.qgraph.quantization[node.name]
    values = file.qgraph.constants[node.constant].values[np.newaxis]
    file.constant(node.name, values, affine([found.scale], [found.zero_point]))


def _operands(node: ir.Node, file: TfliteFile) -> list[int]:
    return [file.activation(name) for name in node.inputs]


@lower.register(ir.Sub)
def _(node: ir.Sub, file: TfliteFile) -> None:
    options = schema.SubOptionsT(fusedActivationFunction=FUSED[node.activation])
    file.operator("SUB", _operands(node, file), file.activation(node.name), options, "SubOptions")


@lower.register(ir.Div)
def _(node: ir.Div, file: TfliteFile) -> None:
    options = schema.DivOptionsT(fusedActivationFunction=FUSED[node.activation])
    file.operator("DIV", _operands(node, file), file.activation(node.name), options, "DivOptions")


@lower.register(ir.LogSoftmax)
def _(node: ir.LogSoftmax, file: TfliteFile) -> None:
    file.operator("LOG_SOFTMAX", _operands(node, file), file.activation(node.name))


@lower.register(ir.Prelu)
def _(node: ir.Prelu, file: TfliteFile) -> None:
    file.operator("PRELU", _operands(node, file), file.activation(node.name))


@lower.register(ir.SquaredDifference)
@lower.register(ir.Minimum)
@lower.register(ir.Maximum)
def _(node: ir.SquaredDifference | ir.Minimum | ir.Maximum, file: TfliteFile) -> None:
    code, options = _BINARY[type(node)]
    name = options.__name__.removesuffix("T")
    file.operator(code, _operands(node, file), file.activation(node.name), options(), name)


@lower.register(ir.Reduce)
def _(node: ir.Reduce, file: TfliteFile) -> None:
    first = 3 - len(file.qgraph.shape(node.name))  # a vector has axis 2 only; axis 0 of the file is the batch
    axes = np.array([axis + 1 - first for axis in node.axes if axis >= first], np.int32)
    inputs = [file.activation(node.inputs[0]), file.constant(f"{node.name}/axes", axes)]
    options = schema.ReducerOptionsT(keepDims=True)
    code = _REDUCTIONS[node.kind]
    file.operator(code, inputs, file.activation(node.name), options, "ReducerOptions")


def _gathered(file: TfliteFile, name: str, source: int, indices: np.ndarray, axis: int, target: int) -> None:
    options = schema.GatherOptionsT(axis=axis)
    inputs = [source, file.constant(f"{name}/indices", indices.astype(np.int32))]
    file.operator("GATHER", inputs, target, options, "GatherOptions")


def reshaped(file: TfliteFile, name: str, source: int, shape: tuple[int, ...], target: int) -> None:
    dims = np.array([1, *shape], np.int32)
    inputs = [source, file.constant(f"{name}/shape", dims)]
    file.operator("RESHAPE", inputs, target, schema.ReshapeOptionsT(newShape=dims), "ReshapeOptions")


@lower.register(ir.Rearrange)
def _(node: ir.Rearrange, file: TfliteFile) -> None:
    """Every element by its number: whatever the node was, this says the same."""
    shape, quantization = file.qgraph.shape(node.name), file.qgraph.quantization[node.name]
    index = np.array([node.start])
    for count, stride in zip(node.counts, node.strides, strict=True):
        index = (index[:, None] + np.arange(count) * stride).reshape(-1)
    size = int(np.prod(file.qgraph.shape(node.inputs[0])))
    flat = file.quantized(f"{node.name}/flat", (size,), quantization)
    reshaped(file, f"{node.name}/flat", file.activation(node.inputs[0]), (size,), flat)
    _gathered(file, node.name, flat, index.reshape(shape), 1, file.activation(node.name))


@lower.register(ir.Take)
def _(node: ir.Take, file: TfliteFile) -> None:
    _, width, channels = file.qgraph.shape(node.inputs[0])
    quantization = file.qgraph.quantization[node.name]
    name = f"{node.name}{TAKEN_ROWS}"
    rows = file.quantized(name, (len(node.rows), width, channels), quantization)
    source, target = file.activation(node.inputs[0]), file.activation(node.name)
    _gathered(file, name, source, np.array(node.rows), 1, rows)
    _gathered(file, node.name, rows, np.array(node.columns), 2, target)


@lower.register(ir.ResizeBilinear)
def _(node: ir.ResizeBilinear, file: TfliteFile) -> None:
    size = file.constant(f"{node.name}/size", np.array(node.size, np.int32))
    options = schema.ResizeBilinearOptionsT(
        alignCorners=node.align_corners, halfPixelCenters=node.half_pixel_centers
    )
    inputs = [file.activation(node.inputs[0]), size]
    file.operator("RESIZE_BILINEAR", inputs, file.activation(node.name), options, "ResizeBilinearOptions")
