"""How many taps of a window lie inside the image, and how far an output may run into its input.

Spatial sizes are ints; channel numbers may be ints, arrays or tensors, so nothing here compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from mcuprune.graph.ir import Window
from mcuprune.graph.op_shape import Number, OpShape, ceil_to


def positive(value: Number) -> Number:
    """``max(0, value)`` as plain arithmetic."""
    return value * (value > 0)


def maximum(first: Number, second: Number) -> Number:
    return first + positive(second - first)


@lru_cache(maxsize=4096)
def inside_taps(size: int, out: int, kernel: int, stride: int, dilation: int, pad: int) -> tuple[int, ...]:
    """Taps inside the image, for each of the ``out`` window positions along one axis."""
    starts = range(-pad, out * stride - pad, stride)
    return tuple(sum(0 <= start + tap * dilation < size for tap in range(kernel)) for start in starts)


def window_taps(shape: OpShape) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """:func:`inside_taps` along the height and along the width."""
    window = shape.window
    top, left, _, _ = window.padding
    (in_h, in_w, _), (out_h, out_w, _) = shape.inputs[0], shape.output
    return (
        inside_taps(in_h, out_h, window.kernel[0], window.stride[0], window.dilation[0], top),
        inside_taps(in_w, out_w, window.kernel[1], window.stride[1], window.dilation[1], left),
    )


def window_distance(shape: OpShape, held: Number) -> Number:
    """Smallest safe distance for a kernel that makes output pixels one after the other.

    When pixel ``p`` is begun, ``p * out_c`` bytes are written; ``held`` is how many more the kernel may write
    while it still needs that pixel's whole window.  None of them may lie on a byte that this or a later pixel
    reads: ``distance >= written - first byte still needed``, for every pixel.
    """
    (_, in_w, in_c), (out_h, out_w, out_c) = shape.inputs[0], shape.output
    distance = 0 * (in_c + out_c)
    for written, needed in _frontier(shape.window, in_w, out_h, out_w):
        distance = maximum(distance, written * out_c + held - needed * in_c)
    return distance


@lru_cache(maxsize=4096)
def _frontier(window: Window, in_w: int, out_h: int, out_w: int) -> tuple[tuple[int, int], ...]:
    """``(output pixels written, first input pixel needed)`` where the distance can be largest.

    Along each axis the first position needed is 0 while the window hangs over the edge, then linear: the
    extremes of a function linear in both lie at the ends of these pieces.
    """
    (stride_h, stride_w), (top, left, _, _) = window.stride, window.padding

    def first(position: int, stride: int, pad: int) -> int:
        return max(0, position * stride - pad)

    pairs = set()
    for y in _corners(out_h, stride_h, top):
        row = first(y, stride_h, top)
        again = y + 1 < out_h and first(y + 1, stride_h, top) == row  # the next row starts at column 0 again
        for x in _corners(out_w, stride_w, left):
            column = 0 if again else first(x, stride_w, left)
            pairs.add((y * out_w + x, row * in_w + column))
    return _hull(sorted(pairs))


def _hull(pairs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Those of the sorted ``pairs`` where ``a * first - b * second`` can be largest for positive a and b."""
    hull: list[tuple[int, int]] = []
    for written, needed in pairs:
        while hull and needed <= hull[-1][1]:
            hull.pop()  # the later one has more written and needs as much
        while len(hull) > 1 and _is_between(hull[-2], hull[-1], (written, needed)):
            hull.pop()
        hull.append((written, needed))
    return tuple(hull)


def _is_between(before: tuple[int, int], pair: tuple[int, int], after: tuple[int, int]) -> bool:
    """Whether ``pair`` lies on the line from ``before`` to ``after`` or on its far side."""
    (w0, n0), (w1, n1), (w2, n2) = before, pair, after
    return (w1 - w0) * (n2 - n0) <= (w2 - w0) * (n1 - n0)


def _corners(out: int, stride: int, pad: int) -> list[int]:
    turn = pad // stride
    return sorted({y for y in (0, turn - 1, turn, turn + 1, out - 2, out - 1) if 0 <= y < out})


@dataclass(frozen=True)
class Strips:
    """How the 3x3 depthwise kernel cuts one channel: ``columns`` words of two columns, ``rows`` output rows a
    strip (even), ``height`` words of every column in scratch."""

    columns: int
    rows: int
    height: int


PLANE_WORDS = 320  # of one channel; the kernel has the same number


def strips(shape: OpShape) -> Strips:
    stride = shape.window.stride[0]
    out_h, out_w, _ = shape.output
    columns = ((out_w - 1) * stride + 4) // 2
    most = max((PLANE_WORDS // columns - 3 + stride) // stride // 2 * 2, 2)
    count = -(-out_h // most)
    rows = ceil_to(-(-out_h // count), 2)
    return Strips(columns, rows, (rows - 1) * stride + 3)


def strip_bytes(shape: OpShape) -> Number:
    cut = strips(shape)
    return 8 * cut.columns * cut.height


@dataclass(frozen=True)
class Slide:
    """How the 3x3 kernel goes along a row: groups of three pixels, smaller ones, columns it stores that lie
    ``inside`` the image and ``outside``."""

    threes: int
    twos: int
    inside: int
    outside: int


SLIDE_COLUMNS = 8  # in scratch; the kernel has the same number


@lru_cache(maxsize=4096)
def slide(out_w: int, in_w: int, pad: int) -> Slide:
    """The same steps as the kernel's: the two last columns of scratch are its two first as well."""
    groups, stored = {3: 0, 2: 0}, [0, 0]
    x, base, held, left = -pad, 0, 0, out_w
    while left:
        pixels = 3 if left == 3 or left > 4 else min(left, 2)
        if base + pixels + 2 > SLIDE_COLUMNS:
            base, held = 0, 2 * (base == SLIDE_COLUMNS - 2)
        for column in range(base + held, base + pixels + 2):
            stored[0 <= x + column - base < in_w] += 1 + (column >= SLIDE_COLUMNS - 2)
        groups[max(pixels, 2)] += 1
        x, base, left, held = x + pixels, base + pixels, left - pixels, 2
    return Slide(groups[3], groups[2], stored[1], stored[0])


def pad_distance(shape: OpShape, padding: tuple[int, int, int, int]) -> Number:
    """Zero padding in memory order: the last input row is where writing is furthest ahead of reading."""
    (in_h, in_w, channels), (_, out_w, _) = shape.inputs[0], shape.output
    top, left, _, _ = padding
    return ((in_h - 1) * (out_w - in_w) + top * out_w + left) * channels
