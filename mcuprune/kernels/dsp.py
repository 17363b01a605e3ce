"""The kernels for cores with the DSP extension: pairs of 16-bit products per instruction."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph import ir
from mcuprune.graph.op_shape import Number, OpShape, ceil_to
from mcuprune.kernels import accepts, constants, features, geometry
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.portable import (
    Distances,
    all_outputs,
    channel_by_channel,
    no_scratch,
    unless_broadcast,
    whole_pixel,
)

_WINDOW = ("mcp_arithmetic.h", "mcp_window.h", "mcp_dsp.h")
_PAIRS = ("mcp_rows_s8_dsp", "mcp_rows_dsp.h", "mcp_pairs.h", "mcp_channels.h")
_FLAT = ("mcp_arithmetic.h", "mcp_dsp.h")


def _three_patches(shape: OpShape) -> Number:
    """Three windows of 16-bit numbers, each filled up to a multiple of four."""
    return 6 * ceil_to(constants.filter_size(shape), constants.WORD)


def _one_patch(shape: OpShape) -> Number:
    return ceil_to(constants.filter_size(shape), constants.WORD)


def _eight_columns(shape: OpShape) -> Number:
    """Of three rows, each pixel filled up to fours of 16-bit numbers."""
    return 48 * ceil_to(shape.inputs[0][2], 4)


def _whole_words(shape: OpShape) -> Number:
    """A copy of an input that does not end with a whole word."""
    in_c = shape.inputs[0][2]
    return ceil_to(in_c, constants.WORD) * (in_c % constants.WORD > 0)


def _pixel_copied(shape: OpShape) -> Distances:
    """A pixel's whole window is copied to scratch before any of its outputs is written."""
    return (geometry.window_distance(shape, held=0),)


def _in_place_unless_wider(shape: OpShape) -> Distances:
    """Output bytes of a channel then take the place of bytes of the same channel that are in scratch."""
    return (0 if shape.output[1] <= shape.inputs[0][1] else None,)


_MAX_POOL = Kernel(
    name="mcp_max_pool2d_s8_dsp",
    op=ir.MaxPool2d,
    isa="dsp",
    accepts=accepts.undilated_window,
    scratch=no_scratch,
    overlap=channel_by_channel,
    constants=constants.pool,
    features=features.pool_dsp,
    needs=_WINDOW,
)

DSP: tuple[Kernel, ...] = (
    Kernel(
        name="mcp_conv2d_s8_dsp",
        op=ir.Conv2d,
        isa="dsp",
        accepts=accepts.undilated_window,
        scratch=_three_patches,
        overlap=_pixel_copied,
        constants=constants.conv2d_row_pairs,
        features=features.conv2d_dsp,
        layout="row_pairs",
        needs=("mcp_conv2d_dsp.h", *_PAIRS, *_WINDOW),
        clamps_after=True,
    ),
    Kernel(
        name="mcp_conv2d_3x3_s8_dsp",
        op=ir.Conv2d,
        isa="dsp",
        accepts=accepts.window_3x3,
        scratch=_eight_columns,
        overlap=_pixel_copied,
        constants=constants.conv2d_3x3,
        features=features.conv2d_3x3_dsp,
        layout="row_pairs_three_columns",
        needs=("mcp_conv2d_3x3_dsp.h", "mcp_channels.h", "mcp_pairs.h", *_WINDOW),
        clamps_after=True,
    ),
    Kernel(
        name="mcp_conv2d_small_s8_dsp",
        op=ir.Conv2d,
        isa="dsp",
        accepts=accepts.undilated_window,
        scratch=_one_patch,
        overlap=_pixel_copied,
        constants=constants.conv2d_whole_words,
        features=features.conv2d_small_dsp,
        layout="whole_words",
        needs=("mcp_conv2d_small_dsp.h", "mcp_channels.h", *_WINDOW),
    ),
    Kernel(
        name="mcp_conv2d_1x1_s8_dsp",
        op=ir.Conv2d,
        isa="dsp",
        accepts=accepts.pointwise,
        scratch=_three_patches,
        overlap=_pixel_copied,
        constants=constants.conv2d_row_pairs,
        features=features.pointwise_dsp,
        layout="row_pairs_apart",
        needs=("mcp_conv2d_1x1_dsp.h", *_PAIRS, *_FLAT),
        clamps_after=True,
    ),
    Kernel(
        name="mcp_depthwise_conv2d_s8_dsp",
        op=ir.DepthwiseConv2d,
        isa="dsp",
        accepts=accepts.depthwise_one_to_one,
        scratch=no_scratch,
        overlap=channel_by_channel,
        constants=constants.depthwise,
        features=features.depthwise_dsp,
        layout="channel_fours",
        needs=("mcp_depthwise_conv2d_dsp.h", "mcp_channels.h", *_WINDOW),
        clamps_after=True,
    ),
    Kernel(
        name="mcp_depthwise_conv2d_3x3_s8_dsp",
        op=ir.DepthwiseConv2d,
        isa="dsp",
        accepts=accepts.depthwise_3x3,
        scratch=geometry.strip_bytes,
        overlap=_in_place_unless_wider,
        exact=True,
        constants=constants.depthwise,
        features=features.depthwise_3x3_dsp,
        layout="channels",
        folds_input_offset=True,
        needs=("mcp_depthwise_conv2d_3x3_dsp.h", "mcp_channels.h", *_FLAT),
        clamps_after=True,
    ),
    Kernel(
        name="mcp_depthwise_conv2d_small_s8_dsp",
        op=ir.DepthwiseConv2d,
        isa="dsp",
        accepts=accepts.depthwise_of_fours,
        scratch=no_scratch,
        overlap=whole_pixel,
        constants=constants.depthwise,
        features=features.depthwise_small_dsp,
        needs=("mcp_depthwise_conv2d_small_dsp.h", "mcp_channels.h", *_WINDOW),
    ),
    Kernel(
        name="mcp_fully_connected_s8_dsp",
        op=ir.Linear,
        isa="dsp",
        accepts=accepts.s8,
        scratch=_whole_words,
        overlap=all_outputs,
        constants=constants.fully_connected_padded_rows,
        features=features.fully_connected_dsp,
        layout="row_fours",
        folds_input_offset=True,
        needs=("mcp_fully_connected_dsp.h", "mcp_channels.h", *_FLAT),
        clamps_after=True,
    ),
    Kernel(
        name="mcp_add_s8_dsp",
        op=ir.Add,
        isa="dsp",
        accepts=accepts.same_sizes,
        scratch=no_scratch,
        overlap=unless_broadcast,
        constants=constants.elementwise,
        features=features.elementwise,
        needs=_FLAT,
        clamps_after=True,
    ),
    _MAX_POOL,
    replace(_MAX_POOL, name="mcp_average_pool2d_s8_dsp", op=ir.AveragePool2d, accepts=accepts.up_to_255_taps),
)
