"""Channels that hold one value for every input: their readers carry it in the bias instead.

Two rewritings of convolutions and linear layers, both exact in 32-bit arithmetic:

* an output channel that is constant gets zero weights and a bias that alone gives this value;
* an input channel that is constant adds the same to an accumulator whatever the input is: the amount moves to
  the bias, and the weights become zero.  At a padded border the window sees the zero point instead of the
  channel, so there only a channel that holds the zero point itself qualifies.

Nothing is removed here; liveness then finds that nobody reads the channel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcuprune.graph import ir
from mcuprune.lossless.bounds import (
    INT32_MAX,
    INT32_MIN,
    accumulators,
    constant_channels,
    is_padded,
)
from mcuprune.lossless.known import WEIGHTED, Weighted, constants_of, known, with_nodes
from mcuprune.quantize.parameters import Conv2dParameters, FullyConnectedParameters
from mcuprune.quantize.scheme import integer_parameters


def absorb(graph: ir.QuantizedGraph, limits: Mapping[str, np.ndarray]) -> ir.QuantizedGraph:
    """``graph`` with constants in biases; ``limits`` are its :func:`~mcuprune.lossless.bounds.bounds`."""
    for node in graph.nodes:
        if isinstance(node, WEIGHTED) and known(node, graph):
            p = integer_parameters(node, graph)
            assert isinstance(p, Conv2dParameters | FullyConnectedParameters)
            weight, bias = _constant_outputs(node, p, limits)
            weight, bias = _constant_inputs(node, replace(p, weight=weight, bias=bias), limits)
            if not (np.array_equal(weight, p.weight) and np.array_equal(bias, p.bias)):
                graph = with_weights(graph, node, weight, bias)
    return graph


def _constant_outputs(
    node: Weighted, p: Conv2dParameters | FullyConnectedParameters, limits: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Zero weights for constant outputs; any sum that the weights could give is a bias that gives it too."""
    constant, _ = constant_channels(limits[node.name])
    weight, bias = p.weight.copy(), p.bias.copy()
    axis = weight.ndim - 1 if isinstance(node, ir.DepthwiseConv2d) else 0
    rows = np.moveaxis(weight, axis, 0)
    rewritten = constant & rows.reshape(len(rows), -1).any(axis=1)
    if rewritten.any():
        sums = accumulators(node, p, limits[node.inputs[0]])[0].reshape(-1, p.out_c)[0]
        rewritten &= (sums >= INT32_MIN) & (sums <= INT32_MAX)
        bias[rewritten] = sums[rewritten]
        rows[rewritten] = 0
    return weight, bias


def _constant_inputs(
    node: Weighted, p: Conv2dParameters | FullyConnectedParameters, limits: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Zero weights for constant inputs of whatever mixes channels; a bias that would leave int32 stays."""
    if isinstance(node, ir.DepthwiseConv2d):
        return p.weight, p.bias
    usable, values = constant_channels(limits[node.inputs[0]])
    amounts = values + p.input_offset
    if isinstance(p, Conv2dParameters) and is_padded(p):
        usable = usable & (amounts == 0)
    if not usable.any():
        return p.weight, p.bias
    taps = p.weight.reshape(p.out_c, -1, p.in_c)
    bias = p.bias + taps.astype(np.int64).sum(axis=1) @ np.where(usable, amounts, 0)
    fits = (bias >= INT32_MIN) & (bias <= INT32_MAX)
    weight = np.where(fits[:, np.newaxis, np.newaxis] & usable, np.int8(0), taps).reshape(p.weight.shape)
    return weight, np.where(fits, bias, p.bias).astype(np.int32)


def with_weights(
    graph: ir.QuantizedGraph, node: Weighted, weight: np.ndarray, bias: np.ndarray
) -> ir.QuantizedGraph:
    """``graph`` where ``node`` has other weights and biases; constants that others use too are copied."""
    users = [name for other in graph.nodes for name in constants_of(other, graph.constants)]
    constants = dict(graph.constants)
    weight_name = node.weight if users.count(node.weight) == 1 else fresh(f"{node.name}/weight", constants)
    constants[weight_name] = replace(graph.constants[node.weight], values=weight)
    bias_name = node.bias
    if bias_name is None or users.count(bias_name) != 1:
        bias_name = fresh(f"{node.name}/bias", constants)
    if node.bias is not None or bias.any():
        scale = None if node.bias is None else graph.constants[node.bias].scale
        constants[bias_name] = ir.Constant(bias, scale)
    else:
        bias_name = None
    changed = replace(node, weight=weight_name, bias=bias_name)
    nodes = tuple(changed if other is node else other for other in graph.nodes)
    return with_nodes(graph, nodes, constants)


def fresh(name: str, taken: Mapping[str, object]) -> str:
    """``name``, or with a number behind it the first that is free."""
    number, found = 2, name
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found
