"""Activation functions as tables of 256 int8 values, equal to what TensorFlow Lite Micro computes.

``table[q + 128]`` is the output for the stored input ``q``.  Where TFLM has an int8 operator the table holds
that operator's integers.  The others are defined as a chain of TFLM's float32 operators between DEQUANTIZE
and QUANTIZE, so that a .tflite file can say exactly the same thing:

* ``sine``          SIN(MUL(x, gain))
* ``hard_sigmoid``  MUL(RELU6(ADD(x, 3)), 1/6)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph.ir import Activation, Quantization
from mcuprune.quantize import arithmetic as fx

LOGISTIC_OUTPUT = Quantization(1.0 / 256.0, -128)
TANH_OUTPUT = Quantization(1.0 / 128.0, 0)
_RANGES = {"int8": (-128, 127), "uint8": (0, 255)}
_INPUTS = np.arange(-128, 128, dtype=np.int64)
_HARD_SWISH_GATE = Quantization(3.0 / 32768.0, 0)  # 3 is the end of a 16-bit range
_SIXTH = np.float32(1.0 / 6.0)


def lookup_table(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    """int8 table (256) of ``node`` between the two quantizations."""
    if node.gain != 1.0 and node.function != "sine":
        raise UnsupportedError(
            f"layer '{node.name}': a gain is only defined for sine, not for {node.function}"
        )
    if node.function not in _TABLES:
        raise UnsupportedError(f"layer '{node.name}': no int8 table for the function '{node.function}'")
    values = _TABLES[node.function](node, source, target)
    return np.clip(values, -128, 127).astype(np.int8)


def requantize_table(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    """int8 table (256) of QUANTIZE between int8 and uint8 tensors, by the input's bytes read as int8."""
    for end in (source, target):
        if end.dtype not in _RANGES:
            raise UnsupportedError(f"layer '{node.name}': a change from {source.dtype} to {target.dtype}")
    low, high = _RANGES[target.dtype]
    stored = _INPUTS if source.dtype == "int8" else _INPUTS & 255
    scaled = _rescale(stored - source.zero_point, _ratio(source, target), node)
    return np.clip(scaled + target.zero_point, low, high).astype(np.uint8).view(np.int8)


def quantize_float(value: float, scale: float, zero_point: int) -> int:
    """Integer of a real number; the division is float32, halves round away from zero, nothing is clamped."""
    return zero_point + fx.round_half_away(float(np.float32(value) / np.float32(scale)))


def _rescale(centred: np.ndarray, real: float, node: Activation) -> np.ndarray:
    multiplier, shift = fx.quantize_multiplier(real)
    if shift > fx.MAX_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': the scales of its input and output are too far apart")
    return fx.multiply_by_quantized_multiplier(centred, multiplier, shift)


def _ratio(source: Quantization, target: Quantization, factor: float = 1.0) -> float:
    """``source.scale * factor / target.scale``: float32 numbers, combined in double precision."""
    return float(np.float32(source.scale)) * float(np.float32(factor)) / float(np.float32(target.scale))


def _relu(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    scaled = _rescale(_INPUTS - source.zero_point, _ratio(source, target), node)
    return np.maximum(target.zero_point + scaled, target.zero_point)


def _relu6(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    """RELU6 clamps in the input's quantization; a different output quantization is a QUANTIZE after it."""
    six = min(127, quantize_float(6.0, source.scale, source.zero_point))
    clamped = np.clip(_INPUTS, source.zero_point, max(six, source.zero_point))
    return _rescale(clamped - source.zero_point, _ratio(source, target), node) + target.zero_point


def _leaky_relu(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    if node.slope < 0:
        raise UnsupportedError(f"layer '{node.name}': leaky_relu with a negative slope")
    centred = _INPUTS - source.zero_point
    positive = _rescale(centred, _ratio(source, target), node)
    negative = _rescale(centred, _ratio(source, target, node.slope), node)
    return target.zero_point + np.where(centred >= 0, positive, negative)


def _require(node: Activation, target: Quantization, wanted: Quantization) -> None:
    if np.float32(target.scale) != np.float32(wanted.scale) or target.zero_point != wanted.zero_point:
        raise UnsupportedError(
            f"layer '{node.name}': the output of {node.function} must have scale "
            f"1/{round(1 / wanted.scale)} and zero point {wanted.zero_point}, "
            f"not {target.scale} and {target.zero_point}"
        )


def _saturating_function(
    node: Activation, source: Quantization, function: Callable[[np.ndarray, int], np.ndarray], bits: int
) -> np.ndarray:
    """``function`` on Q4 input, rounded to ``bits`` fraction bits; the end value beyond +-15."""
    fraction, shift = math.frexp(float(np.float32(source.scale)) * 2.0**27)
    if shift < 0:
        raise UnsupportedError(
            f"layer '{node.name}': input scale {source.scale} is too small for {node.function}"
        )
    radius = math.floor(15 * 2.0**27 / 2.0**shift)
    centred = _INPUTS - source.zero_point
    inside = np.abs(centred) < radius
    q4 = fx.multiply_by_quantized_multiplier(
        np.where(inside, centred, 0), fx.round_half_away(fraction * 2.0**31), min(shift, fx.MAX_SHIFT)
    )
    values = fx.rounding_divide_by_pot(function(q4, 4), 31 - bits)
    limit = 1 << 20  # far outside int8 on either side: the caller clamps
    return np.where(inside, values, np.where(centred <= -radius, -limit, limit))


def _sigmoid(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    _require(node, target, LOGISTIC_OUTPUT)
    return _saturating_function(node, source, fx.logistic, 8) - 128


def _tanh(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    _require(node, target, TANH_OUTPUT)
    return _saturating_function(node, source, fx.tanh, 7)


def _int16_multiplier(real: float) -> tuple[int, int]:
    multiplier, shift = fx.quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


def _high_mul_int16(a: np.ndarray, b: int) -> np.ndarray:
    return (a * b + (1 << 14)) >> 15


def _hard_swish(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    """``x * relu6(x + 3) / 6`` in 16-bit fixed point."""
    out_multiplier, out_shift = _int16_multiplier(_ratio(source, target, 1.0 / 128.0))
    gate_multiplier, gate_shift = _int16_multiplier(_ratio(source, _HARD_SWISH_GATE, 1.0 / 128.0))
    if not (-15 <= out_shift <= 0 and -15 <= gate_shift <= 15):
        raise UnsupportedError(
            f"layer '{node.name}': scales {source.scale} -> {target.scale} out of range for hard_swish"
        )
    x = (_INPUTS - source.zero_point) << 7
    value = _high_mul_int16(x, out_multiplier)
    gate = np.clip(x << max(gate_shift - 1, 0), -32768, 32767)
    gate = _high_mul_int16(gate, gate_multiplier)
    gate = (
        np.clip(gate << 1, -32768, 32767) if gate_shift > 0 else fx.rounding_divide_by_pot(gate, -gate_shift)
    )
    gate = (gate + 32768) >> 1
    product = gate * value
    product = np.where(product >= 0, product >> 15, -(-product >> 15))  # C division: toward zero
    return fx.rounding_divide_by_pot(product, -out_shift) + target.zero_point


def _absolute(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    """Rescaled only where the scales differ."""
    size = np.abs(_INPUTS - source.zero_point)
    if np.float32(source.scale) != np.float32(target.scale):
        size = _rescale(size, float(np.float32(source.scale) / np.float32(target.scale)), node)
    return size + target.zero_point


def _elu(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    """A table in single precision in TFLM too."""
    x = np.float32(source.scale) * (_INPUTS - source.zero_point).astype(np.float32)
    negative = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32) - np.float32(1)
    scaled = np.where(x < 0, negative, x) * (np.float32(1) / np.float32(target.scale))
    return np.array([fx.round_half_away(float(value)) for value in scaled]) + target.zero_point


def _dequantize(source: Quantization) -> np.ndarray:
    return (float(np.float32(source.scale)) * (_INPUTS - source.zero_point)).astype(np.float32)


def _quantize(real: np.ndarray, target: Quantization) -> np.ndarray:
    return np.array([quantize_float(float(v), target.scale, target.zero_point) for v in real])


def _hard_sigmoid(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    gate = np.clip(_dequantize(source) + np.float32(3), np.float32(0), np.float32(6))
    return _quantize(gate * _SIXTH, target)


def _sine(node: Activation, source: Quantization, target: Quantization) -> np.ndarray:
    phase = _dequantize(source) * np.float32(node.gain)
    return _quantize(np.sin(phase.astype(np.float64)).astype(np.float32), target)


_TABLES: Mapping[str, Callable[[Activation, Quantization, Quantization], np.ndarray]] = {
    "relu": _relu,
    "relu6": _relu6,
    "leaky_relu": _leaky_relu,
    "hard_swish": _hard_swish,
    "hard_sigmoid": _hard_sigmoid,
    "sigmoid": _sigmoid,
    "tanh": _tanh,
    "sine": _sine,
    "abs": _absolute,
    "elu": _elu,
}
