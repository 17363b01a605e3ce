"""What each ONNX operator means to the graph builder, through the versions that changed its form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mcuprune.frontends.onnx_call import Call
from mcuprune.frontends.value import Value

Reader = Callable[[Call], Value]


def _conv(c: Call) -> Value:
    weight = c.needed(1)
    window = c.window(weight.shape[2:])
    return c.builder.conv(c.value(), weight, c.constant(2), window, c.attributes.get("group", 1))


def _gemm(c: Call) -> Value:
    if c.attributes.get("transA", 0):
        raise c.fail("transA=1 multiplies across the batch")
    weight = c.needed(1) if c.attributes.get("transB", 0) else c.needed(1).T
    bias = c.constant(2)
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), (len(weight),)) * c.attributes.get("beta", 1.0)
    return c.builder.linear(c.value(), weight * c.attributes.get("alpha", 1.0), bias)


def _matmul(c: Call) -> Value:
    return c.builder.linear(c.value(), c.needed(1).T, None)


def _batch_norm(c: Call) -> Value:
    if c.attributes.get("training_mode", 0):
        raise c.fail("is in training mode; export the model in evaluation mode")
    names = ("gamma", "beta", "mean", "variance")
    constants = {name: c.needed(index + 1) for index, name in enumerate(names)}
    return c.builder.batch_norm(c.value(), constants, c.attributes.get("epsilon", 1e-5))


def _activation(function: str) -> Reader:
    return lambda c: c.builder.activation(c.value(), function)


def _leaky_relu(c: Call) -> Value:
    return c.builder.activation(c.value(), "leaky_relu", float(c.attributes.get("alpha", 0.01)))


def _prelu(c: Call) -> Value:
    slope = c.needed(1)
    if slope.size != 1:
        raise c.fail("has one slope per channel; only one slope for all works")
    return c.builder.activation(c.value(), "leaky_relu", float(slope.reshape(())))


def _clip(c: Call) -> Value:
    low, high = float(c.option("min", 1, -math.inf)), float(c.option("max", 2, math.inf))
    if low != 0 or (high != 6 and high < 3e38):
        raise c.fail(f"clips to [{low}, {high}]; only [0, inf) (ReLU) and [0, 6] (ReLU6) work")
    return c.builder.activation(c.value(), "relu6" if high == 6 else "relu")


def _hard_sigmoid(c: Call) -> Value:
    """clip(alpha x + beta, 0, 1) is the IR's relu6(y + 3) / 6 of y = 6 alpha x + 6 beta - 3."""
    alpha, beta = c.attributes.get("alpha", 0.2), c.attributes.get("beta", 0.5)
    scaled = c.builder.affine(c.value(), gain=6 * alpha, offset=6 * beta - 3)
    return c.builder.activation(scaled, "hard_sigmoid")


def _cos(c: Call) -> Value:
    return c.builder.activation(c.builder.affine(c.value(), offset=math.pi / 2), "sine")


def _pool(kind: str) -> Reader:
    def read(c: Call) -> Value:
        window = c.window(c.attributes["kernel_shape"])
        height, width = c.value().size
        top, left, bottom, right = window.padding
        reach = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
        sizes = (height + top + bottom - reach[0], width + left + right - reach[1])
        if c.attributes.get("ceil_mode", 0) and any(n % s for n, s in zip(sizes, window.stride, strict=True)):
            raise c.fail("ceil_mode=1 adds a window that reaches over the edge; use ceil_mode=0")
        if kind == "max":
            return c.builder.max_pool(c.value(), window)
        return c.builder.average_pool(c.value(), window, bool(c.attributes.get("count_include_pad", 0)))

    return read


def _global(kind: str) -> Reader:
    return lambda c: c.builder.global_pool(c.value(), kind)


def _reduce(kind: str) -> Reader:
    def read(c: Call) -> Value:
        found = np.ravel(c.option("axes", 1, ())).astype(int)
        axes = {int(axis) % c.rank for axis in found}
        if not c.value().is_map or axes != set(range(2, c.rank)):
            raise c.fail(f"reduces over axes {sorted(axes)}; only over all axes of height and width works")
        return c.builder.global_pool(c.value(), kind, bool(c.attributes.get("keepdims", 1)))

    return read


def _sum(sign: float) -> Reader:
    """``first + sign * second``."""

    def read(c: Call) -> Value:
        if not isinstance(c.inputs[1], Value):
            return c.builder.affine(c.value(), offset=sign * c.needed(1))
        right = c.builder.affine(c.value(1), gain=sign)
        if isinstance(c.inputs[0], Value):
            return c.builder.add(c.value(), right)
        return c.builder.affine(right, offset=c.needed(0))

    return read


def _mul(c: Call) -> Value:
    left, right = c.inputs[:2]
    if isinstance(left, Value) and isinstance(right, Value):
        return c.builder.mul(left, right)
    value, index = (c.value(0), 1) if isinstance(left, Value) else (c.value(1), 0)
    return c.builder.affine(value, gain=c.needed(index))


def _div(c: Call) -> Value:
    divisor = c.needed(1)
    if np.any(divisor == 0):
        raise c.fail("divides by zero")
    return c.builder.affine(c.value(), gain=1.0 / divisor.astype(np.float64))


def _concat(c: Call) -> Value:
    if c.attributes["axis"] % c.rank != 1:
        raise c.fail(f"concatenates on axis {c.attributes['axis']}; only the channel axis (1) works")
    return c.builder.concat([c.value(index) for index in range(len(c.inputs))])


def _flatten(c: Call) -> Value:
    axis = c.attributes.get("axis", 1)
    if (axis + c.rank if axis < 0 else axis) != 1:
        raise c.fail(f"flattens from axis {axis}; only axis 1 keeps the batch")
    return c.builder.reshape(c.value(), (int(np.prod(c.value().shape)),))


def _reshape(c: Call) -> Value:
    source = (c.batch, *c.value().seen)
    target = [int(size) for size in np.ravel(c.option("shape", 1))]
    if not c.attributes.get("allowzero", 0):
        target = [source[axis] if size == 0 else size for axis, size in enumerate(target)]
    if -1 in target:
        known = math.prod(size for size in target if size != -1)
        target[target.index(-1)] = math.prod(source) // max(known, 1)
    return _keep_batch(c, target)


def _squeeze(c: Call) -> Value:
    sizes = [c.batch, *c.value().seen]
    found = c.option("axes", 1)
    axes = (
        [i for i, n in enumerate(sizes) if n == 1]
        if found is None
        else [int(a) % c.rank for a in np.ravel(found)]
    )
    return _keep_batch(c, [n for i, n in enumerate(sizes) if i not in axes])


def _unsqueeze(c: Call) -> Value:
    axes = [int(axis) for axis in np.ravel(c.option("axes", 1))]
    sizes = [c.batch, *c.value().seen]
    for axis in sorted(axis % (c.rank + len(axes)) for axis in axes):
        sizes.insert(axis, 1)
    return _keep_batch(c, sizes)


def _keep_batch(c: Call, target: Sequence[int]) -> Value:
    if not target or target[0] != c.batch:
        raise c.fail(
            f"reshapes {('batch', *c.value().shape)} to {tuple(target)}, which mixes or drops the batch axis"
        )
    x = c.value()
    moved = (1,) * (len(x.shape) - 1) + (x.channels,)
    if x.shape[1:] == moved[:-1] and x.channels > 1 and tuple(target[1:]) in (x.shape, moved):
        return replace(x, last=tuple(target[1:]) == moved)  # a transposition in disguise
    if x.last and len(target) > 2:
        spatial = (*(1,) * (4 - len(target)), *target[1:-1])
        stored = c.builder.shapes[x.tensor]
        if target[-1] != x.channels or (len(target) == 4 and stored[:2] != spatial):
            raise c.fail(f"reshapes a map {x.seen} whose channels stand last to {tuple(target[1:])}")
        return replace(x, shape=(target[-1], *target[1:-1]))
    return c.builder.reshape(c.value(), tuple(target[1:]))


def _transpose(c: Call) -> Value:
    order, x = tuple(c.attributes.get("perm", reversed(range(c.rank)))), c.value()
    if order == tuple(range(c.rank)):
        return x
    there = (0, *range(2, c.rank), 1)
    if x.is_map and order == (tuple(np.argsort(there)) if x.last else there):
        return replace(x, last=not x.last)
    raise c.fail(
        f"reorders axes to {order}; only moving the channels to the end and back again works, export the "
        "model channels-first"
    )


def _pad(c: Call) -> Value:
    pads = [int(size) for size in np.ravel(c.option("pads", 1))]
    axes = c.constant(3)
    every = range(len(pads) // 2) if axes is None else [int(axis) % c.rank for axis in axes]
    before, after = [0] * 4, [0] * 4
    for position, axis in enumerate(every):
        before[axis], after[axis] = pads[position], pads[position + len(pads) // 2]
    mode = c.attributes.get("mode", b"constant").decode()
    fill = c.option("value", 2, 0.0)
    if mode != "constant" or np.any(np.asarray(fill) != 0) or any(before[:2]) or any(after[:2]):
        raise c.fail(f"pads with mode '{mode}', a value or on channels; only zeros in space work")
    return c.builder.pad(c.value(), (*before[2:], *after[2:]))


def _softmax(c: Call) -> Value:
    axis = c.attributes.get("axis", -1 if c.opset >= 13 else 1) % c.rank
    if axis != 1 or (c.opset < 13 and math.prod(c.value().shape[1:]) != 1):
        raise c.fail("softmax over other axes than the channels")
    return c.builder.softmax(c.value())


def _dropout(c: Call) -> Value:
    if np.any(c.option("training_mode", 2, False)):
        raise c.fail("is in training mode; export the model in evaluation mode")
    return c.value()


def _cast(c: Call) -> Value:
    if c.attributes["to"] not in (1, 10, 11, 16):  # float, float16, double, bfloat16
        raise c.fail("casts to integers")
    return c.value()


READERS: dict[str, Reader] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "Relu": _activation("relu"),
    "Sigmoid": _activation("sigmoid"),
    "Tanh": _activation("tanh"),
    "HardSwish": _activation("hard_swish"),
    "Sin": _activation("sine"),
    "Cos": _cos,
    "LeakyRelu": _leaky_relu,
    "PRelu": _prelu,
    "Clip": _clip,
    "HardSigmoid": _hard_sigmoid,
    "MaxPool": _pool("max"),
    "AveragePool": _pool("average"),
    "GlobalMaxPool": _global("max"),
    "GlobalAveragePool": _global("average"),
    "ReduceMax": _reduce("max"),
    "ReduceMean": _reduce("average"),
    "Add": _sum(1.0),
    "Sub": _sum(-1.0),
    "Mul": _mul,
    "Div": _div,
    "Neg": lambda c: c.builder.affine(c.value(), gain=-1.0),
    "Concat": _concat,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Pad": _pad,
    "Softmax": _softmax,
    "Dropout": _dropout,
    "Cast": _cast,
    "Identity": lambda c: c.value(),
}
