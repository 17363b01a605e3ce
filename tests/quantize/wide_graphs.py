"""Random one-operator graphs on int16 activations and int8 weights, one strategy per operator."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE
from mcuprune.quantize.flat import join
from tests.quantize import int8_graphs
from tests.quantize.int8_graphs import one_op, rng_of, scales


def wide_batch(graph: ir.QuantizedGraph, count: int = 4, seed: int = 0) -> np.ndarray:
    """Random inputs as bytes (see :mod:`mcuprune.quantize.flat`); the first sample has all the smallest
    numbers, the second all the largest."""
    parts = {}
    for name in graph.inputs:
        limits = np.iinfo(graph.quantization[name].dtype)
        values = np.random.default_rng(seed).integers(limits.min, limits.max + 1, (count, *graph.shape(name)))
        values[0], values[1] = limits.min, limits.max
        parts[name] = values.astype(limits.dtype)
    return join(graph.inputs, parts)


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


@st.composite
def kept(draw, graphs: st.SearchStrategy[ir.QuantizedGraph]) -> ir.QuantizedGraph:
    """Layers whose outputs have the scale of their inputs."""
    graph, both = draw(graphs), draw(wide_scales())
    layers = tuple(replace(node, arithmetic=WIDE) for node in graph.nodes[1:])  # type: ignore[call-arg]
    return replace(graph, nodes=(graph.nodes[0], *layers), quantization=dict.fromkeys(graph.shapes, both))


@st.composite
def pairs(draw, kind: type[ir.Node]) -> ir.QuantizedGraph:
    """Two inputs, either of which may be broadcast, at scales of their own."""
    height, width, channels = shape = draw(st.tuples(*[st.integers(1, 5)] * 3))
    other = draw(st.sampled_from((shape, shape, (1, 1, channels), (height, width, 1), (1, 1, 1))))
    sizes = draw(st.permutations((shape, other)))
    a, b = draw(wide_scales()), draw(wide_scales())
    typical = a.scale * b.scale * 2**14 if kind is ir.Mul else max(a.scale, b.scale)
    target = ir.Quantization(float(np.float32(typical * 2.0 ** draw(st.floats(-2, 3)))), 0, "int16")
    node: Any = kind("y", ("a", "b"), draw(int8_graphs.CLAMPS))  # type: ignore[call-arg]
    return ir.QuantizedGraph(
        "random",
        (ir.Input("a", ()), ir.Input("b", ()), replace(node, arithmetic=WIDE)),
        ("y",),
        {"a": sizes[0], "b": sizes[1], "y": shape},
        {"a": a, "b": b, "y": target},
        {},
    )


@st.composite
def saturating(draw, function: str) -> ir.QuantizedGraph:
    shape = (draw(st.integers(1, 60)),)
    scale = draw(st.sampled_from((2.0**-12, 2.0**-11, 2.0**-13, draw(scales(-18, -8)))))
    node = ir.Activation("y", ("x",), function, arithmetic=WIDE)
    target = ir.Quantization(2.0**-15, 0, "int16")
    return one_op(node, shape, shape, ir.Quantization(float(np.float32(scale)), 0, "int16"), target)


WIDE_OPERATORS |= {
    "mcp_max_pool2d_s16": kept(int8_graphs.pools(ir.MaxPool2d)),
    "mcp_average_pool2d_s16": kept(int8_graphs.pools(ir.AveragePool2d)),
    "mcp_add_s16": pairs(ir.Add),
    "mcp_sub_s16": pairs(ir.Sub),
    "mcp_mul_s16": pairs(ir.Mul),
    "mcp_logistic_s16": saturating("sigmoid"),
    "mcp_tanh_values_s16": saturating("tanh"),
}

# Kernels of int8 values move int16 ones, too.
WIDE_MOVEMENT = {"pad": kept(int8_graphs.pads()), "concat": kept(int8_graphs.concatenations())}
