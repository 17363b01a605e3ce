"""Functions of one value where input or output is int16: parameters and specification."""

from __future__ import annotations

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import arithmetic, elements, op_shape
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.operands import quantization_of, wide_quantization_of
from mcuprune.quantize.parameters import QuantizedParameters

_IS_WIDE = {"s8_s16": (False, True), "s16_s8": (True, False), "s16x8": (True, True)}


def wide_function(node: ir.Activation, qgraph: ir.QuantizedGraph) -> QuantizedParameters:
    if arithmetic(node) not in _IS_WIDE:
        raise UnsupportedError(f"layer '{node.name}': arithmetic '{arithmetic(node)}' is not implemented")
    source, target = (
        (wide_quantization_of if is_wide else quantization_of)(name, qgraph)
        for name, is_wide in zip((node.inputs[0], node.name), _IS_WIDE[arithmetic(node)], strict=True)
    )
    if node.function != "identity":
        raise UnsupportedError(f"layer '{node.name}': the function '{node.function}' of int16 values")
    multiplier, shift = fx.quantize_multiplier(source.scale / target.scale)
    if shift > fx.MAX_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': the scales of its input and output are too far apart")
    count = elements(op_shape(node, qgraph.shape).output)
    return QuantizedParameters(count, -source.zero_point, target.zero_point, multiplier, shift)


def requantize(node: ir.Activation, p: QuantizedParameters, x: np.ndarray) -> np.ndarray:
    """Rounded twice, as sums of int8 products are."""
    kind = "int8" if arithmetic(node) == "s16_s8" else "int16"
    scaled = fx.multiply_by_quantized_multiplier(x.astype(np.int64) + p.input_offset, p.multiplier, p.shift)
    limits = np.iinfo(kind)
    return np.clip(fx.wrap_int32(scaled + p.output_offset), limits.min, limits.max).astype(kind)
