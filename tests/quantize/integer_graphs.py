"""Random graphs of the operators that only integer networks have, one strategy per operator."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.quantize.log_softmax import LOG_SOFTMAX_OUTPUT
from mcuprune.quantize.scheme import SOFTMAX_OUTPUT
from tests.quantize.int8_graphs import (
    CHANNELS,
    CLAMPS,
    SIZES,
    one_op,
    quantizations,
    rng_of,
)


def _values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """int8, one time in four the extremes only."""
    values = rng.integers(-128, 128, shape)
    return np.where(values < 0, -128, 127).astype(np.int8) if rng.random() < 0.25 else values.astype(np.int8)


def _output(draw, typical: float, low: int = -4, high: int = 3) -> ir.Quantization:
    scale = float(np.float32(typical * 2.0 ** draw(st.floats(low, high))))
    return ir.Quantization(scale, draw(st.integers(-128, 127)))


@st.composite
def shapes_to_broadcast(draw, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to ``shape`` in one of the ways that two loops can run over."""
    height, width, channels = shape
    ways = (
        shape,
        shape,
        (1, 1, channels),
        (height, width, 1),
        (1, 1, 1),
        (1, width, channels),
        (height, 1, 1),
    )
    return draw(st.sampled_from(ways))


@st.composite
def with_constant(draw, kind: type[ir.Node] = ir.Add) -> ir.QuantizedGraph:
    """``y = kind(x, constant)`` or the other way round, one of the two broadcast."""
    shape = (draw(SIZES), draw(SIZES), draw(CHANNELS))
    other = draw(shapes_to_broadcast(shape))
    source, second = draw(quantizations()), draw(quantizations())
    rng = rng_of(draw)
    first_is_constant = kind not in (ir.Prelu, ir.Div) and draw(st.booleans())
    x_shape, k_shape = (other, shape) if draw(st.booleans()) and kind is not ir.Prelu else (shape, other)
    if kind in (ir.Minimum, ir.Maximum):
        second = target = source
    elif kind in (ir.Mul, ir.Prelu):
        target = _output(draw, source.scale * second.scale * 40)
        if kind is ir.Prelu:
            target = _output(draw, max(source.scale, source.scale * second.scale * 40))
    elif kind is ir.Div:
        target = _output(draw, source.scale / second.scale / 30, -4, 1)
    elif kind is ir.SquaredDifference:
        target = _output(draw, max(source.scale, second.scale) ** 2 * 100)
    else:
        target = _output(draw, max(source.scale, second.scale), -3, 3)
    values = _values(rng, k_shape)
    if kind is ir.Div:  # TFLM's result of a division by zero is undefined
        values = np.where(values == second.zero_point, values ^ 1, values).astype(np.int8)
    extra = (draw(CLAMPS),) if kind in (ir.Add, ir.Mul, ir.Sub, ir.Div) else ()
    names = ("k", "x") if first_is_constant else ("x", "k")
    return ir.QuantizedGraph(
        "random",
        (ir.Input("x", ()), ir.Stored("k", (), "k"), kind("y", names, *extra)),
        ("y",),
        {"x": x_shape, "k": k_shape, "y": shape},
        {"x": source, "k": second, "y": target},
        {"k": ir.Constant(values)},
    )


@st.composite
def reductions(draw, kind: str = "mean") -> ir.QuantizedGraph:
    if draw(st.booleans()):
        shape: tuple[int, ...] = (draw(SIZES), draw(SIZES), draw(CHANNELS))
        axes = draw(st.sets(st.sampled_from((0, 1, 2)), min_size=1).map(sorted).map(tuple))
    else:
        shape, axes = (draw(st.integers(1, 300)),), (2,)
    out = tuple(1 if axis in axes else size for axis, size in enumerate(shape, 3 - len(shape)))
    source = draw(quantizations())
    target = source
    if kind == "mean":
        target = draw(st.sampled_from((source, _output(draw, source.scale, -6, 5))))
    elif kind == "sum":
        target = _output(draw, source.scale * np.sqrt(np.prod(shape) / np.prod(out)) * 10)
    return one_op(ir.Reduce("y", ("x",), kind, axes), shape, out, source, target)


INTEGER_OPERATORS = {
    **{kind.__name__: with_constant(kind=kind) for kind in ir.ELEMENTWISE},
    **{f"reduce_{kind}": reductions(kind=kind) for kind in ir.REDUCTIONS},
}


@st.composite
def rearrangements(draw) -> ir.QuantizedGraph:
    """Transpositions, slices with steps (backwards too) and repetitions of a (height, width, channels)."""
    shape = (draw(SIZES), draw(SIZES), draw(CHANNELS))
    steps = (shape[1] * shape[2], shape[2], 1)
    start, levels = 0, [(draw(st.integers(1, 2)), 0)]
    for axis in draw(st.permutations((0, 1, 2))):
        taken = range(shape[axis])[
            draw(st.integers(0, shape[axis] - 1)) :: draw(st.sampled_from((1, 1, 2, -1)))
        ]
        start += taken[0] * steps[axis]
        levels.append((len(taken), taken.step * steps[axis]))
    counts, strides = zip(*levels, strict=True)
    both = draw(quantizations())
    node = ir.Rearrange("y", ("x",), start, counts, strides)
    return one_op(node, shape, (counts[0] * counts[1], *counts[2:]), both, both)


@st.composite
def takes(draw) -> ir.QuantizedGraph:
    shape = (draw(SIZES), draw(SIZES), draw(CHANNELS))
    rows, columns = (
        tuple(draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=9))) for size in shape[:2]
    )
    both = draw(quantizations())
    node = ir.Take("y", ("x",), rows, columns)
    return one_op(node, shape, (len(rows), len(columns), shape[2]), both, both)


@st.composite
def resizes(draw) -> ir.QuantizedGraph:
    shape, size = (
        (draw(SIZES), draw(SIZES), draw(CHANNELS)),
        (draw(st.integers(1, 20)), draw(st.integers(1, 20))),
    )
    both = draw(quantizations())
    ends = draw(st.sampled_from(((False, False), (True, False), (False, True))))
    return one_op(ir.ResizeBilinear("y", ("x",), size, *ends), shape, (*size, shape[2]), both, both)


@st.composite
def filled_pads(draw) -> ir.QuantizedGraph:
    shape = (draw(SIZES), draw(SIZES), draw(CHANNELS))
    top, left, bottom, right = padding = tuple(draw(st.integers(0, 3)) for _ in range(4))
    both = draw(quantizations())
    node = ir.Pad("y", ("x",), padding, draw(st.integers(-128, 127)))
    return one_op(node, shape, (shape[0] + top + bottom, shape[1] + left + right, shape[2]), both, both)


@st.composite
def log_softmaxes(draw) -> ir.QuantizedGraph:
    shape = draw(st.one_of(st.tuples(st.integers(1, 300)), st.tuples(SIZES, SIZES, CHANNELS)))
    return one_op(ir.LogSoftmax("y", ("x",)), shape, shape, draw(quantizations(-12, 3)), LOG_SOFTMAX_OUTPUT)


@st.composite
def scaled_softmaxes(draw) -> ir.QuantizedGraph:
    shape = draw(st.one_of(st.tuples(st.integers(1, 100)), st.tuples(SIZES, SIZES, CHANNELS)))
    node = ir.Softmax("y", ("x",), gain=draw(st.sampled_from((0.25, 0.7, 3.0))))
    return one_op(node, shape, shape, draw(quantizations(-9, 2)), SOFTMAX_OUTPUT)


INTEGER_OPERATORS |= {
    "log_softmax": log_softmaxes(),
    "scaled_softmax": scaled_softmaxes(),
    "rearrange": rearrangements(),
    "take": takes(),
    "resize_bilinear": resizes(),
    "filled_pad": filled_pads(),
}
