"""Operators that only integer networks have, in generated C: the bytes of the interpreter, and the flash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.graph import ir
from mcuprune.plan.make import make_plan
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.model import breakdown
from mcuprune.verify.host import HostModel
from tests.codegen.test_generated_code import STRICT
from tests.quantize.int8_graphs import batch
from tests.quantize.integer_graphs import INTEGER_OPERATORS

STM32F4 = load_board("stm32f4")


@pytest.mark.parametrize("operator", INTEGER_OPERATORS)
def test_generated_code(operator: str, tmp_path: Path) -> None:
    """Outputs and constants of one random network per operator."""

    @seed(1)
    @settings(
        max_examples=2,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    @given(INTEGER_OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, number: int) -> None:
        plan = make_plan(graph, STM32F4.core.isa)
        sources = emit(graph, plan, STM32F4)
        model = HostModel(sources.files, sources.name, tmp_path, sources.layers, flags=STRICT)
        x = batch(graph, seed=number)
        expected = run_int8(graph, x).reshape(len(x), -1)
        np.testing.assert_array_equal(model.run(x), expected)
        np.testing.assert_array_equal(model.run(x, in_arena=True), expected)
        stored = [*sources.constants.values(), *(data.data for data in sources.structs.values())]
        assert breakdown(graph, plan, STM32F4.core).constants == sum(-(-len(d) // 4) * 4 for d in stored)

    check()
