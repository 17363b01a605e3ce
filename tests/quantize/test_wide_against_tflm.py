"""int16 activations on random sizes: our integers are those of TensorFlow Lite Micro."""

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
from tests.quantize.wide_graphs import WIDE_OPERATORS, wide_batch

pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")


@pytest.mark.parametrize("operator", WIDE_OPERATORS)
def test_operator(operator: str) -> None:
    """The numpy specification, and the same after the file was read again, against the interpreter."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(WIDE_OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, seed: int) -> None:
        x, file = wide_batch(graph, seed=seed), write_tflite(graph)
        theirs = run_tflm(file, x)
        ours = run_int8(graph, x)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
        again = load_tflite(file)
        assert again.nodes[-1].arithmetic == graph.nodes[-1].arithmetic
        np.testing.assert_array_equal(run_int8(again, x).reshape(theirs.shape), theirs)

    check()
