"""Random one-operator graphs on int16 activations and int8 weights, one strategy per operator."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE
from tests.quantize import int8_graphs
from tests.quantize.int8_graphs import one_op, rng_of, scales


def wide_batch(graph: ir.QuantizedGraph, count: int = 4, seed: int = 0) -> np.ndarray:
    """Random inputs of the input's type; the first sample is all smallest, the second all largest."""
    limits = np.iinfo(graph.quantization[graph.inputs[0]].dtype)
    shape = (count, *graph.shape(graph.inputs[0]))
    values = np.random.default_rng(seed).integers(limits.min, limits.max + 1, shape)
    values[0], values[1] = limits.min, limits.max
    return values.astype(limits.dtype)


@st.composite
def wide_scales(draw, low: int = -17, high: int = -7) -> ir.Quantization:
    return ir.Quantization(draw(scales(low, high)), 0, "int16")


@st.composite
def weighted(draw, graphs: st.SearchStrategy[ir.QuantizedGraph]) -> ir.QuantizedGraph:
    """A layer of weights: scales under which int16 results fit most of the time, 64-bit biases."""
    graph = draw(graphs)
    node: Any = graph.nodes[-1]
    source = draw(wide_scales())
    weight = graph.constants["w"]
    sizes = weight.values.shape
    taps = math.prod(sizes[:2] if isinstance(node, ir.DepthwiseConv2d) else sizes[1:])
    typical = source.scale * float(np.median(weight.scale)) * 70 * math.sqrt(taps)
    target = ir.Quantization(float(np.float32(typical * 2.0 ** draw(st.floats(-3, 3)))), 0, "int16")
    biases = rng_of(draw).integers(-(2**24), 2**24, graph.constants["b"].values.size)
    return replace(
        graph,
        nodes=(graph.nodes[0], replace(node, arithmetic=WIDE)),
        quantization={"x": source, node.name: target},
        constants={"w": weight, "b": ir.Constant(biases.astype(np.int64))},
    )


@st.composite
def requantizations(draw, arithmetic: str) -> ir.QuantizedGraph:
    shape = (draw(st.integers(1, 40)),)
    int8 = draw(int8_graphs.quantizations())
    near = ir.Quantization(float(np.float32(int8.scale * 2.0 ** draw(st.floats(-9, -4)))), 0, "int16")
    other = ir.Quantization(float(np.float32(near.scale * 2.0 ** draw(st.floats(-2, 5)))), 0, "int16")
    source, target = {"s8_s16": (int8, near), "s16_s8": (near, int8), WIDE: (near, other)}[arithmetic]
    node = ir.Activation("y", ("x",), "identity", arithmetic=arithmetic)
    return one_op(node, shape, shape, source, target)


WIDE_OPERATORS: dict[str, st.SearchStrategy[ir.QuantizedGraph]] = {
    "mcp_conv2d_s16": weighted(int8_graphs.convolutions()),
    "mcp_depthwise_conv2d_s16": weighted(int8_graphs.depthwise_convolutions()),
    "mcp_fully_connected_s16": weighted(int8_graphs.linears()),
    "mcp_quantize_s8_s16": requantizations("s8_s16"),
    "mcp_quantize_s16_s8": requantizations("s16_s8"),
    "mcp_quantize_s16": requantizations(WIDE),
}
