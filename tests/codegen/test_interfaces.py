"""Models with states, several inputs or outputs, other types than int8: structures instead of pointers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.graph.memory import settle
from mcuprune.plan.make import make_plan
from mcuprune.quantize.flat import run_flat, run_tensors, sample_bytes
from mcuprune.resources.model import breakdown
from mcuprune.verify.emulator import CallResult, Emulator
from mcuprune.verify.host import HostModel
from mcuprune.verify.interface import read_interface
from mcuprune.verify.sizes import measure
from mcuprune.verify.toolchain import build_firmware, find_toolchain
from tests.codegen.test_generated_code import STRICT
from tests.frontends.tflite_files import FileBuilder, streaming

Q = (0.05, 3)
FIRST = np.arange(-6, 6, dtype=np.int8).reshape(1, 12)
STM32F4 = load_board("stm32f4")


def two_by_three() -> bytes:
    """Inputs int8 and uint8; outputs int8, the same once more, and uint8, one of them read inside."""
    file = FileBuilder()
    x, u = file.input("x", (1, 3, 4), Q), file.tensor("u", (1, 12), "uint8", (0.05, 130))
    inner, flat = file.tensor("inner", (1, 12), "int8", Q), file.tensor("flat", (1, 12), "int8", Q)
    y, z = file.tensor("y */", (1, 12), "int8", (0.1, -7)), file.tensor("z", (1, 12), "uint8", (1 / 128, 128))
    t = file.tensor("t", (1, 12), "int8", (1 / 128, 0))
    file.operator("QUANTIZE", [u], [inner])
    file.operator("RESHAPE", [x], [flat], "ReshapeOptions")
    file.operator("ADD", [flat, inner], [y], "AddOptions")
    file.operator("TANH", [y], [t])
    file.operator("QUANTIZE", [t], [z])
    return file.pack([x, u], [y, x, z])


FILES = {
    "sum": streaming("sum", None),
    "first": streaming("sum", FIRST),
    "exchange": streaming("exchange", FIRST),
    "read_back": streaming("read back", None),
    "ends": two_by_three(),
}


def samples_of(graph: ir.QuantizedGraph, count: int) -> np.ndarray:
    return np.random.default_rng(4).integers(-128, 128, (count, sample_bytes(graph))).astype(np.int8)


@pytest.mark.parametrize("name", FILES)
def test_c_on_the_host(name: str, tmp_path: Path) -> None:
    graph = load_tflite(FILES[name], name)
    sources = emit(graph, make_plan(graph, frozenset({"portable"})), STM32F4)
    model = HostModel(sources.files, name, tmp_path, sources.layers, flags=STRICT)
    flat = samples_of(graph, 6)
    expected = run_flat(graph, flat)
    assert len(np.unique(expected, axis=0)) > 1
    for in_arena in (False, True):
        np.testing.assert_array_equal(model.run(flat, in_arena), expected)
    reference = run_tensors(graph, flat)
    for layer, values in model.tensors(flat[4], flat[:4]).items():
        np.testing.assert_array_equal(values, reference[layer][4].reshape(-1).view(np.int8))


@pytest.mark.parametrize("name", FILES)
def test_firmware(name: str, tmp_path: Path) -> None:
    graph = load_tflite(FILES[name], name)
    plan = make_plan(graph, STM32F4.core.isa)
    sources = emit(graph, plan, STM32F4)
    elf = build_firmware(sources.files, name, STM32F4, find_toolchain(STM32F4), tmp_path)
    flat = samples_of(graph, 5)
    emulator = Emulator(elf, STM32F4, name)
    for _ in range(2):  # every run is a sequence of its own
        np.testing.assert_array_equal(emulator.run(flat).outputs, run_flat(graph, flat))
    steps = [
        CallResult(call.node, plan.state_offsets[call.node], 12, "state")
        if call.node in plan.state_offsets
        else CallResult(call.node, plan.offsets[call.node], 12)
        for call in plan.steps
    ]
    reference = run_tensors(graph, flat)
    for layer, values in emulator.tensors(flat[3], steps, flat[:3]).items():
        np.testing.assert_array_equal(values, reference[layer][3].reshape(-1).view(np.int8))
    sizes, usage = measure(elf, name), breakdown(graph, plan, STM32F4.core)
    assert (sizes.constants, sizes.arena, sizes.state) == (usage.constants, usage.arena, usage.state)
    assert sizes.static_ram == usage.memory
    assert abs(sizes.code - usage.code) <= 256


def test_the_header_says_which_interface_it_has() -> None:
    faces = {}
    for name, data in FILES.items():
        graph = load_tflite(data, name)
        sources = emit(graph, make_plan(graph, frozenset({"portable"})), STM32F4)
        faces[name] = read_interface(sources.files, name)
        assert ("_reset(" in sources.files[f"include/{name}.h"]) == (faces[name].state > 0)
    assert not any(face.plain for face in faces.values())
    assert [face.state for face in faces.values()] == [24, 24, 24, 24, 0]
    assert [buffer.field for buffer in faces["ends"].inputs] == ["input0", "input1"]
    assert [buffer.field for buffer in faces["ends"].outputs] == ["output0", "output1", "output2"]
    assert (faces["ends"].input_bytes, faces["ends"].output_bytes) == (24, 36)


def test_wide_numbers_take_their_bytes(tmp_path: Path) -> None:
    """An int16 state, passed on to an int16 output."""
    q = ir.Quantization(0.01, 0, "int16")
    nodes = (ir.Input("x", ()), ir.State("s", (), "first"), ir.Reshape("r", ("s",)))
    graph = settle(
        ir.QuantizedGraph(
            "wide",
            nodes,
            ("r",),
            {"x": (2, 1, 3), "s": (6,), "r": (2, 1, 3)},
            dict.fromkeys(("x", "s", "r"), q),
            {"first": ir.Constant(np.arange(6, dtype=np.int16) * 1000)},
            {"s": "x"},
        )
    )
    plan = make_plan(graph, frozenset({"portable"}))
    assert (plan.state_bytes, plan.arena_bytes) == (12, 24)
    sources = emit(graph, plan, STM32F4)
    assert "const int16_t *input;" in sources.files["include/wide.h"]
    model = HostModel(sources.files, "wide", tmp_path, flags=STRICT)
    flat = samples_of(graph, 4)
    expected = np.concatenate([graph.constants["first"].values.view(np.int8)[None], flat[:3]])
    np.testing.assert_array_equal(run_flat(graph, flat), expected)
    np.testing.assert_array_equal(model.run(flat), expected)


def test_several_outputs_in_the_order_of_the_graph(tmp_path: Path) -> None:
    graph = load_tflite(FILES["ends"], "ends")
    turned = replace(graph, outputs=graph.outputs[::-1])
    sources = emit(turned, make_plan(turned, frozenset({"portable"})), STM32F4)
    model = HostModel(sources.files, "ends", tmp_path, flags=STRICT)
    flat = samples_of(graph, 3)
    straight = run_flat(graph, flat).reshape(3, 3, 12)
    np.testing.assert_array_equal(model.run(flat).reshape(3, 3, 12), straight[:, ::-1])
