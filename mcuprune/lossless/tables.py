"""Known nodes of one varying input as tables of 256 values, which can be compared completely."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

import numpy as np

from mcuprune.graph import ir
from mcuprune.lossless.bounds import constant_channels
from mcuprune.quantize.operands import clamp_range, quantization_of
from mcuprune.quantize.parameters import LookupParameters
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.quantize.scheme import integer_parameters

VALUES = np.arange(-128, 128)


def lookup(node: ir.Activation, graph: ir.QuantizedGraph) -> np.ndarray:
    """int8 ``(256,)``: what an activation makes of each input from -128 on."""
    p = integer_parameters(node, graph)
    assert isinstance(p, LookupParameters)
    return p.table


def clamped(activation: str | None, tensor: str, graph: ir.QuantizedGraph) -> np.ndarray:
    """``(256,)``: what a fused activation in the quantization of ``tensor`` makes of each value."""
    return np.clip(VALUES, *clamp_range(activation, quantization_of(tensor, graph)))


def reachable(limits: np.ndarray) -> np.ndarray:
    """bool ``(256,)``: the values between the least and the greatest of a tensor."""
    return (limits[0].min() <= VALUES) & (limits[1].max() >= VALUES)


@singledispatch
def passes(node: ir.Node, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]) -> str | None:
    """The input that a known node hands on unchanged, whatever that holds; None if there is none."""
    return None


@passes.register
def _(node: ir.Activation, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]) -> str | None:
    (source,) = node.inputs
    seen = reachable(limits[source])
    return source if np.array_equal(lookup(node, graph)[seen], VALUES[seen]) else None


@passes.register(ir.MaxPool2d)
@passes.register(ir.AveragePool2d)
def _(
    node: ir.MaxPool2d | ir.AveragePool2d, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]
) -> str | None:
    """A window of one element."""
    (source,) = node.inputs
    single = node.window.kernel == node.window.stride == (1, 1) and not any(node.window.padding)
    seen = reachable(limits[source])
    same = np.array_equal(clamped(node.activation, node.name, graph)[seen], VALUES[seen])
    return source if single and same else None


@passes.register
def _(node: ir.Concat, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]) -> str | None:
    return node.inputs[0] if len(node.inputs) == 1 else None


@passes.register
def _(node: ir.Pad, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]) -> str | None:
    return None if any(node.padding) else node.inputs[0]


@passes.register(ir.Flatten)
@passes.register(ir.Reshape)
def _(
    node: ir.Flatten | ir.Reshape, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]
) -> str | None:
    return node.inputs[0]


@passes.register(ir.Add)
@passes.register(ir.Mul)
def _(node: ir.Add | ir.Mul, graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]) -> str | None:
    """One operand is constant in every channel, and what comes out is the other operand."""
    for source, other in (node.inputs, node.inputs[::-1]):
        constant, values = constant_channels(limits[other])
        if constant.all() and graph.shape(source) == graph.shape(node.name):
            seen = reachable(limits[source])
            table = _with_constant(node, graph, source, other, values)[seen]
            if (table == VALUES[seen, np.newaxis]).all():
                return source
    return None


def _with_constant(
    node: ir.Add | ir.Mul, graph: ir.QuantizedGraph, source: str, other: str, values: np.ndarray
) -> np.ndarray:
    """``(256, channels)``: every value of ``source`` combined with the constant of each channel."""
    width = graph.shape(node.name)[-1]
    single = ir.QuantizedGraph(
        "table",
        (ir.Input(source, ()), ir.Input(other, ()), node),
        (node.name,),
        {source: (1, 1, width), other: (1, 1, len(values)), node.name: (1, 1, width)},
        {name: graph.quantization[name] for name in (source, other, node.name)},
        {},
    )
    inputs = {
        source: np.broadcast_to(VALUES.reshape(256, 1, 1, 1), (256, 1, 1, width)).astype(np.int8),
        other: np.broadcast_to(values, (256, 1, 1, len(values))).astype(np.int8),
    }
    result = run_int8(single, inputs)
    assert isinstance(result, np.ndarray)
    return result.reshape(256, width)
