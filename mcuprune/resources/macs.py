"""Multiply-accumulates of one inference.  Plain arithmetic: counts with ints, trains with tensors."""

from __future__ import annotations

from functools import singledispatch

from mcuprune.graph.ir import (
    INTEGER_ONLY,
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    Lstm,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    QuantizedGraph,
    Softmax,
    Svdf,
    unsupported,
)
from mcuprune.graph.op_shape import Number, OpShape, op_shape


def total_macs(graph: Graph | QuantizedGraph) -> int:
    """MACs of the whole network at its own widths."""
    return sum(int(macs(node, op_shape(node, graph.shape))) for node in graph.nodes if node.inputs)


@singledispatch
def macs(node: Node, shape: OpShape) -> Number:
    """MACs of a node.  Only convolutions and linear layers have any; a class not listed is an error."""
    raise unsupported(node, "the MAC count")


@macs.register
def _(node: Conv2d, shape: OpShape) -> Number:
    height, width, channels = shape.output
    kernel_h, kernel_w = node.window.kernel
    return height * width * channels * kernel_h * kernel_w * shape.inputs[0][2]


@macs.register
def _(node: DepthwiseConv2d, shape: OpShape) -> Number:
    height, width, channels = shape.output
    kernel_h, kernel_w = node.window.kernel
    return height * width * channels * kernel_h * kernel_w


@macs.register
def _(node: Linear, shape: OpShape) -> Number:
    return shape.inputs[0][2] * shape.output[2]


def _none(node: Node, shape: OpShape) -> Number:
    return 0


for _kind in (
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Flatten,
    Graph,
    Input,
    MaxPool2d,
    Mul,
    Pad,
    Softmax,
    *INTEGER_ONLY,
):
    macs.register(_kind, _none)


@macs.register
def _(node: Lstm, shape: OpShape) -> Number:
    steps, _, units = shape.output
    return 4 * steps * units * (shape.inputs[0][2] + units)


@macs.register
def _(node: Svdf, shape: OpShape) -> Number:
    return shape.output[2] * node.rank * shape.inputs[0][2] + shape.inputs[1][2]
