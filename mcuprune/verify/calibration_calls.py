"""The kernel calls that cycle formulas are fitted to: parameters and data laid out in a core's memory."""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass
from functools import singledispatch

import numpy as np

from mcuprune.graph import ir
from mcuprune.graph.axes import Level, broadcast_levels, reduction_walk
from mcuprune.graph.op_shape import OpShape, element_bytes, elements, in_bytes
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.layouts import stored


@dataclass(frozen=True)
class Call:
    """One call on random data; ``seed`` decides the data."""

    shape: OpShape
    seed: int = 0

    def place(self, kernel: Kernel, base: int) -> tuple[bytes, tuple[int, ...], int, int]:
        """Memory content from ``base`` on, the arguments, where the output lies, and its size."""
        rng = np.random.default_rng(self.seed)
        memory = _Memory(base)
        inside, outside = element_bytes(self.shape.node)
        size = int(elements(self.shape.output)) * outside
        wide = 2 if self.shape.node.changes else inside  # room for states of 16 bits
        inputs = [
            memory.add(rng.integers(-128, 128, wide * int(elements(dims)), np.int8))
            for dims in self.shape.inputs
        ]
        output = memory.add(np.zeros(size, np.int8))
        op = memory.add(np.frombuffer(parameters(self.shape.node, self.shape, kernel, memory, rng), np.uint8))
        arguments = (op, *inputs[:2], output)
        if kernel.op in (ir.Conv2d, ir.DepthwiseConv2d, ir.Linear):
            arguments = (*arguments, memory.add(np.zeros(int(kernel.scratch(self.shape)), np.int8)))
        return memory.content(), arguments, output, size


class _Memory:
    """Arrays one after the other, each on a boundary of 4 bytes."""

    def __init__(self, base: int) -> None:
        self._base = base
        self._bytes = bytearray()

    def add(self, values: np.ndarray) -> int:
        address = self._base + len(self._bytes)
        self._bytes += values.tobytes() + bytes(-values.nbytes % 4)
        return address

    def content(self) -> bytes:
        return bytes(self._bytes)


@singledispatch
def parameters(
    node: ir.Node, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator
) -> bytes:
    """The parameter structure of a call, as a 32-bit little-endian core stores it."""
    raise ir.unsupported(node, "calibration")


def _channels(
    count: int, weight: tuple[int, ...], kernel: Kernel, memory: _Memory, rng: np.random.Generator
) -> bytes:
    """Addresses of weights, biases, multipliers and shifts that give outputs of the usual size."""
    weights = rng.integers(-127, 128, weight, np.int8)
    bias = rng.integers(-2000, 2000, count, np.int32)
    multiplier = rng.integers(2**30, 2**31, count).astype(np.int32)
    shift = rng.integers(-9, -5, count, np.int8)
    if kernel.shares_multiplier:
        multiplier = multiplier[:1]
    arrays = stored(kernel.layout, kernel.shares_multiplier, weights, bias, multiplier, shift)
    return struct.pack("<4I", *(0 if values is None else memory.add(values) for values in arrays))


@parameters.register(ir.Conv2d)
@parameters.register(ir.DepthwiseConv2d)
def _(
    node: ir.Conv2d | ir.DepthwiseConv2d,
    shape: OpShape,
    kernel: Kernel,
    memory: _Memory,
    rng: np.random.Generator,
) -> bytes:
    window, out_c = node.window, int(shape.output[2])
    depthwise = isinstance(node, ir.DepthwiseConv2d)
    weight = (*window.kernel, out_c) if depthwise else (out_c, *window.kernel, int(shape.inputs[0][2]))
    geometry = struct.pack("<6h", *shape.inputs[0], *shape.output)
    steps = struct.pack("<8B", *window.kernel, *window.stride, *window.dilation, *window.padding[:2])
    scales = struct.pack("<4h", 5, -3, -128, 127)
    return geometry + steps + scales + _channels(out_c, weight, kernel, memory, rng)


@parameters.register
def _(node: ir.Linear, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    in_c, out_c = int(shape.inputs[0][2]), int(shape.output[2])
    head = struct.pack("<2i3hbB", in_c, out_c, 5, -128, 127, -3, 1)
    return head + _channels(out_c, (out_c, in_c), kernel, memory, rng)


@parameters.register(ir.MaxPool2d)
@parameters.register(ir.AveragePool2d)
def _(
    node: ir.MaxPool2d | ir.AveragePool2d,
    shape: OpShape,
    kernel: Kernel,
    memory: _Memory,
    rng: np.random.Generator,
) -> bytes:
    (in_h, in_w, channels), (out_h, out_w, _), window = shape.inputs[0], shape.output, node.window
    sizes = struct.pack("<5h", channels, in_h, in_w, out_h, out_w)
    return sizes + struct.pack("<6B2h", *window.kernel, *window.stride, *window.padding[:2], -128, 127)


def _elementwise(
    node: ir.Node, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator
) -> bytes:
    levels = broadcast_levels(shape.inputs, shape.output)
    if levels is None:
        raise ValueError(f"calibration shape of {node} does not broadcast")
    outer, inner = (levels[-2], levels[-1]) if len(levels) > 1 else (Level(1, (0, 0)), levels[-1])
    first = struct.pack("<5i", outer.steps[0], inner.steps[0], 5, 2**30, 0)
    second = struct.pack("<5i", outer.steps[1], inner.steps[1], -7, 3 << 29, -2)
    shift = -18 if isinstance(node, (ir.Add, ir.Sub)) else -6
    tail = struct.pack("<3i2h", -3, 3 << 29, shift, -128, 127)
    return struct.pack("<2i", outer.count, inner.count) + first + second + tail


for _kind in ir.ELEMENTWISE:
    parameters.register(_kind, _elementwise)


@parameters.register
def _(node: ir.Reduce, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    walk = struct.pack("<8i", *astuple(reduction_walk(shape.inputs[0], node.axes)))
    if node.kind in ("max", "min"):
        return walk + struct.pack("<i", int(node.kind == "min"))
    return walk + struct.pack("<4i", 300, 3 << 29, -6, -3)


@parameters.register
def _(node: ir.Rearrange, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    return struct.pack("<9i", node.start, *node.counts, *node.strides)


@parameters.register
def _(node: ir.Take, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    _, width, channels = shape.inputs[0]
    sizes = struct.pack("<2i2h", channels, width * channels, *shape.output[:2])
    tables = (memory.add(np.array(numbers, np.int16)) for numbers in (node.rows, node.columns))
    return sizes + struct.pack("<2I", *tables)


@parameters.register
def _(
    node: ir.ResizeBilinear, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator
) -> bytes:
    steps = [1024 * a // b for a, b in zip(shape.inputs[0][:2], shape.output[:2], strict=True)]
    return struct.pack("<5i4h", shape.output[2], *steps, 0, 0, *shape.inputs[0][:2], *shape.output[:2])


@parameters.register
def _(node: ir.Concat, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    height, width, channels = in_bytes(shape).output
    return struct.pack("<4i", height * width, in_bytes(shape).inputs[0][2], channels, 0)


@parameters.register
def _(node: ir.Pad, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    height, width, channels = in_bytes(shape).inputs[0]
    return struct.pack("<i6hb3x", channels, height, width, *node.padding, -3)


@parameters.register
def _(
    node: ir.Activation, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator
) -> bytes:
    if node.arithmetic != "s8":
        return struct.pack("<i2h2i", int(elements(shape.output)), 5, 0, 3 << 29, -2)
    return struct.pack("<iI", int(elements(shape.output)), memory.add(rng.integers(-128, 128, 256, np.int8)))


@parameters.register
def _(node: ir.Copy, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    return struct.pack("<i", int(elements(shape.output)))


@parameters.register
def _(node: ir.Lstm, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    (steps, _, in_c), units = shape.inputs[0], int(shape.output[2])
    arrays = (
        rng.integers(-127, 128, 4 * units * in_c, np.int8),
        rng.integers(-127, 128, 4 * units * units, np.int8),
        rng.integers(-2000, 2000, 4 * units, np.int32),
        rng.integers(-2000, 2000, 4 * units, np.int32),
        np.full(11, 3 << 29, np.int32),
        np.array([-3] * 8 + [-14, -17, -20], np.int8),
    )
    head = struct.pack("<i4h2b2x", steps, in_c, units, 0, 32767, 3, 0)
    return head + struct.pack("<6I", *(memory.add(values) for values in arrays))


@parameters.register
def _(node: ir.Svdf, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    in_c, units, filters = int(shape.inputs[0][2]), int(shape.output[2]), int(shape.output[2]) * node.rank
    arrays = (
        rng.integers(-127, 128, filters * in_c, np.int8),
        rng.integers(-2000, 2000, filters, np.int32),
        rng.integers(-127, 128, int(shape.inputs[1][2])).astype(node.state),
        rng.integers(-2000, 2000, units, np.int32),
    )
    head = struct.pack("<2i2h", in_c, units, node.rank, int(shape.inputs[1][2]) // filters)
    places = struct.pack("<4I", *(memory.add(values) for values in arrays))
    return head + places + struct.pack("<2i2bh", 3 << 29, 3 << 29, -5, -9, -3)


@parameters.register
def _(node: ir.Softmax, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator) -> bytes:
    height, width, channels = shape.output
    return struct.pack("<5i", height * width, channels, 3 << 29, 23, -248)


@parameters.register
def _(
    node: ir.LogSoftmax, shape: OpShape, kernel: Kernel, memory: _Memory, rng: np.random.Generator
) -> bytes:
    height, width, channels = shape.output
    return struct.pack("<7i", height * width, channels, 3 << 29, 23, 5 << 28, -22, -248)
