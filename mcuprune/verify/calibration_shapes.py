"""The shapes that cycle formulas are fitted to: small and middle-sized, each feature varied by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE as S16X8
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels.kernel import Kernel

Dims = tuple[int, int, int]
Windows = tuple[tuple[ir.Window, int, int], ...]

CHANNELS = ((1, 1), (1, 8), (2, 3), (3, 5), (4, 4), (7, 6), (8, 16), (16, 9), (20, 3), (24, 24))
WINDOWS: Windows = (
    (ir.Window((3, 3), (1, 1), (1, 1, 1, 1)), 6, 6),
    (ir.Window((3, 3), (2, 2), (0, 0, 1, 1)), 10, 9),
    (ir.Window((5, 5), (1, 1), (2, 2, 2, 2)), 6, 5),
    (ir.Window((3, 3)), 8, 7),
    (ir.Window((5, 2), (2, 1), (2, 0, 2, 1)), 9, 7),
    (ir.Window((2, 2), (2, 2)), 8, 8),
)
# Of one strip and of several, of even and odd sizes.
CUT: Windows = tuple(
    (ir.Window((3, 3), (stride, stride), (1, 1, 1, 1)), height, width)
    for stride in (1, 2)
    for height, width in ((25, 5), (3, 3), (12, 12), (19, 30), (9, 48))
)
# Rows of several groups of pixels.
WIDE: Windows = (
    (ir.Window((3, 3), (1, 1), (1, 1, 1, 1)), 3, 12),
    (ir.Window((3, 3), (1, 1), (2, 2, 2, 2)), 4, 4),
    (ir.Window((3, 3)), 3, 19),
)
# Signals: one pixel a row, and one row.
LINES: Windows = (
    (ir.Window((5, 1), (2, 1), (2, 0, 2, 0)), 31, 1),
    (ir.Window((3, 1), (1, 1), (1, 0, 1, 0)), 16, 1),
    (ir.Window((1, 5), (1, 2), (0, 2, 0, 2)), 1, 31),
)
POINTWISE: Windows = (
    (ir.Window((1, 1)), 1, 1),
    (ir.Window((1, 1)), 24, 1),
    (ir.Window((1, 1)), 6, 6),
    (ir.Window((1, 1)), 3, 7),
    (ir.Window((1, 1), (2, 2)), 8, 8),
    (ir.Window((1, 1), (2, 1)), 31, 1),
    (ir.Window((1, 1), (2, 2)), 5, 13),
)
GLOBAL: Windows = ((ir.Window((6, 6)), 6, 6), (ir.Window((4, 3)), 4, 3))
SIZES: tuple[Dims, ...] = tuple(itertools.product((1, 4, 7), (1, 5), (1, 3, 8, 33)))
AXES = ((0, 1), (2,), (1, 2), (0, 2))
PADDINGS = ((1, 1, 1, 1), (0, 1, 0, 1), (3, 0, 2, 0))


HELD_OUT = 40
SIGNALS = 0.25  # share of them with one pixel a row


def shapes(kernel: Kernel) -> Iterator[OpShape]:
    """The shapes of the kernel's operator that it accepts."""
    return (form for shape in _SHAPES[kernel.op]() for form in _forms(shape) if kernel.accepts(form))


def _forms(shape: OpShape) -> Iterator[OpShape]:
    """The shape with each arithmetic that its operator may have; a function only with one that has it."""
    node = shape.node
    yield shape
    for arithmetic in (S16X8, "s8_s16", "s16_s8") if hasattr(node, "arithmetic") else ():
        for function in ("identity", "sigmoid", "tanh") if isinstance(node, ir.Activation) else ("",):
            fields = {"arithmetic": arithmetic, **({"function": function} if function else {})}
            yield replace(shape, node=replace(node, **fields))  # type: ignore[arg-type]


def held_out(kernel: Kernel, count: int = HELD_OUT) -> Iterator[OpShape]:
    """Random shapes, larger ones among them, that the formula was not fitted to but must hold for."""
    rng = np.random.default_rng(1)
    pointwise = "1x1" in kernel.name
    found = 0
    while found < count:
        shape = _random_shape(kernel.op, rng, pointwise)
        form = next(filter(kernel.accepts, _forms(shape)), None)
        if form is not None:
            found += 1
            yield form


def _random_shape(op: type[ir.Node], rng: np.random.Generator, pointwise: bool) -> OpShape:
    height, width = (int(size) for size in rng.integers(3, 13, 2))
    in_c, out_c = (int(count) for count in rng.integers(1, rng.choice([5, 41]), 2))
    kernel = (1, 1) if pointwise else tuple(int(size) for size in rng.integers(1, min(height, width, 6), 2))
    if rng.random() < SIGNALS:
        height, width, kernel = height * width, 1, (kernel[0], 1)
    stride = tuple(int(step) for step in rng.integers(1, 3, 2))
    pads = (0, 0, 0, 0) if pointwise else tuple(int(rng.integers(0, size)) for size in kernel * 2)
    window = ir.Window(kernel, stride, pads)  # type: ignore[arg-type]
    dims = (height, width, in_c)
    if op is ir.Conv2d:
        node: ir.Node = ir.Conv2d("x", ("i",), "w", "b", window)
        return OpShape(node, (dims,), (*window.output_size(height, width), out_c))
    if op is ir.DepthwiseConv2d:
        return _same_channels(ir.DepthwiseConv2d("x", ("i",), "w", "b", window), window, dims)
    if op in (ir.MaxPool2d, ir.AveragePool2d):
        return _same_channels(op("x", ("i",), window), window, dims)  # type: ignore[call-arg]
    if op is ir.Linear:
        return OpShape(ir.Linear("x", ("i",), "w", "b"), ((1, 1, in_c * height),), (1, 1, out_c))
    if op is ir.Pad:
        output = (height + pads[0] + pads[2], width + pads[1] + pads[3], in_c)
        return OpShape(ir.Pad("x", ("i",), pads), (dims,), output)  # type: ignore[arg-type]
    if op is ir.Reduce:
        axes, kind = AXES[int(rng.integers(len(AXES)))], str(rng.choice(["mean", "max"]))
        return _reduction(dims, axes, kind)
    if op is ir.Rearrange:
        return _slice(dims) if rng.random() < 0.5 else _transposition(dims)
    if op in (ir.Take, ir.ResizeBilinear):
        return _twice_as_large(op, dims)
    if op in (ir.Softmax, ir.LogSoftmax):
        return OpShape(op("x", ("i",)), ((1, 1, in_c + 1),), (1, 1, in_c + 1))
    if op is ir.Lstm:
        return _sequence(height, in_c, out_c)
    if op is ir.Svdf:
        return _filter(in_c, out_c, int(rng.integers(1, 3)), height, str(rng.choice(["int8", "int16"])))
    return _elementwise(op, dims)


def _elementwise(op: type[ir.Node], dims: Dims, second: Dims | None = None) -> OpShape:
    if op in ir.ELEMENTWISE:
        return OpShape(op("x", ("i", "j")), (dims, second or dims), dims)
    node = ir.Activation("x", ("i",), "tanh") if op is ir.Activation else op("x", ("i",))
    return OpShape(node, (dims,), dims)


def _convolutions() -> Iterator[OpShape]:
    windows = WINDOWS + WIDE + LINES + POINTWISE
    for (window, height, width), (in_c, out_c) in itertools.product(windows, CHANNELS):
        node = ir.Conv2d("x", ("i",), "w", "b", window)
        yield OpShape(node, ((height, width, in_c),), (*window.output_size(height, width), out_c))


def _depthwise() -> Iterator[OpShape]:
    for (window, height, width), (channels, _) in itertools.product(WINDOWS + CUT + LINES, CHANNELS):
        node = ir.DepthwiseConv2d("x", ("i",), "w", "b", window)
        yield _same_channels(node, window, (height, width, channels))


def _linear() -> Iterator[OpShape]:
    for in_c, out_c in itertools.product((1, 6, 17, 32, 64, 150), (1, 2, 4, 7, 10, 24)):
        yield OpShape(ir.Linear("x", ("i",), "w", "b"), ((1, 1, in_c),), (1, 1, out_c))


def _max_pools() -> Iterator[OpShape]:
    for (window, height, width), (channels, _) in itertools.product(WINDOWS + GLOBAL + LINES, CHANNELS):
        yield _same_channels(ir.MaxPool2d("x", ("i",), window), window, (height, width, channels))


def _average_pools() -> Iterator[OpShape]:
    for (window, height, width), (channels, _) in itertools.product(WINDOWS + GLOBAL + LINES, CHANNELS):
        yield _same_channels(ir.AveragePool2d("x", ("i",), window), window, (height, width, channels))


def _same_channels(node: ir.Node, window: ir.Window, dims: Dims) -> OpShape:
    return OpShape(node, (dims,), (*window.output_size(*dims[:2]), dims[2]))


def _pairs(op: type[ir.Node]) -> Iterator[OpShape]:
    """Two tensors of one size, and one of them broadcast."""
    for height, width, channels in SIZES:
        yield _elementwise(op, (height, width, channels))
        yield _elementwise(op, (height, width, channels), (1, 1, channels))
        yield _elementwise(op, (height, width, channels), (height, width, 1))


def _reductions() -> Iterator[OpShape]:
    for dims, axes, kind in itertools.product(SIZES, AXES, ("mean", "max")):
        yield _reduction(dims, axes, kind)


def _reduction(dims: Dims, axes: tuple[int, ...], kind: str) -> OpShape:
    output = tuple(1 if axis in axes else size for axis, size in enumerate(dims))
    return OpShape(ir.Reduce("x", ("i",), kind, axes), (dims,), output)  # type: ignore[arg-type]


def _rearrangements() -> Iterator[OpShape]:
    """Transpositions and slices."""
    for dims in SIZES:
        yield _transposition(dims)
        yield _slice(dims)


def _transposition(dims: Dims) -> OpShape:
    height, width, channels = dims
    node = ir.Rearrange("x", ("i",), 0, (1, width, channels, height), (0, channels, 1, width * channels))
    return OpShape(node, (dims,), (width, channels, height))


def _slice(dims: Dims) -> OpShape:
    height, width, channels = dims
    source = (height, width + 2, channels + 3)
    strides = (0, (width + 2) * (channels + 3), channels + 3, 1)
    return OpShape(ir.Rearrange("x", ("i",), 1, (1, *dims), strides), (source,), dims)


def _takes() -> Iterator[OpShape]:
    return (_twice_as_large(ir.Take, dims) for dims in SIZES)


def _resizes() -> Iterator[OpShape]:
    return (_twice_as_large(ir.ResizeBilinear, dims) for dims in SIZES)


def _twice_as_large(op: type[ir.Node], dims: Dims) -> OpShape:
    height, width, channels = dims
    output = (2 * height, 2 * width, channels)
    if op is ir.ResizeBilinear:
        return OpShape(ir.ResizeBilinear("x", ("i",), output[:2]), (dims,), output)
    rows, columns = (tuple(i // 2 for i in range(2 * size)) for size in (height, width))
    return OpShape(ir.Take("x", ("i",), rows, columns), (dims,), output)


def _concatenations() -> Iterator[OpShape]:
    """One call copies one input."""
    return (_elementwise(ir.Concat, dims) for dims in SIZES)


def _pads() -> Iterator[OpShape]:
    for (height, width, channels), padding in itertools.product(SIZES, PADDINGS):
        output = (height + padding[0] + padding[2], width + padding[1] + padding[3], channels)
        yield OpShape(ir.Pad("x", ("i",), padding), ((height, width, channels),), output)


def _activations() -> Iterator[OpShape]:
    return (_elementwise(ir.Activation, dims) for dims in SIZES)


def _sequences() -> Iterator[OpShape]:
    for steps, in_c, units in itertools.product((1, 4), (3, 16, 28), (2, 9, 20)):
        yield _sequence(steps, in_c, units)


def _sequence(steps: int, in_c: int, units: int) -> OpShape:
    names = ("a", "b", "c", "d")
    node = ir.Lstm("x", ("i", "s"), names, names, names)
    return OpShape(node, ((steps, 1, in_c), (1, 1, units + (units + 1) // 2)), (steps, 1, units))


def _filters() -> Iterator[OpShape]:
    shapes = itertools.product((8, 40), (2, 16), (1, 2), (4, 10), ("int16", "int8"))
    for in_c, units, rank, memory, state in shapes:
        yield _filter(in_c, units, rank, memory, state)


def _filter(in_c: int, units: int, rank: int, memory: int, state: str) -> OpShape:
    node = ir.Svdf("x", ("i", "s"), "w", "t", "b", rank, state)
    return OpShape(node, ((1, 1, in_c), (1, 1, units * rank * memory)), (1, 1, units))


def _copies() -> Iterator[OpShape]:
    return (_elementwise(ir.Copy, dims) for dims in SIZES)


def _softmaxes(op: type[ir.Node]) -> Iterator[OpShape]:
    for rows, channels in itertools.product((1, 3), (2, 3, 5, 10, 12, 20, 35, 100)):
        yield OpShape(op("x", ("i",)), ((rows, 1, channels),), (rows, 1, channels))


_SHAPES: Mapping[type[ir.Node], Callable[[], Iterator[OpShape]]] = {
    ir.Conv2d: _convolutions,
    ir.DepthwiseConv2d: _depthwise,
    ir.Linear: _linear,
    ir.MaxPool2d: _max_pools,
    ir.AveragePool2d: _average_pools,
    **{op: partial(_pairs, op) for op in ir.ELEMENTWISE},
    ir.Reduce: _reductions,
    ir.Rearrange: _rearrangements,
    ir.Take: _takes,
    ir.ResizeBilinear: _resizes,
    ir.Concat: _concatenations,
    ir.Pad: _pads,
    ir.Activation: _activations,
    ir.Copy: _copies,
    **{op: partial(_softmaxes, op) for op in (ir.Softmax, ir.LogSoftmax)},
    ir.Lstm: _sequences,
    ir.Svdf: _filters,
}
