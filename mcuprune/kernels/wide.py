"""Portable kernels on int16 activations."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import accepts, constants, features
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.portable import (
    ARITHMETIC,
    WINDOW,
    Distances,
    all_outputs,
    channel_by_channel,
    disjoint,
    in_place,
    no_scratch,
    unless_broadcast,
    whole_pixel,
)

_WIDE = ("mcp_wide.h", *ARITHMETIC)
_WIDE_WINDOW = ("mcp_wide.h", *WINDOW)


def _twice(distances: Distances) -> Distances:
    """Of elements of two bytes."""
    return tuple(None if distance is None else 2 * distance for distance in distances)


def _whole_pixel(shape: OpShape) -> Distances:
    return _twice(whole_pixel(shape))


def _channel_by_channel(shape: OpShape) -> Distances:
    return _twice(channel_by_channel(shape))


def _all_outputs(shape: OpShape) -> Distances:
    return _twice(all_outputs(shape))


_MAX_POOL = Kernel(
    name="mcp_max_pool2d_s16",
    op=ir.MaxPool2d,
    isa="portable",
    accepts=accepts.undilated_window_s16,
    scratch=no_scratch,
    overlap=_channel_by_channel,
    constants=constants.pool,
    features=features.window_per_channel,
    needs=_WIDE_WINDOW,
)
_ADD = Kernel(
    name="mcp_add_s16",
    op=ir.Add,
    isa="portable",
    accepts=accepts.two_levels_s16,
    scratch=no_scratch,
    overlap=unless_broadcast,
    constants=constants.elementwise,
    features=features.elementwise,
    needs=("mcp_elementwise_wide.h", *_WIDE),
)
_LOGISTIC = Kernel(
    name="mcp_logistic_s16",
    op=ir.Activation,
    isa="portable",
    accepts=accepts.sigmoid_s16,
    scratch=no_scratch,
    overlap=in_place,
    constants=constants.quantized,
    features=features.lookup,
    needs=("mcp_gates", "mcp_gates.h", *ARITHMETIC),
)

WIDE: tuple[Kernel, ...] = (
    Kernel(
        name="mcp_conv2d_s16",
        op=ir.Conv2d,
        isa="portable",
        accepts=accepts.window_s16,
        scratch=no_scratch,
        overlap=_whole_pixel,
        constants=constants.conv2d,
        features=features.conv2d,
        needs=_WIDE_WINDOW,
    ),
    Kernel(
        name="mcp_depthwise_conv2d_s16",
        op=ir.DepthwiseConv2d,
        isa="portable",
        accepts=accepts.window_s16,
        scratch=no_scratch,
        overlap=_channel_by_channel,
        constants=constants.depthwise,
        features=features.window_per_channel,
        needs=_WIDE_WINDOW,
    ),
    Kernel(
        name="mcp_fully_connected_s16",
        op=ir.Linear,
        isa="portable",
        accepts=accepts.s16,
        scratch=no_scratch,
        overlap=_all_outputs,
        constants=constants.fully_connected,
        features=features.fully_connected,
        needs=_WIDE,
    ),
    Kernel(
        name="mcp_quantize_s8_s16",
        op=ir.Activation,
        isa="portable",
        accepts=accepts.to_s16,
        scratch=no_scratch,
        overlap=disjoint,
        constants=constants.quantized,
        features=features.lookup,
        needs=_WIDE,
    ),
    Kernel(
        name="mcp_quantize_s16_s8",
        op=ir.Activation,
        isa="portable",
        accepts=accepts.to_s8,
        scratch=no_scratch,
        overlap=in_place,
        constants=constants.quantized,
        features=features.lookup,
        needs=_WIDE,
    ),
    Kernel(
        name="mcp_quantize_s16",
        op=ir.Activation,
        isa="portable",
        accepts=accepts.requantization_s16,
        scratch=no_scratch,
        overlap=in_place,
        constants=constants.quantized,
        features=features.lookup,
        needs=_WIDE,
    ),
    _MAX_POOL,
    replace(_MAX_POOL, name="mcp_average_pool2d_s16", op=ir.AveragePool2d),
    _ADD,
    replace(_ADD, name="mcp_sub_s16", op=ir.Sub),
    replace(_ADD, name="mcp_mul_s16", op=ir.Mul),
    _LOGISTIC,
    replace(_LOGISTIC, name="mcp_tanh_values_s16", accepts=accepts.tanh_s16),
)
