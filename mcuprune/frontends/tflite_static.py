"""Shape arithmetic of a .tflite file, done while importing: what follows from static shapes is a constant.

Keras writes Flatten as SHAPE, STRIDED_SLICE, PACK and RESHAPE, and other layers likewise.  An operator whose
inputs are all known integers is computed here; what it gives is known in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.frontends.tflite_reader import TfliteReader

_MOST_ELEMENTS = 4096  # of a shape computation; anything larger is data
_INTEGERS = (schema.TensorType.INT32, schema.TensorType.INT64)

Rule = Callable[[schema.OperatorT, list[np.ndarray]], np.ndarray]


def fold(reader: TfliteReader, operator: schema.OperatorT) -> bool:
    """Whether the operator computes integers that are known now; then they are recorded as such."""
    code = reader.operator_name(operator)
    if code == "SHAPE":
        dims = reader.dimensions(int(operator.inputs[0]))
        reader.static[int(operator.outputs[0])] = np.array(dims, np.int64)
        return True
    if code not in RULES or reader.graph.tensors[int(operator.outputs[0])].type not in _INTEGERS:
        return False
    inputs = [known_integers(reader, int(index)) for index in operator.inputs]
    if any(values is None for values in inputs):
        return False
    result = RULES[code](operator, [values for values in inputs if values is not None])
    if result.size > _MOST_ELEMENTS:
        raise reader.refuse(operator, f"a shape computation with {result.size} elements")
    reader.static[int(operator.outputs[0])] = result.astype(np.int64)
    return True


def known_integers(reader: TfliteReader, index: int) -> np.ndarray | None:
    """The values of an integer tensor that is stored or was folded (int64), else ``None``."""
    if index in reader.static:
        return reader.static[index]
    if index < 0 or not reader.is_stored(index) or reader.graph.tensors[index].type not in _INTEGERS:
        return None
    values = reader.array(index)
    return values.astype(np.int64) if values.size <= _MOST_ELEMENTS else None


def _strided_slice(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    values, begin, end, stride = inputs
    options = operator.builtinOptions
    index: list[int | slice] = []
    for axis, (first, last, step) in enumerate(zip(begin, end, stride, strict=True)):
        if options.shrinkAxisMask >> axis & 1:
            index.append(int(first))
            continue
        low = None if options.beginMask >> axis & 1 else int(first)
        index.append(slice(low, None if options.endMask >> axis & 1 else int(last), int(step)))
    return np.asarray(values[tuple(index)])


def _pack(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    return np.stack(inputs, axis=operator.builtinOptions.axis)


def _concatenation(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(inputs, axis=operator.builtinOptions.axis)


def _gather(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    return np.take(inputs[0], inputs[1], axis=operator.builtinOptions.axis)


def _slice(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    values, begin, size = inputs
    ends = [None if n == -1 else int(b + n) for b, n in zip(begin, size, strict=True)]
    return values[tuple(slice(int(b), e) for b, e in zip(begin, ends, strict=True))]


def _reduce(function: Callable[..., np.ndarray]) -> Rule:
    def rule(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
        axes = tuple(int(axis) for axis in inputs[1].reshape(-1))
        return np.asarray(function(inputs[0], axis=axes, keepdims=bool(operator.builtinOptions.keepDims)))

    return rule


def _elementwise(function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Rule:
    return lambda operator, inputs: np.asarray(function(inputs[0], inputs[1]))


def _same_values(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    return inputs[0]


def _reshape(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    shape = inputs[1] if len(inputs) > 1 else operator.builtinOptions.newShape
    return inputs[0].reshape([int(size) for size in np.reshape(shape, -1)])


def _expand_dims(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    return np.expand_dims(inputs[0], int(inputs[1].reshape(-1)[0]))


def _squeeze(operator: schema.OperatorT, inputs: list[np.ndarray]) -> np.ndarray:
    axes = operator.builtinOptions.squeezeDims
    return np.squeeze(inputs[0], None if axes is None or not len(axes) else tuple(int(axis) for axis in axes))


RULES: Mapping[str, Rule] = {
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "PACK": _pack,
    "CONCATENATION": _concatenation,
    "GATHER": _gather,
    "CAST": _same_values,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "ADD": _elementwise(np.add),
    "SUB": _elementwise(np.subtract),
    "MUL": _elementwise(np.multiply),
    "DIV": _elementwise(lambda a, b: np.trunc(a / b).astype(np.int64)),
    "FLOOR_DIV": _elementwise(np.floor_divide),
    "MAXIMUM": _elementwise(np.maximum),
    "MINIMUM": _elementwise(np.minimum),
    "REDUCE_PROD": _reduce(np.prod),
    "SUM": _reduce(np.sum),
}
