"""Every operator on random sizes and quantizations: our integers are those of TensorFlow Lite Micro."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.exporters.tflite import write_tflite
from mcuprune.graph import ir
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import run_tflm
from tests.quantize.int8_graphs import OPERATORS, activations, batch, every_value, small_network

pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def assert_equal_bytes(graph: ir.QuantizedGraph, x: np.ndarray) -> None:
    ours = run_int8(graph, x)
    theirs = run_tflm(write_tflite(graph), x)
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator: str) -> None:
    @QUICK
    @given(OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, seed: int) -> None:
        assert_equal_bytes(graph, batch(graph, seed=seed))

    check()


@pytest.mark.parametrize("function", ir.INTEGER_FUNCTIONS)
def test_lookup_table(function: str) -> None:
    @QUICK
    @given(activations(function))
    def check(graph: ir.QuantizedGraph) -> None:
        assert_equal_bytes(graph, every_value())

    check()


@pytest.mark.parametrize("seed", range(3))
def test_network(seed: int) -> None:
    graph = small_network(seed)
    x = batch(graph, 30, seed)
    assert_equal_bytes(graph, x)
    assert len(np.unique(run_int8(graph, x))) > 5, "a network that says nothing would prove nothing"
