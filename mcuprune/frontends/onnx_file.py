"""An ONNX file taken in: parsed, checked, its external data read from its own folder and nowhere else."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
from onnx import TensorProto, external_data_helper

from mcuprune.errors import UsageError

INPUT_TYPES = (
    *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16),
    *(TensorProto.INT8, TensorProto.UINT8),
)
LARGEST_TENSOR = 1 << 28  # elements; more comes only from a damaged file


def parse(path: Path) -> onnx.ModelProto:
    """The model in a file, with all its data.

    Raises UsageError for a file that is missing, damaged, or refers to data outside its folder.
    """
    if not path.is_file():
        raise UsageError(f"model file '{path}' does not exist")
    try:
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            _read_external(tensor, path)
            _check_size(tensor, path)
        for entry in model.graph.output:
            entry.type.tensor_type.shape.SetInParent()  # some exporters leave it out; it is not read here
        onnx.checker.check_model(model)
    except UsageError:
        raise
    except Exception as error:  # protobuf, checker and external data raise unrelated kinds
        raise UsageError(f"'{path}' is not a valid ONNX model: {first_line(error)}") from error
    _check_inputs(model, path)
    return model


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _read_external(tensor: onnx.TensorProto, path: Path) -> None:
    """Load a tensor's data from the file that it names, which must lie in the model's folder or below."""
    if not external_data_helper.uses_external_data(tensor):
        return
    location = external_data_helper.ExternalDataInfo(tensor).location
    folder = path.resolve().parent
    target = (folder / location).resolve()
    if not location or not target.is_relative_to(folder) or not target.is_file():
        raise UsageError(
            f"'{path}': tensor '{tensor.name[:80]}' keeps its data in '{location[:200]}', which is no file "
            "in the model's folder; put it there"
        )
    external_data_helper.load_external_data_for_tensor(tensor, str(folder))
    tensor.data_location = TensorProto.DEFAULT
    del tensor.external_data[:]


def _check_size(tensor: onnx.TensorProto, path: Path) -> None:
    if any(size < 0 for size in tensor.dims) or math.prod(tensor.dims) > LARGEST_TENSOR:
        raise UsageError(f"'{path}': tensor '{tensor.name[:80]}' has impossible shape {tuple(tensor.dims)}")


def _check_inputs(model: onnx.ModelProto, path: Path) -> None:
    stored = {tensor.name for tensor in model.graph.initializer}
    for entry in model.graph.input:
        kind = entry.type.tensor_type.elem_type
        if entry.name not in stored and kind not in INPUT_TYPES:
            name = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else kind
            raise UsageError(
                f"'{path}': input '{entry.name[:80]}' has elements of type {name}; real numbers and 8-bit "
                "integers work"
            )
