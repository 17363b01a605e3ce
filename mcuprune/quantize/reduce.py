"""Mean, sum, largest and smallest value over axes: parameters and specification."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.axes import reduction_walk
from mcuprune.graph.op_shape import op_shape
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.dispatch import evaluate, integer_parameters
from mcuprune.quantize.operands import quantization_of, require_equal_quantization, require_s8
from mcuprune.quantize.parameters import ReduceExtremeParameters, ReduceMeanParameters, Reduction


@integer_parameters.register(ir.Reduce)
def _(node: ir.Reduce, qgraph: ir.QuantizedGraph) -> ReduceMeanParameters | ReduceExtremeParameters:
    require_s8(node)
    if node.kind not in ir.REDUCTIONS:
        raise UnsupportedError(f"layer '{node.name}': no reduction is called '{node.kind}'")
    walk = Reduction(**asdict(reduction_walk(op_shape(node, qgraph.shape).inputs[0], node.axes)))
    if node.kind in ("max", "min"):
        require_equal_quantization(node, qgraph)
        return ReduceExtremeParameters(walk, int(node.kind == "min"))
    source, target = quantization_of(node.inputs[0], qgraph), quantization_of(node.name, qgraph)
    count = walk.rows * walk.run
    multiplier, shift = fx.quantize_multiplier(source.scale / target.scale)
    if node.kind == "mean":
        multiplier, shift = _divided(multiplier, shift, count)
    if shift > fx.MAX_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': the scales of its input and output are too far apart")
    return ReduceMeanParameters(walk, -source.zero_point * count, multiplier, shift, target.zero_point)


def _divided(multiplier: int, shift: int, count: int) -> tuple[int, int]:
    """The scaling with a division by ``count`` in it, which TFLM truncates: below 2**30 it may come."""
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << bits) // count, shift - bits


@evaluate.register(ir.Reduce)
def _(
    node: ir.Reduce, parameters: ReduceMeanParameters | ReduceExtremeParameters, x: np.ndarray
) -> np.ndarray:
    p, walk = parameters, parameters.walk
    rows = _positions((walk.rows, walk.row_stride), (walk.run, walk.run_stride))
    starts = _positions((walk.outer, walk.outer_stride), (walk.inner, walk.inner_stride))
    values = x.reshape(len(x), -1)[:, starts[:, None] + rows]
    if isinstance(p, ReduceExtremeParameters):
        return values.min(axis=2) if p.smallest else values.max(axis=2)
    total = fx.wrap_int32(values.astype(np.int64).sum(axis=2) + p.bias)
    scaled = fx.multiply_by_quantized_multiplier(total, p.multiplier, p.shift)
    return np.clip(fx.wrap_int32(scaled + p.output_offset), -128, 127).astype(np.int8)


def _positions(outer: tuple[int, int], inner: tuple[int, int]) -> np.ndarray:
    """Offsets of two nested loops of (count, stride), flat."""
    (count, stride), (inner_count, inner_stride) = outer, inner
    return (np.arange(count)[:, None] * stride + np.arange(inner_count) * inner_stride).reshape(-1)
