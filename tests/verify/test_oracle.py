"""One adapter over four interpreters, whichever are installed."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import ToolchainError, UsageError
from mcuprune.exporters.tflite import write_tflite
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify import oracle
from tests.quantize.int8_graphs import batch, small_network

GRAPH = small_network()
MODEL = write_tflite(GRAPH)
X = batch(GRAPH, 12)


def test_tflm_is_equal_byte_for_byte() -> None:
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    np.testing.assert_array_equal(oracle.run_tflm(MODEL, X), run_int8(GRAPH, X))


@pytest.mark.parametrize("runtime", oracle.RUNTIMES)
def test_runtime_is_close(runtime: str) -> None:
    if runtime not in oracle.installed_runtimes():
        pytest.skip(f"{runtime} is not installed or does not load here")
    result = oracle.run_tflite(MODEL, X, runtime)
    ours = run_int8(GRAPH, X)
    assert result.dtype == np.int8
    assert result.shape == ours.shape
    assert np.abs(result.astype(int) - ours).max() <= 4
    assert (result.argmax(1) == ours.argmax(1)).mean() > 0.8


def test_first_installed_runtime_is_the_default() -> None:
    if not oracle.installed_runtimes():
        pytest.skip("no TensorFlow Lite interpreter is installed")
    first = oracle.run_tflite(MODEL, X, oracle.installed_runtimes()[0])
    np.testing.assert_array_equal(oracle.run_tflite(MODEL, X), first)


def test_missing_interpreters_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oracle, "_import", lambda name: None)
    with pytest.raises(ToolchainError, match=r"mcuprune\[oracle\]"):
        oracle.run_tflm(MODEL, X)
    with pytest.raises(ToolchainError, match="no TensorFlow Lite interpreter is installed"):
        oracle.run_tflite(MODEL, X)
    with pytest.raises(ToolchainError, match="tflite_runtime is not installed"):
        oracle.run_tflite(MODEL, X, "tflite_runtime")


def test_unknown_runtime_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown interpreter 'onnx'"):
        oracle.run_tflite(MODEL, X, "onnx")


def test_wrong_input_is_refused() -> None:
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    with pytest.raises(UsageError, match=r"int8 \(N, 8, 8, 2\), not float32"):
        oracle.run_tflm(MODEL, X.astype(np.float32))


def test_empty_batch() -> None:
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    assert oracle.run_tflm(MODEL, X[:0]).shape == (0, 6)
