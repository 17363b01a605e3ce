"""The integer interpreter: the specification of the C kernels, and what a compressed model really computes.

Byte for byte the arithmetic of TensorFlow Lite Micro (docs/explain/quantization.md), vectorised over the
batch.  Convolutions are matrix products in a floating-point width in which every partial sum is exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mcuprune.errors import UsageError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE, arithmetic
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.dispatch import advance, evaluate
from mcuprune.quantize.parameters import (
    Conv2dParameters,
    FullyConnectedParameters,
    LookupParameters,
    NoParameters,
    PadParameters,
    Parameters,
    Pool2dParameters,
    QuantizedParameters,
    SoftmaxParameters,
    StoredParameters,
)
from mcuprune.quantize.scheme import integer_parameters
from mcuprune.quantize.wide import wide_values

# Memory stays bounded: of the unfolded input of a convolution, and of all tensors of the samples at a time.
_CHUNK_ELEMENTS, _BATCH_ELEMENTS = 1 << 23, 1 << 25
_ACCUMULATION_BITS = 12  # integer bits of the sum of exponentials in a softmax


def run_int8(
    qgraph: ir.QuantizedGraph, inputs: np.ndarray | Mapping[str, np.ndarray], keep_all: bool = False
) -> np.ndarray | dict[str, np.ndarray]:
    """Run a batch through the integer network.

    ``inputs`` is ``(N, *shape)`` of the input's type, or a mapping from input names where there are several.
    Returns the output ``(N, *shape)``; a mapping from tensor names if the graph has several outputs, or, with
    ``keep_all``, of every tensor.  The samples go through a network with states one after the other, from
    the reset state; :class:`Session` is for continuing where such a run ended.
    """
    session = Session(qgraph)
    if keep_all:
        return session.run(inputs)
    given = _checked_inputs(qgraph, inputs)
    count = max((len(values) for values in given.values()), default=1)
    size = max(1, _BATCH_ELEMENTS // sum(math.prod(qgraph.shape(name)) for name in qgraph.shapes))
    parts = []
    for start in range(0, max(count, 1), size):
        tensors = session.run({name: values[start : start + size] for name, values in given.items()})
        parts.append({name: tensors[name] for name in qgraph.outputs})
    found = {name: np.concatenate([part[name] for part in parts]) for name in qgraph.outputs}
    return found if len(qgraph.outputs) > 1 else found[qgraph.outputs[0]]


class Session:
    """A network that keeps its states from run to run; ``states`` maps them to arrays ``(1, *shape)``."""

    def __init__(self, qgraph: ir.QuantizedGraph) -> None:
        self.qgraph = qgraph
        self._parameters = {node.name: integer_parameters(node, qgraph) for node in qgraph.nodes}
        self.reset()

    def reset(self) -> None:
        """Every state as the first run finds it."""
        self.states = {
            node.name: self.qgraph.constants[node.initial].values.reshape(1, *self.qgraph.shape(node.name))
            for node in self.qgraph.nodes
            if isinstance(node, ir.State)
        }

    def run(self, inputs: np.ndarray | Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every tensor of the batch ``inputs`` (see :func:`run_int8`), at once or, with states, in turn."""
        given = _checked_inputs(self.qgraph, inputs)
        count = len(next(iter(given.values()))) if given else 1
        if not self.states:
            return self._evaluate(given)
        steps = [self._step({name: v[i : i + 1] for name, v in given.items()}) for i in range(count)]
        if steps:
            return {name: np.concatenate([step[name] for step in steps]) for name in steps[0]}
        kinds = self.qgraph.quantization
        return {n: np.zeros((0, *self.qgraph.shape(n)), kinds[n].dtype) for n in self.qgraph.shapes}

    def _step(self, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        tensors = self._evaluate({**given, **self.states})
        shape = self.qgraph.shape
        new = {k: tensors[v].reshape(1, *shape(k)) for k, v in self.qgraph.updates.items()}
        self.states = {**self.states, **new}
        return tensors

    def _evaluate(self, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for node in self.qgraph.nodes:
            if node.name not in tensors:
                result = self._result(node, [tensors[name] for name in node.inputs])
                shaped = result.reshape(len(result), *self.qgraph.shape(node.name))
                if isinstance(node, ir.Stored):
                    count = len(next(iter(tensors.values()), shaped))
                    shaped = np.ascontiguousarray(np.broadcast_to(shaped, (count, *shaped.shape[1:])))
                tensors[node.name] = shaped.view(self.qgraph.quantization[node.name].dtype)
        return tensors

    def _result(self, node: ir.Node, inputs: list[np.ndarray]) -> np.ndarray:
        """The node's output; the states that it changes are as it leaves them."""
        if not node.changes:
            return evaluate(node, self._parameters[node.name], *inputs)
        result, *left = advance(node, self._parameters[node.name], *inputs)
        self.states = {**self.states, **dict(zip(node.changes, left, strict=True))}
        return result


@evaluate.register(ir.Input)
@evaluate.register(ir.Flatten)
@evaluate.register(ir.Reshape)
@evaluate.register(ir.State)
@evaluate.register(ir.Copy)
def _(node: ir.Node, parameters: NoParameters, *inputs: np.ndarray) -> np.ndarray:
    if not inputs:
        raise UsageError(f"no values were given for the input '{node.name}'")
    return inputs[0]


@evaluate.register(ir.Stored)
def _(node: ir.Stored, parameters: StoredParameters, *inputs: np.ndarray) -> np.ndarray:
    """One sample, whatever the batch."""
    return parameters.values[np.newaxis]


@evaluate.register(ir.Conv2d)
def _(node: ir.Conv2d, parameters: Conv2dParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    taps = p.kernel_h * p.kernel_w * p.in_c
    chunk = max(1, _CHUNK_ELEMENTS // (p.out_h * p.out_w * taps))
    weight = p.weight.reshape(p.out_c, taps)
    parts = [
        _requantize(node, _integer_matmul(_unfold(x[start : start + chunk], p), weight, p.bias), p)
        for start in range(0, len(x), chunk)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, p.out_h, p.out_w, p.out_c), np.int8)


@evaluate.register(ir.DepthwiseConv2d)
def _(node: ir.DepthwiseConv2d, parameters: Conv2dParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    padded = np.repeat(_padded(x, p), p.out_c // p.in_c, axis=-1)
    width = np.int64 if arithmetic(node) == WIDE else np.int32
    weight = p.weight.astype(width)
    total = np.zeros((len(x), p.out_h, p.out_w, p.out_c), width) + p.bias
    for row in range(p.kernel_h):
        for column in range(p.kernel_w):
            total += _tap(padded, p, row * p.dilation_h, column * p.dilation_w) * weight[row, column]
    return _requantize(node, total, p)


@evaluate.register(ir.Linear)
def _(node: ir.Linear, parameters: FullyConnectedParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    centred = x.astype(np.int16) + np.int16(p.input_offset)
    return _requantize(node, _integer_matmul(centred, p.weight, p.bias), p)


@evaluate.register(ir.MaxPool2d)
def _(node: ir.MaxPool2d, parameters: Pool2dParameters, x: np.ndarray) -> np.ndarray:
    lowest = int(np.iinfo(x.dtype).min)
    padded = _pad_for_window(x, parameters, lowest)
    best = np.full((len(x), parameters.out_h, parameters.out_w, parameters.channels), lowest, x.dtype)
    for row in range(parameters.kernel_h):
        for column in range(parameters.kernel_w):
            np.maximum(best, _tap(padded, parameters, row, column), out=best)
    return np.clip(best, parameters.clamp_min, parameters.clamp_max)


@evaluate.register(ir.AveragePool2d)
def _(node: ir.AveragePool2d, parameters: Pool2dParameters, x: np.ndarray) -> np.ndarray:
    """Halves round away from zero: half the divisor is added to the magnitude, then division truncates."""
    p = parameters
    padded = _pad_for_window(x.astype(np.int32), p, 0)
    real = _pad_for_window(np.ones((1, p.in_h, p.in_w, 1), np.int32), p, 0)
    total = np.zeros((len(x), p.out_h, p.out_w, p.channels), np.int32)
    count = np.zeros((1, p.out_h, p.out_w, 1), np.int32)
    for row in range(p.kernel_h):
        for column in range(p.kernel_w):
            total += _tap(padded, p, row, column)
            count += _tap(real, p, row, column)
    mean = np.sign(total) * ((np.abs(total) + count // 2) // count)
    return np.clip(mean, p.clamp_min, p.clamp_max).astype(x.dtype)


@evaluate.register(ir.Concat)
def _(node: ir.Concat, parameters: Parameters, *inputs: np.ndarray) -> np.ndarray:
    return np.concatenate(inputs, axis=-1)


@evaluate.register(ir.Pad)
def _(node: ir.Pad, parameters: PadParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    margins = ((0, 0), (p.pad_top, p.pad_bottom), (p.pad_left, p.pad_right), (0, 0))
    return np.pad(x, margins, constant_values=p.value)


@evaluate.register(ir.Activation)
def _(node: ir.Activation, parameters: LookupParameters | QuantizedParameters, x: np.ndarray) -> np.ndarray:
    if isinstance(parameters, QuantizedParameters):
        return wide_values(node, parameters, x)
    return parameters.table[x.view(np.int8).astype(np.int16) + 128]


@evaluate.register(ir.Softmax)
def _(node: ir.Softmax, parameters: SoftmaxParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    rows = x.reshape(-1, p.channels).astype(np.int64)
    difference = rows - rows.max(axis=1, keepdims=True)
    kept = difference >= p.diff_min
    scaled = fx.multiply_by_quantized_multiplier(np.where(kept, difference, 0), p.multiplier, p.shift)
    exponential = np.where(kept, fx.exp_on_negative_values(scaled, 5), 0)
    total = fx.rounding_divide_by_pot(exponential, _ACCUMULATION_BITS).sum(axis=1, keepdims=True)
    reciprocal, bits = fx.reciprocal_of_sum(total, _ACCUMULATION_BITS)
    result = fx.rounding_divide_by_pot(fx.rounding_high_mul(exponential, reciprocal), bits + 31 - 8) - 128
    return np.clip(result, -128, 127).astype(np.int8).reshape(x.shape)


def _checked_inputs(
    qgraph: ir.QuantizedGraph, inputs: np.ndarray | Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    if not isinstance(inputs, Mapping):
        if len(qgraph.inputs) != 1:
            raise UsageError(
                f"'{qgraph.name}' has {len(qgraph.inputs)} inputs: give a mapping from their names"
            )
        inputs = {qgraph.inputs[0]: inputs}
    tensors: dict[str, np.ndarray] = {}
    for name in qgraph.inputs:
        if name not in inputs:
            raise UsageError(f"no values were given for the input '{name}'")
        values = np.asarray(inputs[name])
        dtype = qgraph.quantization[name].dtype
        if values.dtype != np.dtype(dtype) or values.shape[1:] != tuple(qgraph.shape(name)):
            raise UsageError(
                f"input '{name}' is {values.dtype} {values.shape}, need {dtype} (N, "
                + ", ".join(map(str, qgraph.shape(name)))
                + ")"
            )
        tensors[name] = values
    return tensors


def _integer_matmul(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """``x @ weight.T + bias`` of int16 ``x``, exact: float32 below 2**24, float64 below 2**53."""
    largest = int(np.abs(x.astype(np.int32)).max(initial=0)) * 128
    width = np.float32 if weight.shape[1] * largest < 2**24 else np.float64
    product = x.astype(width) @ weight.T.astype(width)
    return product.astype(np.int64) + bias


def _requantize(
    node: ir.Node, total: np.ndarray, p: Conv2dParameters | FullyConnectedParameters
) -> np.ndarray:
    """Accumulators to output: rescale, add the output's zero point, clamp."""
    if arithmetic(node) == WIDE:
        scaled = fx.scale_wide(total.astype(np.int64), p.multiplier, p.shift)
        return np.clip(scaled, p.clamp_min, p.clamp_max).astype(np.int16)
    scaled = fx.multiply_by_quantized_multiplier(fx.wrap_int32(total), p.multiplier, p.shift)
    return np.clip(fx.wrap_int32(scaled + p.output_offset), p.clamp_min, p.clamp_max).astype(np.int8)


def _unfold(x: np.ndarray, p: Conv2dParameters) -> np.ndarray:
    """Input minus its zero point as int16 ``(N, out_h, out_w, kernel_h * kernel_w * in_c)``."""
    padded = _padded(x, p)
    reach = ((p.kernel_h - 1) * p.dilation_h + 1, (p.kernel_w - 1) * p.dilation_w + 1)
    windows = sliding_window_view(padded, reach, axis=(1, 2))
    windows = windows[:, :: p.stride_h, :: p.stride_w, :, :: p.dilation_h, :: p.dilation_w]
    windows = windows[:, : p.out_h, : p.out_w].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(len(x), p.out_h, p.out_w, -1)


def _padded(x: np.ndarray, p: Conv2dParameters) -> np.ndarray:
    return _pad_for_window(x.astype(np.int16) + np.int16(p.input_offset), p, 0)


def _pad_for_window(x: np.ndarray, p: Conv2dParameters | Pool2dParameters, value: int) -> np.ndarray:
    """Room for the first window at the top left and for the last one at the bottom right."""
    dilation_h, dilation_w = (p.dilation_h, p.dilation_w) if isinstance(p, Conv2dParameters) else (1, 1)
    reach_h = (p.out_h - 1) * p.stride_h + (p.kernel_h - 1) * dilation_h + 1
    reach_w = (p.out_w - 1) * p.stride_w + (p.kernel_w - 1) * dilation_w + 1
    bottom, right = max(0, reach_h - p.in_h - p.pad_top), max(0, reach_w - p.in_w - p.pad_left)
    return np.pad(x, ((0, 0), (p.pad_top, bottom), (p.pad_left, right), (0, 0)), constant_values=value)


def _tap(padded: np.ndarray, p: Conv2dParameters | Pool2dParameters, row: int, column: int) -> np.ndarray:
    """What one kernel position sees: ``(N, out_h, out_w, channels)``."""
    rows = slice(row, row + (p.out_h - 1) * p.stride_h + 1, p.stride_h)
    columns = slice(column, column + (p.out_w - 1) * p.stride_w + 1, p.stride_w)
    return padded[:, rows, columns]
