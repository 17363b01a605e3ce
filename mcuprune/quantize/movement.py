"""Operators that move or interpolate elements: parameters and specification."""

from __future__ import annotations

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import op_shape
from mcuprune.quantize.dispatch import evaluate, integer_parameters
from mcuprune.quantize.operands import require_equal_quantization, require_s8
from mcuprune.quantize.parameters import (
    RearrangeParameters,
    ResizeBilinearParameters,
    TakeParameters,
)

_LARGEST_SIDE = 32767
_UNIT = 1 << 10  # fractions of a pixel


@integer_parameters.register(ir.Rearrange)
def _(node: ir.Rearrange, qgraph: ir.QuantizedGraph) -> RearrangeParameters:
    require_s8(node)
    require_equal_quantization(node, qgraph)
    return RearrangeParameters(node.start, *node.counts, *node.strides)


@integer_parameters.register(ir.Take)
def _(node: ir.Take, qgraph: ir.QuantizedGraph) -> TakeParameters:
    require_s8(node)
    require_equal_quantization(node, qgraph)
    height, width, channels = op_shape(node, qgraph.shape).inputs[0]
    if max(height, width, len(node.rows), len(node.columns)) > _LARGEST_SIDE:
        raise UnsupportedError(f"layer '{node.name}': a side longer than {_LARGEST_SIDE}")
    rows, columns = (np.array(numbers, np.int16) for numbers in (node.rows, node.columns))
    return TakeParameters(channels, width * channels, len(rows), len(columns), rows, columns)


@integer_parameters.register(ir.ResizeBilinear)
def _(node: ir.ResizeBilinear, qgraph: ir.QuantizedGraph) -> ResizeBilinearParameters:
    require_s8(node)
    require_equal_quantization(node, qgraph)
    shape = op_shape(node, qgraph.shape)
    (in_h, in_w, channels), (out_h, out_w, _) = shape.inputs[0], shape.output
    if max(in_h, in_w, out_h, out_w) > _LARGEST_SIDE:
        raise UnsupportedError(f"layer '{node.name}': a side longer than {_LARGEST_SIDE}")
    step_h, step_w = (_step(a, b, node.align_corners) for a, b in ((in_h, out_h), (in_w, out_w)))
    half_h, half_w = ((s // 2 - _UNIT // 2) if node.half_pixel_centers else 0 for s in (step_h, step_w))
    for count, step, half, size in ((out_h, step_h, half_h, in_h), (out_w, step_w, half_w, in_w)):
        if (count - 1) * step + half >= size * _UNIT:
            raise UnsupportedError(f"layer '{node.name}': {size} pixels cannot be resized to {count} exactly")
    return ResizeBilinearParameters(channels, step_h, step_w, half_h, half_w, in_h, in_w, out_h, out_w)


def _step(size: int, wanted: int, align_corners: bool) -> int:
    """Input pixels per output pixel in 1/1024, rounded to nearest."""
    if align_corners and wanted > 1:
        size, wanted = size - 1, wanted - 1
    return (_UNIT * size + wanted // 2) // wanted


@evaluate.register(ir.Rearrange)
def _(node: ir.Rearrange, parameters: RearrangeParameters, x: np.ndarray) -> np.ndarray:
    index = np.array([parameters.start])
    for count, stride in zip(node.counts, node.strides, strict=True):
        index = (index[:, None] + np.arange(count) * stride).reshape(-1)
    return x.reshape(len(x), -1)[:, index]


@evaluate.register(ir.Take)
def _(node: ir.Take, parameters: TakeParameters, x: np.ndarray) -> np.ndarray:
    return x[:, parameters.row[:, None].astype(int), parameters.column.astype(int)]


@evaluate.register(ir.ResizeBilinear)
def _(node: ir.ResizeBilinear, parameters: ResizeBilinearParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    top, bottom, below = _located(p.out_h, p.step_h, p.half_h, p.in_h)
    left, right, beside = _located(p.out_w, p.step_w, p.half_w, p.in_w)
    values, below = x.astype(np.int64), below[:, None, None]
    rows = values[:, top] * (_UNIT - below) + values[:, bottom] * below
    total = rows[:, :, left] * (_UNIT - beside[:, None]) + rows[:, :, right] * beside[:, None]
    magnitude = (np.abs(total) + _UNIT**2 // 2) // _UNIT**2  # halves away from zero
    return (np.sign(total) * magnitude).astype(np.int8)


def _located(count: int, step: int, half: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lower and higher neighbour of every output position, and the weight of the higher one of 1024."""
    scaled = np.arange(count, dtype=np.int64) * step + half
    low = np.maximum(scaled // _UNIT, 0)
    high = np.minimum(np.maximum(-(-scaled // _UNIT), 0), size - 1)
    return low, high, scaled - low * _UNIT
