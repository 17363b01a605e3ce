"""What each ATen operator that torch.export may leave in a program means to the graph builder.

A reader takes the builder and the operator's arguments by schema name, plus ``"shape"``, the result's shape
without the batch; values of the model are :class:`Value`, parameters and other constants are numpy arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mcuprune.frontends.nchw import Builder
from mcuprune.frontends.value import Value

Args = Mapping[str, Any]
Reader = Callable[[Builder, Args], Value]


def _conv(b: Builder, a: Args) -> Value:
    weight = a["weight"]
    kernel = weight.shape[2:]
    dilation = _spread(a["dilation"], len(kernel))
    if a["padding"] == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        before = [size // 2 for size in total]
        after = [size - half for size, half in zip(total, before, strict=True)]
    else:
        before = after = _spread(0 if a["padding"] == "valid" else a["padding"], len(kernel))
    stride = _spread(a["stride"], len(kernel))
    window = b.window(kernel, stride, _four(before, after), dilation)
    return b.conv(a["input"], weight, a["bias"], window, a["groups"])


def _linear(b: Builder, a: Args) -> Value:
    return b.linear(a["input"], a["weight"], a["bias"])


def _matmul(b: Builder, a: Args) -> Value:
    x, matrix = (a["self"], a["mat2"]) if "mat2" in a else (a["self"], a["other"])
    return b.linear(_value(b, x), _constant(b, matrix).T, None)


def _addmm(b: Builder, a: Args) -> Value:
    return b.affine(b.linear(_value(b, a["mat1"]), _constant(b, a["mat2"]).T, None), offset=a["self"])


def _batch_norm(b: Builder, a: Args) -> Value:
    if a["running_mean"] is None or a["training"]:
        raise b.fail("normalizes with the statistics of the batch; use track_running_stats=True")
    count = len(a["running_mean"])
    constants = {
        "gamma": np.ones(count) if a["weight"] is None else a["weight"],
        "beta": np.zeros(count) if a["bias"] is None else a["bias"],
        "mean": a["running_mean"],
        "variance": a["running_var"],
    }
    return b.batch_norm(a["input"], constants, a["eps"])


def _activation(function: str) -> Reader:
    return lambda b, a: b.activation(a["self"], function)


def _clamp(b: Builder, a: Args) -> Value:
    low, high = (a.get("min_val"), a.get("max_val")) if "min_val" in a else (a.get("min"), a.get("max"))
    functions = {(0.0, None): "relu", (0.0, 6.0): "relu6"}
    key = (low if low is None else float(low), high if high is None or high == math.inf else float(high))
    if key not in functions:
        raise b.fail(f"clamps to [{low}, {high}]; only [0, inf) (ReLU) and [0, 6] (ReLU6) work")
    return b.activation(a["self"], functions[key])


def _leaky_relu(b: Builder, a: Args) -> Value:
    return b.activation(a["self"], "leaky_relu", float(a["negative_slope"]))


def _prelu(b: Builder, a: Args) -> Value:
    if np.size(a["weight"]) != 1:
        raise b.fail("PReLU with one slope per channel; use num_parameters=1 or LeakyReLU")
    return b.activation(a["self"], "leaky_relu", float(np.ravel(a["weight"])[0]))


def _silu(b: Builder, a: Args) -> Value:
    return b.mul(a["self"], b.activation(a["self"], "sigmoid"))


def _cos(b: Builder, a: Args) -> Value:
    return b.activation(b.affine(a["self"], offset=math.pi / 2), "sine")


def _max_pool(b: Builder, a: Args) -> Value:
    return b.max_pool(a["self"], _pool_window(b, a))


def _average_pool(b: Builder, a: Args) -> Value:
    if a.get("divisor_override") is not None:
        raise b.fail("divisor_override is not supported; remove it")
    return b.average_pool(a["self"], _pool_window(b, a), bool(a["count_include_pad"]))


def _pool_window(b: Builder, a: Args):  # type: ignore[no-untyped-def]
    rank = len(a["self"].shape) - 1
    kernel = _spread(a["kernel_size"], rank)
    stride = _spread(a["stride"], rank) if a["stride"] else kernel
    padding = _spread(a["padding"], rank)
    window = b.window(kernel, stride, _four(padding, padding), _spread(a.get("dilation", 1), rank))
    if a["ceil_mode"] and window.output_size(*a["self"].size)[:rank] != tuple(a["shape"][1:]):
        raise b.fail("ceil_mode=True adds a window that reaches over the edge; use ceil_mode=False")
    return window


def _adaptive(kind: str) -> Reader:
    def read(b: Builder, a: Args) -> Value:
        x = a["self"]
        sizes, wanted = x.shape[1:], a["shape"][1:]
        if all(target == 1 for target in wanted):
            return b.global_pool(x, kind)
        if any(size % target for size, target in zip(sizes, wanted, strict=True)):
            raise b.fail(f"pools {sizes} to {wanted}, which is no whole division; pad or resize the map")
        kernel = [size // target for size, target in zip(sizes, wanted, strict=True)]
        window = b.window(kernel, kernel)
        return b.max_pool(x, window) if kind == "max" else b.average_pool(x, window)

    return read


def _reduce(kind: str) -> Reader:
    def read(b: Builder, a: Args) -> Value:
        x, rank = a["self"], len(a["self"].shape) + 1
        dims = a.get("dim")
        axes = {axis % rank for axis in ([dims] if isinstance(dims, int) else dims or ())}
        if not x.is_map or axes != set(range(2, rank)):
            raise b.fail(f"reduces over axes {sorted(axes)}; only over all axes of height and width works")
        return b.global_pool(x, kind, bool(a["keepdim"]))

    return read


def _add(b: Builder, a: Args) -> Value:
    return _sum(b, a["self"], a["other"], a.get("alpha", 1))


def _sub(b: Builder, a: Args) -> Value:
    return _sum(b, a["self"], a["other"], -a.get("alpha", 1))


def _rsub(b: Builder, a: Args) -> Value:
    return _sum(b, a["other"], a["self"], -a.get("alpha", 1))


def _sum(b: Builder, left: Any, right: Any, alpha: float) -> Value:
    """``left + alpha * right``."""
    if not isinstance(right, Value):
        return b.affine(left, offset=alpha * np.asarray(right, np.float64))
    right = b.affine(right, gain=alpha)
    return b.add(left, right) if isinstance(left, Value) else b.affine(right, offset=left)


def _mul(b: Builder, a: Args) -> Value:
    left, right = a["self"], a["other"]
    if isinstance(left, Value) and isinstance(right, Value):
        return b.mul(left, right)
    return b.affine(left, gain=right) if isinstance(left, Value) else b.affine(right, gain=left)


def _div(b: Builder, a: Args) -> Value:
    if isinstance(a["other"], Value) or a.get("rounding_mode") is not None or np.any(np.equal(a["other"], 0)):
        raise b.fail("divides by a tensor, by zero or with rounding; only division by a constant works")
    return b.affine(a["self"], gain=1.0 / np.asarray(a["other"], np.float64))


def _cat(b: Builder, a: Args) -> Value:
    values = [_value(b, x) for x in a["tensors"]]
    rank = len(values[0].shape) + 1
    if a["dim"] % rank != 1:
        raise b.fail(f"concatenates on axis {a['dim']}; only the channel axis (1) works")
    return b.concat(values)


def _reshape(b: Builder, a: Args) -> Value:
    return b.reshape(a["self"], a["shape"])


def _pad(b: Builder, a: Args) -> Value:
    amounts = [*a["pad"], *[0] * 6][:6]
    if a.get("mode", "constant") != "constant" or a.get("value") or any(amounts[4:]):
        raise b.fail(f"pads with mode '{a.get('mode', 'constant')}' or a value; only zeros in space work")
    if len(a["self"].shape) == 2:
        amounts = [0, 0, *amounts[:2]]
    left, right, top, bottom = amounts[:4]
    return b.pad(a["self"], (top, left, bottom, right))


def _softmax(b: Builder, a: Args) -> Value:
    if a["dim"] % (len(a["self"].shape) + 1) != 1:
        raise b.fail(f"softmax over axis {a['dim']}; only over the channel axis (1) works")
    return b.softmax(a["self"])


def _log_softmax(b: Builder, a: Args) -> Value:
    raise b.fail("log_softmax belongs to the loss; return the logits and train with cross entropy")


def _dropout(b: Builder, a: Args) -> Value:
    if a.get("train", a.get("training", False)):
        raise b.fail("drops at random in evaluation too; pass training=self.training")
    return a["input"] if "input" in a else a["self"]  # the in-place form calls it self


def _identity(b: Builder, a: Args) -> Value:
    return a["self"]


def _spread(value: int | Sequence[int], rank: int) -> list[int]:
    """A per-axis option as one number for each axis."""
    values = [value] if isinstance(value, int) else list(value)
    return values * rank if len(values) == 1 else values


def _four(before: Sequence[int], after: Sequence[int]) -> tuple[int, int, int, int]:
    """(top, left, bottom, right) from padding per axis; a single axis is the height."""
    (top, left), (bottom, right) = ((*sides, 0)[:2] for sides in (before, after))
    return top, left, bottom, right


def _value(b: Builder, x: Any) -> Value:
    if not isinstance(x, Value):
        raise b.fail("mixes a constant tensor with the model's data; only adding and multiplying one works")
    return x


def _constant(b: Builder, x: Any) -> np.ndarray:
    if isinstance(x, Value) or np.ndim(x) != 2:
        raise b.fail("multiplies two computed tensors as matrices; only a constant matrix works")
    return np.asarray(x)


READERS: dict[str, Reader] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv),
    "linear": _linear,
    **dict.fromkeys(("matmul", "mm"), _matmul),
    "addmm": _addmm,
    "batch_norm": _batch_norm,
    **{name: _activation(name) for name in ("relu", "relu6", "sigmoid", "tanh")},
    "hardswish": _activation("hard_swish"),
    "hardsigmoid": _activation("hard_sigmoid"),
    "sin": _activation("sine"),
    "cos": _cos,
    **dict.fromkeys(("hardtanh", "clamp", "clamp_min"), _clamp),
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "silu": _silu,
    **dict.fromkeys(("max_pool1d", "max_pool2d"), _max_pool),
    **dict.fromkeys(("avg_pool1d", "avg_pool2d"), _average_pool),
    **dict.fromkeys(("adaptive_avg_pool1d", "adaptive_avg_pool2d"), _adaptive("average")),
    **dict.fromkeys(("adaptive_max_pool1d", "adaptive_max_pool2d"), _adaptive("max")),
    "mean": _reduce("average"),
    "amax": _reduce("max"),
    "add": _add,
    "sub": _sub,
    "rsub": _rsub,
    "mul": _mul,
    "div": _div,
    "neg": lambda b, a: b.affine(a["self"], gain=-1.0),
    "square": lambda b, a: b.mul(a["self"], a["self"]),
    **dict.fromkeys(("cat", "concat"), _cat),
    **dict.fromkeys(
        ("flatten", "view", "reshape", "_unsafe_view", "squeeze", "unsqueeze", "unflatten"), _reshape
    ),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _log_softmax),
    **dict.fromkeys(("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"), _dropout),
    **dict.fromkeys(
        ("clone", "contiguous", "detach", "alias", "to", "_to_copy", "lift_fresh_copy"), _identity
    ),
}
