"""A latency that is promised holds on the emulated core, for networks of very few channels too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from networks import Builder, inputs_of

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.graph.ir import Add, AveragePool2d, MaxPool2d, QuantizedGraph
from mcuprune.plan.make import make_plan
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.cycles import run_cycles
from mcuprune.resources.model import breakdown
from mcuprune.verify.emulator import Emulator
from mcuprune.verify.toolchain import build_firmware, find_toolchain

BOARDS = ("rpi-pico", "stm32vldiscovery", "stm32f4", "nucleo-h743zi", "nucleo-u575zi", "esp32c3")


def signal(width: int) -> QuantizedGraph:
    """One pixel a row, as of a sensor."""
    b = Builder("signal", (52, 1, 3), width, trained=True)
    x = b.conv("input", width, (5, 1))
    for stride in (2, 1, 2):
        x = b.conv(b.depthwise(x, 1, (stride, 1), (5, 1)), width, 1)
    return b.graph(b.linear(b.flatten(b.global_pool(x)), 3))


def image(width: int) -> QuantizedGraph:
    b = Builder("image", (12, 9, 1), width, trained=True)
    x = b.pool(b.conv("input", width, 3, 2), MaxPool2d, 2, 1)
    x = b.conv(b.depthwise(b.conv(x, 2 * width), 1, 1, 3), width, 1)
    return b.graph(b.linear(b.flatten(b.pool(x, AveragePool2d, 2, 2)), 2))


def joined(width: int) -> QuantizedGraph:
    """Layers behind a ReLU that share their scale with signed numbers, so that they must clamp."""
    b = Builder("joined", (10, 9, 2), width)
    x = b.conv("input", width, 3)
    parts = (b.conv(x, width, 1), b.conv(x, width, 1, activation=None), b.depthwise(x), b.conv(x, width, 5))
    x = b.concat(*parts)
    x = b.join(Add, b.conv(x, width, 3), b.conv(x, width, 1))
    return b.graph(b.linear(b.flatten(x), 40, activation="relu"))


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("objective", ["cycles", "size"])
@pytest.mark.parametrize("network", [signal, image, joined])
def test_no_run_takes_longer_than_promised(
    board: str, objective: str, network: Callable[[int], QuantizedGraph], tmp_path: Path
) -> None:
    machine = load_board(board)
    toolchain = find_toolchain(machine, "zig")
    for width in (1, 2, 3, 5):
        graph = network(width)
        plan = make_plan(graph, machine.core.isa, objective)
        sources = emit(graph, plan, machine)
        elf = build_firmware(sources.files, sources.name, machine, toolchain, tmp_path / str(width))
        inputs = inputs_of(graph, 2)
        run = Emulator(elf, machine, sources.name).run(inputs.reshape(2, -1))
        np.testing.assert_array_equal(run.outputs, np.asarray(run_int8(graph, inputs)).reshape(2, -1))
        usage = breakdown(graph, plan, machine.core)
        assert run.cycles is not None
        assert run.glue.cycles.mid <= run_cycles(len(plan.steps)), f"run function, width {width}"
        assert 0.85 * usage.cycles <= run.cycles.mid <= usage.cycles, f"width {width}"
