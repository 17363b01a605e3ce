"""Int8 .tflite files, as TensorFlow's converter and our own exporter write them, to a quantized graph.

The operators are in :mod:`mcuprune.frontends.tflite_ops`.  A float32 input that is quantized
first, and a float32 output that is dequantized last, are left to the application: the graph begins and ends
with int8.
"""

from __future__ import annotations

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import McupruneError, UnsupportedError, UsageError
from mcuprune.frontends.tflite_float import is_float_model, read_float
from mcuprune.frontends.tflite_limits import require_sane_counts
from mcuprune.frontends.tflite_ops import OPERATORS
from mcuprune.frontends.tflite_reader import FILE_IDENTIFIER, FloatChain, TfliteReader, unique_names
from mcuprune.frontends.tflite_states import state_updates
from mcuprune.frontends.tflite_static import fold
from mcuprune.graph import ir
from mcuprune.graph.memory import settle
from mcuprune.quantize.multipliers import marked


def load_any(source: str | Path | bytes, name: str | None = None) -> ir.Graph | ir.QuantizedGraph:
    """The graph of a .tflite file of real numbers, or the quantized graph of one of integers.

    Arguments and errors are those of :func:`load_tflite`.
    """
    data, label = _read(source)
    try:
        model = _decode(data, label)
        if not is_float_model(model):
            return load_tflite(source, name)
        graph = model.subgraphs[0]
        names = unique_names(tensor.name for tensor in graph.tensors)
        stem = Path(source).stem if isinstance(source, str | Path) else _text(graph.name)
        return read_float(model, names, name or stem or "model")
    except McupruneError:
        raise
    except Exception as error:  # a damaged file can fail anywhere: in the decoder, at an index, at a shape
        raise UsageError(
            f"{label} is damaged or not a .tflite file ({type(error).__name__}: {error})"
        ) from error


def load_tflite(source: str | Path | bytes, name: str | None = None) -> ir.QuantizedGraph:
    """The quantized graph of an int8 .tflite file (a path, or its bytes).

    ``name`` defaults to the file's stem, or for bytes to the name stored in the file.  Raises
    :class:`UsageError` for a file that cannot be read or is damaged, :class:`UnsupportedError` naming
    operator and tensor for one that says something that has no equivalent here.
    """
    data, label = _read(source)
    try:
        reader = TfliteReader(_decode(data, label))
        _import_operators(reader)
        stem = Path(source).stem if isinstance(source, str | Path) else _text(reader.graph.name)
        return _finish(reader, name or stem or "model")
    except McupruneError:
        raise
    except Exception as error:  # a damaged file can fail anywhere: in the decoder, at an index, at a shape
        raise UsageError(
            f"{label} is damaged or not a .tflite file ({type(error).__name__}: {error})"
        ) from error


def _read(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "the model"
    try:
        return Path(source).read_bytes(), f"'{source}'"
    except OSError as error:
        raise UsageError(f"cannot read '{source}': {error.strerror}") from error


def _decode(data: bytes, label: str) -> schema.ModelT:
    if len(data) < 8 or data[4:8] != FILE_IDENTIFIER:
        raise UsageError(
            f"{label} is not a .tflite file (it does not carry the mark {FILE_IDENTIFIER.decode()})"
        )
    root = schema.Model.GetRootAsModel(data, 0)
    require_sane_counts(root, label)
    model = schema.ModelT.InitFromObj(root)
    if not model.subgraphs or not model.buffers or not model.operatorCodes:
        raise UsageError(f"{label} is a .tflite file without a graph")
    return model


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")


def _import_operators(reader: TfliteReader) -> None:
    for index in (int(i) for i in reader.graph.inputs):
        if reader.graph.tensors[index].type == schema.TensorType.FLOAT32:
            reader.floats[index] = FloatChain(None)
        else:
            reader.define(ir.Input(reader.names[index], ()), index, types=tuple(ir.ELEMENT_BYTES))
    for operator in reader.graph.operators:
        if fold(reader, operator):
            continue
        code = reader.operator_name(operator)
        if code not in OPERATORS:
            raise reader.refuse(operator, "this operator is not supported")
        OPERATORS[code](reader, operator)


def _finish(reader: TfliteReader, name: str) -> ir.QuantizedGraph:
    outputs = tuple(_output(reader, int(index)) for index in reader.graph.outputs)
    order = {reader.names[int(index)]: place for place, index in enumerate(reader.graph.inputs)}
    inputs = sorted(
        (node for node in reader.nodes if isinstance(node, ir.Input)),
        key=lambda node: order[reader.input_names.get(node.name, node.name)],
    )
    rest = [node for node in reader.nodes if not isinstance(node, ir.Input)]
    found = settle(
        ir.QuantizedGraph(
            name,
            (*inputs, *rest),
            outputs,
            reader.shapes,
            reader.quantization,
            reader.constants,
            state_updates(reader),
        )
    )
    return marked(found)


def _output(reader: TfliteReader, index: int) -> str:
    chain = reader.floats.get(index)
    if chain is not None and chain.source is not None and not chain.steps:
        return chain.source
    if index not in reader.values:
        raise UnsupportedError(f"output '{reader.names[index]}' is {reader.type_name(index)}, not int8")
    return reader.values[index]
