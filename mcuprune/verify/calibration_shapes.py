"""The shapes that cycle formulas are fitted to: small and middle-sized, each feature varied by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels.kernel import Kernel

Dims = tuple[int, int, int]
Windows = tuple[tuple[ir.Window, int, int], ...]

CHANNELS = ((1, 8), (3, 5), (4, 4), (7, 6), (8, 16), (16, 9), (20, 3), (24, 24))
WINDOWS: Windows = (
    (ir.Window((3, 3), (1, 1), (1, 1, 1, 1)), 6, 6),
    (ir.Window((3, 3), (2, 2), (0, 0, 1, 1)), 10, 9),
    (ir.Window((5, 5), (1, 1), (2, 2, 2, 2)), 6, 5),
    (ir.Window((3, 3)), 8, 7),
    (ir.Window((5, 2), (2, 1), (2, 0, 2, 1)), 9, 7),
    (ir.Window((2, 2), (2, 2)), 8, 8),
)
POINTWISE: Windows = (
    (ir.Window((1, 1)), 1, 1),
    (ir.Window((1, 1)), 6, 6),
    (ir.Window((1, 1)), 3, 7),
    (ir.Window((1, 1), (2, 2)), 8, 8),
)
GLOBAL: Windows = ((ir.Window((6, 6)), 6, 6), (ir.Window((4, 3)), 4, 3))
SIZES: tuple[Dims, ...] = tuple(itertools.product((1, 4, 7), (1, 5), (1, 3, 8, 33)))
PADDINGS = ((1, 1, 1, 1), (0, 1, 0, 1), (3, 0, 2, 0))


def shapes(kernel: Kernel) -> Iterator[OpShape]:
    """Every shape of the kernel's operator that it accepts."""
    return (shape for shape in _SHAPES[kernel.op]() if kernel.accepts(shape))


def _convolutions() -> Iterator[OpShape]:
    for (window, height, width), (in_c, out_c) in itertools.product(WINDOWS + POINTWISE, CHANNELS):
        node = ir.Conv2d("x", ("i",), "w", "b", window)
        yield OpShape(node, ((height, width, in_c),), (*window.output_size(height, width), out_c))


def _depthwise() -> Iterator[OpShape]:
    for (window, height, width), (channels, _) in itertools.product(WINDOWS, CHANNELS):
        node = ir.DepthwiseConv2d("x", ("i",), "w", "b", window)
        yield _same_channels(node, window, (height, width, channels))


def _linear() -> Iterator[OpShape]:
    for in_c, out_c in itertools.product((1, 6, 17, 32, 64, 150), (1, 2, 4, 7, 10, 24)):
        yield OpShape(ir.Linear("x", ("i",), "w", "b"), ((1, 1, in_c),), (1, 1, out_c))


def _max_pools() -> Iterator[OpShape]:
    for (window, height, width), (channels, _) in itertools.product(WINDOWS + GLOBAL, CHANNELS):
        yield _same_channels(ir.MaxPool2d("x", ("i",), window), window, (height, width, channels))


def _average_pools() -> Iterator[OpShape]:
    for (window, height, width), (channels, _) in itertools.product(WINDOWS + GLOBAL, CHANNELS):
        yield _same_channels(ir.AveragePool2d("x", ("i",), window), window, (height, width, channels))


def _same_channels(node: ir.Node, window: ir.Window, dims: Dims) -> OpShape:
    return OpShape(node, (dims,), (*window.output_size(*dims[:2]), dims[2]))


def _sums() -> Iterator[OpShape]:
    return (OpShape(ir.Add("x", ("i", "j")), (dims, dims), dims) for dims in SIZES)


def _products() -> Iterator[OpShape]:
    return (OpShape(ir.Mul("x", ("i", "j")), (dims, dims), dims) for dims in SIZES)


def _concatenations() -> Iterator[OpShape]:
    """One call copies one input."""
    return (OpShape(ir.Concat("x", ("i",)), (dims,), dims) for dims in SIZES)


def _pads() -> Iterator[OpShape]:
    for (height, width, channels), padding in itertools.product(SIZES, PADDINGS):
        output = (height + padding[0] + padding[2], width + padding[1] + padding[3], channels)
        yield OpShape(ir.Pad("x", ("i",), padding), ((height, width, channels),), output)


def _activations() -> Iterator[OpShape]:
    return (OpShape(ir.Activation("x", ("i",), "tanh"), (dims,), dims) for dims in SIZES)


def _softmaxes() -> Iterator[OpShape]:
    for rows, channels in itertools.product((1, 3), (2, 3, 5, 10, 12, 20, 35, 100)):
        yield OpShape(ir.Softmax("x", ("i",)), ((rows, 1, channels),), (rows, 1, channels))


_SHAPES = {
    ir.Conv2d: _convolutions,
    ir.DepthwiseConv2d: _depthwise,
    ir.Linear: _linear,
    ir.MaxPool2d: _max_pools,
    ir.AveragePool2d: _average_pools,
    ir.Add: _sums,
    ir.Mul: _products,
    ir.Concat: _concatenations,
    ir.Pad: _pads,
    ir.Activation: _activations,
    ir.Softmax: _softmaxes,
}
