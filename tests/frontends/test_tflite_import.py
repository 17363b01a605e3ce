"""Foreign, damaged and unsupported .tflite files."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.errors import McupruneError, UnsupportedError, UsageError
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import run_tflm
from tests.quantize.int8_graphs import batch, one_op, small_network

GOOD = write_tflite(small_network())
Q = ir.Quantization(0.1, 3)


def edited(change) -> bytes:
    """The small network's file after ``change`` worked on its object form."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(GOOD, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def tensor_named(model: schema.ModelT, name: str) -> schema.TensorT:
    return next(t for t in model.subgraphs[0].tensors if t.name == name.encode())


@pytest.mark.parametrize(
    "data", [b"", b"TFL3", b"not a model at all", GOOD[:100], GOOD[: len(GOOD) // 2], b"\0" * 64]
)
def test_damaged_file(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        load_tflite(data)
    assert "\n" not in str(caught.value)
    assert "not a .tflite file" in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_never_escape_as_another_exception(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(McupruneError):
        load_tflite(bytes(damaged))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_tflite(tmp_path / "nothing.tflite")


def test_graph_is_named_after_the_file(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_bytes(GOOD)
    assert load_tflite(path).name == "net"
    assert load_tflite(GOOD).name == "small"


def test_unsupported_operator_is_named() -> None:
    def change(model: schema.ModelT) -> None:
        code = next(c for c in model.operatorCodes if c.builtinCode == schema.BuiltinOperator.HARD_SWISH)
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FLOOR

    with pytest.raises(UnsupportedError, match="FLOOR producing tensor 'h': this operator is not supported"):
        load_tflite(edited(change))


def test_float_model_is_refused() -> None:
    def change(model: schema.ModelT) -> None:
        tensor_named(model, "c2").type = schema.TensorType.FLOAT32

    with pytest.raises(UnsupportedError, match="tensor 'c2' is FLOAT32: only int8"):
        load_tflite(edited(change))


def test_shape_that_contradicts_the_operators_is_refused() -> None:
    def change(model: schema.ModelT) -> None:
        tensor_named(model, "d").shape = np.array([1, 5, 4, 5], np.int32)

    with pytest.raises(UsageError, match=r"tensor 'd': the file says shape \(5, 4, 5\)"):
        load_tflite(edited(change))


@pytest.mark.parametrize(("scale", "zero_point"), [(np.nan, 0), (0.0, 0), (-1.0, 0), (0.1, 200)])
def test_impossible_quantization_is_refused(scale: float, zero_point: int) -> None:
    def change(model: schema.ModelT) -> None:
        found = tensor_named(model, "l").quantization
        found.scale, found.zeroPoint = np.array([scale], np.float32), np.array([zero_point], np.int64)

    with pytest.raises(UsageError, match="tensor 'l': impossible"):
        load_tflite(edited(change))


def test_long_names_are_shortened_and_kept_apart() -> None:
    def change(model: schema.ModelT) -> None:
        first, second = tensor_named(model, "c1"), tensor_named(model, "c2")
        first.name, second.name = "a/Relu;b/BiasAdd", "a/Relu;c"
        tensor_named(model, "d").name = "d */ e"

    names = [node.name for node in load_tflite(edited(change)).nodes]
    assert names[1:3] == ["a/Relu", "a/Relu_2"]
    assert names[4] == "d__/_e"


def test_fully_connected_reads_a_map_directly() -> None:
    def change(model: schema.ModelT) -> None:
        graph = model.subgraphs[0]
        reshape = next(o for o in graph.operators if model.operatorCodes[o.opcodeIndex].builtinCode == 22)
        graph.operators = [o for o in graph.operators if o is not reshape]
        for operator in graph.operators:
            operator.inputs = np.where(
                operator.inputs == reshape.outputs[0], reshape.inputs[0], operator.inputs
            )

    graph = small_network()
    x = batch(graph, 10)
    np.testing.assert_array_equal(run_int8(load_tflite(edited(change)), x), run_int8(graph, x))


def test_explicit_pad_becomes_the_window_s_own() -> None:
    weight = ir.Constant(np.ones((1, 3, 3, 1), np.int8), np.array([0.1], np.float32))
    window = ir.Window((3, 3), (2, 2), (1, 1, 1, 1))
    graph = one_op(ir.Conv2d("y", ("x",), "w", None, window), (8, 8, 1), (4, 4, 1), Q, Q, {"w": weight})
    assert load_tflite(write_tflite(graph)).nodes == graph.nodes


def test_padding_that_others_read_stays_a_node() -> None:
    nodes = (
        ir.Input("x", ()),
        ir.Pad("p", ("x",), (1, 0, 1, 0)),
        ir.MaxPool2d("y", ("p",), ir.Window((2, 2))),
    )
    shapes = {"x": (4, 4, 1), "p": (6, 4, 1), "y": (5, 3, 1)}
    graph = ir.QuantizedGraph("g", nodes, ("y", "p"), shapes, dict.fromkeys(shapes, Q), {})
    again = load_tflite(write_tflite(graph))
    assert again.nodes == nodes
    assert again.outputs == ("y", "p")


MODELS = {
    "image_classification__pretrainedResnet_quant.tflite": 17,
    "keyword_spotting__kws_ref_model.tflite": 14,
    "visual_wake_words__vww_96_int8.tflite": 32,
    "anomaly_detection__ToyCar__baseline_tf23__model__model_ToyCar_quant_fullint_micro_intio.tflite": 11,
    "streaming_wakeword__str_ww_ref_model.tflite": 12,
}


@pytest.mark.parametrize("name", MODELS)
def test_mlperf_tiny_model(name: str) -> None:
    """Byte for byte the outputs of TFLM on the original file, and on the file written from what was read."""
    path = Path(os.environ.get("MCUPRUNE_DATA", "")) / "mlperf_tiny" / "models" / name
    if not path.is_file():
        pytest.skip("MCUPRUNE_DATA does not name a folder with mlperf_tiny/models")
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    graph = load_tflite(path)
    assert len(graph.nodes) == MODELS[name]
    x = batch(graph, 10)
    ours = run_int8(graph, x)
    np.testing.assert_array_equal(ours, run_tflm(path.read_bytes(), x))
    np.testing.assert_array_equal(ours, run_tflm(write_tflite(graph), x))


def test_a_file_that_counts_without_end_is_refused() -> None:
    """One table referred to again and again: small in the file, endless as objects."""

    def change(model: schema.ModelT) -> None:
        model.subgraphs = model.subgraphs * 65

    with pytest.raises(UsageError, match="too many subgraphs"):
        load_tflite(edited(change))
