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

from mcuprune.errors import ToolchainError, UsageError

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


def flat_tflm(model: bytes, inputs: np.ndarray) -> np.ndarray:
    """:func:`run_tflm` for a file of one input and one output, of any shapes: (N, elements) in and out."""
    interpreter = _open_tflm(model, inputs[0].size if len(inputs) else 0)
    details = interpreter.get_input_details(0)
    shape = tuple(int(size) for size in details["shape"])
    if inputs.dtype != np.dtype(details["dtype"]) or inputs[:1].size != np.prod(shape) * len(inputs[:1]):
        kind = np.dtype(details["dtype"])
        raise UsageError(f"the model's input is {kind} {shape}, not {inputs.dtype} {inputs.shape[1:]}")
    outputs = []
    for x in inputs:
        interpreter.set_input(np.ascontiguousarray(x).reshape(shape), 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0).reshape(-1).copy())
    return np.array(outputs)


def sequence_tflm(model: bytes, steps: Sequence[Sequence[np.ndarray]]) -> tuple[tuple[np.ndarray, ...], ...]:
    """Outputs of TensorFlow Lite Micro over a sequence of inferences, starting from its reset state.

    Each step gives the arrays of all inputs in the file's order, in the file's shapes (a reshape suffices),
    and gets those of all outputs.  Raises as :func:`run_tflm` does.
    """
    size = max((sum(values.size for values in step) for step in steps), default=0)
    interpreter = _open_tflm(model, size)
    results = []
    for step in steps:
        for index, values in enumerate(step):
            details = interpreter.get_input_details(index)
            interpreter.set_input(values.reshape([int(n) for n in details["shape"]]), index)
        interpreter.invoke()
        results.append(_tflm_outputs(interpreter))
    return tuple(results)


def _tflm_outputs(interpreter: Any) -> tuple[np.ndarray, ...]:
    found: list[np.ndarray] = []
    while True:
        try:
            found.append(interpreter.get_output(len(found)).copy())
        except (IndexError, RuntimeError, ValueError):
            return tuple(found)


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
