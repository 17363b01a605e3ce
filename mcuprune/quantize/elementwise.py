"""Operators on two tensors, either broadcast: parameters and specification."""

from __future__ import annotations

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.axes import broadcast_levels
from mcuprune.graph.op_shape import WIDE, arithmetic, op_shape
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.dispatch import evaluate, integer_parameters
from mcuprune.quantize.operands import (
    clamp_range,
    kept_quantization,
    multipliers,
    quantization_of,
    require_s8,
)
from mcuprune.quantize.parameters import ElementwiseParameters, Operand

ADD_LEFT_SHIFT = 20  # of int8 values
SQUARE_LEFT_SHIFT = 7  # of a squared difference: the square still fits 32 bits
_LARGEST_QUOTIENT = 22  # shift of a quotient whose rescaling is to the right for every dividend and divisor
Scaling = tuple[int, int]  # multiplier, shift
_NONE: Scaling = (0, 0)
_ALSO_WIDE = (ir.Add, ir.Sub, ir.Mul)


def add_left_shift(node: ir.Node) -> int:
    """Bits by which both operands of a sum are scaled up before they are brought to one scale."""
    return 15 if arithmetic(node) == WIDE else ADD_LEFT_SHIFT


@integer_parameters.register(ir.Add)
@integer_parameters.register(ir.Sub)
def _(node: ir.Add | ir.Sub, qgraph: ir.QuantizedGraph) -> ElementwiseParameters:
    first, second, target = (kept_quantization(node, name, qgraph) for name in (*node.inputs, node.name))
    twice_largest = 2 * max(first.scale, second.scale)
    output = twice_largest / (2 ** add_left_shift(node) * target.scale)
    reals = (first.scale / twice_largest, second.scale / twice_largest, output)
    a, b, total = (fx.quantize_multiplier(real) for real in reals)
    if max(a[1], b[1], total[1]) > 0:
        raise UnsupportedError(
            f"layer '{node.name}': the output scale is too small for the scales of the inputs"
        )
    return _elementwise(node, qgraph, (a, b), total)


@integer_parameters.register(ir.Mul)
def _(node: ir.Mul, qgraph: ir.QuantizedGraph) -> ElementwiseParameters:
    first, second, target = (kept_quantization(node, name, qgraph) for name in (*node.inputs, node.name))
    output = _scaling(node, first.scale * second.scale / target.scale)
    return _elementwise(node, qgraph, (_NONE, _NONE), output)


@integer_parameters.register(ir.Div)
def _(node: ir.Div, qgraph: ir.QuantizedGraph) -> ElementwiseParameters:
    """The shift joins those of dividend and divisor."""
    first, second = (quantization_of(name, qgraph).scale for name in node.inputs)
    output = fx.quantize_multiplier(first / (second * quantization_of(node.name, qgraph).scale))
    if output[1] > _LARGEST_QUOTIENT:
        raise UnsupportedError(f"layer '{node.name}': the output scale is too small for a quotient")
    return _elementwise(node, qgraph, (_NONE, _NONE), output)


@integer_parameters.register(ir.SquaredDifference)
def _(node: ir.SquaredDifference, qgraph: ir.QuantizedGraph) -> ElementwiseParameters:
    first, second = (quantization_of(name, qgraph) for name in node.inputs)
    twice_largest = 2 * max(first.scale, second.scale)
    inputs = [fx.quantize_multiplier(side.scale / twice_largest) for side in (first, second)]
    output = twice_largest**2 / (2.0 ** (2 * SQUARE_LEFT_SHIFT) * quantization_of(node.name, qgraph).scale)
    return _elementwise(node, qgraph, (inputs[0], inputs[1]), _scaling(node, output))


@integer_parameters.register(ir.Minimum)
@integer_parameters.register(ir.Maximum)
def _(node: ir.Minimum | ir.Maximum, qgraph: ir.QuantizedGraph) -> ElementwiseParameters:
    return _elementwise(node, qgraph, (_NONE, _NONE), _NONE)


@integer_parameters.register(ir.Prelu)
def _(node: ir.Prelu, qgraph: ir.QuantizedGraph) -> ElementwiseParameters:
    """The scaling of operand ``a`` is that of positive values, the output's that of the products."""
    source, slope = (quantization_of(name, qgraph) for name in node.inputs)
    target = quantization_of(node.name, qgraph)
    positive = _scaling(node, source.scale / target.scale)
    negative = _scaling(node, source.scale * slope.scale / target.scale)
    return _elementwise(node, qgraph, (positive, _NONE), negative)


def _scaling(node: ir.Node, real: float) -> Scaling:
    multiplier, shift = multipliers(node, np.array([real]))
    return int(multiplier[0]), int(shift[0])


def _elementwise(
    node: ir.Node, qgraph: ir.QuantizedGraph, operands: tuple[Scaling, Scaling], output: Scaling
) -> ElementwiseParameters:
    if not isinstance(node, _ALSO_WIDE):
        require_s8(node)
    shape = op_shape(node, qgraph.shape)
    levels = broadcast_levels(shape.inputs, shape.output)
    if levels is None or len(levels) > 2:
        raise UnsupportedError(
            f"layer '{node.name}': cannot broadcast {shape.inputs[0]} and {shape.inputs[1]} to {shape.output}"
        )
    outer_steps = levels[0].steps if len(levels) == 2 else (0, 0)
    a, b = (
        Operand(outer, inner, -kept_quantization(node, name, qgraph).zero_point, *scaling)
        for name, outer, inner, scaling in zip(
            node.inputs, outer_steps, levels[-1].steps, operands, strict=True
        )
    )
    target = kept_quantization(node, node.name, qgraph)
    clamp = clamp_range(getattr(node, "activation", None), target)
    outer_count = levels[0].count if len(levels) == 2 else 1
    return ElementwiseParameters(outer_count, levels[-1].count, a, b, target.zero_point, *output, *clamp)


@evaluate.register(ir.Add)
@evaluate.register(ir.Sub)
def _(node: ir.Add | ir.Sub, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    first, second = _at_common_scale(parameters, a, b, add_left_shift(node))
    total = first - second if isinstance(node, ir.Sub) else first + second
    return _requantize(total, parameters, a.dtype)


@evaluate.register(ir.SquaredDifference)
def _(
    node: ir.SquaredDifference, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    first, second = _at_common_scale(parameters, a, b, SQUARE_LEFT_SHIFT)
    return _requantize((first - second) ** 2, parameters)


@evaluate.register(ir.Div)
def _(node: ir.Div, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Shifts above 31 are undefined in TFLM's C: this is what it does on a PC, where it is the reference."""
    p = parameters
    dividend, divisor = np.broadcast_arrays(_operand(a, p.a, p), _operand(b, p.b, p))
    dividend, divisor = np.where(divisor < 0, -dividend, dividend), np.maximum(np.abs(divisor), 1)
    bits = np.frexp(divisor.astype(np.float64))[1].astype(np.int64)
    inverse = fx.one_over_one_plus((divisor << (32 - bits)) - 2**31)
    size = np.where(dividend < 0, ~dividend, dividend).astype(np.float64)
    headroom = 31 - np.frexp(size)[1].astype(np.int64)
    exact = fx.rounding_high_mul(dividend << headroom, inverse)
    right = headroom + bits - 1 - p.shift
    scaled = fx.rounding_high_mul(exact, p.multiplier)
    beyond = (scaled >> (right & 31)) + (scaled >= 0)
    quotient = np.where(right > 31, beyond, fx.rounding_divide_by_pot(scaled, np.clip(right, 0, 31)))
    quotient = np.where(_operand(b, p.b, p) == 0, 0, quotient)
    return np.clip(quotient + p.output_offset, p.clamp_min, p.clamp_max).astype(np.int8)


@evaluate.register(ir.Mul)
def _(node: ir.Mul, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    product = _operand(a, parameters.a, parameters) * _operand(b, parameters.b, parameters)
    return _requantize(product, parameters, a.dtype)


@evaluate.register(ir.Minimum)
@evaluate.register(ir.Maximum)
def _(
    node: ir.Minimum | ir.Maximum, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    choose = np.minimum if isinstance(node, ir.Minimum) else np.maximum
    first, second = (
        _raw(values, side, parameters) for values, side in ((a, parameters.a), (b, parameters.b))
    )
    return choose(first, second)


@evaluate.register(ir.Prelu)
def _(node: ir.Prelu, parameters: ElementwiseParameters, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    p = parameters
    value = _operand(a, p.a, p)
    positive = fx.multiply_by_quantized_multiplier(value, p.a.multiplier, p.a.shift)
    negative = fx.multiply_by_quantized_multiplier(value * _operand(b, p.b, p), p.multiplier, p.shift)
    result = fx.wrap_int32(np.where(value >= 0, positive, negative) + p.output_offset)
    return np.clip(result, -128, 127).astype(np.int8)


def _at_common_scale(
    p: ElementwiseParameters, a: np.ndarray, b: np.ndarray, headroom: int
) -> tuple[np.ndarray, np.ndarray]:
    first, second = (
        fx.multiply_by_quantized_multiplier(
            _operand(values, side, p) << headroom, side.multiplier, side.shift
        )
        for values, side in ((a, p.a), (b, p.b))
    )
    return first, second


def _operand(values: np.ndarray, operand: Operand, p: ElementwiseParameters) -> np.ndarray:
    """int64 ``(N, hw or 1, channels or 1)``, zero point removed."""
    return _raw(values, operand, p).astype(np.int64) + operand.offset


def _raw(values: np.ndarray, operand: Operand, p: ElementwiseParameters) -> np.ndarray:
    hw, channels = p.hw if operand.stride_hw else 1, p.channels if operand.stride_c else 1
    return values.reshape(len(values), hw, channels)


def _requantize(
    total: np.ndarray, p: ElementwiseParameters, kind: np.dtype | type[np.int8] = np.int8
) -> np.ndarray:
    scaled = fx.multiply_by_quantized_multiplier(fx.wrap_int32(total), p.multiplier, p.shift)
    return np.clip(fx.wrap_int32(scaled + p.output_offset), p.clamp_min, p.clamp_max).astype(kind)
