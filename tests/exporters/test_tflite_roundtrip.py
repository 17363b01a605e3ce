"""What is written as .tflite is read back as the same network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, given, settings

from mcuprune.errors import UnsupportedError
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.graph.memory import settle
from mcuprune.quantize.run_int8 import run_int8
from tests.quantize.int8_graphs import OPERATORS, activations, batch, every_value, one_op, small_network

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def assert_same_constants(first: ir.QuantizedGraph, second: ir.QuantizedGraph) -> None:
    used = {
        key
        for node in first.nodes
        for key in (getattr(node, "weight", None), getattr(node, "bias", None))
        if key
    }
    assert set(second.constants) == used
    for key in used:
        np.testing.assert_array_equal(first.constants[key].values, second.constants[key].values)
        assert first.constants[key].values.dtype == second.constants[key].values.dtype


def leading(node: ir.Node) -> ir.Node:
    """The node without the padding at the end, which no window may reach and the file then leaves out."""
    window = getattr(node, "window", None)
    if window is None:
        return node
    return replace(node, window=replace(window, padding=(*window.padding[:2], 0, 0)))


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator(operator: str) -> None:
    @QUICK
    @given(OPERATORS[operator])
    def check(graph: ir.QuantizedGraph) -> None:
        again = load_tflite(write_tflite(graph))
        x = batch(graph)
        np.testing.assert_array_equal(run_int8(graph, x), run_int8(again, x))
        assert_same_constants(graph, again)
        # an output is never its input's memory: reading adds the copy
        assert [leading(node) for node in again.nodes] == [leading(node) for node in settle(graph).nodes]

    check()


@pytest.mark.parametrize("function", ir.FUNCTIONS)
def test_function(function: str) -> None:
    @QUICK
    @given(activations(function))
    def check(graph: ir.QuantizedGraph) -> None:
        again = load_tflite(write_tflite(graph))
        np.testing.assert_array_equal(run_int8(graph, every_value()), run_int8(again, every_value()))
        assert again.nodes[-1].function == function
        assert again.quantization["y"] == graph.quantization["y"]

    check()


def test_network() -> None:
    graph = small_network()
    again = load_tflite(write_tflite(graph), "small")
    assert again.nodes == graph.nodes
    assert again.outputs == graph.outputs
    assert dict(again.shapes) == dict(graph.shapes)
    assert_same_constants(graph, again)
    for key in again.constants:
        if key.endswith(".w"):
            np.testing.assert_array_equal(again.constants[key].scale, graph.constants[key].scale)
    assert write_tflite(again) == write_tflite(graph)


def test_bytes_are_deterministic() -> None:
    assert write_tflite(small_network()) == write_tflite(small_network())


def test_constants_are_aligned() -> None:
    data = write_tflite(small_network())
    model = schema.Model.GetRootAsModel(data, 0)
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            assert buffer._tab.Vector(buffer._tab.Offset(4)) % 16 == 0


def test_weights_are_quantized_per_channel() -> None:
    graph = small_network()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(write_tflite(graph), 0))
    tensors = {tensor.name.decode(): tensor for tensor in model.subgraphs[0].tensors}
    assert tensors["d.w"].quantization.quantizedDimension == 3
    assert tensors["c1.w"].quantization.quantizedDimension == 0
    np.testing.assert_array_equal(tensors["c1.w"].quantization.scale, graph.constants["c1.w"].scale)
    expected = np.float32(graph.quantization["x"].scale) * graph.constants["c1.w"].scale
    np.testing.assert_array_equal(tensors["c1.b"].quantization.scale, expected)


def test_average_pool_with_padding_that_tflite_lacks_is_refused() -> None:
    q = ir.Quantization(0.1, 0)
    node = ir.AveragePool2d("pool", ("x",), ir.Window((3, 3), (2, 2), (1, 1, 1, 1)))
    with pytest.raises(UnsupportedError, match="layer 'pool': average pooling with padding"):
        write_tflite(one_op(node, (8, 8, 2), (4, 4, 2), q, q))
