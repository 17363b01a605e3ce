"""Networks whose arena is spread over two memories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import Builder, inputs_of, residual

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.graph import ir
from mcuprune.plan.make import make_plan
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.model import breakdown
from mcuprune.verify.emulator import Emulator
from mcuprune.verify.host import HostModel
from mcuprune.verify.sizes import measure
from mcuprune.verify.toolchain import build_firmware, find_toolchain


def branching() -> ir.QuantizedGraph:
    """Three tensors of a kilobyte at once."""
    b = Builder("spread", (8, 8, 3), 3)
    x = b.conv("input", 16)
    x = b.join(ir.Add, b.conv(b.conv(x, 16), 16), x)
    return b.graph(b.linear(b.flatten(b.conv(x, 2, 3, 2)), 3))


@pytest.mark.parametrize("model", [branching, residual])
def test_two_memories_give_the_same_bytes(model, tmp_path: Path) -> None:
    board, graph = load_board("stm32f4"), model()
    whole = make_plan(graph, board.core.isa)
    first = max(whole.arena_bytes * 2 // 3 // 4 * 4, 4)
    plan = make_plan(graph, board.core.isa, banks=(first, whole.arena_bytes))
    assert plan.arena_bytes <= first
    assert len(plan.banks) == 1
    assert plan.banks[0].bytes > 0
    sources = emit(graph, plan, board)
    inputs = inputs_of(graph, 4)
    expected = np.asarray(run_int8(graph, inputs)).reshape(4, -1)
    host = HostModel(sources.files, sources.name, tmp_path, sources.layers, flags=("-fsanitize=undefined",))
    for in_arena in (False, True):
        np.testing.assert_array_equal(host.run(inputs, in_arena=in_arena), expected)
    elf = build_firmware(sources.files, sources.name, board, find_toolchain(board, "zig"), tmp_path)
    np.testing.assert_array_equal(
        Emulator(elf, board, sources.name).run(inputs.reshape(4, -1)).outputs, expected
    )
    sizes, usage = measure(elf, sources.name), breakdown(graph, plan, board.core)
    assert (sizes.arena, sizes.banks) == (usage.arena, usage.other_banks)


def test_one_memory_is_used_where_it_suffices() -> None:
    board, graph = load_board("stm32f4"), residual()
    assert make_plan(graph, board.core.isa, banks=board.ram_banks()) == make_plan(graph, board.core.isa)


def test_a_board_offers_its_banks_less_what_is_reserved() -> None:
    board = load_board("stm32f4")
    assert board.ram_banks() == (128 * 1024 - 32 * 1024 - 1024, 64 * 1024)
    greedy = replace(board, reserved=replace(board.reserved, ram=1 << 20))
    assert greedy.ram_banks()[0] == 0
