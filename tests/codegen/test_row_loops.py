"""Generated row loops give the bytes of the numpy specification, on the host and on emulated cores."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import Builder, inputs_of

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.graph import ir
from mcuprune.plan.ir import Plan, row_loops
from mcuprune.plan.make import make_plan
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.model import breakdown
from mcuprune.verify.emulator import Emulator
from mcuprune.verify.host import HostModel
from mcuprune.verify.sizes import measure
from mcuprune.verify.toolchain import build_firmware, find_toolchain

ISAS = {"portable": frozenset({"portable"}), "dsp": frozenset({"portable", "dsp"})}
SANITIZED = ("-fsanitize=undefined", "-fno-sanitize-recover=all")


SEEDED = settings(
    deadline=None, max_examples=12, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def block(b: Builder, x: str, channels: int, stride: int) -> str:
    """A residual block whose shortcut is a convolution."""
    main = b.conv(b.conv(x, channels, stride=stride), channels, activation=None)
    return b.join(ir.Add, main, b.conv(x, channels, 1, stride, activation=None))


def streamed(graph: ir.QuantizedGraph, isa: frozenset[str]) -> Plan:
    return make_plan(graph, isa, streaming=True)


@st.composite
def tall_networks(draw) -> ir.QuantizedGraph:
    """Wide layers between a narrow input and a narrow end."""
    b = Builder(
        "tall",
        (draw(st.integers(8, 13)), draw(st.integers(4, 9)), draw(st.integers(1, 3))),
        draw(st.integers(0, 99)),
    )
    width = draw(st.integers(8, 13))
    kinds = {
        "conv": lambda x: b.conv(x, width, draw(st.sampled_from([1, 3, 5])), draw(st.integers(1, 2))),
        "depthwise": lambda x: b.depthwise(x, 1, draw(st.integers(1, 2)), draw(st.sampled_from([3, 5]))),
        "block": lambda x: block(b, x, width, draw(st.integers(1, 2))),
        "function": lambda x: b.activation(x, "hard_swish"),
        "pool": lambda x: b.pool(x, draw(st.sampled_from([ir.MaxPool2d, ir.AveragePool2d])), 2, 1),
    }
    x = b.conv("input", width)
    for kind in draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=3)):
        x = kinds[kind](x)
    x = b.conv(x, 2, 3, 2)
    return b.graph(b.linear(b.flatten(x), 3))


@pytest.mark.parametrize("isa", ISAS)
def test_loops_equal_the_specification(isa: str, tmp_path: Path) -> None:
    flags = SANITIZED if shutil.which("gcc") else ()
    loops = []

    @settings(
        deadline=None,
        max_examples=12,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tall_networks())
    def check(graph: ir.QuantizedGraph) -> None:
        plan = streamed(graph, ISAS[isa])
        assert plan.arena_bytes <= make_plan(graph, ISAS[isa]).arena_bytes
        loops.extend(row_loops(plan))
        sources = emit(graph, plan, load_board("stm32f4"))
        model = HostModel(sources.files, sources.name, tmp_path, sources.layers, flags=flags)
        inputs = inputs_of(graph, 6)
        expected = np.asarray(run_int8(graph, inputs)).reshape(6, -1)
        for in_arena in (False, True):
            np.testing.assert_array_equal(model.run(inputs, in_arena=in_arena), expected)

    check()
    assert len(loops) >= 4


@pytest.mark.parametrize("board", ["stm32f4", "rpi-pico", "esp32c3"])
def test_a_loop_on_the_core_costs_what_is_predicted(board: str, tmp_path: Path) -> None:
    b = Builder("rows", (20, 20, 3), 5, trained=True)
    x = b.conv("input", 16)
    x = block(b, block(b, x, 16, 1), 8, 2)
    graph = b.graph(b.linear(b.flatten(b.global_pool(x)), 4))
    machine = load_board(board)
    plan = streamed(graph, machine.core.isa)
    assert row_loops(plan)
    sources = emit(graph, plan, machine)
    elf = build_firmware(sources.files, sources.name, machine, find_toolchain(machine, "zig"), tmp_path)
    inputs = inputs_of(graph, 2)
    run = Emulator(elf, machine, sources.name).run(inputs.reshape(2, -1))
    np.testing.assert_array_equal(run.outputs, np.asarray(run_int8(graph, inputs)).reshape(2, -1))
    usage, sizes = breakdown(graph, plan, machine.core), measure(elf, sources.name)
    assert (sizes.constants, sizes.arena) == (usage.constants, usage.arena)
    assert abs(sizes.code - usage.code) <= 256
    assert run.stack_bytes <= usage.stack
    measured = sum(layer.cycles.mid for layer in run.layers)
    assert 0.9 * usage.cycles <= measured <= usage.cycles
