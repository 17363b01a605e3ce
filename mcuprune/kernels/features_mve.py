"""The terms of the cycle formulas of the mve kernels; see :mod:`mcuprune.kernels.features`."""

from __future__ import annotations

from mcuprune.graph.op_shape import Number, OpShape, ceil_to, elements
from mcuprune.kernels.constants import filter_size
from mcuprune.kernels.features import Features
from mcuprune.kernels.geometry import window_taps

VECTOR = 16  # bytes of an mve register
PIXELS = 4  # that share the loads of weights
LANES = 8  # channels at once in the depthwise kernel


def _blocks(count: Number, size: int) -> Number:
    return ceil_to(count, size) / size


def _fours_of_pixels(count: int) -> tuple[int, int]:
    """Groups that are computed together, and whether a last pixel is left by itself."""
    whole, left = divmod(count, PIXELS)
    return whole + (left > 1), int(left == 1)


def conv2d_mve(shape: OpShape) -> Features:
    """Calls, output rows, output pixels.  Gathering: runs, vectors in them, vectors of padding.  Computing:
    fours of pixels, channels of these, vectors of weights, fours of channels of a last pixel by itself."""
    out_h, out_w, out_c = shape.output
    in_c = shape.inputs[0][2]
    kernel_h, kernel_w = shape.window.kernel
    rows, columns = window_taps(shape)
    clipped = out_h * out_w - rows.count(kernel_h) * columns.count(kernel_w)
    fours, single = _fours_of_pixels(out_h * out_w)
    size = filter_size(shape)
    rows_of_single = single * _blocks(out_c, 4)
    return (
        1,
        out_h,
        out_h * out_w,
        sum(rows) * sum(taps > 0 for taps in columns),
        sum(rows) * sum(_blocks(taps * in_c, VECTOR) for taps in columns),
        clipped * _blocks(size, VECTOR),
        fours,
        fours * out_c,
        (fours * out_c + rows_of_single) * _blocks(size, VECTOR),
        rows_of_single,
    )


def pointwise_mve(shape: OpShape) -> Features:
    """Calls; with strides rows and pixels; fours of pixels, channels of these, vectors of weights, fours of
    channels of a last pixel by itself."""
    out_h, out_w, out_c = shape.output
    fours, single = _fours_of_pixels(out_h * out_w)
    vectors = _blocks(shape.inputs[0][2], VECTOR)
    rows_of_single = single * _blocks(out_c, 4)
    strided = shape.window.stride != (1, 1)
    products = (fours * out_c + rows_of_single) * vectors
    return (1, strided * out_h, strided * out_h * out_w, fours, fours * out_c, products, rows_of_single)


def depthwise_mve(shape: OpShape) -> Features:
    """Calls, vectors of weights looked at, output rows, output pixels.

    Windows over the edge: number, runs, vectors in runs, vectors of padding.  Eight channels: groups with a
    window of 3x3, other groups, rows of taps of these, taps of these.
    """
    out_h, out_w, channels = shape.output
    kernel_h, kernel_w = shape.window.kernel
    rows, columns = window_taps(shape)
    edges = out_h * out_w - rows.count(kernel_h) * columns.count(kernel_w)
    outer_rows = sum(taps for taps in rows if taps < kernel_h)
    runs = [(outer_rows if taps == kernel_w else sum(rows)) if taps else 0 for taps in columns]
    groups = out_h * out_w * _blocks(channels, LANES)
    nine = shape.window.kernel == (3, 3)
    return (
        1,
        nine * _blocks(9 * channels, VECTOR),
        out_h,
        out_h * out_w,
        edges,
        sum(runs),
        sum(n * _blocks(taps * channels, VECTOR) for n, taps in zip(runs, columns, strict=True)),
        edges * _blocks(kernel_h * kernel_w * channels, VECTOR),
        nine * groups,
        (1 - nine) * groups,
        (1 - nine) * groups * kernel_h,
        (1 - nine) * groups * kernel_h * kernel_w,
    )


def pool_mve(shape: OpShape) -> Features:
    """Calls, output rows, output pixels, eight channels of these, rows of taps of these, taps of these."""
    out_h, out_w, channels = shape.output
    rows, columns = (sum(taps) for taps in window_taps(shape))
    groups = _blocks(channels, LANES)
    return (
        1,
        out_h,
        out_h * out_w,
        out_h * out_w * groups,
        rows * out_w * groups,
        rows * columns * groups,
    )


def elementwise_mve(shape: OpShape) -> Features:
    """Calls, fours of elements."""
    return (1, _blocks(elements(shape.output), 4))


def fully_connected_mve(shape: OpShape) -> Features:
    """Calls, fours of outputs, vectors of inputs of these."""
    fours = _blocks(shape.output[2], 4)
    return (1, fours, fours * _blocks(shape.inputs[0][2], VECTOR))
