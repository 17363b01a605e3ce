"""The terms of the cycle formulas: what a kernel does how often.

A kernel's cycles are the sum of its features, each times a coefficient calibrated per core.  The first
feature is always the call itself.
"""

from __future__ import annotations

from mcuprune.graph.op_shape import Number, OpShape, ceil_to, elements
from mcuprune.kernels.constants import WORD, filter_size
from mcuprune.kernels.geometry import window_taps

Features = tuple[Number, ...]


def conv2d(shape: OpShape) -> Features:
    """Calls, output pixels, outputs, runs of consecutive products, products."""
    out_h, out_w, out_c = shape.output
    in_c = shape.inputs[0][2]
    rows, columns = window_taps(shape)
    runs = rows * (out_w if shape.window.dilation[1] == 1 else columns)
    return (1, out_h * out_w, out_h * out_w * out_c, runs * out_c, rows * columns * in_c * out_c)


def pointwise(shape: OpShape) -> Features:
    """Calls, rows, output pixels, outputs, products."""
    out_h, out_w, out_c = shape.output
    outputs = out_h * out_w * out_c
    return (1, out_h, out_h * out_w, outputs, outputs * shape.inputs[0][2])


def window_per_channel(shape: OpShape) -> Features:
    """Depthwise and pooling.  Calls, output pixels, outputs, rows of taps, taps."""
    out_h, out_w, channels = shape.output
    rows, columns = window_taps(shape)
    return (1, out_h * out_w, out_h * out_w * channels, rows * out_w * channels, rows * columns * channels)


def fully_connected(shape: OpShape) -> Features:
    """Calls, outputs, products."""
    return (1, shape.output[2], shape.inputs[0][2] * shape.output[2])


def elementwise(shape: OpShape) -> Features:
    """Calls, pixels, elements."""
    out_h, out_w, _ = shape.output
    return (1, out_h * out_w, elements(shape.output))


def concat(shape: OpShape) -> Features:
    """Calls, rows copied, elements."""
    out_h, out_w, _ = shape.output
    return (len(shape.inputs), len(shape.inputs) * out_h * out_w, elements(shape.output))


def pad(shape: OpShape) -> Features:
    """Calls, input rows, elements copied, elements filled."""
    copied = elements(shape.inputs[0])
    return (1, shape.inputs[0][0], copied, elements(shape.output) - copied)


def lookup(shape: OpShape) -> Features:
    """Calls, elements."""
    return (1, elements(shape.output))


def softmax(shape: OpShape) -> Features:
    """Calls, rows, elements."""
    out_h, out_w, _ = shape.output
    return (1, out_h * out_w, elements(shape.output))


def conv2d_dsp(shape: OpShape) -> Features:
    """Calls, output pixels, rows of taps gathered, taps gathered (times channels), pairs of pixels and of
    channels, words of four products in each."""
    out_h, out_w, out_c = shape.output
    in_c = shape.inputs[0][2]
    rows, columns = window_taps(shape)
    pixels = out_h * out_w
    blocks = -(-pixels // 2) * (ceil_to(out_c, 2) / 2)
    words = ceil_to(filter_size(shape), WORD) / WORD
    return (1, pixels, rows * out_w, rows * columns * in_c, blocks, blocks * words)


def depthwise_dsp(shape: OpShape) -> Features:
    """Calls, output pixels, outputs; then groups of four channels (a channel left over is a group of its own),
    rows of taps in them, taps in them."""
    out_h, out_w, channels = shape.output
    rows, columns = window_taps(shape)
    pixels = out_h * out_w
    whole = ceil_to(channels - 3, 4) / 4
    groups = channels - 3 * whole
    return (1, pixels, pixels * channels, pixels * groups, rows * out_w * groups, rows * columns * groups)


def fully_connected_dsp(shape: OpShape) -> Features:
    """Calls, inputs, outputs, blocks of four outputs, words of four products in each."""
    in_c, out_c = shape.inputs[0][2], shape.output[2]
    blocks = ceil_to(out_c, 4) / 4
    return (1, in_c, out_c, blocks, blocks * ceil_to(in_c, WORD) / WORD)
