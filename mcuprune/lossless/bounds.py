"""Interval analysis: the least and the greatest value that each element of each tensor can take.

The ends of all intervals are kept at every position, as int8 ``(2, *shape)``: row 0 the least, row 1 the
greatest values.  At a border a convolution sees padding and so may be bounded otherwise than inside; with
one interval per element there is no case to distinguish.  An operator that is monotone in each of its inputs
is bounded by itself: the specification, run on the two ends as a batch of two.  A weighted sum is bounded by
exact integer sums, and a requantization is monotone unless a 32-bit variable wraps: then, and for
every opaque node, an element may be anything that the clamp lets through.

All inputs of the network may be anything; a bound therefore holds for every input.
"""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from mcuprune.graph import ir
from mcuprune.lossless.known import known
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.parameters import (
    Conv2dParameters,
    ElementwiseParameters,
    FullyConnectedParameters,
    LookupParameters,
    Parameters,
    ReduceExtremeParameters,
    ReduceMeanParameters,
)
from mcuprune.quantize.run_int8 import evaluate
from mcuprune.quantize.scheme import integer_parameters

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def bounds(graph: ir.QuantizedGraph) -> dict[str, np.ndarray]:
    """Ends ``(2, *shape)`` of every tensor, in its own dtype."""
    found: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        shape = graph.shape(node.name)
        if known(node, graph):
            inputs = tuple(found[name] for name in node.inputs)
            found[node.name] = ends(node, integer_parameters(node, graph), *inputs).reshape(2, *shape)
        else:
            found[node.name] = anything(shape, graph.quantization[node.name].dtype)
    return found


def anything(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The whole range of an integer type; opaque tensors of other types are never looked at."""
    kind = np.dtype(dtype)
    info = np.iinfo(kind) if kind.kind in "iu" else None
    low, high = (info.min, info.max) if info else (-np.inf, np.inf)
    return np.stack([np.full(shape, low, kind), np.full(shape, high, kind)])


def constant_channels(limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which channels hold one value at every position, bool ``(channels,)``, and the values, int64."""
    low, high = (side.reshape(-1, limits.shape[-1]).astype(np.int64) for side in limits)
    return (low == high).all(axis=0) & (low == low[0]).all(axis=0), low[0]


@singledispatch
def ends(node: ir.Node, parameters: Parameters, *inputs: np.ndarray) -> np.ndarray:
    """Ends of a known node's output; this default is for operators that are monotone in every input."""
    return evaluate(node, parameters, *inputs)


@ends.register(ir.Conv2d)
@ends.register(ir.DepthwiseConv2d)
@ends.register(ir.Linear)
def _(
    node: ir.Conv2d | ir.DepthwiseConv2d | ir.Linear,
    parameters: Conv2dParameters | FullyConnectedParameters,
    x: np.ndarray,
) -> np.ndarray:
    return requantized(accumulators(node, parameters, x), parameters)


@ends.register
def _(node: ir.Activation, parameters: LookupParameters, x: np.ndarray) -> np.ndarray:
    """A table need not be monotone: its extremes over each interval."""
    low, high = (side.astype(np.int64) + 128 for side in x)
    least, greatest = np.empty((256, 256), np.int8), np.empty((256, 256), np.int8)
    for start in range(256):
        least[start, start:] = np.minimum.accumulate(parameters.table[start:])
        greatest[start, start:] = np.maximum.accumulate(parameters.table[start:])
    return np.stack([least[low, high], greatest[low, high]])


@ends.register
def _(node: ir.Mul, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Extreme products lie at the corners; a large left shift could wrap, and then says nothing."""
    p = parameters
    if p.shift > 14:  # 17 bits of product in 32
        shape = np.broadcast_shapes(a.shape[1:], b.shape[1:])
        return np.stack([np.full(shape, p.clamp_min, np.int8), np.full(shape, p.clamp_max, np.int8)])
    corners = np.stack([evaluate(node, p, x, y) for x in (a, a[::-1]) for y in (b, b[::-1])])
    return np.stack([corners.min(axis=(0, 1)), corners.max(axis=(0, 1))])


@ends.register
def _(
    node: ir.Reduce, parameters: ReduceMeanParameters | ReduceExtremeParameters, x: np.ndarray
) -> np.ndarray:
    """All kinds are monotone, unless the scaled sum of a very large map could wrap."""
    p = parameters
    if isinstance(p, ReduceMeanParameters) and 255 * p.walk.rows * p.walk.run << max(p.shift, 0) > INT32_MAX:
        return anything((p.walk.outer * p.walk.inner,), "int8")
    return evaluate(node, p, x)


@singledispatch
def accumulators(node: ir.Node, p: Parameters, x: np.ndarray) -> np.ndarray:
    """Exact least and greatest sum, bias included and before any wrapping: int64 ``(2, ..., out)``."""
    raise ir.unsupported(node, "the bounds of weighted sums")


@accumulators.register
def _(node: ir.Linear, p: FullyConnectedParameters, x: np.ndarray) -> np.ndarray:
    middle, radius = _middle_and_radius(x, p.input_offset)
    weight = p.weight.T.astype(np.float64)
    return _ends_of(middle @ weight, radius @ np.abs(weight), p.bias)


@accumulators.register
def _(node: ir.Conv2d, p: Conv2dParameters, x: np.ndarray) -> np.ndarray:
    middle, radius = (_padded(side, p) for side in _middle_and_radius(x, p.input_offset))
    sums = np.zeros((2, p.out_h, p.out_w, p.out_c))
    for row in range(p.kernel_h):
        for column in range(p.kernel_w):
            weight = p.weight[:, row, column].T.astype(np.float64)
            sums[0] += _tap(middle, p, row, column) @ weight
            sums[1] += _tap(radius, p, row, column) @ np.abs(weight)
    return _ends_of(sums[0], sums[1], p.bias)


@accumulators.register
def _(node: ir.DepthwiseConv2d, p: Conv2dParameters, x: np.ndarray) -> np.ndarray:
    multiplier = p.out_c // p.in_c
    sides = (_padded(side, p) for side in _middle_and_radius(x, p.input_offset))
    middle, radius = (np.repeat(side, multiplier, axis=-1) for side in sides)
    sums = np.zeros((2, p.out_h, p.out_w, p.out_c))
    for row in range(p.kernel_h):
        for column in range(p.kernel_w):
            weight = p.weight[row, column].astype(np.float64)
            sums[0] += _tap(middle, p, row, column) * weight
            sums[1] += _tap(radius, p, row, column) * np.abs(weight)
    return _ends_of(sums[0], sums[1], p.bias)


def requantized(sums: np.ndarray, p: Conv2dParameters | FullyConnectedParameters) -> np.ndarray:
    """Ends ``(2, ...)`` of the output, int8; the whole clamp range where some 32-bit value could wrap."""
    inside = np.clip(sums, INT32_MIN, INT32_MAX)
    shifted = inside << np.maximum(p.shift.astype(np.int64), 0)
    scaled = fx.multiply_by_quantized_multiplier(inside, p.multiplier, p.shift) + p.output_offset
    wraps = np.zeros(sums.shape[1:], bool)
    for values in (sums, shifted, scaled):
        wraps |= (values[0] < INT32_MIN) | (values[1] > INT32_MAX)
    clamped = np.clip(scaled, p.clamp_min, p.clamp_max)
    whole = np.array([min(p.clamp_min, p.clamp_max), p.clamp_max]).reshape(2, *[1] * wraps.ndim)
    return np.where(wraps, whole, clamped).astype(np.int8)


def is_padded(p: Conv2dParameters) -> bool:
    """Whether any position of the window sees padding."""
    below = (p.out_h - 1) * p.stride_h + (p.kernel_h - 1) * p.dilation_h + 1 - p.pad_top > p.in_h
    beside = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1 - p.pad_left > p.in_w
    return bool(p.pad_top or p.pad_left or below or beside)


def _middle_and_radius(x: np.ndarray, offset: int) -> tuple[np.ndarray, np.ndarray]:
    """Twice the middle and twice the radius of each interval, zero point removed; float64, exact."""
    low, high = x.astype(np.float64) + offset
    return low + high, high - low


def _ends_of(middle: np.ndarray, radius: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return (np.stack([middle - radius, middle + radius]) / 2).astype(np.int64) + bias


def _padded(x: np.ndarray, p: Conv2dParameters) -> np.ndarray:
    """(h, w, c) with zeros around it for the first and the last window."""
    height = (p.out_h - 1) * p.stride_h + (p.kernel_h - 1) * p.dilation_h + 1
    width = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * p.dilation_w + 1
    below, beside = max(0, height - p.in_h - p.pad_top), max(0, width - p.in_w - p.pad_left)
    return np.pad(x, ((p.pad_top, below), (p.pad_left, beside), (0, 0)))


def _tap(x: np.ndarray, p: Conv2dParameters, row: int, column: int) -> np.ndarray:
    """What one kernel position sees: ``(out_h, out_w, channels)``."""
    top, left = row * p.dilation_h, column * p.dilation_w
    rows = slice(top, top + (p.out_h - 1) * p.stride_h + 1, p.stride_h)
    columns = slice(left, left + (p.out_w - 1) * p.stride_w + 1, p.stride_w)
    return x[rows, columns]
