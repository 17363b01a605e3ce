"""Random calls of every operator: a node, its sizes, its integer parameters and inputs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels.sharing import SHARING, TWINS
from mcuprune.quantize import parameters as quantized
from mcuprune.quantize.arithmetic import quantize_multiplier


@dataclass(frozen=True)
class Case:
    shape: OpShape
    parameters: Any
    inputs: tuple[np.ndarray, ...]


def int8(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Any values, or (one time in four) the extremes only."""
    values = rng.integers(-128, 128, shape)
    if rng.random() < 0.25:
        values = np.where(values < 0, -128, 127)
    return values.astype(np.int8)


def scalings(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts: usual ones, extreme ones, zero."""
    multiplier = rng.integers(2**30, 2**31, count)
    shift = rng.integers(-14, 0, count) if rng.random() < 0.7 else rng.integers(-31, 31, count)
    multiplier = np.where(rng.random(count) < 0.1, rng.choice([2**30, 2**31 - 1], count), multiplier)
    dead = rng.random(count) < 0.05
    return np.where(dead, 0, multiplier).astype(np.int32), np.where(dead, 0, shift).astype(np.int8)


def biases(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.integers(-(2 ** int(rng.choice([8, 16, 30]))), 2**16, count).astype(np.int32)


def clamp(rng: np.random.Generator) -> tuple[int, int]:
    if rng.random() < 0.5:
        return -128, 127
    low, high = sorted(int(value) for value in rng.integers(-128, 128, 2))
    return low, high


rngs = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def windows(draw: st.DrawFn, dilated: bool = True) -> tuple[ir.Window, tuple[int, int]]:
    """A window and an input size that it fits; paddings stay below the kernel, as pooling needs it."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if dilated else (1, 1)
    top, bottom = draw(st.tuples(*[st.integers(0, kernel[0] - 1)] * 2))
    left, right = draw(st.tuples(*[st.integers(0, kernel[1] - 1)] * 2))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    height = draw(st.integers(max(1, reach[0] - top - bottom), reach[0] + 6))
    width = draw(st.integers(max(1, reach[1] - left - right), reach[1] + 6))
    return ir.Window(kernel, stride, (top, left, bottom, right), dilation), (height, width)


def _convolution(
    rng: np.random.Generator, shape: OpShape, weight_shape: tuple[int, ...]
) -> quantized.Conv2dParameters:
    window, out_c = shape.window, shape.output[2]
    return quantized.Conv2dParameters(
        *shape.inputs[0],
        *shape.output,
        *window.kernel,
        *window.stride,
        *window.dilation,
        *window.padding[:2],
        int(rng.integers(-127, 129)),
        int(rng.integers(-128, 128)),
        *clamp(rng),
        int8(rng, weight_shape),
        biases(rng, out_c),
        *scalings(rng, out_c),
    )


@st.composite
def conv2d(draw: st.DrawFn, pointwise: bool = False, dilated: bool = True, depth: int = 9) -> Case:
    window, (height, width) = draw(windows(dilated))
    if pointwise:
        window = replace(window, kernel=(1, 1), padding=(0, 0, 0, 0))
    in_c, out_c, rng = draw(st.integers(1, depth)), draw(st.integers(1, 9)), draw(rngs)
    node = ir.Conv2d("node", ("x",), "w", "b", window)
    shape = OpShape(node, ((height, width, in_c),), (*window.output_size(height, width), out_c))
    parameters = _convolution(rng, shape, (out_c, *window.kernel, in_c))
    return Case(shape, parameters, (int8(rng, (height, width, in_c)),))


@st.composite
def conv2d_3x3(draw: st.DrawFn) -> Case:
    """Rows of one to several groups of pixels, more padding than usual."""
    in_c, out_c, rng = draw(st.integers(1, 40)), draw(st.integers(1, 9)), draw(rngs)
    padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
    window = ir.Window((3, 3), (1, 1), padding)
    height = draw(st.integers(max(1, 3 - padding[0] - padding[2]), 6))
    width = draw(st.integers(max(1, 3 - padding[1] - padding[3]), 20))
    node = ir.Conv2d("node", ("x",), "w", "b", window)
    shape = OpShape(node, ((height, width, in_c),), (*window.output_size(height, width), out_c))
    return Case(shape, _convolution(rng, shape, (out_c, 3, 3, in_c)), (int8(rng, (height, width, in_c)),))


def pointwise_conv2d(depth: int = 9) -> st.SearchStrategy[Case]:
    return conv2d(pointwise=True, depth=depth)


@st.composite
def depthwise(draw: st.DrawFn, plain: bool = False, least: int = 1) -> Case:
    window, (height, width) = draw(windows(dilated=not plain))
    in_c, multiplier, rng = (
        draw(st.integers(least, least + 10)),
        draw(st.integers(1, 1 if plain else 3)),
        draw(rngs),
    )
    node = ir.DepthwiseConv2d("node", ("x",), "w", "b", window, multiplier)
    output = (*window.output_size(height, width), in_c * multiplier)
    shape = OpShape(node, ((height, width, in_c),), output)
    parameters = _convolution(rng, shape, (*window.kernel, in_c * multiplier))
    return Case(shape, parameters, (int8(rng, (height, width, in_c)),))


@st.composite
def depthwise_3x3(draw: st.DrawFn) -> Case:
    """Strides 1 and 2, more padding than usual, images of one and of several strips."""
    stride, in_c, rng = draw(st.integers(1, 2)), draw(st.integers(2, 5)), draw(rngs)
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    window = ir.Window((3, 3), (stride, stride), padding)
    height = draw(st.integers(max(1, 3 - padding[0] - padding[2]), 12))
    least = max(1, 3 - padding[1] - padding[3])
    width = draw(st.one_of(st.integers(least, 12), st.integers(least, 150)))
    node = ir.DepthwiseConv2d("node", ("x",), "w", "b", window)
    shape = OpShape(node, ((height, width, in_c),), (*window.output_size(height, width), in_c))
    return Case(shape, _convolution(rng, shape, (3, 3, in_c)), (int8(rng, (height, width, in_c)),))


@st.composite
def linear(draw: st.DrawFn) -> Case:
    in_c, out_c, rng = draw(st.integers(1, 40)), draw(st.integers(1, 13)), draw(rngs)
    per_channel = draw(st.booleans())
    node = ir.Linear("node", ("x",), "w", "b", one_scale=not per_channel)
    shape = OpShape(node, ((1, 1, in_c),), (1, 1, out_c))
    parameters = quantized.FullyConnectedParameters(
        in_c,
        out_c,
        int(rng.integers(-127, 129)),
        int(rng.integers(-128, 128)),
        *clamp(rng),
        per_channel,
        int8(rng, (out_c, in_c)),
        biases(rng, out_c),
        *scalings(rng, out_c if per_channel else 1),
    )
    return Case(shape, parameters, (int8(rng, (in_c,)),))


@st.composite
def pool(draw: st.DrawFn, op: type[ir.Node], least: int = 1) -> Case:
    window, (height, width) = draw(windows(dilated=False))
    channels, rng = draw(st.integers(least, least + 10)), draw(rngs)
    shape = OpShape(
        op("node", ("x",), window),  # type: ignore[call-arg]
        ((height, width, channels),),
        (*window.output_size(height, width), channels),
    )
    parameters = quantized.Pool2dParameters(
        *shape.inputs[0],
        *shape.output[:2],
        *window.kernel,
        *window.stride,
        *window.padding[:2],
        *clamp(rng),
    )
    return Case(shape, parameters, (int8(rng, shape.inputs[0]),))


@st.composite
def elementwise(draw: st.DrawFn, op: type[ir.Node], broadcast: bool = True) -> Case:
    height, width, channels = draw(st.tuples(*[st.integers(1, 5)] * 3))
    whole = (height, width, channels)
    sizes = ((height, width, 1), (1, 1, channels), (1, 1, 1), whole, whole, whole) if broadcast else (whole,)
    rng = draw(rngs)
    first = draw(st.sampled_from(sizes))
    second = whole if first != whole else draw(st.sampled_from(sizes))
    operands = []
    for dims in (first, second):
        real = float(rng.uniform(2.0**-20, 0.5)) if rng.random() < 0.5 else 0.5
        multiplier, shift = quantize_multiplier(real)
        stride_hw = 0 if dims[:2] == (1, 1) and whole[:2] != (1, 1) else dims[2]
        stride_c = 0 if dims[2] == 1 and channels != 1 else 1
        operands.append(
            quantized.Operand(stride_hw, stride_c, int(rng.integers(-127, 129)), multiplier, shift)
        )
    limit = 2.0**-12 if op is ir.Add else 2.0**-2
    parameters = quantized.ElementwiseParameters(
        height * width,
        channels,
        *operands,
        int(rng.integers(-128, 128)),
        *quantize_multiplier(float(rng.uniform(limit / 2**10, limit))),
        *clamp(rng),
    )
    shape = OpShape(op("node", ("a", "b")), (first, second), whole)
    return Case(shape, parameters, (int8(rng, first), int8(rng, second)))


@st.composite
def concat(draw: st.DrawFn) -> Case:
    height, width = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    channels = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    rng = draw(rngs)
    inputs = tuple((height, width, count) for count in channels)
    offsets = np.cumsum([0, *channels])
    parts = tuple(
        quantized.ConcatPart(height * width, count, sum(channels), int(offset))
        for count, offset in zip(channels, offsets, strict=False)
    )
    names = tuple(f"x{index}" for index in range(len(channels)))
    shape = OpShape(ir.Concat("node", names), inputs, (height, width, sum(channels)))
    return Case(shape, quantized.ConcatParameters(parts), tuple(int8(rng, dims) for dims in inputs))


@st.composite
def pad(draw: st.DrawFn) -> Case:
    height, width, channels = draw(st.tuples(*[st.integers(1, 6)] * 3))
    top, left, bottom, right = draw(st.tuples(*[st.integers(0, 3)] * 4))
    rng = draw(rngs)
    node = ir.Pad("node", ("x",), (top, left, bottom, right))
    output = (height + top + bottom, width + left + right, channels)
    parameters = quantized.PadParameters(
        height, width, channels, top, left, bottom, right, int(rng.integers(-128, 128))
    )
    shape = OpShape(node, ((height, width, channels),), output)
    return Case(shape, parameters, (int8(rng, (height, width, channels)),))


@st.composite
def lookup(draw: st.DrawFn) -> Case:
    dims, rng = draw(st.tuples(*[st.integers(1, 6)] * 3)), draw(rngs)
    node = ir.Activation("node", ("x",), "tanh")
    parameters = quantized.LookupParameters(int(np.prod(dims)), int8(rng, (256,)))
    return Case(OpShape(node, (dims,), dims), parameters, (int8(rng, dims),))


@st.composite
def copied(draw: st.DrawFn) -> Case:
    dims, rng = draw(st.tuples(*[st.integers(1, 6)] * 3)), draw(rngs)
    node = ir.Copy("node", ("x",))
    return Case(
        OpShape(node, (dims,), dims), quantized.CopyParameters(int(np.prod(dims))), (int8(rng, dims),)
    )


@st.composite
def softmax(draw: st.DrawFn) -> Case:
    rows, channels = draw(st.integers(1, 3)), draw(st.integers(1, 300))
    scale, rng = draw(st.floats(2.0**-24, 16.0)), draw(rngs)
    multiplier, shift = quantize_multiplier(min(scale * 2.0**26, 2.0**31 - 1))
    diff_min = -int(np.floor(31 * 2.0**26 / 2.0**shift))
    dims = (rows, 1, channels)
    shape = OpShape(ir.Softmax("node", ("x",)), (dims,), dims)
    parameters = quantized.SoftmaxParameters(rows, channels, multiplier, min(shift, 30), diff_min)
    return Case(shape, parameters, (int8(rng, dims),))


def _shared(case: Case) -> Case:
    """The same with one multiplier for all channels that have any, and biases that leave room for shifts."""
    given = case.parameters
    live = given.multiplier != 0
    multiplier = np.where(live, given.multiplier[live][:1].sum(), 0).astype(np.int32)
    return replace(case, parameters=replace(given, multiplier=multiplier, bias=given.bias % 2**25 - 2**24))


CASES: dict[str, st.SearchStrategy[Case]] = {
    "mcp_conv2d_s8": conv2d(),
    "mcp_conv2d_1x1_s8": pointwise_conv2d(),
    "mcp_depthwise_conv2d_s8": depthwise(),
    "mcp_fully_connected_s8": linear(),
    "mcp_max_pool2d_s8": pool(ir.MaxPool2d),
    "mcp_average_pool2d_s8": pool(ir.AveragePool2d),
    "mcp_add_s8": elementwise(ir.Add),
    "mcp_mul_s8": elementwise(ir.Mul),
    "mcp_concat_s8": concat(),
    "mcp_pad_s8": pad(),
    "mcp_lookup_s8": lookup(),
    "mcp_copy": copied(),
    "mcp_softmax_s8": softmax(),
    "mcp_conv2d_s8_dsp": conv2d(dilated=False),
    "mcp_conv2d_small_s8_dsp": conv2d(dilated=False),
    "mcp_conv2d_3x3_s8_dsp": conv2d_3x3(),
    "mcp_conv2d_1x1_s8_dsp": pointwise_conv2d(depth=72),  # more than one round of the loop
    "mcp_depthwise_conv2d_s8_dsp": depthwise(plain=True),
    "mcp_depthwise_conv2d_small_s8_dsp": depthwise(plain=True, least=4),
    "mcp_depthwise_conv2d_3x3_s8_dsp": depthwise_3x3(),
    "mcp_fully_connected_s8_dsp": linear(),
    "mcp_add_s8_dsp": elementwise(ir.Add, broadcast=False),
    "mcp_max_pool2d_s8_dsp": pool(ir.MaxPool2d),
    "mcp_average_pool2d_s8_dsp": pool(ir.AveragePool2d),
    "mcp_conv2d_s8_mve": conv2d(dilated=False),
    "mcp_conv2d_1x1_s8_mve": pointwise_conv2d(depth=40),
    "mcp_depthwise_conv2d_s8_mve": depthwise(plain=True, least=8),
    "mcp_fully_connected_s8_mve": linear(),
    "mcp_average_pool2d_s8_mve": pool(ir.AveragePool2d, least=8),
    "mcp_add_s8_mve": elementwise(ir.Add, broadcast=False),
}
CASES |= {twin.name: CASES[name].map(_shared) for name, twin in zip(TWINS, SHARING, strict=True)}
