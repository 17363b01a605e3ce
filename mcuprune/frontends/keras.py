"""Keras files and SavedModels to graphs, by way of tensorflow's own converter to float .tflite."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mcuprune.errors import ToolchainError, UsageError
from mcuprune.graph.ir import Graph, QuantizedGraph

SUFFIXES = (".keras", ".h5", ".hdf5")
SAVED_MODEL = "saved_model.pb"  # what makes a folder a SavedModel
VARIABLE = "MCUPRUNE_TENSORFLOW_PYTHON"  # environment variable: a Python interpreter that has tensorflow
SECONDS = 600  # that a conversion may take
_SCRIPT = Path(__file__).with_name("keras_convert.py")


def is_saved_model(path: Path) -> bool:
    return (path / SAVED_MODEL).is_file()


def load(path: Path) -> Graph | QuantizedGraph:
    """The graph of a ``.keras`` or ``.h5`` file or a SavedModel folder.

    tensorflow runs in a process of its own.  Raises ToolchainError where it is missing, UsageError for a
    model that it cannot read or convert, and what the .tflite frontend raises.
    """
    from mcuprune.frontends import tflite  # its schema takes a second to import

    python = _interpreter()
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        target = Path(folder) / f"{path.stem or 'model'}.tflite"
        command = [python, "-P", str(_SCRIPT), str(path.resolve()), str(target)]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=SECONDS, env=quiet
            )
        except OSError as error:
            raise ToolchainError(f"'{python}' ({VARIABLE}) cannot be run: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise UsageError(f"tensorflow did not convert '{path}' within {SECONDS} seconds") from None
        if done.returncode != 0 or not target.is_file():
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise UsageError(f"tensorflow cannot convert '{path}': {lines[-1][:500]}")
        return tflite.load_any(target)


def _interpreter() -> str:
    """A Python that has tensorflow: the one that ``VARIABLE`` names, or this one."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    if importlib.util.find_spec("tensorflow") is None:
        raise ToolchainError(
            "Keras files and SavedModels need tensorflow: pip install 'mcuprune[keras]', or set "
            f"{VARIABLE} to a Python interpreter that has it, or convert the model to .tflite yourself"
        )
    return sys.executable
