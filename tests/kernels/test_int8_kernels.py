"""Every C kernel computes the bytes that the integer specification computes."""

from __future__ import annotations

import ctypes
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integer_cases import CASES
from kernel_calls import call
from kernel_cases import Case

from mcuprune.kernels import catalogue
from mcuprune.quantize.run_int8 import evaluate

EXAMPLES = 12 if os.environ.get("MCUPRUNE_SANITIZE") else 50


def expected(case: Case) -> np.ndarray:
    batch = [values[None] for values in case.inputs]
    return evaluate(case.shape.node, case.parameters, *batch).reshape(-1).view(np.int8)


def test_every_kernel_has_cases() -> None:
    assert set(CASES) == {kernel.name for kernel in catalogue.KERNELS}


@pytest.mark.parametrize("name", CASES)
def test_equals_the_specification(name: str, library: ctypes.CDLL) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name])
    def check(case: Case) -> None:
        kernel = catalogue.kernel(name)
        assert kernel.accepts(case.shape)
        result = call(library, kernel, case.shape, case.parameters, case.inputs)
        np.testing.assert_array_equal(result, expected(case))

    check()


@pytest.mark.parametrize("name", CASES)
def test_output_may_overlap_input_at_the_declared_distance(name: str, library: ctypes.CDLL) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name], st.data())
    def check(case: Case, data: st.DataObject) -> None:
        kernel = catalogue.kernel(name)
        distances = kernel.overlap(case.shape)
        sharable = [index for index, distance in enumerate(distances) if distance is not None]
        if sharable:
            shared = data.draw(st.sampled_from(sharable))
            result = call(library, kernel, case.shape, case.parameters, case.inputs, shared)
            np.testing.assert_array_equal(result, expected(case))

    check()
