"""Operators on maps that the source has transposed: read as their channels-first counterparts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mcuprune.frontends.value import Value

# Operators to which the place of the channels makes no difference, or that ask for it themselves
INDIFFERENT = (
    *("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast"),
    *("QuantizeLinear", "DequantizeLinear"),
    *("Relu", "Sigmoid", "Tanh", "HardSwish", "Sin", "Cos", "LeakyRelu", "Clip", "HardSigmoid"),
)
ELEMENTWISE = ("Add", "Sub", "Mul", "Div")
AXES = ("ReduceMean", "ReduceMax")  # their axes are an attribute, or in new operator sets the second input

Inputs = tuple[Value | np.ndarray | None, ...]


def is_transposed(inputs: Inputs) -> bool:
    return any(isinstance(value, Value) and value.last for value in inputs)


def channels_first(
    operator: str, inputs: Inputs, options: Mapping[str, Any]
) -> tuple[Inputs, dict[str, Any]] | None:
    """Inputs and attributes of the same operation on channels-first maps; None if there is none."""
    maps = [value for value in inputs if isinstance(value, Value)]
    rank = len(maps[0].shape) + 1
    if any(not value.last or len(value.shape) + 1 != rank for value in maps):
        return None
    plain: Inputs = tuple(replace(v, last=False) if isinstance(v, Value) else v for v in inputs)
    if operator in ELEMENTWISE:
        return tuple(v if isinstance(v, Value) else _moved(v, rank) for v in plain), dict(options)
    if operator == "Concat":
        return plain, {**options, "axis": _place(options["axis"], rank)}
    if operator in AXES:
        if len(inputs) > 1 and isinstance(inputs[1], np.ndarray):
            axes = np.array([_place(int(axis), rank) for axis in inputs[1].reshape(-1)], np.int64)
            return (plain[0], axes), dict(options)
        return plain, {**options, "axes": [_place(axis, rank) for axis in options.get("axes", ())]}
    return None


def _moved(constant: np.ndarray | None, rank: int) -> np.ndarray | None:
    """A constant that broadcasts against a transposed map, with its channels first as well."""
    if constant is None or constant.size == 1 or constant.ndim > rank:
        return constant
    full = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    return np.moveaxis(full, -1, 1)


def _place(axis: int, rank: int) -> int:
    """Where an axis of (batch, ..., channels) stands in (batch, channels, ...)."""
    axis = axis % rank
    return 1 if axis == rank - 1 else axis + 1 if axis > 0 else 0
