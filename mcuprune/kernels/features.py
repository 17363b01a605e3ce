"""The terms of the cycle formulas: what a kernel does how often.

A kernel's cycles are the sum of its features, each times a coefficient calibrated per core.  The first
feature is always the call itself.
"""

from __future__ import annotations

from mcuprune.graph.axes import broadcast_levels, reduction_walk
from mcuprune.graph.op_shape import Number, OpShape, ceil_to, elements, in_bytes
from mcuprune.kernels.constants import WORD, filter_size
from mcuprune.kernels.geometry import slide, strips, window_taps

Features = tuple[Number, ...]


def conv2d(shape: OpShape) -> Features:
    """Calls, output rows, output pixels, taps clipped, outputs, runs of consecutive products, products."""
    out_h, out_w, out_c = shape.output
    in_c = shape.inputs[0][2]
    rows, columns = (sum(taps) for taps in window_taps(shape))
    runs = rows * (out_w if shape.window.dilation[1] == 1 else columns)
    products = rows * columns * in_c * out_c
    return (1, out_h, out_h * out_w, clipped_taps(shape), out_h * out_w * out_c, runs * out_c, products)


def pointwise(shape: OpShape) -> Features:
    """Calls, rows, output pixels, outputs, products."""
    out_h, out_w, out_c = shape.output
    outputs = out_h * out_w * out_c
    return (1, out_h, out_h * out_w, outputs, outputs * shape.inputs[0][2])


def window_per_channel(shape: OpShape) -> Features:
    """Depthwise, pooling.  Calls, output rows, output pixels, taps clipped, outputs, rows of taps, taps."""
    out_h, out_w, channels = shape.output
    rows, columns = (sum(taps) for taps in window_taps(shape))
    pixels, clipped = out_h * out_w, clipped_taps(shape)
    return (1, out_h, pixels, clipped, pixels * channels, rows * out_w * channels, rows * columns * channels)


def clipped_taps(shape: OpShape) -> int:
    """Taps outside the image, each counted off: rows once per output row, columns once per pixel."""
    (kernel_h, kernel_w), (out_h, out_w, _) = shape.window.kernel, shape.output
    rows, columns = (sum(taps) for taps in window_taps(shape))
    return out_h * kernel_h - rows + out_h * (out_w * kernel_w - columns)


def fully_connected(shape: OpShape) -> Features:
    """Calls, outputs, products."""
    return (1, shape.output[2], shape.inputs[0][2] * shape.output[2])


def elementwise(shape: OpShape) -> Features:
    """Calls, runs over which both operands go on, elements."""
    levels = broadcast_levels(shape.inputs, shape.output)
    if levels is None or len(levels) == 1:
        return (1, 1, elements(shape.output))
    outer, inner = levels[-2].count, levels[-1].count
    return (1, 1 + (outer - 1) * (inner != 1), elements(shape.output))


def reduction(shape: OpShape) -> Features:
    """Calls, outputs, runs of inputs, inputs."""
    walk = reduction_walk(shape.inputs[0], shape.node.axes)  # type: ignore[attr-defined]
    outputs = walk.outer * walk.inner
    runs = 1 + (walk.rows - 1) * (walk.run != 1)  # the longer level is the run where the other has size 1
    return (1, outputs, outputs * runs, elements(shape.inputs[0]))


def rearrange(shape: OpShape) -> Features:
    """Calls, and how often each loop is entered from without: the innermost one's rounds last."""
    first, second, third, fourth = shape.node.counts  # type: ignore[attr-defined]
    return (1, first, first * second, first * second * third, first * second * third * fourth)


def pixels(shape: OpShape) -> Features:
    """Calls, output rows, output pixels, outputs."""
    out_h, out_w, channels = shape.output
    return (1, out_h, out_h * out_w, out_h * out_w * channels)


def lstm(shape: OpShape) -> Features:
    """Calls, units over all steps, products."""
    steps, _, units = shape.output
    return (1, steps * units, 4 * steps * units * (shape.inputs[0][2] + units))


def svdf(shape: OpShape) -> Features:
    """Calls, units, filters, products over features, products over time."""
    filters = shape.output[2] * shape.node.rank  # type: ignore[attr-defined]
    return (1, shape.output[2], filters, filters * shape.inputs[0][2], shape.inputs[1][2])


def concat(shape: OpShape) -> Features:
    """Calls, rows copied, bytes."""
    shape = in_bytes(shape)
    out_h, out_w, _ = shape.output
    return (len(shape.inputs), len(shape.inputs) * out_h * out_w, elements(shape.output))


def pad(shape: OpShape) -> Features:
    """Calls, input rows, bytes copied, bytes filled."""
    shape = in_bytes(shape)
    copied = elements(shape.inputs[0])
    return (1, shape.inputs[0][0], copied, elements(shape.output) - copied)


def lookup(shape: OpShape) -> Features:
    """Calls, elements."""
    return (1, elements(shape.output))


def softmax(shape: OpShape) -> Features:
    """Calls, rows, elements."""
    out_h, out_w, _ = shape.output
    return (1, out_h * out_w, elements(shape.output))


def _below(value: Number, multiple: int) -> Number:
    """The largest multiple that is not above ``value``."""
    return ceil_to(value - (multiple - 1), multiple)


def conv2d_dsp(shape: OpShape) -> Features:
    """Calls, words of scratch, output rows, output pixels.

    Gathering: runs, inputs, inputs beyond whole sixteens, beyond whole words, windows over the edge, words of
    these.  Computing: see :func:`_rows_dsp`.
    """
    out_h, out_w, _ = shape.output
    in_c = shape.inputs[0][2]
    kernel_h, kernel_w = shape.window.kernel
    rows, columns = window_taps(shape)
    pixels, runs = out_h * out_w, sum(rows) * out_w
    clipped = pixels - rows.count(kernel_h) * columns.count(kernel_w)
    run = kernel_w * in_c
    words = ceil_to(filter_size(shape), WORD) / WORD
    return (
        1,
        words,
        out_h,
        pixels,
        runs,
        sum(rows) * sum(columns) * in_c,
        runs * (_below(run, WORD) - _below(run, 16)),
        runs * (run - _below(run, WORD)),
        clipped,
        clipped * words,
        *_rows_dsp(shape),
    )


def conv2d_3x3_dsp(shape: OpShape) -> Features:
    """Calls, output rows, groups of pixels.

    Storing columns: pixels, inputs, inputs beyond whole sixteens, beyond whole words, columns outside the
    image, fours of channels in these, in cleared rows.  Computing: pairs of channels of three pixels, fours
    of input channels in them, the same of two pixels; odd last channels, outputs of these.
    """
    (_, in_w, in_c), (out_h, out_w, out_c) = shape.inputs[0], shape.output
    rows, _ = window_taps(shape)
    way = slide(out_w, in_w, shape.window.padding[1])
    fours, channel_pairs = ceil_to(in_c, WORD) / WORD, ceil_to(out_c, 2) / 2
    odd = 2 * channel_pairs - out_c
    stored, groups = sum(rows) * way.inside, out_h * (way.threes + way.twos)
    return (
        1,
        out_h,
        groups,
        stored,
        stored * in_c,
        stored * (_below(in_c, WORD) - _below(in_c, 16)),
        stored * (in_c - _below(in_c, WORD)),
        out_h * way.outside,
        out_h * way.outside * fours,
        (out_h - rows.count(3)) * fours,
        out_h * way.threes * channel_pairs,
        out_h * way.threes * channel_pairs * fours,
        out_h * way.twos * channel_pairs,
        out_h * way.twos * channel_pairs * fours,
        groups * odd,
        out_h * out_w * odd,
    )


def conv2d_small_dsp(shape: OpShape) -> Features:
    """Calls, output rows, output pixels.

    Gathering: words of scratch, rows of taps, their words, inputs beyond whole words.  Computing: outputs,
    words.
    """
    out_h, out_w, out_c = shape.output
    in_c = shape.inputs[0][2]
    rows, columns = window_taps(shape)
    pixels, words = out_h * out_w, ceil_to(filter_size(shape), WORD) / WORD
    whole = sum(_below(taps * in_c, WORD) for taps in columns)
    return (
        1,
        out_h,
        pixels,
        pixels * words,
        sum(rows) * out_w,
        sum(rows) * whole / WORD,
        sum(rows) * (sum(columns) * in_c - whole),
        pixels * out_c,
        pixels * out_c * words,
    )


def pointwise_dsp(shape: OpShape) -> Features:
    """Calls, words of scratch, output rows, output pixels.

    Widening: copies of single pixels, of groups without gaps; inputs in sixteens, in further words, beyond
    whole words.  Computing: see :func:`_rows_dsp`.
    """
    out_h, out_w, _ = shape.output
    in_c = shape.inputs[0][2]
    pixels = out_h * out_w
    dense = 1 * (in_c % WORD == 0) * (shape.window.stride == (1, 1))
    groups, left = pixels // 3, pixels % 3
    sixteens = groups * _below(3 * in_c, 16) + (left > 0) * _below(left * in_c, 16)
    return (
        1,
        ceil_to(in_c, WORD),
        (1 - dense) * out_h,
        pixels,
        (1 - dense) * pixels,
        dense * (groups + (left > 0)),
        dense * sixteens + (1 - dense) * pixels * _below(in_c, 16),
        dense * (pixels * in_c - sixteens) + (1 - dense) * pixels * (_below(in_c, WORD) - _below(in_c, 16)),
        pixels * (in_c - _below(in_c, WORD)),
        *_rows_dsp(shape),
    )


def _rows_dsp(shape: OpShape) -> Features:
    """Groups of up to three pixels; in them pairs of channels, rounds and steps of their loop; odd last
    channels, outputs of these."""
    pixels, out_c = shape.output[0] * shape.output[1], shape.output[2]
    groups = -(-pixels // 3)
    channel_pairs = ceil_to(out_c, 2) / 2
    odd = 2 * channel_pairs - out_c
    words = ceil_to(filter_size(shape), WORD) / WORD
    return (
        groups,
        groups * channel_pairs,
        groups * channel_pairs * ceil_to(2 * words - 1, 16) / 16,
        groups * channel_pairs * words,
        groups * odd,
        pixels * odd,
    )


def depthwise_dsp(shape: OpShape) -> Features:
    """Calls, output rows, output pixels, outputs; of four channels at once: groups, rows of three taps, other
    rows, taps in these; of channels left over: outputs, rows of taps, taps."""
    out_h, out_w, channels = shape.output
    rows, columns = window_taps(shape)
    pixels = out_h * out_w
    fours = _below(channels, 4) / 4
    single = channels - 4 * fours
    threes = columns.count(3)
    return (
        1,
        out_h,
        pixels,
        pixels * channels,
        pixels * fours,
        sum(rows) * threes * fours,
        sum(rows) * (out_w - threes) * fours,
        sum(rows) * (sum(columns) - 3 * threes) * fours,
        pixels * single,
        sum(rows) * out_w * single,
        sum(rows) * sum(columns) * single,
    )


def depthwise_small_dsp(shape: OpShape) -> Features:
    """Calls, output rows, output pixels; of four channels at once: groups, rows of taps, taps."""
    out_h, out_w, channels = shape.output
    rows, columns = window_taps(shape)
    fours = ceil_to(channels, 4) / 4
    return (
        1,
        out_h,
        out_h * out_w,
        out_h * out_w * fours,
        sum(rows) * out_w * fours,
        sum(rows) * sum(columns) * fours,
    )


def depthwise_3x3_dsp(shape: OpShape) -> Features:
    """Calls, channels.

    Copying two channels at a time: channels, strips, pairs of columns in them, words that hold input, words
    of padding, words kept from one strip to the next.  Computing: columns of outputs, blocks of four outputs,
    blocks of two.
    """
    out_h, out_w, channels = shape.output
    cut, stride, window = strips(shape), shape.window.stride[0], shape.window
    count = -(-out_h // cut.rows)
    rows = (out_h - 1) * stride + 3
    inside = min(rows - window.padding[0], shape.inputs[0][0])
    wide = out_w // 2 if stride == 1 else 0
    narrow = out_w - 2 * wide
    blocks = sum((min(out_h - row, cut.rows) + 1) // 2 for row in range(0, out_h, cut.rows))
    copied = ceil_to(channels, 2)
    return (
        1,
        channels,
        copied,
        copied * count,
        copied * count * cut.columns,
        copied * inside * cut.columns,
        copied * (count > 1) * (rows - inside) * cut.columns,
        copied * (count - 1) * (3 - stride) * cut.columns,
        channels * count * (wide + narrow),
        channels * blocks * wide,
        channels * blocks * narrow,
    )


def pool_dsp(shape: OpShape) -> Features:
    """Calls, output rows, output pixels, outputs; of four channels at once: groups, rows of taps, taps; of
    channels left over: outputs, rows of taps, taps."""
    out_h, out_w, channels = shape.output
    rows, columns = (sum(taps) for taps in window_taps(shape))
    pixels = out_h * out_w
    fours = _below(channels, 4) / 4
    single = channels - 4 * fours
    return (
        1,
        out_h,
        pixels,
        pixels * channels,
        pixels * fours,
        rows * out_w * fours,
        rows * columns * fours,
        pixels * single,
        rows * out_w * single,
        rows * columns * single,
    )


def fully_connected_dsp(shape: OpShape) -> Features:
    """Calls, copies, inputs copied; fours of rows, rounds and steps of their loop; other rows, words."""
    in_c, out_c = shape.inputs[0][2], shape.output[2]
    fours = _below(out_c, 4) / 4
    words = ceil_to(in_c, WORD) / WORD
    rounds = ceil_to(words, 8) / 8
    single = out_c - 4 * fours
    copied = in_c % WORD > 0
    return (1, 1 * copied, in_c * copied, fours, fours * rounds, fours * words, single, single * words)
