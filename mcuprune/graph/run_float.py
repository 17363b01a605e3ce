"""What every node means in real numbers: the float specification, in numpy.

Each node is computed in float64 from float32 operands and rounded to float32 once.  The trainable module and
the integer arithmetic are both tested against this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.graph.ir import (
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    Softmax,
    Window,
    unsupported,
)

Constants = Mapping[str, Constant]


def run_float(graph: Graph, inputs: np.ndarray | Mapping[str, np.ndarray]) -> np.ndarray:
    """Output ``(N, *shape)`` of a graph with one output, float32; inputs as in :func:`run_tensors`."""
    if len(graph.outputs) != 1:
        count = len(graph.outputs)
        raise UsageError(f"graph '{graph.name}' has {count} outputs; ask run_tensors for them by name")
    return run_tensors(graph, inputs)[graph.outputs[0]]


def run_tensors(graph: Graph, inputs: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the graph by name, each ``(N, *shape)`` float32.

    ``inputs`` is one array ``(N, H, W, C)`` or ``(N, C)``, or for several inputs a mapping of such arrays.
    Raises UsageError when a shape is not the graph's.
    """
    given = inputs if isinstance(inputs, Mapping) else dict.fromkeys(graph.inputs[:1], inputs)
    values: dict[str, np.ndarray] = {}
    for node in graph.nodes:
        if isinstance(node, Input):
            values[node.name] = _input(graph, node.name, given)
        else:
            operands = [values[name].astype(np.float64) for name in node.inputs]
            values[node.name] = evaluate(node, operands, graph.constants).astype(np.float32)
    return values


def _input(graph: Graph, name: str, given: Mapping[str, np.ndarray]) -> np.ndarray:
    if name not in given:
        raise UsageError(f"graph '{graph.name}' needs a value for its input '{name}'")
    value, shape = np.asarray(given[name], np.float32), graph.shape(name)
    if value.shape[1:] != shape:
        wanted = ", ".join(map(str, ("N", *shape)))
        raise UsageError(f"input '{name}' of graph '{graph.name}' must be ({wanted}), not {value.shape}")
    return value


@singledispatch
def evaluate(node: Node, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    """Value of one node from the float64 values of its inputs, batch first."""
    raise unsupported(node, "the float interpreter")


@evaluate.register
def _(node: Input, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    return inputs[0]


@evaluate.register
def _(node: Conv2d, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    weight = _value(constants, node.weight)
    taps = (patch @ weight[:, y, x, :].T for y, x, patch in _patches(inputs[0], node.window, 0.0))
    return _clamp(sum(taps) + _bias(constants, node.bias), node.activation)


@evaluate.register
def _(node: DepthwiseConv2d, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    weight = _value(constants, node.weight)
    source = np.repeat(inputs[0], node.multiplier, axis=-1)
    taps = (patch * weight[y, x] for y, x, patch in _patches(source, node.window, 0.0))
    return _clamp(sum(taps) + _bias(constants, node.bias), node.activation)


@evaluate.register
def _(node: Linear, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    product = inputs[0] @ _value(constants, node.weight).T
    return _clamp(product + _bias(constants, node.bias), node.activation)


@evaluate.register
def _(node: BatchNorm, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    names = (node.gamma, node.beta, node.mean, node.variance)
    gamma, beta, mean, variance = (_value(constants, name) for name in names)
    return (inputs[0] - mean) / np.sqrt(variance + node.epsilon) * gamma + beta


@evaluate.register
def _(node: Activation, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    if node.function not in _FUNCTIONS:
        raise unsupported(node, f"the float interpreter (function '{node.function}')")
    return _FUNCTIONS[node.function](node.gain * inputs[0], node.slope)


@evaluate.register
def _(node: MaxPool2d, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    taps = [patch for _, _, patch in _patches(inputs[0], node.window, -np.inf)]
    return _clamp(np.maximum.reduce(taps), node.activation)


@evaluate.register
def _(node: AveragePool2d, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    total = sum(patch for _, _, patch in _patches(inputs[0], node.window, 0.0))
    real = np.ones((1, *inputs[0].shape[1:3], 1))
    count = sum(patch for _, _, patch in _patches(real, node.window, 0.0))
    return _clamp(total / np.maximum(count, 1), node.activation)


@evaluate.register
def _(node: Add, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    return _clamp(inputs[0] + inputs[1], node.activation)


@evaluate.register
def _(node: Mul, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    return _clamp(inputs[0] * inputs[1], node.activation)


@evaluate.register
def _(node: Concat, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    return np.concatenate(inputs, axis=-1)


@evaluate.register
def _(node: Flatten, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    return inputs[0].reshape(inputs[0].shape[0], -1)


@evaluate.register
def _(node: Pad, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    return _padded(inputs[0], node.padding, 0.0)


@evaluate.register
def _(node: Softmax, inputs: list[np.ndarray], constants: Constants) -> np.ndarray:
    exponential = np.exp(node.gain * (inputs[0] - inputs[0].max(axis=-1, keepdims=True)))
    return exponential / exponential.sum(axis=-1, keepdims=True)


def _value(constants: Constants, name: str) -> np.ndarray:
    constant = constants[name]
    values = constant.values.astype(np.float64)
    return values if constant.mask is None else np.where(constant.mask, values, 0.0)


def _bias(constants: Constants, name: str | None) -> np.ndarray:
    return np.zeros(1) if name is None else _value(constants, name)


def _clamp(value: np.ndarray, activation: str | None) -> np.ndarray:
    return value if activation is None else _FUNCTIONS[activation](value, 0.0)


def _padded(value: np.ndarray, padding: tuple[int, int, int, int], fill: float) -> np.ndarray:
    top, left, bottom, right = padding
    return np.pad(value, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)


def _patches(value: np.ndarray, window: Window, fill: float) -> Iterator[tuple[int, int, np.ndarray]]:
    """For each kernel position ``(y, x)``, the elements ``(N, out height, out width, C)`` it meets."""
    height, width = window.output_size(*value.shape[1:3])
    source = _padded(value, window.padding, fill)
    for y in range(window.kernel[0]):
        for x in range(window.kernel[1]):
            top, left = y * window.dilation[0], x * window.dilation[1]
            rows = slice(top, top + (height - 1) * window.stride[0] + 1, window.stride[0])
            columns = slice(left, left + (width - 1) * window.stride[1] + 1, window.stride[1])
            yield y, x, source[:, rows, columns]


def _sigmoid(x: np.ndarray, slope: float) -> np.ndarray:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # cannot overflow, unlike 1 / (1 + exp(-x))


_FUNCTIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "relu": lambda x, slope: np.maximum(x, 0.0),
    "relu6": lambda x, slope: np.clip(x, 0.0, 6.0),
    "leaky_relu": lambda x, slope: np.where(x < 0, slope * x, x),
    "hard_swish": lambda x, slope: x * np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "hard_sigmoid": lambda x, slope: np.clip(x + 3.0, 0.0, 6.0) / 6.0,
    "sigmoid": _sigmoid,
    "tanh": lambda x, slope: np.tanh(x),
    "sine": lambda x, slope: np.sin(x),
}
