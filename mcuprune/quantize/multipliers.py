"""Channels that share one multiplier: their weight scales are powers of two times each other.

A channel's requantization is then the layer's multiplier and a shift, which fits into one word with the bias:
4 bytes a channel in flash instead of 9, for half a bit of weights on average.  The network stays one of
TensorFlow Lite's, with a scale for every channel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcuprune.graph.ir import Conv2d, DepthwiseConv2d, Linear, Node, QuantizedGraph
from mcuprune.graph.op_shape import arithmetic
from mcuprune.kernels.layouts import BIAS_LIMIT

CHANNEL_AXIS: dict[type[Node], int] = {Conv2d: 0, DepthwiseConv2d: -1, Linear: 0}
WEIGHTED = (Conv2d, DepthwiseConv2d, Linear)
ROUND_UP, EXPONENT = 0x007FFFFF, 0x7F800000  # of a float32: added to its bits, and kept of them


def powers_of_two(values: np.ndarray) -> np.ndarray:
    """The smallest powers of two that are not below ``values`` (positive float32)."""
    bits = values.astype(np.float32).view(np.int32)
    return ((bits + ROUND_UP) & EXPONENT).view(np.float32)


def shared_scales(least: np.ndarray, base: float) -> np.ndarray:
    """(channels,) float32: the finest scales, not below ``least``, that are ``base`` times powers of two."""
    return np.float32(base) * powers_of_two(least / np.float32(base))


def weight_sums(weight: np.ndarray, kind: type[Node]) -> np.ndarray:
    """(channels,) float64: what an input offset of one adds to the output."""
    by_channel = np.moveaxis(weight.astype(np.float64), CHANNEL_AXIS[kind], 0)
    return by_channel.reshape(len(by_channel), -1).sum(axis=1)


def marked(graph: QuantizedGraph) -> QuantizedGraph:
    """``graph``, its layers of weights saying whether their channels have multipliers of their own."""
    nodes = tuple(
        replace(node, own_multipliers=not _share(node, graph)) if isinstance(node, WEIGHTED) else node
        for node in graph.nodes
    )
    return replace(graph, nodes=nodes)


def _share(node: Conv2d | DepthwiseConv2d | Linear, graph: QuantizedGraph) -> bool:
    """Whether the scales are related and the biases fit, alone and with the input offset."""
    weight, scale = graph.constants[node.weight].values, graph.constants[node.weight].scale
    if arithmetic(node) != "s8" or scale is None or weight.dtype != np.int8:
        return False
    mantissas = np.frexp(np.asarray(scale, np.float64))[0]
    bias = 0.0 if node.bias is None else graph.constants[node.bias].values.astype(np.float64)
    offset = -graph.quantization[node.inputs[0]].zero_point
    held = np.maximum(np.abs(bias), np.abs(bias + offset * weight_sums(weight, type(node))))
    return bool(np.all(mantissas == mantissas.flat[0]) and np.all(held < BIAS_LIMIT))
