"""UNIDIRECTIONAL_SEQUENCE_LSTM and SVDF: operators with variable tensors of their own, as states."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.frontends.tflite_reader import TfliteReader
from mcuprune.graph import ir

Four = tuple[str, str, str, str]

_LSTM_INPUTS = 24  # of which those after the cell state normalise layers
_WEIGHTS, _RECURRENT, _BIASES = (1, 2, 3, 4), (5, 6, 7, 8), (12, 13, 14, 15)
_HIDDEN, _CELL = 18, 19
_ABSENT = {9: "peepholes", 10: "peepholes", 11: "peepholes", 16: "a projection", 17: "a projection"}
_ABSENT |= dict.fromkeys((20, 21, 22, 23), "layer normalization")


def lstm(reader: TfliteReader, operator: schema.OperatorT) -> None:
    index, options = int(operator.outputs[0]), operator.builtinOptions
    for position, what in _ABSENT.items():
        if position < len(operator.inputs) and int(operator.inputs[position]) >= 0:
            raise reader.refuse(operator, f"{what}")
    if options.fusedActivationFunction != schema.ActivationFunctionType.TANH:
        raise reader.refuse(operator, "only tanh as the activation of cells")
    if options.diagonalRecurrentTensors or options.projClip != 0:
        raise reader.refuse(operator, "diagonal recurrent weights, or a clipped projection")
    dims = reader.dimensions(int(operator.inputs[0]))
    batch = dims[1 if options.timeMajor else 0]
    if len(dims) != 3 or batch != 1:
        raise reader.refuse(operator, f"a sequence of shape {dims}; need one of a batch of 1")
    steps, features = dims[0] * dims[1], dims[2]
    weights, recurrent = (_weights(reader, operator, part) for part in (_WEIGHTS, _RECURRENT))
    biases = tuple(reader.bias(operator, position) for position in _BIASES)
    if None in biases:
        raise reader.refuse(operator, "gates without biases")
    units = reader.constants[weights[0]].values.shape[0]
    state = _lstm_state(reader, operator, units)
    source = reader.view(reader.source(operator), (steps, 1, features))
    node = ir.Lstm(
        reader.names[index],
        (source, state),
        weights,
        recurrent,
        biases,  # type: ignore[arg-type]
        float(options.cellClip),
    )
    reader.define(node, index, (steps, 1, units))


def svdf(reader: TfliteReader, operator: schema.OperatorT) -> None:
    index, options = int(operator.outputs[0]), operator.builtinOptions
    weight, time = (_constant(reader, operator, position) for position in (1, 2))
    (filters, features), rank = reader.constants[weight].values.shape, int(options.rank)
    if rank < 1 or filters % rank:
        raise reader.refuse(operator, f"rank {rank} of {filters} filters")
    bias, state = reader.bias(operator, 3), _svdf_state(reader, operator)
    source = reader.view(reader.source(operator), (features,))
    kind = reader.quantization[state].dtype
    node = ir.Svdf(reader.names[index], (source, state), weight, time, bias, rank, kind)
    reader.define(node, index, (filters // rank,))


def _weights(reader: TfliteReader, operator: schema.OperatorT, positions: tuple[int, ...]) -> Four:
    first, second, third, fourth = (_constant(reader, operator, position) for position in positions)
    return first, second, third, fourth


def _constant(reader: TfliteReader, operator: schema.OperatorT, position: int) -> str:
    """A stored matrix with one scale, as a constant of the graph."""
    index = int(operator.inputs[position])
    if index < 0:
        raise reader.refuse(operator, f"its operand {position} is missing")
    values = reader.array(index)
    scale, zero_point = reader.scales(index)
    if (
        values.ndim != 2
        or scale.size != 1
        or zero_point.any()
        or not (np.isfinite(scale[0]) and scale[0] > 0)
    ):
        raise reader.refuse(
            operator, f"weights '{reader.names[index]}' need 2 dimensions, one scale, zero point 0"
        )
    reader.constants[reader.names[index]] = ir.Constant(values, scale)
    return reader.names[index]


def _lstm_state(reader: TfliteReader, operator: schema.OperatorT, units: int) -> str:
    """Cell and hidden state, two variable tensors of the file, as the one state of the node."""
    hidden, cell = (_variable(reader, operator, position) for position in (_HIDDEN, _CELL))
    kinds = reader.quantization_at(hidden, ("int8",)), reader.quantization_at(cell, ("int16",))
    if kinds[0] != reader.quantization_at(int(operator.outputs[0])):
        raise reader.refuse(operator, "output and hidden state with different quantizations")
    if reader.shape(hidden) != (units,) or reader.shape(cell) != (units,):
        raise reader.refuse(operator, f"states of {reader.shape(hidden)} and {reader.shape(cell)}")
    first = np.zeros(units + (units + 1) // 2, np.int16)
    first[units:].view(np.int8)[:units] = kinds[0].zero_point
    return _state(reader, cell, first, kinds[1])


def _svdf_state(reader: TfliteReader, operator: schema.OperatorT) -> str:
    index = _variable(reader, operator, 4)
    kind = reader.quantization_at(index, ("int8", "int16"))
    return _state(reader, index, np.full(reader.shape(index), kind.zero_point, np.dtype(kind.dtype)), kind)


def _variable(reader: TfliteReader, operator: schema.OperatorT, position: int) -> int:
    """The variable tensor at a position, a vector for a batch of 1."""
    index = int(operator.inputs[position]) if position < len(operator.inputs) else -1
    if index < 0 or not reader.graph.tensors[index].isVariable:
        raise reader.refuse(operator, f"its operand {position} must be a variable tensor")
    if len(reader.shape(index)) != 1:
        raise reader.refuse(operator, f"a state of shape {reader.dimensions(index)}; need a batch of 1")
    return index


def _state(reader: TfliteReader, index: int, first: np.ndarray, kind: ir.Quantization) -> str:
    name = reader.names[index]
    initial = reader.fresh(f"{name}/initial")
    reader.constants[initial] = ir.Constant(first)
    reader.record(ir.State(name, (), initial), first.shape, kind)
    return name


RECURRENT_OPERATORS: Mapping[str, Callable[[TfliteReader, schema.OperatorT], None]] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "SVDF": svdf,
}
