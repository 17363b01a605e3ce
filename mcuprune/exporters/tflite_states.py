"""States in .tflite files: variables with first values, and the variable tensors of recurrent operators.

A state that a recurrent operator changes is a variable tensor of it.  Any other is a variable: CALL_ONCE
assigns its first value, READ_VARIABLE gives it to the run, ASSIGN_VARIABLE at the end of the run keeps what
it becomes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError
from mcuprune.exporters.tflite_file import TfliteFile, affine, lower
from mcuprune.exporters.tflite_integer import reshaped
from mcuprune.graph import ir

_HANDLE = "VarHandleOptions"


def write_first_values(file: TfliteFile) -> None:
    """The subgraph that CALL_ONCE runs, and CALL_ONCE itself; before everything else of the file."""
    states = [node for node in file.qgraph.nodes if isinstance(node, ir.State) and not _is_owned(node, file)]
    if not states:
        return
    file.operator("CALL_ONCE", [], None, schema.CallOnceOptionsT(initSubgraphIndex=1), "CallOnceOptions")
    inner = TfliteFile(file.qgraph, buffers=file.buffers, codes=file.codes)
    for node in states:
        values, kind = file.qgraph.constants[node.initial].values, file.qgraph.quantization[node.name]
        shaped = values.reshape(1, *file.qgraph.shape(node.name))
        first = inner.constant(f"{node.name}/first", shaped, affine([kind.scale], [kind.zero_point]))
        _assign(inner, _handle(inner, node.name), first)
    file.before.append(inner)


def write_updates(file: TfliteFile, updates: Mapping[str, str]) -> None:
    for state, value in updates.items():
        _assign(file, file.index[f"{state}/handle"], file.activation(value))


def _is_owned(node: ir.State, file: TfliteFile) -> bool:
    return any(node.name in other.changes for other in file.qgraph.nodes)


def _handle(file: TfliteFile, name: str) -> int:
    """The variable called ``name``."""
    options = schema.VarHandleOptionsT(container="", sharedName=name)
    tensor = file.index[f"{name}/handle"] = file.tensor(f"{name}/handle", (), "resource")
    return file.operator("VAR_HANDLE", [], tensor, options, _HANDLE)


def _assign(file: TfliteFile, handle: int, value: int) -> None:
    options = schema.AssignVariableOptionsT()
    file.operator("ASSIGN_VARIABLE", [handle, value], None, options, "AssignVariableOptions")


@lower.register(ir.State)
def _(node: ir.State, file: TfliteFile) -> None:
    if _is_owned(node, file):
        return
    shape, kind = file.qgraph.shape(node.name), file.qgraph.quantization[node.name]
    tensor = file.index[node.name] = file.quantized(f"{node.name}/read", shape, kind)
    handle = _handle(file, node.name)
    file.operator("READ_VARIABLE", [handle], tensor, schema.ReadVariableOptionsT(), "ReadVariableOptions")


@lower.register(ir.Copy)
def _(node: ir.Copy, file: TfliteFile) -> None:
    """In a file every tensor has memory of its own: whoever reads it finds again where copies are needed."""
    file.index[node.name] = file.activation(node.inputs[0])


def _variable(
    file: TfliteFile, name: str, size: int, kind: ir.Quantization, first: np.ndarray, node: ir.Node
) -> int:
    if (first != kind.zero_point).any():
        raise UnsupportedError(f"layer '{node.name}': in a .tflite file its state begins with zeros")
    tensor = file.quantized(name, (size,), kind)
    file.tensors[tensor].isVariable = True
    return tensor


def _matrix(file: TfliteFile, name: str) -> int:
    constant = file.qgraph.constants[name]
    return file.constant(name, constant.values, affine(np.ravel(np.asarray(constant.scale)), [0]))


def _bias(file: TfliteFile, name: str, scale: float) -> int:
    return file.constant(name, file.qgraph.constants[name].values, affine([scale], [0]))


def _scale(file: TfliteFile, name: str) -> np.float32:
    return np.float32(np.ravel(np.asarray(file.qgraph.constants[name].scale))[0])


@lower.register(ir.Svdf)
def _(node: ir.Svdf, file: TfliteFile) -> None:
    source, state = node.inputs
    kind = file.qgraph.quantization[state]
    first = file.qgraph.constants[_initial(file, state)].values
    inputs = [file.activation(source), _matrix(file, node.weight), _matrix(file, node.time)]
    scale = float(np.float32(kind.scale) * _scale(file, node.time))
    inputs.append(-1 if node.bias is None else _bias(file, node.bias, scale))
    inputs.append(_variable(file, state, first.size, kind, first, node))
    options = schema.SVDFOptionsT(rank=node.rank, fusedActivationFunction=schema.ActivationFunctionType.RELU)
    file.operator("SVDF", inputs, file.activation(node.name), options, "SVDFOptions")


@lower.register(ir.Lstm)
def _(node: ir.Lstm, file: TfliteFile) -> None:
    source, state = node.inputs
    kinds = file.qgraph.quantization
    steps, _, features = file.qgraph.shape(source)
    units = file.qgraph.shape(node.name)[2]
    first = file.qgraph.constants[_initial(file, state)].values
    given = affine([kinds[source].scale], [kinds[source].zero_point])
    sequence = file.tensor(f"{node.name}/sequence", (1, steps, features), "int8", given)
    reshaped(file, f"{node.name}/sequence", file.activation(source), (steps, features), sequence)
    inputs = [sequence, *(_matrix(file, name) for name in (*node.weights, *node.recurrent)), -1, -1, -1]
    for weight, bias in zip(node.weights, node.biases, strict=True):
        inputs.append(_bias(file, bias, float(np.float32(kinds[source].scale) * _scale(file, weight))))
    hidden = _variable(
        file, f"{state}/hidden", units, kinds[node.name], first[units:].view(np.int8)[:units], node
    )
    cell = _variable(file, state, units, kinds[state], first[:units], node)
    kind = affine([kinds[node.name].scale], [kinds[node.name].zero_point])
    result = file.tensor(node.name, (1, steps, units), "int8", kind)
    options = schema.UnidirectionalSequenceLSTMOptionsT(
        fusedActivationFunction=schema.ActivationFunctionType.TANH, cellClip=node.cell_clip
    )
    operands = [*inputs, -1, -1, hidden, cell, -1, -1, -1, -1]
    file.operator(
        "UNIDIRECTIONAL_SEQUENCE_LSTM", operands, result, options, "UnidirectionalSequenceLSTMOptions"
    )
    between = [file.tensor(f"{node.name}/gate{index}", (0,), "float32") for index in range(4)]
    between.append(file.tensor(f"{node.name}/between", (0,), "int8", kind))
    file.operators[-1].intermediates = np.array(between, np.int32)
    image = file.index[node.name] = file.quantized(f"{node.name}/image", (steps, 1, units), kinds[node.name])
    reshaped(file, f"{node.name}/image", result, (steps, 1, units), image)


def _initial(file: TfliteFile, state: str) -> str:
    return next(n.initial for n in file.qgraph.nodes if isinstance(n, ir.State) and n.name == state)
