"""The operators of imported networks on random sizes: our integers are those of TensorFlow Lite Micro."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import run_tflm
from tests.quantize.int8_graphs import batch
from tests.quantize.integer_graphs import INTEGER_OPERATORS

pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")


@pytest.mark.parametrize("operator", INTEGER_OPERATORS)
def test_operator(operator: str) -> None:
    """The numpy specification, and the same after the file was read again, against the interpreter."""

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(INTEGER_OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, seed: int) -> None:
        x, file = batch(graph, seed=seed), write_tflite(graph)
        theirs = run_tflm(file, x)
        np.testing.assert_array_equal(run_int8(graph, x), theirs)
        again = load_tflite(file)
        np.testing.assert_array_equal(run_int8(again, x).reshape(theirs.shape), theirs)
        kernels = [(type(node), node.name) for node in again.nodes if not isinstance(node, ir.ALIASES)]
        moves_nothing = any(kind is ir.Copy for kind, _ in kernels)  # a Rearrange may be the identity
        assert moves_nothing or kernels == [(type(node), node.name) for node in graph.nodes]

    check()
