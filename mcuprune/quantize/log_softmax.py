"""Logarithm of a softmax, and the scaling that it shares with the softmax: parameters and specification."""

from __future__ import annotations

import math

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import op_shape
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.dispatch import evaluate, integer_parameters
from mcuprune.quantize.operands import quantization_of, require_s8
from mcuprune.quantize.parameters import LogSoftmaxParameters

SOFTMAX_MAX_CHANNELS = 4095  # the sum of exponentials has 12 integer bits
LOG_SOFTMAX_OUTPUT = ir.Quantization(1.0 / 16.0, 127)
_INTEGER_BITS, _SUM_BITS = 5, 12


def softmax_scaling(node: ir.Node, scale: float) -> tuple[int, int, int]:
    """Multiplier and shift that bring differences of stored inputs to Q5.26, and the largest that counts."""
    real = min(scale * 2.0**26, 2.0**31 - 1)
    if real <= 1.0:
        raise UnsupportedError(f"layer '{node.name}': the input scale of the softmax is too small")
    multiplier, shift = fx.quantize_multiplier(real)
    radius = math.floor(31 * 2.0**26 / 2.0**shift)
    # Where the shift is 31 the radius is 0: only the maximum itself is ever rescaled, and that is zero.
    return multiplier, min(shift, fx.MAX_SHIFT), radius


@integer_parameters.register(ir.LogSoftmax)
def _(node: ir.LogSoftmax, qgraph: ir.QuantizedGraph) -> LogSoftmaxParameters:
    require_s8(node)
    if quantization_of(node.name, qgraph) != LOG_SOFTMAX_OUTPUT:
        raise UnsupportedError(
            f"layer '{node.name}': the output of a log-softmax must have scale 1/16, zero point 127"
        )
    height, width, channels = op_shape(node, qgraph.shape).output
    if channels > SOFTMAX_MAX_CHANNELS:
        raise UnsupportedError(
            f"layer '{node.name}': log-softmax over {channels} > {SOFTMAX_MAX_CHANNELS} channels"
        )
    multiplier, shift, radius = softmax_scaling(node, quantization_of(node.inputs[0], qgraph).scale)
    reverse, reverse_shift = fx.quantize_multiplier(2.0 ** (31 - shift) / multiplier)
    return LogSoftmaxParameters(height * width, channels, multiplier, shift, reverse, reverse_shift, -radius)


@evaluate.register(ir.LogSoftmax)
def _(node: ir.LogSoftmax, parameters: LogSoftmaxParameters, x: np.ndarray) -> np.ndarray:
    p = parameters
    rows = x.reshape(-1, p.channels).astype(np.int64)
    difference = rows - rows.max(axis=1, keepdims=True)
    scaled = fx.multiply_by_quantized_multiplier(difference, p.multiplier, p.shift)
    kept = difference >= p.diff_min
    exponential = fx.exp_on_negative_values(np.where(kept, scaled, 0), _INTEGER_BITS)
    shares = np.where(kept, fx.rounding_divide_by_pot(exponential, _SUM_BITS), 0)
    log_sum = fx.log_q12(shares.sum(axis=1, keepdims=True))
    least = fx.multiply_by_quantized_multiplier(log_sum - 2**31, p.reverse_multiplier, p.reverse_shift)
    least = np.maximum(least, p.diff_min - 1)
    result = fx.rounding_divide_by_pot(fx.wrap_int32(scaled - log_sum), 22) + 127
    return np.clip(np.where(difference > least, result, -128), -128, 127).astype(np.int8).reshape(x.shape)
