"""Random small quantized graphs, one strategy per operator."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.quantize.multipliers import marked
from mcuprune.quantize.scheme import FIXED_OUTPUT, SOFTMAX_OUTPUT

CLAMPS = st.sampled_from(ir.CLAMPS)
SIZES = st.integers(1, 9)
CHANNELS = st.integers(1, 7)
ZERO_POINTS = st.integers(-128, 127)


@st.composite
def scales(draw, low: int = -9, high: int = 1) -> float:
    return float(np.float32(2.0 ** draw(st.floats(low, high))))


@st.composite
def quantizations(draw, low: int = -9, high: int = 1) -> ir.Quantization:
    return ir.Quantization(draw(scales(low, high)), draw(ZERO_POINTS))


def rng_of(draw) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1)))


def batch(graph: ir.QuantizedGraph, count: int = 4, seed: int = 0) -> np.ndarray:
    """Random int8 inputs; the first sample is all -128, the second all 127."""
    values = np.random.default_rng(seed).integers(-128, 128, (count, *graph.shape(graph.inputs[0])))
    values[0], values[1] = -128, 127
    return values.astype(np.int8)


def one_op(
    node: ir.Node,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    source: ir.Quantization,
    target: ir.Quantization,
    constants: dict[str, ir.Constant] | None = None,
) -> ir.QuantizedGraph:
    return marked(
        ir.QuantizedGraph(
            "random",
            (ir.Input("x", ()), node),
            (node.name,),
            {"x": input_shape, node.name: output_shape},
            {"x": source, node.name: target},
            constants or {},
        )
    )


@st.composite
def windows(draw, height: int, width: int, dilations: int = 1, same: bool = False) -> ir.Window:
    kernel = draw(st.integers(1, min(5, height))), draw(st.integers(1, min(5, width)))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    room_h, room_w = (height - 1) // max(1, kernel[0] - 1), (width - 1) // max(1, kernel[1] - 1)
    dilation = (
        draw(st.integers(1, max(1, min(dilations, room_h)))),
        draw(st.integers(1, max(1, min(dilations, room_w)))),
    )
    kind = draw(st.sampled_from(("valid", "same") if same else ("valid", "same", "free")))
    if kind == "valid":
        return ir.Window(kernel, stride, dilation=dilation)
    if kind == "free":
        limits = (*kernel, *kernel)
        padding = tuple(draw(st.integers(0, limit - 1)) for limit in limits)
        return ir.Window(kernel, stride, padding, dilation)
    missing = [
        max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
        for size, s, k, d in zip((height, width), stride, kernel, dilation, strict=True)
    ]
    top, left = missing[0] // 2, missing[1] // 2
    return ir.Window(kernel, stride, (top, left, missing[0] - top, missing[1] - left), dilation)


def _weights(
    rng: np.random.Generator, shape: tuple[int, ...], outputs: int, per_channel: bool, taps: int, base: float
) -> tuple[dict[str, ir.Constant], float]:
    """Weight and bias constants, and the weight scale around which they vary."""
    spread = 2.0 ** rng.uniform(-2, 2, outputs if per_channel else 1)
    constants = {
        "w": ir.Constant(rng.integers(-128, 128, shape).astype(np.int8), (base * spread).astype(np.float32)),
        "b": ir.Constant(rng.integers(-(2**13), 2**13, outputs).astype(np.int32) * taps),
    }
    return constants, base


def _output_of(draw, source: ir.Quantization, base: float, taps: int) -> ir.Quantization:
    """An output quantization under which most results fit, times a random power of two."""
    typical = source.scale * base * 40 * np.sqrt(taps) * 2.0 ** draw(st.integers(-4, 3))
    return ir.Quantization(float(np.float32(typical)), draw(ZERO_POINTS))


@st.composite
def convolutions(draw) -> ir.QuantizedGraph:
    height, width, in_c, out_c = draw(SIZES), draw(SIZES), draw(CHANNELS), draw(CHANNELS)
    window = draw(windows(height, width, dilations=2))
    taps = window.kernel[0] * window.kernel[1] * in_c
    source, base = draw(quantizations()), draw(scales(-9, 2))
    constants, _ = _weights(
        rng_of(draw), (out_c, *window.kernel, in_c), out_c, draw(st.booleans()), taps, base
    )
    bias = draw(st.sampled_from(("b", None)))
    node = ir.Conv2d("y", ("x",), "w", bias, window, draw(CLAMPS))
    shape = (*window.output_size(height, width), out_c)
    return one_op(node, (height, width, in_c), shape, source, _output_of(draw, source, base, taps), constants)


@st.composite
def depthwise_convolutions(draw) -> ir.QuantizedGraph:
    height, width, in_c, multiplier = draw(SIZES), draw(SIZES), draw(CHANNELS), draw(st.integers(1, 3))
    window = draw(windows(height, width, dilations=2))
    taps, out_c = window.kernel[0] * window.kernel[1], in_c * multiplier
    source, base = draw(quantizations()), draw(scales(-9, 2))
    constants, _ = _weights(rng_of(draw), (*window.kernel, out_c), out_c, draw(st.booleans()), taps, base)
    bias = draw(st.sampled_from(("b", None)))
    node = ir.DepthwiseConv2d("y", ("x",), "w", bias, window, multiplier, draw(CLAMPS))
    shape = (*window.output_size(height, width), out_c)
    return one_op(node, (height, width, in_c), shape, source, _output_of(draw, source, base, taps), constants)


@st.composite
def linears(draw) -> ir.QuantizedGraph:
    in_c, out_c = draw(st.integers(1, 700)), draw(st.integers(1, 20))
    source, base = draw(quantizations()), draw(scales(-9, 2))
    constants, _ = _weights(rng_of(draw), (out_c, in_c), out_c, draw(st.booleans()), in_c, base)
    one_scale = np.size(constants["w"].scale) == 1 < out_c
    node = ir.Linear("y", ("x",), "w", draw(st.sampled_from(("b", None))), draw(CLAMPS), one_scale=one_scale)
    return one_op(node, (in_c,), (out_c,), source, _output_of(draw, source, base, in_c), constants)


@st.composite
def pools(draw, kind: type[ir.Node] = ir.MaxPool2d) -> ir.QuantizedGraph:
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    window = draw(windows(height, width, same=kind is ir.AveragePool2d))
    node = kind("y", ("x",), window, draw(CLAMPS))
    both = draw(quantizations())
    return one_op(node, (height, width, channels), (*window.output_size(height, width), channels), both, both)


@st.composite
def elementwise(draw, kind: type[ir.Node] = ir.Add) -> ir.QuantizedGraph:
    """``y = kind(a, x)``: ``a`` is as large as ``x``, or 1x1 in space, or one channel wide."""
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    broadcast = draw(st.sampled_from(("none", "space", "channels")))
    source, target = draw(quantizations()), draw(quantizations(-6, 1))
    shape = (height, width, channels)
    constants: dict[str, ir.Constant] = {}
    first: ir.Node = ir.Activation("a", ("x",), "leaky_relu", slope=0.25)
    other, other_shape = draw(quantizations()), shape
    if broadcast == "space":
        first, other = ir.MaxPool2d("a", ("x",), ir.Window((height, width))), source
        other_shape = (1, 1, channels)
    elif broadcast == "channels":
        first = ir.Conv2d("a", ("x",), "w", None, ir.Window((1, 1)))
        constants = _weights(rng_of(draw), (1, 1, 1, channels), 1, False, 1, 0.01)[0]
        other_shape = (height, width, 1)
    names = draw(st.sampled_from((("a", "x"), ("x", "a"))))
    node = kind("y", names, draw(CLAMPS))
    if kind is ir.Mul:
        target = ir.Quantization(
            float(np.float32(source.scale * other.scale * 2.0 ** draw(st.floats(2, 9)))), target.zero_point
        )
    return marked(
        ir.QuantizedGraph(
            "random",
            (ir.Input("x", ()), first, node),
            ("y",),
            {"x": shape, "a": other_shape, "y": shape},
            {"x": source, "a": other, "y": target},
            constants,
        )
    )


@st.composite
def concatenations(draw) -> ir.QuantizedGraph:
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    both = draw(quantizations())
    pool = ir.MaxPool2d("a", ("x",), ir.Window((1, 1)), draw(CLAMPS))
    names = draw(st.lists(st.sampled_from(("a", "x")), min_size=1, max_size=4))
    shape = (height, width, channels)
    return ir.QuantizedGraph(
        "random",
        (ir.Input("x", ()), pool, ir.Concat("y", tuple(names))),
        ("y",),
        {"x": shape, "a": shape, "y": (height, width, channels * len(names))},
        {"x": both, "a": both, "y": both},
        {},
    )


@st.composite
def pads(draw) -> ir.QuantizedGraph:
    height, width, channels = draw(SIZES), draw(SIZES), draw(CHANNELS)
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    both = draw(quantizations())
    shape = (height + top + bottom, width + left + right, channels)
    return one_op(
        ir.Pad("y", ("x",), (top, left, bottom, right)), (height, width, channels), shape, both, both
    )


@st.composite
def flattens(draw) -> ir.QuantizedGraph:
    shape = draw(SIZES), draw(SIZES), draw(CHANNELS)
    both = draw(quantizations())
    return one_op(ir.Flatten("y", ("x",)), shape, (int(np.prod(shape)),), both, both)


@st.composite
def softmaxes(draw) -> ir.QuantizedGraph:
    shape = draw(st.one_of(st.tuples(st.integers(1, 300)), st.tuples(SIZES, SIZES, CHANNELS)))
    return one_op(ir.Softmax("y", ("x",)), shape, shape, draw(quantizations(-12, 4)), SOFTMAX_OUTPUT)


@st.composite
def activations(draw, function: str = "relu") -> ir.QuantizedGraph:
    """All 256 input values at once."""
    source = draw(quantizations())
    lowest = -5 if function == "hard_swish" else -9  # TFLM needs input scale / 128 < output scale there
    target = FIXED_OUTPUT.get(function) or draw(quantizations(lowest, 0))
    if function in ("relu6", "relu", "leaky_relu") and draw(st.booleans()):
        target = source
    gain = draw(st.sampled_from((1.0, 30.0, 0.3))) if function == "sine" else 1.0
    node = ir.Activation("y", ("x",), function, gain, draw(st.sampled_from((0.01, 0.2, 1.5))))
    return one_op(node, (16, 16, 1), (16, 16, 1), source, target)


def every_value() -> np.ndarray:
    return np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)


OPERATORS = {
    "conv2d": convolutions(),
    "depthwise_conv2d": depthwise_convolutions(),
    "linear": linears(),
    "max_pool2d": pools(kind=ir.MaxPool2d),
    "average_pool2d": pools(kind=ir.AveragePool2d),
    "add": elementwise(kind=ir.Add),
    "mul": elementwise(kind=ir.Mul),
    "concat": concatenations(),
    "pad": pads(),
    "flatten": flattens(),
    "softmax": softmaxes(),
}


def small_network(seed: int = 0) -> ir.QuantizedGraph:
    """A residual block, a strided depthwise convolution, a concatenation and a classifier."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int, outputs: int) -> ir.Constant:
        scale = (0.004 * 2.0 ** rng.uniform(-1, 1, outputs)).astype(np.float32)
        return ir.Constant(rng.integers(-127, 128, shape).astype(np.int8), scale)

    def bias(outputs: int) -> ir.Constant:
        return ir.Constant(rng.integers(-2000, 2000, outputs).astype(np.int32))

    nodes = (
        ir.Input("x", ()),
        ir.Conv2d("c1", ("x",), "c1.w", "c1.b", ir.Window((3, 3), (1, 1), (1, 1, 1, 1)), "relu"),
        ir.Conv2d("c2", ("c1",), "c2.w", "c2.b", ir.Window((3, 3), (1, 1), (1, 1, 1, 1))),
        ir.Add("sum", ("c1", "c2"), "relu6"),
        ir.DepthwiseConv2d("d", ("sum",), "d.w", None, ir.Window((3, 3), (2, 2), (1, 1, 1, 1)), 1, "relu"),
        ir.MaxPool2d("m", ("sum",), ir.Window((3, 3), (2, 2), (1, 1, 1, 1))),
        ir.Concat("both", ("d", "m")),
        ir.Activation("h", ("both",), "hard_swish"),
        ir.AveragePool2d("p", ("h",), ir.Window((4, 4))),
        ir.Flatten("f", ("p",)),
        ir.Linear("l", ("f",), "l.w", "l.b"),
        ir.Softmax("s", ("l",)),
    )
    shapes = {
        "x": (8, 8, 2),
        "c1": (8, 8, 5),
        "c2": (8, 8, 5),
        "sum": (8, 8, 5),
        "d": (4, 4, 5),
        "m": (4, 4, 5),
    }
    shapes |= {"both": (4, 4, 10), "h": (4, 4, 10), "p": (1, 1, 10), "f": (10,), "l": (6,), "s": (6,)}
    middle = ir.Quantization(0.0235, -128)
    scales_of = {
        "x": ir.Quantization(0.05, 3),
        "c1": ir.Quantization(0.03, -128),
        "c2": ir.Quantization(0.04, 5),
    }
    scales_of |= dict.fromkeys(("sum", "d", "m", "both"), middle)
    scales_of |= dict.fromkeys(("h", "p", "f"), ir.Quantization(0.02, -110))
    scales_of |= {"l": ir.Quantization(0.01, 11), "s": SOFTMAX_OUTPUT}
    constants = {
        "c1.w": weight(5, 3, 3, 2, outputs=5),
        "c1.b": bias(5),
        "c2.w": weight(5, 3, 3, 5, outputs=5),
        "c2.b": bias(5),
        "d.w": weight(3, 3, 5, outputs=5),
        "l.w": weight(6, 10, outputs=6),
        "l.b": bias(6),
    }
    return marked(ir.QuantizedGraph("small", nodes, ("s",), shapes, scales_of, constants))
