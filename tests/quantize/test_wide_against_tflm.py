"""int16 activations on random sizes: our integers are those of TensorFlow Lite Micro."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.quantize.flat import run_flat
from mcuprune.verify.oracle import flat_tflm
from tests.quantize.wide_graphs import WIDE_MOVEMENT, WIDE_OPERATORS, wide_batch

pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")


OPERATORS = {**WIDE_OPERATORS, **WIDE_MOVEMENT}


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator: str) -> None:
    """The numpy specification, and the same after the file was read again, against the interpreter."""

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, seed: int) -> None:
        x, file = wide_batch(graph, seed=seed), write_tflite(graph)
        theirs = flat_tflm(file, graph, x)
        np.testing.assert_array_equal(run_flat(graph, x), theirs)
        again = load_tflite(file)
        computed = [node for node in again.nodes if not isinstance(node, (*ir.ALIASES, *ir.GIVEN))]
        assert computed[-1].arithmetic == graph.nodes[-1].arithmetic
        np.testing.assert_array_equal(run_flat(again, x), theirs)

    check()
