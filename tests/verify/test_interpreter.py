"""One adapter, three TensorFlow Lite interpreters: whichever is installed runs the same file.

The file and its expected outputs are committed, so that this test needs nothing but numpy and an interpreter.
``UPDATE_GOLDEN=1`` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mcuprune.errors import ToolchainError, UsageError
from mcuprune.verify.oracle import RUNTIMES, installed_runtimes, run_tflite

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
MODEL, VECTORS = GOLDEN / "interpreter.tflite", GOLDEN / "interpreter.npz"


@pytest.fixture(scope="module")
def vectors() -> tuple[bytes, np.ndarray, np.ndarray]:
    """The file, inputs (20, 8, 8, 2) and our integer specification's outputs (20, 6), both int8."""
    if os.environ.get("UPDATE_GOLDEN"):
        write_golden()
    arrays = np.load(VECTORS)
    return MODEL.read_bytes(), arrays["inputs"], arrays["outputs"]


def write_golden() -> None:
    from mcuprune.exporters.tflite import write_tflite
    from mcuprune.quantize.run_int8 import run_int8
    from tests.quantize.int8_graphs import batch, small_network

    graph = small_network(0)
    inputs = batch(graph, 20, seed=1)
    MODEL.write_bytes(write_tflite(graph))
    np.savez(VECTORS, inputs=inputs, outputs=run_int8(graph, inputs))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runs_in(runtime: str, vectors: tuple[bytes, np.ndarray, np.ndarray]) -> None:
    if runtime not in installed_runtimes():
        pytest.skip(f"{runtime} is not installed here")
    model, inputs, expected = vectors
    outputs = run_tflite(model, inputs, runtime)
    assert outputs.dtype == np.int8
    assert outputs.shape == expected.shape
    steps = np.abs(outputs.astype(int) - expected)
    assert steps.max() <= 1, "interpreters for hosts may round differently, by one step at most"
    assert len(np.unique(expected)) > 20, "outputs that say nothing would prove nothing"


def test_the_first_installed_is_the_default(vectors: tuple[bytes, np.ndarray, np.ndarray]) -> None:
    model, inputs, _ = vectors
    default = installed_runtimes()[0]
    np.testing.assert_array_equal(run_tflite(model, inputs), run_tflite(model, inputs, default))


def test_unknown_and_missing_interpreters_are_named(
    vectors: tuple[bytes, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, inputs, _ = vectors
    with pytest.raises(UsageError, match="unknown interpreter 'tvm'"):
        run_tflite(model, inputs, "tvm")
    monkeypatch.setattr("mcuprune.verify.oracle._import", lambda name: None)
    with pytest.raises(ToolchainError, match="pip install"):
        run_tflite(model, inputs)


def test_wrong_input_is_refused(vectors: tuple[bytes, np.ndarray, np.ndarray]) -> None:
    model, inputs, _ = vectors
    with pytest.raises(UsageError, match="input is int8"):
        run_tflite(model, inputs.astype(np.float32))
