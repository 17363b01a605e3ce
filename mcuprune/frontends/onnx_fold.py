"""Nodes of an ONNX file whose inputs are all known: shape arithmetic, weights stored as integers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from mcuprune.errors import UnsupportedError

FOLDED = (
    *("Add", "Cast", "Concat", "Div", "Gather", "Identity", "Mul", "Neg", "Reciprocal", "Reshape", "Slice"),
    *("DequantizeLinear", "QuantizeLinear", "Shape", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
)
LARGEST_FILL = 1 << 16  # elements that a ConstantOfShape may make

Inputs = tuple[Any, ...]  # arrays; None: left out


def is_folded(node: onnx.NodeProto, inputs: Inputs) -> bool:
    if node.op_type == "ConstantOfShape":
        return math.prod(map(int, inputs[0])) <= LARGEST_FILL
    return node.op_type in FOLDED


def result_size(operator: str, inputs: Inputs) -> int:
    """Elements that the result of a folded operator has at most."""
    arrays = [value for value in inputs if value is not None]
    if operator in ("Add", "Sub", "Mul", "Div"):
        return math.prod(np.broadcast_shapes(*(value.shape for value in arrays)))
    if operator == "Gather":
        return math.prod(value.size for value in arrays)
    return sum(value.size for value in arrays)


def computed(node: onnx.NodeProto, inputs: Inputs, opset: int) -> np.ndarray:
    """The result of a folded node.

    Raises UnsupportedError, or whatever the reference implementation does, for what makes no sense.
    """
    options = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if node.op_type == "DequantizeLinear":
        return dequantized(*_triple(inputs), options.get("axis", 1))
    if node.op_type == "QuantizeLinear":
        return quantized(*_triple(inputs), options.get("axis", 1))
    given = {name: value for name, value in zip(node.input, inputs, strict=True) if value is not None}
    entries = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
        for name, value in given.items()
    ]
    result = helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)
    graph = helper.make_graph([node], "constants", entries, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model).run(None, given)[0]  # type: ignore[index]


def _triple(inputs: Inputs) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Values, scale and zero point."""
    values, scale, zero_point = (*inputs, None)[:3]
    return values, scale, zero_point


def dequantized(
    values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray | None = None, axis: int = 1
) -> np.ndarray:
    """``scale * (values - zero_point)``, one of each or one per slice along ``axis``; float32."""
    centre = np.zeros(1, np.int64) if zero_point is None else zero_point.astype(np.int64)
    real = values.astype(np.int64) - _along(centre, values.ndim, axis)
    return (real * _along(scale.astype(np.float32), values.ndim, axis)).astype(np.float32)


def quantized(
    values: np.ndarray, scale: np.ndarray, zero_point: np.ndarray | None = None, axis: int = 1
) -> np.ndarray:
    """The reverse, rounded half to even and saturated, in the zero point's type (left out: uint8)."""
    kind = np.dtype(np.uint8) if zero_point is None else zero_point.dtype
    if kind.kind not in "iu":
        raise UnsupportedError(f"quantizes a constant to {kind}; integers work")
    centre = np.zeros(1, np.int64) if zero_point is None else zero_point.astype(np.int64)
    levels = np.round(values / _along(scale.astype(np.float32), values.ndim, axis))
    limits = np.iinfo(kind)
    return np.clip(levels + _along(centre, values.ndim, axis), limits.min, limits.max).astype(kind)


def _along(parameters: np.ndarray, rank: int, axis: int) -> np.ndarray:
    """Parameters as an array that broadcasts along one axis of an array of the given rank."""
    if parameters.size == 1:
        return parameters.reshape(())
    if parameters.ndim != 1 or not -rank <= axis < rank:
        raise UnsupportedError(f"has scales of shape {parameters.shape}; one, or one per channel, work")
    return parameters.reshape([-1 if position == axis % rank else 1 for position in range(rank)])
