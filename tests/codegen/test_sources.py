"""The package as text and data: names, constants, structures, determinism, what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from mcuprune.board import load_board
from mcuprune.codegen import Sources, emit
from mcuprune.codegen.c_structs import Field, Pointer, Value, image, structures
from mcuprune.codegen.c_text import Names, comment, float32, integer, model_identifier, rows
from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.kernels.constants import STRUCT_BYTES
from mcuprune.plan.ir import Plan
from mcuprune.plan.make import make_plan
from mcuprune.quantize.parameters import (
    ConcatPart,
    Conv2dParameters,
    ElementwiseParameters,
    FullyConnectedParameters,
    LookupParameters,
    PadParameters,
    Pool2dParameters,
    SoftmaxParameters,
)
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.host import HostModel
from tests.codegen.networks import MODELS, Builder, inputs_of, plain

ROOT = Path(__file__).resolve().parents[2]
PORTABLE = frozenset({"portable"})


def sources_of(graph: ir.QuantizedGraph) -> Sources:
    return emit(graph, make_plan(graph, PORTABLE), load_board("stm32f4"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kws", "kws"),
        ("My-Net v2", "my_net_v2"),
        ("int", "model_int"),
        ("stdint", "model_stdint"),
        ("mcp_add_s8", "model_mcp_add_s8"),
        ("2fast", "model_2fast"),
        ('*/ "quoted"\nline', "quoted_line"),
        ("größe", "gr_e"),
        ("モデル", "model"),
        ("", "model"),
        ("a" * 100, "a" * 40),
    ],
)
def test_model_names(name: str, expected: str) -> None:
    assert model_identifier(name) == expected


def test_names_are_distinct() -> None:
    names = Names(["net_run"])
    assert [names.new(wish) for wish in ("net_run", "net_a.b", "net_a/b", "net_run")] == [
        "net_run_2",
        "net_a_b",
        "net_a_b_2",
        "net_run_3",
    ]


def test_text_of_numbers() -> None:
    assert integer(-(2**31)) == "(-2147483647 - 1)"
    assert float32(0.1) == "0x1.99999ap-4f"
    assert float.fromhex(float32(0.1)[:-1]) == float(np.float32(0.1))
    assert float32(1.0) == "0x1p+0f"
    assert comment("a */ b /* ?? \\ \n ü") == "a _/ b /_ _ _ _ _"
    assert rows(np.array([1, -128], np.int8)) == "    1, -128,"
    assert max(len(line) for line in rows(np.arange(500, dtype=np.int32)).splitlines()) <= 100


def zeros(kind: str) -> dict:
    def value(field: Field) -> Value:
        if field.type == "pointer":
            return Pointer("array")
        return zeros(field.type) if field.type in structures() else 0

    return {field.name: value(field) for field in structures()[kind]}


@pytest.mark.parametrize("kind", STRUCT_BYTES)
def test_structures_have_the_sizes_that_are_counted(kind: str) -> None:
    found = image(kind, zeros(kind), "layer")
    assert len(found.data) == STRUCT_BYTES[kind]
    assert set(found.pointers.values()) <= {"array"}


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("mcp_conv2d", Conv2dParameters),
        ("mcp_fully_connected", FullyConnectedParameters),
        ("mcp_pool2d", Pool2dParameters),
        ("mcp_elementwise", ElementwiseParameters),
        ("mcp_concat", ConcatPart),
        ("mcp_pad", PadParameters),
        ("mcp_lookup", LookupParameters),
        ("mcp_softmax", SoftmaxParameters),
    ],
)
def test_header_and_parameters_have_the_same_fields(kind: str, record: type) -> None:
    assert {field.name for field in structures()[kind]} == {
        field.name for field in dataclasses.fields(record)
    }


def test_a_number_beyond_its_field_is_refused() -> None:
    values = {"hw": 1, "in_c": 1 << 31, "out_c": 1, "offset": 0}
    with pytest.raises(UnsupportedError, match="'join': in_c is 2147483648, the kernel's limit is 2147"):
        image("mcp_concat", values, "join")


@pytest.mark.parametrize("model", MODELS)
def test_constants_are_those_in_the_text(model) -> None:
    sources = sources_of(model())
    text = sources.files[f"src/{sources.name}.c"]
    arrays = re.findall(r"static const (int8|int32)_t (\w+)\[(\d+)\] = \{\n(.*?)\n\};", text, re.DOTALL)
    assert {name for _, name, _, _ in arrays} | set(sources.structs) <= {
        *sources.constants,
        *sources.structs,
    }
    for kind, name, size, body in arrays:
        values = [eval(word) for word in body.replace("\n", " ").strip().rstrip(",").split(",")]
        assert len(values) == int(size)
        assert (
            np.array(values).astype(f"<{'i1' if kind == 'int8' else 'i4'}").tobytes()
            == sources.constants[name]
        )
    declared = set(re.findall(r"static const \w+ (\w+)", text))
    assert declared == {*sources.constants, *sources.structs}
    for data in sources.structs.values():
        assert set(data.pointers.values()) <= set(sources.constants)


def test_equal_arrays_are_stored_each_so_that_flash_follows_from_widths() -> None:
    b = Builder("twins", (4, 4, 2))
    x = b.activation(b.conv("input", 2, activation=None), "sigmoid")
    graph = b.graph(b.activation(x, "hard_swish"))
    table = b.constants["conv1.weight"]
    window = ir.Window((3, 3), padding=(1, 1, 1, 1))
    same = replace(
        graph,
        nodes=(
            *graph.nodes,
            ir.Conv2d("again", graph.outputs, "copy", None, window, own_multipliers=True),
        ),
        outputs=("again",),
        shapes={**graph.shapes, "again": (4, 4, 2)},
        quantization={**graph.quantization, "again": ir.Quantization(0.05, 0)},
        constants={**graph.constants, "copy": ir.Constant(table.values.copy(), table.scale)},
    )
    sources = sources_of(same)
    weights = [name for name in sources.constants if name.endswith("_weight")]
    assert weights == ["twins_conv1_weight", "twins_again_weight"]
    assert "twins_again_weight" in sources.structs["twins_again"].pointers.values()


def test_hostile_names_never_appear() -> None:
    graph = plain()
    bad = ['*/ int x; /*"', "run", "a\nb", "run", 'ü"; #error', "??/", "plain_run"]
    renamed = {node.name: f"{bad[i % len(bad)]}{'' if i < 2 else i}" for i, node in enumerate(graph.nodes)}
    nodes = tuple(
        replace(node, name=renamed[node.name], inputs=tuple(renamed[name] for name in node.inputs))
        for node in graph.nodes
    )
    hostile = replace(
        graph,
        name='ev*/il"\n#error',
        nodes=nodes,
        outputs=tuple(renamed[name] for name in graph.outputs),
        shapes={renamed[name]: shape for name, shape in graph.shapes.items()},
        quantization={renamed[name]: q for name, q in graph.quantization.items()},
    )
    sources = sources_of(hostile)
    assert sources.name == "ev_il_error"
    for path, text in sources.files.items():
        assert re.fullmatch(r"(include|src)/[a-z0-9_]+\.[ch]", path)
        assert text.isascii()
        assert "int x;" not in text
    assert [layer.node for layer in sources.layers] == [
        renamed[layer.node] for layer in sources_of(graph).layers
    ]


def test_hostile_names_still_compute(tmp_path: Path) -> None:
    graph = replace(plain(), name="double")
    sources = sources_of(graph)
    model = HostModel(sources.files, sources.name, tmp_path)
    inputs = inputs_of(graph, 4)
    assert sources.name == "model_double"
    assert np.array_equal(model.run(inputs), run_int8(graph, inputs))


def test_a_model_without_layers_is_refused() -> None:
    b = Builder("empty", (2, 2, 1))
    with pytest.raises(UnsupportedError, match="no layer"):
        sources_of(b.graph(b.flatten("input")))


def test_an_unknown_node_class_is_refused() -> None:
    @dataclass(frozen=True)
    class Unknown(ir.Node):
        pass

    graph = replace(plain(), nodes=(*plain().nodes[:-1], Unknown("softmax6", ("linear5",))))
    plan = make_plan(plain(), PORTABLE)
    assert isinstance(plan, Plan)
    with pytest.raises(UnsupportedError, match="'softmax6'"):
        emit(graph, plan, load_board("stm32f4"))


def test_only_the_kernels_used_are_copied() -> None:
    sources = sources_of(MODELS[5]())
    assert sorted(sources.files) == [
        "include/perceptron.h",
        "src/mcp_arithmetic.h",
        "src/mcp_channels.h",
        "src/mcp_fully_connected.h",
        "src/mcp_fully_connected_s8.c",
        "src/mcp_fully_connected_shared_s8.c",
        "src/mcp_kernels.h",
        "src/mcp_lookup_s8.c",
        "src/mcp_port.h",
        "src/perceptron.c",
    ]


def test_two_processes_write_the_same_bytes(tmp_path: Path) -> None:
    program = (
        "import hashlib, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.codegen.test_sources import digest\n"
        "print(digest())\n"
    )
    digests = set()
    for seed, folder in (("1", ROOT), ("77", tmp_path)):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, cwd=folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)
    assert digests == {digest() + "\n"}


def digest() -> str:
    everything = [sorted(sources_of(model()).files.items()) for model in MODELS]
    return hashlib.sha256(repr(everything).encode()).hexdigest()
