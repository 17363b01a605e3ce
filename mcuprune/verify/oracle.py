"""Other people's interpreters, behind one door: what does this .tflite file compute elsewhere?

:func:`run_tflm` is the oracle: the ``tflite_micro`` wheel holds the kernels of the microcontroller, and
their outputs must be equal to ours byte for byte.  :func:`run_tflite` runs the same file in whichever
TensorFlow Lite interpreter is installed; those requantize differently in places: their outputs are close, not
equal.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import MismatchError, ToolchainError, UsageError
from mcuprune.graph.ir import Quantization, QuantizedGraph
from mcuprune.quantize.flat import join, split

RUNTIMES = ("ai_edge_litert", "tflite_runtime", "tensorflow")
_INTERPRETER_MODULES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite.python.interpreter",
}
_INSTALL = {
    "ai_edge_litert": "pip install ai-edge-litert",
    "tflite_runtime": "pip install 'mcuprune[tflite-runtime]' in its own environment (it needs numpy<2)",
    "tensorflow": "pip install 'mcuprune[keras]'",
}


def run_tflm(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """Outputs of TensorFlow Lite Micro: ``inputs`` (N, *shape) of the model's type, result (N, *shape).

    Raises :class:`ToolchainError` if ``tflite_micro`` is missing or refuses the model.
    """
    interpreter = _open_tflm(model, int(np.prod(inputs.shape[1:], dtype=np.int64)))

    def one(x: np.ndarray) -> np.ndarray:
        interpreter.set_input(x[np.newaxis], 0)
        interpreter.invoke()
        return interpreter.get_output(0)[0]

    return _batch(one, inputs, interpreter.get_input_details(0), interpreter.get_output_details(0))


def sequence_tflm(model: bytes, steps: Sequence[Sequence[np.ndarray]]) -> tuple[tuple[np.ndarray, ...], ...]:
    """Outputs of TensorFlow Lite Micro over a sequence of inferences, starting from its reset state.

    Each step gives the arrays of all inputs in the file's order, in the file's shapes (a reshape suffices),
    and gets those of all outputs.  Raises as :func:`run_tflm` does.
    """
    size = max((sum(values.size for values in step) for step in steps), default=0)
    interpreter = _open_tflm(model, size)
    outputs = schema.Model.GetRootAsModel(model, 0).Subgraphs(0).OutputsLength()
    results = []
    for step in steps:
        for index, values in enumerate(step):
            details = interpreter.get_input_details(index)
            interpreter.set_input(values.reshape([int(n) for n in details["shape"]]), index)
        interpreter.invoke()
        results.append(tuple(interpreter.get_output(index).copy() for index in range(outputs)))
    return tuple(results)


def flat_tflm(model: bytes, graph: QuantizedGraph, flat: np.ndarray) -> np.ndarray:
    """:func:`sequence_tflm` on samples and results in the form of :mod:`mcuprune.quantize.flat`.

    Where the file begins or ends with real numbers, the integers of ``graph`` stand for them; MismatchError
    if a real result is not the number that its integer stands for.
    """
    given = split(graph, graph.inputs, flat)
    kinds = [graph.quantization[name] for name in graph.inputs]
    real = [_is_real(detail) for detail in _details(model, "get_input_details", len(kinds))]
    steps = [
        [
            _dequantized(given[name][i], kind) if is_real else given[name][i]
            for name, kind, is_real in zip(graph.inputs, kinds, real, strict=True)
        ]
        for i in range(len(flat))
    ]
    results = [_stored(graph, step) for step in sequence_tflm(model, steps)]
    return np.stack(results) if results else np.zeros((0, 0), np.int8)


def _stored(graph: QuantizedGraph, results: tuple[np.ndarray, ...]) -> np.ndarray:
    """The outputs of one inference as bytes."""
    tensors = {}
    for name, values in zip(graph.outputs, results, strict=True):
        kind = graph.quantization[name]
        if values.dtype == np.float32:
            integers = np.round(values / np.float32(kind.scale)) + kind.zero_point
            stored = integers.astype(kind.dtype)
            if not np.array_equal(_dequantized(stored, kind), values):
                raise MismatchError(f"output '{name}': real numbers between the steps of its scale")
            values = stored
        tensors[name] = values[np.newaxis]
    return join(graph.outputs, tensors)[0]


def _dequantized(values: np.ndarray, kind: Quantization) -> np.ndarray:
    return np.float32(kind.scale) * (values.astype(np.int32) - kind.zero_point).astype(np.float32)


def _details(model: bytes, getter: str, count: int) -> list[dict[str, Any]]:
    interpreter = _open_tflm(model, 0)
    return [getattr(interpreter, getter)(index) for index in range(count)]


def _is_real(detail: dict[str, Any]) -> bool:
    return np.dtype(detail["dtype"]) == np.float32


def run_tflite(model: bytes, inputs: np.ndarray, runtime: str | None = None) -> np.ndarray:
    """Outputs of a TensorFlow Lite interpreter: shapes as in :func:`run_tflm`.

    ``runtime`` is one of :data:`RUNTIMES`; by default the first of them that is installed.
    """
    try:
        interpreter = _interpreter_class(runtime)(model_content=bytes(model))
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ToolchainError(f"the TensorFlow Lite interpreter refuses the model: {error}") from error
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def one(x: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], x[np.newaxis])
        interpreter.invoke()
        return np.array(interpreter.get_tensor(target["index"])[0])

    return _batch(one, inputs, source, target)


def installed_runtimes() -> tuple[str, ...]:
    """Names of the TensorFlow Lite interpreters that can be imported here, preferred ones first."""
    return tuple(name for name in RUNTIMES if _import(_INTERPRETER_MODULES[name]) is not None)


def _batch(
    one: Callable[[np.ndarray], np.ndarray],
    inputs: np.ndarray,
    source: dict[str, Any],
    target: dict[str, Any],
) -> np.ndarray:
    """Run sample by sample (the files are written for batch 1), after one check of type and shape."""
    wanted = tuple(int(size) for size in source["shape"][1:])
    if inputs.dtype != np.dtype(source["dtype"]) or inputs.shape[1:] != wanted:
        raise UsageError(
            f"the model's input is {np.dtype(source['dtype'])} (N, {', '.join(map(str, wanted))}), "
            f"not {inputs.dtype} {inputs.shape}"
        )
    outputs = [one(np.ascontiguousarray(x)).copy() for x in inputs]
    empty = np.zeros((0, *(int(size) for size in target["shape"][1:])), target["dtype"])
    return np.stack(outputs) if outputs else empty


def _tflm() -> Any:
    found = _import("tflite_micro")
    if found is None:
        raise ToolchainError(
            "tflite_micro, the byte-exact oracle, is missing: pip install 'mcuprune[oracle]'"
        )
    return (
        found.runtime
        if hasattr(found, "runtime")
        else importlib.import_module("tflite_micro.python.tflite_micro.runtime")
    )


def _open_tflm(model: bytes, sample: int) -> Any:
    try:
        return _tflm().Interpreter.from_bytes(bytes(model), arena_size=_tflm_arena(model, sample))
    except ToolchainError:
        raise
    except Exception as error:
        raise ToolchainError(f"tflite_micro refuses the model: {error}") from error


def _tflm_arena(model: bytes, sample: int) -> int:
    """Bytes of arena: generous, since the host has memory and a refusal would only be an obstacle."""
    return 16 * len(model) + 256 * sample + (4 << 20)


def _interpreter_class(runtime: str | None) -> Any:
    if runtime is None:
        installed = installed_runtimes()
        if not installed:
            raise ToolchainError(f"no TensorFlow Lite interpreter is installed: {_INSTALL['ai_edge_litert']}")
        runtime = installed[0]
    if runtime not in RUNTIMES:
        raise UsageError(f"unknown interpreter '{runtime}': one of {', '.join(RUNTIMES)}")
    module = _import(_INTERPRETER_MODULES[runtime])
    if module is None:
        raise ToolchainError(f"{runtime} is not installed or does not load: {_INSTALL[runtime]}")
    return module.Interpreter


def _import(name: str) -> ModuleType | None:
    """The module, or ``None`` where it is missing or its binary part does not load."""
    try:
        return importlib.import_module(name)
    except (ImportError, SystemError, AttributeError):
        return None
