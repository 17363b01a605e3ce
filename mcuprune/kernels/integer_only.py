"""Portable kernels of the node classes that only integer networks have."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import accepts, constants, features
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.portable import (
    ADD,
    ARITHMETIC,
    EXPONENTIAL,
    FIXED_POINT,
    Distances,
    disjoint,
    in_place,
    no_scratch,
)

_BINARY = replace(ADD, needs=("mcp_elementwise.h", *ARITHMETIC))
_REDUCE = Kernel(
    name="mcp_reduce_mean_s8",
    op=ir.Reduce,
    isa="portable",
    accepts=accepts.mean_or_sum,
    scratch=no_scratch,
    overlap=in_place,
    constants=constants.reduce_mean,
    features=features.reduction,
    needs=("mcp_reduce.h", *ARITHMETIC),
)

_TAKE = Kernel(
    name="mcp_take_s8",
    op=ir.Take,
    isa="portable",
    accepts=accepts.s8,
    scratch=no_scratch,
    overlap=disjoint,
    constants=constants.take,
    features=features.pixels,
    needs=ARITHMETIC,
)


def _in_reading_order(shape: OpShape) -> Distances:
    """Elements that are taken from where they stand or from further on, the nearer ones first: in place."""
    node = shape.node
    below = [1]
    for count in node.counts[:0:-1]:  # type: ignore[attr-defined]
        below.insert(0, below[0] * count)
    levels = zip(node.counts, node.strides, below, strict=True)  # type: ignore[attr-defined]
    forward = all(count == 1 or stride >= size for count, stride, size in levels)
    return (0,) if forward else (None,)


_GATES = ("mcp_gates", "mcp_gates.h", *ARITHMETIC)
_SVDF = Kernel(
    name="mcp_svdf_s8",
    op=ir.Svdf,
    isa="portable",
    accepts=accepts.wide_state,
    scratch=no_scratch,
    overlap=disjoint,
    constants=constants.svdf,
    features=features.svdf,
    needs=("mcp_gates.h", *ARITHMETIC),
)
_LSTM = Kernel(
    name="mcp_lstm_s8",
    op=ir.Lstm,
    isa="portable",
    accepts=accepts.s8,
    scratch=no_scratch,
    overlap=disjoint,
    constants=constants.lstm,
    features=features.lstm,
    needs=_GATES,
)

INTEGER_ONLY: tuple[Kernel, ...] = (
    replace(_BINARY, name="mcp_sub_s8", op=ir.Sub),
    replace(_BINARY, name="mcp_squared_difference_s8", op=ir.SquaredDifference),
    replace(_BINARY, name="mcp_minimum_s8", op=ir.Minimum),
    replace(_BINARY, name="mcp_maximum_s8", op=ir.Maximum),
    replace(_BINARY, name="mcp_prelu_s8", op=ir.Prelu),
    replace(_BINARY, name="mcp_div_s8", op=ir.Div, needs=("mcp_elementwise.h", *FIXED_POINT)),
    Kernel(
        name="mcp_log_softmax_s8",
        op=ir.LogSoftmax,
        isa="portable",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=in_place,
        constants=constants.log_softmax,
        features=features.softmax,
        needs=EXPONENTIAL,
    ),
    _REDUCE,
    replace(
        _REDUCE,
        name="mcp_reduce_extreme_s8",
        accepts=accepts.extreme,
        constants=constants.reduce_extreme,
    ),
    Kernel(
        name="mcp_rearrange_s8",
        op=ir.Rearrange,
        isa="portable",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=_in_reading_order,
        constants=constants.rearrange,
        features=features.rearrange,
        needs=ARITHMETIC,
    ),
    _TAKE,
    replace(
        _TAKE,
        name="mcp_resize_bilinear_s8",
        op=ir.ResizeBilinear,
        constants=constants.resize_bilinear,
    ),
    _LSTM,
    _SVDF,
    replace(_SVDF, name="mcp_svdf_state8_s8", accepts=accepts.narrow_state),
)
