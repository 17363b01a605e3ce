"""What each operator of a float .tflite file means to the graph builder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError
from mcuprune.frontends.nhwc import ChannelsLastBuilder
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import Activation, Window

FUSED = {
    schema.ActivationFunctionType.NONE: None,
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}


@dataclass(frozen=True)
class Tensor:
    """A computed tensor; ``sizes`` is its shape in the file, batch (1) first."""

    value: Value
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One operator: its options, and its inputs (None: left out)."""

    builder: ChannelsLastBuilder
    options: Any
    inputs: tuple[Tensor | np.ndarray | None, ...]

    def tensor(self, index: int = 0) -> Tensor:
        found = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(found, Tensor):
            raise self.fail(f"input {index} is a constant; it must be computed from the model's input")
        return found

    def constant(self, index: int) -> np.ndarray | None:
        found = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(found, Tensor):
            raise self.fail(f"input {index} is computed; it must be a constant")
        return found

    def needed(self, index: int) -> np.ndarray:
        found = self.constant(index)
        if found is None:
            raise self.fail(f"input {index} is missing")
        return found

    def fail(self, problem: str) -> UnsupportedError:
        return self.builder.fail(problem)

    def finish(self, value: Value, sizes: Sequence[int] | None = None) -> Tensor:
        """The operator's result with its fused activation; ``sizes`` where ``value`` is no (1, h, w, c)."""
        fused = getattr(self.options, "fusedActivationFunction", schema.ActivationFunctionType.NONE)
        if fused not in FUSED:
            raise self.fail(f"fused activation number {fused}; only RELU and RELU6 work")
        name = FUSED[fused]
        value = value if name is None else self.builder.activation(value, name)
        channels, *spatial = value.shape
        return Tensor(value, tuple(sizes or (1, *spatial, channels)))


Operator = Callable[[Call], Tensor]


def _conv(c: Call) -> Tensor:
    weight = c.needed(1)
    x = _as_map(c)
    groups = x.channels // max(weight.shape[3], 1)
    ours = weight.transpose(0, 3, 1, 2)
    return c.finish(c.builder.conv(x, ours, c.constant(2), _window(c, weight.shape[1:3]), groups))


def _depthwise(c: Call) -> Tensor:
    weight, x = c.needed(1), _as_map(c)
    ours = weight.transpose(3, 0, 1, 2)
    return c.finish(c.builder.conv(x, ours, c.constant(2), _window(c, weight.shape[1:3]), x.channels))


def _as_map(c: Call) -> Value:
    value = c.tensor().value
    if len(c.tensor().sizes) != 4:
        raise c.fail(f"reads a tensor of shape {c.tensor().sizes}; (1, height, width, channels) works")
    return value


def _fully_connected(c: Call) -> Tensor:
    x, weight, bias = c.tensor(), c.needed(1), c.constant(2)
    if c.options.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise c.fail("its weights are shuffled")
    if c.options.keepNumDims and x.value.is_map:
        made = c.builder.conv(x.value, weight[:, :, None, None], bias, Window((1, 1)))
        return c.finish(made, (*x.sizes[:-1], len(weight)))
    value = c.builder.reshape(x.value, (math.prod(x.value.shape),))
    return c.finish(c.builder.linear(value, weight, bias), (1, len(weight)))


def _pool(kind: str) -> Operator:
    def read(c: Call) -> Tensor:
        x, window = _as_map(c), _window(c, (c.options.filterHeight, c.options.filterWidth))
        return c.finish(getattr(c.builder, f"{kind}_pool")(x, window))

    return read


def _window(c: Call, kernel: Sequence[int]) -> Window:
    options, size = c.options, c.tensor().value.size
    stride = (options.strideH, options.strideW)
    dilation = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    window = c.builder.window([int(k) for k in kernel], stride, (0, 0, 0, 0), dilation)
    if options.padding != schema.Padding.SAME:
        return window
    ends = []
    for n, k, s, d in zip(size, window.kernel, stride, dilation, strict=True):
        missing = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        ends.append((missing // 2, missing - missing // 2))
    return replace(window, padding=(ends[0][0], ends[1][0], ends[0][1], ends[1][1]))


def _sum(sign: float) -> Operator:
    """``first + sign * second``."""

    def read(c: Call) -> Tensor:
        left, right = c.inputs[:2]
        if isinstance(left, Tensor) and isinstance(right, Tensor):
            a, b, sizes = _aligned(c, left, right)
            return c.finish(c.builder.add(a, c.builder.affine(b, gain=sign)), sizes)
        if isinstance(left, Tensor):
            return _affine(c, left, offset=sign * c.needed(1).astype(np.float64))
        negated = replace(c.tensor(1), value=c.builder.affine(c.tensor(1).value, gain=sign))
        return _affine(c, negated, offset=c.needed(0))

    return read


def _mul(c: Call) -> Tensor:
    left, right = c.inputs[:2]
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        a, b, sizes = _aligned(c, left, right)
        return c.finish(c.builder.mul(a, b), sizes)
    tensor, index = (left, 1) if isinstance(left, Tensor) else (c.tensor(1), 0)
    return _affine(c, tensor, gain=c.needed(index))


def _div(c: Call) -> Tensor:
    divisor = c.needed(1).astype(np.float64)
    if np.any(divisor == 0):
        raise c.fail("divides by zero")
    return _affine(c, c.tensor(), gain=1.0 / divisor)


def _affine(c: Call, x: Tensor, gain: Any = 1.0, offset: Any = 0.0) -> Tensor:
    """``gain * x + offset`` with constants that broadcast along the last axis (channels) alone."""
    made = c.builder.affine(x.value, _along_channels(c, x, gain), _along_channels(c, x, offset))
    return c.finish(made, x.sizes)


def _along_channels(c: Call, x: Tensor, constant: Any) -> np.ndarray | float:
    values = np.asarray(constant, np.float64)
    if values.size == 1:
        return float(values.reshape(()))
    if values.shape[-1] != x.sizes[-1] or values.size != x.sizes[-1]:
        raise c.fail(
            f"combines a tensor of shape {x.sizes} with a constant of shape {values.shape}; constants of one "
            "value, or of one value per channel, work"
        )
    return values.reshape(-1, *[1] * (len(x.value.shape) - 1))


def _aligned(c: Call, a: Tensor, b: Tensor) -> tuple[Value, Value, tuple[int, ...]]:
    """Two operands of one rank, and the shape of what they make."""
    rank = max(len(a.sizes), len(b.sizes))
    padded = [(1,) * (rank - len(x.sizes)) + x.sizes for x in (a, b)]
    values = [
        x.value if len(x.sizes) == rank else c.builder.reshape(x.value, spelled(sizes))
        for x, sizes in zip((a, b), padded, strict=True)
    ]
    return values[0], values[1], tuple(max(pair) for pair in zip(*padded, strict=True))


def spelled(sizes: Sequence[int]) -> tuple[int, ...]:
    """A shape of the file (1, height, width, channels), (1, length, channels), (1, features) as Value's.

    A sequence is a map of height 1.
    """
    if len(sizes) <= 2:
        return (int(sizes[-1]),)
    height, width = (1, *sizes[1:-1])[-2:]
    return (int(sizes[-1]), int(height), int(width))


def _reduce(kind: str) -> Operator:
    def read(c: Call) -> Tensor:
        x = c.tensor()
        rank = len(x.sizes)
        axes = {int(axis) % rank for axis in c.needed(1).reshape(-1)}
        if not axes or not axes <= set(range(1, rank - 1)):
            raise c.fail(f"reduces over axes {sorted(axes)} of {x.sizes}; only over height and width works")
        window = Window(tuple(x.sizes[a] if a in axes else 1 for a in (rank - 3, rank - 2)))  # type: ignore
        if rank == 3:
            window = Window((1, x.sizes[1]))
        made = getattr(c.builder, f"{kind}_pool")(x.value, window)
        sizes = tuple(1 if axis in axes else size for axis, size in enumerate(x.sizes))
        if not c.options.keepDims:
            sizes = tuple(size for axis, size in enumerate(sizes) if axis not in axes)
            made = c.builder.reshape(made, spelled(sizes))
        return c.finish(made, sizes)

    return read


def _pad(c: Call) -> Tensor:
    amounts, fill = c.needed(1), c.constant(2)
    x = c.tensor()
    if amounts.shape != (len(x.sizes), 2) or amounts[[0, -1]].any() or len(x.sizes) < 3:
        raise c.fail(f"pads {x.sizes} by {amounts.tolist()}; only height and width can be padded")
    if fill is not None and np.any(fill != 0):
        raise c.fail(f"pads with {fill.reshape(-1)[0]}; only zeros work")
    (top, bottom), (left, right) = ([0, 0], *amounts[1:-1].tolist())[-2:]
    sizes = tuple(
        size + before + after for size, (before, after) in zip(x.sizes, amounts.tolist(), strict=True)
    )
    return c.finish(c.builder.pad(x.value, (top, left, bottom, right)), sizes)


def _reshape(c: Call) -> Tensor:
    x = c.tensor()
    shape = c.constant(1) if len(c.inputs) > 1 else None
    target = [int(size) for size in (c.options.newShape if shape is None else shape.reshape(-1))]
    if target.count(-1) == 1:
        known = -math.prod(target)
        target[target.index(-1)] = math.prod(x.sizes) // known if known else 0
    return _reshaped(c, target)


def _squeeze(c: Call) -> Tensor:
    sizes = c.tensor().sizes
    found = c.options.squeezeDims
    axes = [int(axis) % len(sizes) for axis in (() if found is None else found)]
    axes = axes or [axis for axis, size in enumerate(sizes) if size == 1 and axis > 0]
    if any(sizes[axis] != 1 for axis in axes):
        raise c.fail(f"squeezes axes {axes} of {sizes}, which are not all of size 1")
    return _reshaped(c, [size for axis, size in enumerate(sizes) if axis not in axes])


def _expand(c: Call) -> Tensor:
    sizes = list(c.tensor().sizes)
    axis = int(c.needed(1).reshape(()))
    sizes.insert(axis if axis >= 0 else len(sizes) + 1 + axis, 1)
    return _reshaped(c, sizes)


def _reshaped(c: Call, target: Sequence[int]) -> Tensor:
    x = c.tensor()
    sizes = tuple(target)
    if math.prod(sizes) != math.prod(x.sizes) or not 2 <= len(sizes) <= 4 or sizes[0] != 1:
        raise c.fail(f"reshapes {x.sizes} to {sizes}; shapes with a batch of 1 and up to three sizes work")
    return Tensor(c.builder.reshape(x.value, spelled(sizes)), sizes)


def _concatenation(c: Call) -> Tensor:
    parts = [c.tensor(index) for index in range(len(c.inputs))]
    rank = len(parts[0].sizes)
    if c.options.axis not in (-1, rank - 1) or any(len(part.sizes) != rank for part in parts):
        raise c.fail(f"concatenates on axis {c.options.axis}; only the channel axis (the last) works")
    made = c.builder.concat([part.value for part in parts])
    return c.finish(made, (*parts[0].sizes[:-1], made.channels))


def _softmax(c: Call) -> Tensor:
    x = c.tensor()
    return replace(x, value=c.builder.softmax(c.builder.affine(x.value, gain=float(c.options.beta))))


def _activation(function: str) -> Operator:
    return lambda c: replace(c.tensor(), value=c.builder.activation(c.tensor().value, function))


def _leaky_relu(c: Call) -> Tensor:
    value = c.builder.activation(c.tensor().value, "leaky_relu", float(c.options.alpha))
    return replace(c.tensor(), value=value)


def _prelu(c: Call) -> Tensor:
    slopes = np.unique(c.needed(1))
    if slopes.size != 1:
        raise c.fail("has one slope per channel; only one slope for all works")
    return replace(c.tensor(), value=c.builder.activation(c.tensor().value, "leaky_relu", float(slopes[0])))


def _cos(c: Call) -> Tensor:
    shifted = c.builder.affine(c.tensor().value, offset=math.pi / 2)
    return replace(c.tensor(), value=c.builder.activation(shifted, "sine"))


def _neg(c: Call) -> Tensor:
    return replace(c.tensor(), value=c.builder.affine(c.tensor().value, gain=-1.0))


def _bound(kind: str, bound: float, function: str) -> Operator:
    """MAXIMUM with 0 is a ReLU; MINIMUM with 6 of a ReLU is a ReLU6."""

    def read(c: Call) -> Tensor:
        index = 1 if isinstance(c.inputs[0], Tensor) else 0
        x, limit = c.tensor(1 - index), c.needed(index)
        if limit.size != 1 or float(limit.reshape(())) != bound:
            raise c.fail(f"{kind} with {limit.reshape(-1)[:4]}; only with {bound:g} ({function}) works")
        before = c.builder.nodes[x.value.tensor]
        positive = isinstance(before, Activation) and before.function == "relu" and not x.value.is_pending
        if function == "relu6" and not positive:
            raise c.fail("the minimum with 6 works only right after a ReLU, as a ReLU6")
        return replace(x, value=c.builder.activation(x.value, function))

    return read


def _transpose(c: Call) -> Tensor:
    x, order = c.tensor(), [int(axis) for axis in c.needed(1).reshape(-1)]
    kept = [axis for axis in order if x.sizes[axis] != 1]
    if sorted(order) != list(range(len(x.sizes))) or kept != sorted(kept):
        raise c.fail(f"reorders axes of {x.sizes} to {order}; only moving axes of size 1 works")
    return _reshaped(c, [x.sizes[axis] for axis in order])


OPERATORS: Mapping[str, Operator] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _pool("max"),
    "AVERAGE_POOL_2D": _pool("average"),
    "MEAN": _reduce("average"),
    "REDUCE_MAX": _reduce("max"),
    "ADD": _sum(1.0),
    "SUB": _sum(-1.0),
    "MUL": _mul,
    "DIV": _div,
    "NEG": _neg,
    "CONCATENATION": _concatenation,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "PADV2": _pad,
    "SOFTMAX": _softmax,
    "RELU": _activation("relu"),
    "RELU6": _activation("relu6"),
    "LEAKY_RELU": _leaky_relu,
    "PRELU": _prelu,
    "HARD_SWISH": _activation("hard_swish"),
    "LOGISTIC": _activation("sigmoid"),
    "TANH": _activation("tanh"),
    "SIN": _activation("sine"),
    "COS": _cos,
    "MAXIMUM": _bound("the maximum", 0.0, "relu"),
    "MINIMUM": _bound("the minimum", 6.0, "relu6"),
}
