"""The kernels that every C99 target runs."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph import ir
from mcuprune.graph.op_shape import Number, OpShape, in_bytes
from mcuprune.kernels import accepts, constants, features, geometry
from mcuprune.kernels.kernel import Kernel

Distances = tuple[Number | None, ...]


def no_scratch(shape: OpShape) -> Number:
    return 0


def whole_pixel(shape: OpShape) -> Distances:
    """All outputs of a pixel but the last are written while its window is still needed."""
    return (geometry.window_distance(shape, held=shape.output[2] - 1),)


def channel_by_channel(shape: OpShape) -> Distances:
    """An output channel is written when its own input channel has been read, in the order of channels."""
    return (geometry.window_distance(shape, held=shape.output[2] - shape.inputs[0][2]),)


def all_outputs(shape: OpShape) -> Distances:
    return (shape.output[2] - 1,)


def in_place(shape: OpShape) -> Distances:
    return (0,)


def disjoint(shape: OpShape) -> Distances:
    return (None,) * len(shape.inputs)


def unless_broadcast(shape: OpShape) -> Distances:
    return tuple(0 if accepts.same_size(dims, shape.output) else None for dims in shape.inputs)


def padding(shape: OpShape) -> Distances:
    return (geometry.pad_distance(in_bytes(shape), shape.node.padding),)  # type: ignore[attr-defined]


WINDOW = ("mcp_arithmetic.h", "mcp_window.h")
ARITHMETIC = ("mcp_arithmetic.h",)
FIXED_POINT = ("mcp_arithmetic.h", "mcp_fixed_point.h")
EXPONENTIAL = ("mcp_exp.h", *FIXED_POINT)

_MAX_POOL = Kernel(
    name="mcp_max_pool2d_s8",
    op=ir.MaxPool2d,
    isa="portable",
    accepts=accepts.undilated_window,
    scratch=no_scratch,
    overlap=channel_by_channel,
    constants=constants.pool,
    features=features.window_per_channel,
    needs=WINDOW,
)

ADD = Kernel(
    name="mcp_add_s8",
    op=ir.Add,
    isa="portable",
    accepts=accepts.two_levels,
    scratch=no_scratch,
    overlap=unless_broadcast,
    constants=constants.elementwise,
    features=features.elementwise,
    needs=ARITHMETIC,
)

PORTABLE: tuple[Kernel, ...] = (
    Kernel(
        name="mcp_conv2d_s8",
        op=ir.Conv2d,
        isa="portable",
        accepts=accepts.window,
        scratch=no_scratch,
        overlap=whole_pixel,
        constants=constants.conv2d,
        features=features.conv2d,
        needs=("mcp_conv2d.h", "mcp_channels.h", *WINDOW),
    ),
    Kernel(
        name="mcp_conv2d_1x1_s8",
        op=ir.Conv2d,
        isa="portable",
        accepts=accepts.pointwise,
        scratch=no_scratch,
        overlap=whole_pixel,
        constants=constants.conv2d,
        features=features.pointwise,
        folds_input_offset=True,
        needs=("mcp_conv2d_1x1.h", "mcp_channels.h", *ARITHMETIC),
    ),
    Kernel(
        name="mcp_depthwise_conv2d_s8",
        op=ir.DepthwiseConv2d,
        isa="portable",
        accepts=accepts.window,
        scratch=no_scratch,
        overlap=channel_by_channel,
        constants=constants.depthwise,
        features=features.window_per_channel,
        needs=("mcp_depthwise_conv2d.h", "mcp_channels.h", *WINDOW),
    ),
    Kernel(
        name="mcp_fully_connected_s8",
        op=ir.Linear,
        isa="portable",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=all_outputs,
        constants=constants.fully_connected,
        features=features.fully_connected,
        folds_input_offset=True,
        needs=("mcp_fully_connected.h", "mcp_channels.h", *ARITHMETIC),
    ),
    _MAX_POOL,
    replace(_MAX_POOL, name="mcp_average_pool2d_s8", op=ir.AveragePool2d),
    ADD,
    replace(ADD, name="mcp_mul_s8", op=ir.Mul),
    Kernel(
        name="mcp_concat_s8",
        op=ir.Concat,
        isa="portable",
        accepts=accepts.moved,
        scratch=no_scratch,
        overlap=disjoint,
        constants=constants.concat,
        features=features.concat,
        needs=ARITHMETIC,
        calls_per_input=True,
    ),
    Kernel(
        name="mcp_pad_s8",
        op=ir.Pad,
        isa="portable",
        accepts=accepts.moved,
        scratch=no_scratch,
        overlap=padding,
        constants=constants.pad,
        features=features.pad,
        needs=ARITHMETIC,
    ),
    Kernel(
        name="mcp_lookup_s8",
        op=ir.Activation,
        isa="portable",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=in_place,
        constants=constants.lookup,
        features=features.lookup,
        needs=ARITHMETIC,
    ),
    Kernel(
        name="mcp_copy",
        op=ir.Copy,
        isa="portable",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=in_place,
        constants=constants.copied,
        features=features.lookup,
        needs=ARITHMETIC,
    ),
    Kernel(
        name="mcp_softmax_s8",
        op=ir.Softmax,
        isa="portable",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=in_place,
        constants=constants.softmax,
        features=features.softmax,
        needs=EXPONENTIAL,
    ),
)
