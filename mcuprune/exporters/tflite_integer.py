"""Node classes that only integer networks have, as .tflite operators."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.exporters.tflite_file import FUSED, TfliteFile, affine, lower
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
