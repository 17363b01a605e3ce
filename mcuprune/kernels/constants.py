"""Bytes that the constants of one kernel call take in flash.

Every constant object starts on a 4-byte boundary, so each counts with its size rounded up to 4.  Structures
have the size that a 32-bit ABI gives them; ``tests/kernels`` compares these numbers with the compiler's.
"""

from __future__ import annotations

from collections.abc import Callable

from mcuprune.graph.ir import ELEMENT_BYTES
from mcuprune.graph.op_shape import Number, OpShape, ceil_to

Constants = Callable[[OpShape], Number]

WORD = 4
STRUCT_BYTES = {
    "mcp_conv2d": 44,
    "mcp_fully_connected": 32,
    "mcp_pool2d": 20,
    "mcp_elementwise": 64,
    "mcp_reduce_mean": 48,
    "mcp_reduce_extreme": 36,
    "mcp_rearrange": 36,
    "mcp_take": 20,
    "mcp_resize_bilinear": 28,
    "mcp_concat": 16,
    "mcp_pad": 20,
    "mcp_lookup": 8,
    "mcp_quantized": 16,
    "mcp_copied": 4,
    "mcp_lstm": 40,
    "mcp_svdf": 40,
    "mcp_softmax": 20,
    "mcp_log_softmax": 28,
}


def per_channel(out_c: Number) -> Number:
    """Bias, multiplier (int32) and shift (int8) of every output channel."""
    return 8 * out_c + ceil_to(out_c, WORD)


def shared(constants: Constants) -> Constants:
    """``constants`` of a call whose channels share a multiplier: a word for each of them, and that."""

    def counted(shape: OpShape) -> Number:
        out_c = shape.output[2]
        return constants(shape) - per_channel(out_c) + WORD * (out_c + 1)

    return counted


def pairs_shared(constants: Constants) -> Constants:
    """The same of :func:`row_pairs`: four bytes for a pair of channels instead of 16, and the multiplier."""

    def counted(shape: OpShape) -> Number:
        return constants(shape) - 6 * ceil_to(shape.output[2], 2) + WORD

    return counted


def filter_size(shape: OpShape) -> Number:
    """Weights of one output channel of a convolution."""
    kernel_h, kernel_w = shape.window.kernel
    return kernel_h * kernel_w * shape.inputs[0][2]


def conv2d(shape: OpShape) -> Number:
    out_c = shape.output[2]
    return ceil_to(filter_size(shape) * out_c, WORD) + per_channel(out_c) + STRUCT_BYTES["mcp_conv2d"]


def conv2d_whole_words(shape: OpShape) -> Number:
    """As :func:`conv2d`, the last output channel's weights filled up to whole words."""
    out_c, one = shape.output[2], filter_size(shape)
    weights = one * (out_c - 1) + ceil_to(one, WORD)
    return ceil_to(weights, WORD) + per_channel(out_c) + STRUCT_BYTES["mcp_conv2d"]


def conv2d_row_pairs(shape: OpShape) -> Number:
    """Weights of every output channel, filled up to whole words; pairs of channels with their scales."""
    return row_pairs(ceil_to(filter_size(shape), WORD), shape.output[2])


def conv2d_3x3(shape: OpShape) -> Number:
    """As :func:`conv2d_row_pairs`, the input channels filled up to fours."""
    return row_pairs(9 * ceil_to(shape.inputs[0][2], 4), shape.output[2])


def row_pairs(weights: Number, out_c: Number) -> Number:
    """Bias, multiplier and power (int32) with the ``weights`` of every output channel, an even number of
    them."""
    return (weights + 12) * ceil_to(out_c, 2) + STRUCT_BYTES["mcp_conv2d"]


def depthwise(shape: OpShape) -> Number:
    kernel_h, kernel_w = shape.window.kernel
    out_c = shape.output[2]
    return ceil_to(kernel_h * kernel_w * out_c, WORD) + per_channel(out_c) + STRUCT_BYTES["mcp_conv2d"]


def depthwise_eights(shape: OpShape) -> Number:
    """Weights in groups of eight channels, the last one overlapping the one before it."""
    kernel_h, kernel_w = shape.window.kernel
    out_c = shape.output[2]
    return kernel_h * kernel_w * ceil_to(out_c, 8) + per_channel(out_c) + STRUCT_BYTES["mcp_conv2d"]


def fully_connected(shape: OpShape) -> Number:
    in_c, out_c = shape.inputs[0][2], shape.output[2]
    return ceil_to(in_c * out_c, WORD) + _outputs(shape) + STRUCT_BYTES["mcp_fully_connected"]


def fully_connected_padded_rows(shape: OpShape) -> Number:
    in_c, out_c = shape.inputs[0][2], shape.output[2]
    return ceil_to(in_c, WORD) * out_c + _outputs(shape) + STRUCT_BYTES["mcp_fully_connected"]


def fully_connected_shared(constants: Constants) -> Constants:
    """``constants`` of a layer whose outputs share a multiplier: a word for each of them, and that."""
    return lambda shape: constants(shape) - _outputs(shape) + WORD * (shape.output[2] + 1)


def _outputs(shape: OpShape) -> Number:
    """Bias per output, multiplier and shift per output or once."""
    out_c = shape.output[2]
    return 4 * out_c + 2 * WORD if shape.node.one_scale else per_channel(out_c)  # type: ignore[attr-defined]


def pool(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_pool2d"]


def elementwise(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_elementwise"]


def reduce_mean(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_reduce_mean"]


def reduce_extreme(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_reduce_extreme"]


def rearrange(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_rearrange"]


def take(shape: OpShape) -> Number:
    out_h, out_w, _ = shape.output
    return STRUCT_BYTES["mcp_take"] + ceil_to(2 * out_h, WORD) + ceil_to(2 * out_w, WORD)


def resize_bilinear(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_resize_bilinear"]


def concat(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_concat"] * len(shape.inputs)


def pad(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_pad"]


def lookup(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_lookup"] + 256


def lstm(shape: OpShape) -> Number:
    in_c, units = shape.inputs[0][2], shape.output[2]
    weights = ceil_to(4 * units * in_c, WORD) + ceil_to(4 * units * units, WORD)
    scales = 11 * 4 + ceil_to(11, WORD)
    return weights + 2 * 4 * 4 * units + scales + STRUCT_BYTES["mcp_lstm"]


def svdf(shape: OpShape) -> Number:
    """The time weights are as wide as the state: one byte an element, or two."""
    in_c, units = shape.inputs[0][2], shape.output[2]
    filters = units * shape.node.rank  # type: ignore[attr-defined]
    wide = ELEMENT_BYTES[shape.node.state]  # type: ignore[attr-defined]
    weights = ceil_to(filters * in_c, WORD) + ceil_to(shape.inputs[1][2] * wide, WORD)
    return weights + 4 * (filters + units) + STRUCT_BYTES["mcp_svdf"]


def copied(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_copied"]


def quantized(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_quantized"]


def softmax(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_softmax"]


def log_softmax(shape: OpShape) -> Number:
    return STRUCT_BYTES["mcp_log_softmax"]
