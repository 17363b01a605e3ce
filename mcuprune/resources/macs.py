"""Multiply-accumulates of one inference.  Plain arithmetic: counts with ints, trains with tensors."""

from __future__ import annotations

from functools import singledispatch

from mcuprune.graph.ir import (
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Conv2d,
    Copy,
    DepthwiseConv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    Reshape,
    Softmax,
    State,
    unsupported,
)
from mcuprune.graph.op_shape import Number, OpShape


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


@macs.register(Activation)
@macs.register(Add)
@macs.register(AveragePool2d)
@macs.register(BatchNorm)
@macs.register(Concat)
@macs.register(Copy)
@macs.register(Flatten)
@macs.register(Input)
@macs.register(MaxPool2d)
@macs.register(Mul)
@macs.register(Pad)
@macs.register(Reshape)
@macs.register(Softmax)
@macs.register(State)
def _(node: Node, shape: OpShape) -> Number:
    return 0
