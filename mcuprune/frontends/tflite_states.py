"""Variables of a .tflite file: what it remembers from one run to the next, as states.

A variable is known by container and name.  Its first value is what the subgraph of CALL_ONCE assigns, else
its zero point, as TensorFlow Lite Micro has it.  In the order of the operators, reading gives what was
assigned last; what is assigned when the run ends is the state of the next run.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UsageError
from mcuprune.frontends.tflite_reader import TfliteReader
from mcuprune.graph import ir


def call_once(reader: TfliteReader, operator: schema.OperatorT) -> None:
    """The first values of variables: a subgraph of VAR_HANDLE and ASSIGN_VARIABLE with constants."""
    number = int(operator.builtinOptions.initSubgraphIndex)
    if not 0 < number < len(reader.model.subgraphs):
        raise reader.refuse(operator, f"subgraph {number} does not exist or is the model itself")
    first = TfliteReader(reader.model, subgraph=number)
    for inner in first.graph.operators:
        code = first.operator_name(inner)
        if code == "VAR_HANDLE":
            var_handle(first, inner)
        elif code == "ASSIGN_VARIABLE":
            key, index = _handle(first, inner), int(inner.inputs[1])
            reader.first_values[key] = first.array(index)
        else:
            raise reader.refuse(inner if len(inner.outputs) else operator, f"{code} before the first run")


def var_handle(reader: TfliteReader, operator: schema.OperatorT) -> None:
    options = operator.builtinOptions
    reader.handles[int(operator.outputs[0])] = _text(options.container), _text(options.sharedName)


def read_variable(reader: TfliteReader, operator: schema.OperatorT) -> None:
    index = int(operator.outputs[0])
    key = _handle(reader, operator)
    if key not in reader.variables:
        _new_state(reader, key, index)
    reader.values[index] = reader.alias(reader.variables[key], index)


def assign_variable(reader: TfliteReader, operator: schema.OperatorT) -> None:
    key, index = _handle(reader, operator), int(operator.inputs[1])
    value = reader.source(operator, 1, types=tuple(ir.ELEMENT_BYTES))
    if key not in reader.variables and key not in reader.state_of:
        _new_state(reader, key, index)
    reader.variables[key] = value


def state_updates(reader: TfliteReader) -> dict[str, str]:
    """Every state that the run changes -> the tensor that it becomes."""
    return {
        state: reader.variables[key]
        for key, state in reader.state_of.items()
        if reader.variables[key] != state
    }


def _new_state(reader: TfliteReader, key: tuple[str, str], index: int) -> None:
    """A state like the tensor ``index``, for a variable met for the first time."""
    quantization, shape = reader.quantization_at(index), reader.shape(index)
    name = reader.fresh(re.sub(r"[^A-Za-z0-9_./:-]", "_", key[1])[:120] or "state")
    dtype = np.dtype(quantization.dtype)
    values = reader.first_values.get(key)
    if values is None:
        values = np.full(shape, quantization.zero_point, dtype)
    if values.dtype != dtype or values.size != int(np.prod(shape)):
        raise UsageError(f"state '{name}' begins as {values.dtype} {values.shape}, and is {dtype} {shape}")
    initial = reader.fresh(f"{name}/initial")
    reader.constants[initial] = ir.Constant(values.reshape(shape))
    reader.record(ir.State(name, (), initial), shape, quantization)
    reader.state_of[key] = reader.variables[key] = name


def _handle(reader: TfliteReader, operator: schema.OperatorT) -> tuple[str, str]:
    index = int(operator.inputs[0])
    if index not in reader.handles:
        raise reader.refuse(operator, "its variable does not come from VAR_HANDLE")
    return reader.handles[index]


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


STATE_OPERATORS: Mapping[str, Callable[[TfliteReader, schema.OperatorT], None]] = {
    "CALL_ONCE": call_once,
    "VAR_HANDLE": var_handle,
    "READ_VARIABLE": read_variable,
    "ASSIGN_VARIABLE": assign_variable,
}
