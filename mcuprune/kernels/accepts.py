"""Which shapes a kernel can run: the ranges of the fields of its parameter structure."""

from __future__ import annotations

from mcuprune.graph.axes import broadcast_levels
from mcuprune.graph.op_shape import WIDE, Dims, Number, OpShape, arithmetic

_BYTE, _SHORT = 255, 32767


def s8(shape: OpShape) -> bool:
    return arithmetic(shape.node) == "s8"


def s16(shape: OpShape) -> bool:
    return arithmetic(shape.node) == WIDE


def moved(shape: OpShape) -> bool:
    """Elements of one or two bytes, which a kernel moves as bytes."""
    return s8(shape) or s16(shape)


def to_s16(shape: OpShape) -> bool:
    return arithmetic(shape.node) == "s8_s16"


def to_s8(shape: OpShape) -> bool:
    return arithmetic(shape.node) == "s16_s8"


def requantization_s16(shape: OpShape) -> bool:
    return s16(shape) and shape.node.function == "identity"  # type: ignore[attr-defined]


def sigmoid_s16(shape: OpShape) -> bool:
    return s16(shape) and shape.node.function == "sigmoid"  # type: ignore[attr-defined]


def tanh_s16(shape: OpShape) -> bool:
    return s16(shape) and shape.node.function == "tanh"  # type: ignore[attr-defined]


def _largest(value: Number) -> float:
    return float(value.max() if hasattr(value, "max") else value)


def _smallest(value: Number) -> float:
    return float(value.min() if hasattr(value, "min") else value)


def wide_state(shape: OpShape) -> bool:
    return s8(shape) and bool(shape.node.state == "int16")  # type: ignore[attr-defined]


def narrow_state(shape: OpShape) -> bool:
    return s8(shape) and bool(shape.node.state == "int8")  # type: ignore[attr-defined]


def window(shape: OpShape) -> bool:
    return s8(shape) and _fields_hold(shape)


def window_s16(shape: OpShape) -> bool:
    return s16(shape) and _fields_hold(shape)


def undilated_window_s16(shape: OpShape) -> bool:
    return window_s16(shape) and shape.window.dilation == (1, 1)


def _fields_hold(shape: OpShape) -> bool:
    """Kernel, stride, dilation and leading padding in a byte, sizes in 16 bits."""
    given = shape.window
    bytes_fit = all(
        0 <= value <= _BYTE for value in (*given.kernel, *given.stride, *given.dilation, *given.padding[:2])
    )
    return bytes_fit and all(_largest(n) <= _SHORT for n in (*shape.inputs[0], *shape.output))


def pointwise(shape: OpShape) -> bool:
    """A 1x1 window without padding, any stride."""
    return window(shape) and shape.window.kernel == (1, 1) and shape.window.padding == (0, 0, 0, 0)


def undilated_window(shape: OpShape) -> bool:
    return window(shape) and shape.window.dilation == (1, 1)


def window_3x3(shape: OpShape) -> bool:
    """3x3 with stride 1."""
    return undilated_window(shape) and shape.window.kernel == (3, 3) and shape.window.stride == (1, 1)


def depthwise_one_to_one(shape: OpShape) -> bool:
    """One output channel per input channel, no dilation."""
    return undilated_window(shape) and shape.multiplier == 1


def depthwise_of_fours(shape: OpShape) -> bool:
    """The same with four channels or more."""
    return depthwise_one_to_one(shape) and _smallest(shape.output[2]) >= 4


def depthwise_3x3(shape: OpShape) -> bool:
    """3x3 with the same stride of 1 or 2 in both directions, padding up to 2, two channels or more."""
    given = shape.window
    dense = depthwise_one_to_one(shape) and given.kernel == (3, 3) and max(given.padding) <= 2
    return dense and given.stride in ((1, 1), (2, 2)) and _smallest(shape.output[2]) >= 2


def up_to_255_taps(shape: OpShape) -> bool:
    """Sums of int8 values that fit 16 bits."""
    kernel_h, kernel_w = shape.window.kernel
    return undilated_window(shape) and kernel_h * kernel_w <= _BYTE


def two_levels(shape: OpShape) -> bool:
    return s8(shape) and _nested(shape)


def two_levels_s16(shape: OpShape) -> bool:
    return s16(shape) and _nested(shape)


def _nested(shape: OpShape) -> bool:
    """Operands that two nested loops can run over."""
    levels = broadcast_levels(shape.inputs, shape.output)
    return levels is not None and len(levels) <= 2


def mean_or_sum(shape: OpShape) -> bool:
    return s8(shape) and shape.node.kind in ("mean", "sum")  # type: ignore[attr-defined]


def extreme(shape: OpShape) -> bool:
    return s8(shape) and shape.node.kind in ("max", "min")  # type: ignore[attr-defined]


def depthwise_eight_channels(shape: OpShape) -> bool:
    """One output channel per input channel, eight or more of them, no dilation."""
    return depthwise_one_to_one(shape) and _smallest(shape.output[2]) >= 8


def pool_eight_channels(shape: OpShape) -> bool:
    return up_to_255_taps(shape) and _smallest(shape.output[2]) >= 8


def same_size(first: Dims, second: Dims) -> bool:
    if first[:2] != second[:2]:
        return False
    differs = first[2] != second[2]
    return not bool(differs.any() if hasattr(differs, "any") else differs)


def same_sizes(shape: OpShape) -> bool:
    """No operand is broadcast."""
    return s8(shape) and all(same_size(dims, shape.output) for dims in shape.inputs)
