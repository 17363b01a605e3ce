"""Functions of one value where input or output is int16: parameters and specification."""

from __future__ import annotations

import math

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE, arithmetic, elements, op_shape
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.operands import quantization_of, wide_quantization_of
from mcuprune.quantize.parameters import QuantizedParameters
from mcuprune.quantize.recurrent import UNIT_SCALE, sigmoid_int16, tanh_int16

# Input scales of 2**(power - 12) that TFLM takes as powers of two.
_POWERS = {"sigmoid": (0,), "tanh": (0, 1)}
_LARGEST_SHIFT = 30
_IS_WIDE = {"s8_s16": (False, True), "s16_s8": (True, False), "s16x8": (True, True)}


def wide_function(node: ir.Activation, qgraph: ir.QuantizedGraph) -> QuantizedParameters:
    if arithmetic(node) not in _IS_WIDE:
        raise UnsupportedError(f"layer '{node.name}': arithmetic '{arithmetic(node)}' is not implemented")
    source, target = (
        (wide_quantization_of if is_wide else quantization_of)(name, qgraph)
        for name, is_wide in zip((node.inputs[0], node.name), _IS_WIDE[arithmetic(node)], strict=True)
    )
    if node.function in ("sigmoid", "tanh") and arithmetic(node) == WIDE:
        return _saturating(node, source, target, elements(op_shape(node, qgraph.shape).output))
    if node.function != "identity":
        raise UnsupportedError(f"layer '{node.name}': the function '{node.function}' of int16 values")
    multiplier, shift = fx.quantize_multiplier(source.scale / target.scale)
    if shift > fx.MAX_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': the scales of its input and output are too far apart")
    count = elements(op_shape(node, qgraph.shape).output)
    return QuantizedParameters(count, -source.zero_point, target.zero_point, multiplier, shift)


def _saturating(
    node: ir.Activation, source: ir.Quantization, target: ir.Quantization, count: int
) -> QuantizedParameters:
    """Multiplier and right shift that bring the input to 1 / (3 * 2**12)."""
    if target.scale != UNIT_SCALE:
        raise UnsupportedError(f"layer '{node.name}': int16 {node.function} needs the output scale 2**-15")
    exact = math.log2(source.scale)
    power = fx.round_half_away(exact) + 12
    if abs(exact - round(exact)) < 1e-3 and power in _POWERS[node.function]:
        return QuantizedParameters(count, 0, 0, 3 << power, 0)
    real, shift = source.scale * 4096.0 * 3.0, 0
    if real >= 32768.0:
        raise UnsupportedError(f"layer '{node.name}': input scale {source.scale} is too large")
    while real <= 32767.0 / 2.0 and shift <= 30:
        shift, real = shift + 1, real * 2.0
    if shift > _LARGEST_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': input scale {source.scale} is too small")
    return QuantizedParameters(count, 0, 0, int(real), shift)


def wide_values(node: ir.Activation, p: QuantizedParameters, x: np.ndarray) -> np.ndarray:
    """A function of every value, or its integer at another scale: rounded twice, as sums of int8 are."""
    if node.function in ("sigmoid", "tanh"):
        function = sigmoid_int16 if node.function == "sigmoid" else tanh_int16
        return function(x.astype(np.int64), p.multiplier, p.shift).astype(np.int16)
    kind = "int8" if arithmetic(node) == "s16_s8" else "int16"
    scaled = fx.multiply_by_quantized_multiplier(x.astype(np.int64) + p.input_offset, p.multiplier, p.shift)
    limits = np.iinfo(kind)
    return np.clip(fx.wrap_int32(scaled + p.output_offset), limits.min, limits.max).astype(kind)
