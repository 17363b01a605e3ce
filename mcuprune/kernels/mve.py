"""The kernels for cores with the integer part of Helium (MVE): 16 products per instruction."""

from __future__ import annotations

from mcuprune.graph import ir
from mcuprune.graph.op_shape import Number, OpShape, ceil_to
from mcuprune.kernels import accepts, constants, features_mve, geometry
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.portable import Distances, all_outputs, no_scratch, unless_broadcast

LANES = 8  # channels that the depthwise kernel computes at once
PIXELS = 4  # that share the loads of weights

_VECTORS = ("mcp_arithmetic.h", "mcp_mve.h")
_PATCHES = (*_VECTORS, "mcp_window.h", "mcp_patch.h")


def _four_patches(shape: OpShape) -> Number:
    return ceil_to(PIXELS * constants.filter_size(shape), constants.WORD)


def _one_patch(shape: OpShape) -> Number:
    """Of all channels: depthwise."""
    return ceil_to(constants.filter_size(shape), constants.WORD)


def _pixels_copied(shape: OpShape) -> Distances:
    """The windows of four pixels are copied to scratch before any of their outputs is written."""
    return (geometry.window_distance(shape, held=0),)


def _pixels_read_again(shape: OpShape) -> Distances:
    """All outputs of four pixels but the last are written while their inputs are still needed."""
    return (geometry.window_distance(shape, held=PIXELS * shape.output[2] - 1),)


def _last_lanes_again(shape: OpShape) -> Distances:
    """Eight channels are written when they have been read; the last eight overlap those before."""
    channels = shape.output[2]
    return (geometry.window_distance(shape, held=ceil_to(channels, LANES) - channels),)


MVE: tuple[Kernel, ...] = (
    Kernel(
        name="mcp_conv2d_s8_mve",
        op=ir.Conv2d,
        isa="mve",
        accepts=accepts.undilated_window,
        scratch=_four_patches,
        overlap=_pixels_copied,
        constants=constants.conv2d,
        features=features_mve.conv2d_mve,
        folds_input_offset=True,
        needs=("mcp_rows_s8_mve", "mcp_fully_connected_s8_mve", *_PATCHES),
    ),
    Kernel(
        name="mcp_conv2d_1x1_s8_mve",
        op=ir.Conv2d,
        isa="mve",
        accepts=accepts.pointwise,
        scratch=no_scratch,
        overlap=_pixels_read_again,
        constants=constants.conv2d,
        features=features_mve.pointwise_mve,
        folds_input_offset=True,
        needs=("mcp_rows_s8_mve", "mcp_fully_connected_s8_mve", *_PATCHES),
    ),
    Kernel(
        name="mcp_depthwise_conv2d_s8_mve",
        op=ir.DepthwiseConv2d,
        isa="mve",
        accepts=accepts.depthwise_eight_channels,
        scratch=_one_patch,
        overlap=_last_lanes_again,
        constants=constants.depthwise_eights,
        features=features_mve.depthwise_mve,
        layout="channel_eights",
        folds_input_offset=True,
        needs=_PATCHES,
    ),
    Kernel(
        name="mcp_fully_connected_s8_mve",
        op=ir.Linear,
        isa="mve",
        accepts=accepts.s8,
        scratch=no_scratch,
        overlap=all_outputs,
        constants=constants.fully_connected,
        features=features_mve.fully_connected_mve,
        folds_input_offset=True,
        needs=_VECTORS,
    ),
    Kernel(
        name="mcp_average_pool2d_s8_mve",
        op=ir.AveragePool2d,
        isa="mve",
        accepts=accepts.pool_eight_channels,
        scratch=no_scratch,
        overlap=_last_lanes_again,
        constants=constants.pool,
        features=features_mve.pool_mve,
        needs=(*_VECTORS, "mcp_window.h"),
    ),
    Kernel(
        name="mcp_add_s8_mve",
        op=ir.Add,
        isa="mve",
        accepts=accepts.same_sizes,
        scratch=no_scratch,
        overlap=unless_broadcast,
        constants=constants.elementwise,
        features=features_mve.elementwise_mve,
        needs=_VECTORS,
    ),
)
