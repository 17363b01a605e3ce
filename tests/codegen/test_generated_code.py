"""The generated C computes what the integer interpreter specifies, byte for byte, and compiles clean."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.board import load_board
from mcuprune.codegen import Sources, emit
from mcuprune.graph import ir
from mcuprune.plan.make import make_plan
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.compare import compare_outputs, first_difference
from mcuprune.verify.constants import compare_constants
from mcuprune.verify.host import HostModel
from mcuprune.verify.interface import read_interface
from mcuprune.verify.sizes import measure
from mcuprune.verify.toolchain import build_firmware, find_toolchain, host_compiler
from tests.codegen.networks import MODELS, Builder, inputs_of

STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow", "-Wundef")
SANITIZED = ("-O0", "-fsanitize=undefined", "-fno-sanitize-recover=all")
ISAS = (frozenset({"portable"}), frozenset({"portable", "dsp"}))
ISA_NAMES = ("portable", "dsp")
STM32F4 = load_board("stm32f4")


def sources_of(graph: ir.QuantizedGraph, isa: frozenset[str] = ISAS[0]) -> Sources:
    return emit(graph, make_plan(graph, isa), STM32F4)


def assert_equal(graph: ir.QuantizedGraph, isa: frozenset[str], folder: Path, flags: tuple[str, ...]) -> None:
    sources = sources_of(graph, isa)
    model = HostModel(sources.files, sources.name, folder, sources.layers, flags=flags)
    inputs = inputs_of(graph, 30)
    expected = run_int8(graph, inputs)
    assert isinstance(expected, np.ndarray)
    assert compare_outputs(expected, model.run(inputs)).equal
    assert compare_outputs(expected, model.run(inputs, in_arena=True)).equal
    tensors = run_int8(graph, inputs[2:3], keep_all=True)
    assert isinstance(tensors, dict)
    assert first_difference(tensors, model.tensors(inputs[2])) is None


@pytest.mark.parametrize("isa", ISAS, ids=ISA_NAMES)
@pytest.mark.parametrize("model", MODELS)
def test_models_equal_the_interpreter(model, isa: frozenset[str], tmp_path: Path) -> None:
    assert_equal(model(), isa, tmp_path, STRICT)


STRIDES = st.integers(1, 2)
SIZES = st.integers(1, 6)
CLAMPS = st.sampled_from(ir.CLAMPS)
POOLS = st.sampled_from([ir.MaxPool2d, ir.AveragePool2d])
FUNCTIONS = st.sampled_from(["hard_swish", "tanh", "leaky_relu"])
PADDINGS = st.tuples(*[st.integers(0, 2)] * 4)
SEEDED = settings(
    deadline=None,
    max_examples=6,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
)


def gated(b: Builder, x: str) -> str:
    """Squeeze and excitation."""
    return b.join(ir.Mul, x, b.activation(b.conv(b.global_pool(x), b.shapes[x][2], 1), "sigmoid"))


@st.composite
def graphs(draw) -> ir.QuantizedGraph:
    """A chain of random operators, with residual sums, gates and concatenations."""
    shape = (draw(st.integers(3, 7)), draw(st.integers(3, 7)), draw(st.integers(1, 5)))
    b = Builder("random", shape, draw(st.integers(0, 999)), sharing=draw(st.sampled_from((0.0, 0.5, 1.0))))
    kinds = {
        "conv": lambda x: b.conv(x, draw(SIZES), draw(st.sampled_from([1, 3])), draw(STRIDES)),
        "bare": lambda x: b.conv(x, draw(SIZES), bias=False, activation=draw(CLAMPS)),
        "depthwise": lambda x: b.depthwise(x, draw(st.integers(1, 3)), draw(STRIDES)),
        "residual": lambda x: b.join(ir.Add, x, b.conv(x, b.shapes[x][2])),
        "gate": lambda x: gated(b, x),
        "concat": lambda x: b.concat(b.conv(x, draw(SIZES)), b.depthwise(x)),
        "pool": lambda x: b.pool(x, draw(POOLS), 3, 2, 1),
        "function": lambda x: b.activation(x, draw(FUNCTIONS)),
        "pad": lambda x: b.pad(x, draw(PADDINGS)),
    }
    x = "input"
    for kind in draw(st.lists(st.sampled_from(sorted(kinds)), min_size=1, max_size=5)):
        x = kinds[kind](x)
    x = b.linear(b.flatten(x), draw(SIZES), per_channel=draw(st.booleans()))
    return b.graph(b.softmax(x) if draw(st.booleans()) else x)


@pytest.mark.parametrize("isa", ISAS, ids=ISA_NAMES)
def test_random_networks_equal_the_interpreter(isa: frozenset[str], tmp_path: Path) -> None:
    flags = (*STRICT, *SANITIZED) if shutil.which("gcc") else STRICT

    @SEEDED
    @given(graphs())
    def check(graph: ir.QuantizedGraph) -> None:
        assert_equal(graph, isa, tmp_path, flags)

    check()


def test_a_weight_changed_in_the_c_is_found_in_its_layer(tmp_path: Path) -> None:
    graph = MODELS[0]()
    sources = sources_of(graph)
    text = sources.files["src/plain.c"]
    start = text.index("{\n", text.index("plain_conv3_weight[")) + 2
    first = text[start : text.index(",", start)]
    changed = text[:start] + str(-int(first) // 2 - 40) + text[start + len(first) :]
    model = HostModel({**sources.files, "src/plain.c": changed}, sources.name, tmp_path, sources.layers)
    batches = inputs_of(graph, 10)[:, None]
    found = [first_difference(run_int8(graph, x, keep_all=True), model.tensors(x[0])) for x in batches]
    assert {difference.layer for difference in found if difference} == {"conv3"}


@pytest.mark.parametrize("isa", ISAS, ids=ISA_NAMES)
def test_compiles_clean_with_clang(
    isa: frozenset[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ziglang", reason="the zig compiler is not installed")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    clang = host_compiler()
    assert clang.name == "zig"
    graph = MODELS[2]()
    sources = sources_of(graph, isa)
    model = HostModel(sources.files, sources.name, tmp_path, sources.layers, clang, STRICT)
    inputs = inputs_of(graph, 10)
    assert compare_outputs(run_int8(graph, inputs), model.run(inputs)).equal


def compile_text(text: str, files: dict[str, str], folder: Path, *flags: str) -> subprocess.CompletedProcess:
    for path, content in {**files, "test.c": text}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    command = [*host_compiler().command, "-Iinclude", "-Isrc", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_float_conversions_round_halves_away_from_zero(tmp_path: Path) -> None:
    sources = sources_of(MODELS[0]())
    program = """
    #define PLAIN_WITH_FLOAT
    #include "plain.h"
    #include <stdio.h>
    int main(void)
    {
        const float unit = PLAIN_INPUT_SCALE;
        const float nan = (unit - unit) / (unit - unit);
        const float values[] = {0.0f, unit * 2.5f, unit * -2.5f, 1e30f, -1e30f, nan, unit * 0.49999997f};
        for (int i = 0; i < 7; i++) {
            printf("%d ", plain_quantize(values[i]));
        }
        return plain_dequantize(-128) == 0.0f && plain_dequantize(0) == 0.5f ? 0 : 1;
    }
    """
    built = compile_text(program, dict(sources.files), tmp_path, "-std=c99", *STRICT, "test.c", "-o", "test")
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([tmp_path / "test"], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["3", "6", "0", "127", "-128", "-128", "3"]


def test_header_is_c11_and_cpp(tmp_path: Path) -> None:
    files = dict(sources_of(MODELS[0]()).files)
    use = '#include "plain.h"\nint main(void) { return plain_run(0, 0, 0) == 1 ? 0 : 1; }\n'
    assert compile_text(use, files, tmp_path, "-std=c11", *STRICT, "-c", "test.c").returncode == 0
    if shutil.which("g++"):
        cpp = compile_text(use, files, tmp_path, "-x", "c++", "-Wall", "-Werror", "-fsyntax-only", "test.c")
        assert cpp.returncode == 0, cpp.stderr
    small = files["include/plain.h"].replace("_BOARD_RAM 131072", "_BOARD_RAM 8")
    refused = compile_text(use, {**files, "include/plain.h": small}, tmp_path, "-std=c11", "-c", "test.c")
    assert refused.returncode != 0
    assert "arena does not fit" in refused.stderr


def test_dsp_kernels_refuse_a_build_without_dsp(tmp_path: Path) -> None:
    sources = sources_of(MODELS[0](), ISAS[1])
    assert any(layer.kernel.endswith("_dsp") for layer in sources.layers)
    refused = compile_text("", dict(sources.files), tmp_path, "-std=c99", "-c", "src/plain.c")
    assert refused.returncode != 0
    assert "-mcpu=cortex-m4" in refused.stderr


def test_run_refuses_null_and_misaligned_memory(tmp_path: Path) -> None:
    sources = sources_of(MODELS[0]())
    program = """
    #include "plain.h"
    int main(void)
    {
        static int32_t words[PLAIN_ARENA_SIZE / 4 + 1];
        static int8_t in[PLAIN_INPUT_SIZE], out[PLAIN_OUTPUT_SIZE];
        int8_t *arena = (int8_t *)words;
        return plain_run(0, out, arena) + 2 * plain_run(in, 0, arena) + 4 * plain_run(in, out, 0)
               + 8 * plain_run(in, out, arena + 2) + 16 * plain_run(in, out, arena);
    }
    """
    units = sorted(path for path in sources.files if path.endswith(".c"))
    built = compile_text(program, dict(sources.files), tmp_path, "-std=c99", "test.c", *units, "-o", "test")
    assert built.returncode == 0, built.stderr
    assert subprocess.run([tmp_path / "test"]).returncode == 15


@pytest.mark.parametrize("board", ["stm32f4", "pico", "esp32c3"])
def test_the_linked_image_holds_exactly_the_constants_announced(board: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang", reason="the zig compiler is not installed")
    target = load_board(board)
    graph = MODELS[2]()
    sources = emit(graph, make_plan(graph, target.core.isa), target)
    elf = build_firmware(sources.files, sources.name, target, find_toolchain(target), tmp_path)
    sizes = measure(elf, sources.name)
    assert sizes.constants == sources.constant_bytes
    assert sizes.arena == read_interface(sources.files, sources.name).arena
    assert (sizes.data, sizes.bss) == (0, 0)
    assert compare_constants(elf, sources) == []
    other = emit(MODELS[2](seed=1), make_plan(graph, target.core.isa), target)
    assert compare_constants(elf, other)
