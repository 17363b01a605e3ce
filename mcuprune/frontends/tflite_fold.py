"""Operators of a float .tflite file whose inputs are all stored: shape arithmetic, weights in other forms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError
from mcuprune.frontends.tflite_static import RULES, Rule
from mcuprune.frontends.tflite_types import NUMPY_TYPES

LARGEST = 1 << 26  # elements of a computed constant; more comes only from a damaged file
BROADCASTING = ("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM")


def fold(code: str, operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    """Result of an operator on constants.

    Raises UnsupportedError for operators that have no rule and for results of impossible size.
    """
    rule = REAL_RULES.get(code, RULES.get(code))
    if rule is None:
        raise UnsupportedError("computes on constants in an unsupported way; simplify the model first")
    _limit(_result_sizes(code, inputs))
    return np.asarray(rule(operator, inputs))


def _result_sizes(code: str, inputs: list[np.ndarray]) -> Sequence[int]:
    """Sizes whose product bounds the elements of the result."""
    if code in BROADCASTING:
        return np.broadcast_shapes(*(values.shape for values in inputs))
    if code in ("BROADCAST_TO", "FILL"):
        shape = inputs[1 if code == "BROADCAST_TO" else 0]
        return [int(size) for size in shape.reshape(-1)]
    return [values.size for values in inputs[:2]] if code == "GATHER" else ()


def _limit(sizes: Sequence[int]) -> None:
    if math.prod(sizes) > LARGEST or any(size < 0 for size in sizes):
        raise UnsupportedError(f"makes a constant of impossible shape {tuple(sizes)}")


def _cast(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    kind = operator.builtinOptions.outDataType
    if kind not in NUMPY_TYPES:
        raise UnsupportedError(f"casts to type number {kind}")
    return inputs[0].astype(NUMPY_TYPES[kind])


def _divide(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    if (inputs[1] == 0).any():
        raise UnsupportedError("divides by zero")
    exact = inputs[0] / inputs[1]
    return (np.trunc(exact) if inputs[0].dtype.kind == "i" else exact).astype(inputs[0].dtype)


REAL_RULES: Mapping[str, Rule] = {
    "CAST": _cast,
    "DIV": _divide,
    "DEQUANTIZE": lambda operator, inputs: inputs[0].astype(np.float32),
    "TRANSPOSE": lambda operator, inputs: inputs[0].transpose([int(axis) for axis in inputs[1]]),
    "BROADCAST_TO": lambda operator, inputs: np.broadcast_to(inputs[0], tuple(inputs[1])),
    "FILL": lambda operator, inputs: np.full(tuple(inputs[0]), inputs[1].reshape(())),
    "NEG": lambda operator, inputs: -inputs[0],
    "SQRT": lambda operator, inputs: np.sqrt(inputs[0]),
    "RSQRT": lambda operator, inputs: 1.0 / np.sqrt(inputs[0]),
}
