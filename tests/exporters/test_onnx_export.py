"""The QDQ ONNX model runs in onnxruntime and names the same class as the integer network."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings

from mcuprune.exporters.onnx import write_onnx
from mcuprune.graph import ir
from mcuprune.quantize.run_int8 import run_int8
from tests.frontends.qdq_files import exact_options
from tests.quantize.int8_graphs import OPERATORS, activations, batch, every_value, small_network

onnxruntime = pytest.importorskip("onnxruntime")
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


def run_onnx(model: bytes, graph: ir.QuantizedGraph, x: np.ndarray) -> np.ndarray:
    """Stored integers of the first output for stored integers ``x``."""
    source, target = graph.quantization[graph.inputs[0]], graph.quantization[graph.outputs[0]]
    session = onnxruntime.InferenceSession(model, exact_options(), providers=["CPUExecutionProvider"])
    real = (np.float32(source.scale) * (x.astype(np.float32) - source.zero_point)).astype(np.float32)
    (result,) = session.run(None, {graph.inputs[0]: real})
    assert result.shape == (len(x), *graph.shape(graph.outputs[0]))
    return np.round(result / np.float32(target.scale)) + target.zero_point


def tolerance(graph: ir.QuantizedGraph) -> float:
    """Two output steps, and what one step of the intermediate tensor of an elementwise graph is worth."""
    if "a" not in graph.shapes:
        return 2
    scale = {name: found.scale for name, found in graph.quantization.items()}
    factor = 255 * scale["x"] if any(isinstance(node, ir.Mul) for node in graph.nodes) else 1
    return 2 + factor * scale["a"] / scale["y"]


@pytest.mark.parametrize("operator", OPERATORS)
def test_operator_within_a_rounding_step(operator: str) -> None:
    @QUICK
    @given(OPERATORS[operator])
    def check(graph: ir.QuantizedGraph) -> None:
        assume(
            operator != "softmax" or graph.shape("y")[-1] > 1
        )  # onnxruntime wraps a probability of 1.0 there
        x = batch(graph)
        difference = np.abs(run_onnx(write_onnx(graph), graph, x) - run_int8(graph, x))
        assert difference.max() <= tolerance(graph)

    check()


@pytest.mark.parametrize("function", ir.FUNCTIONS)
def test_function_within_a_rounding_step(function: str) -> None:
    @QUICK
    @given(activations(function))
    def check(graph: ir.QuantizedGraph) -> None:
        ours = run_int8(graph, every_value())
        difference = np.abs(run_onnx(write_onnx(graph), graph, every_value()) - ours)
        step = graph.quantization["x"].scale / graph.quantization["y"].scale  # relu6 clamps at a stored input
        assert difference.max() <= 2 + (step if function == "relu6" else 0)

    check()


def test_same_class_as_the_integer_network() -> None:
    agree = total = 0
    for seed in range(6):
        graph = small_network(seed)
        x = batch(graph, 50, seed)
        ours = run_int8(graph, x)
        top = np.sort(ours.astype(int), axis=1)
        clear = top[:, -1] - top[:, -2] > 4  # where two classes tie, either is right
        theirs = run_onnx(write_onnx(graph), graph, x)
        agree += int((theirs.argmax(1) == ours.argmax(1))[clear].sum())
        total += int(clear.sum())
    assert total > 100
    assert agree == total


def test_model_is_valid_and_deterministic() -> None:
    first = write_onnx(small_network())
    assert first == write_onnx(small_network())
    model = onnx.load_model_from_string(first)
    onnx.checker.check_model(model, full_check=True)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    assert stored["c1.w"].data_type == onnx.TensorProto.INT8
    assert stored["c1.b"].data_type == onnx.TensorProto.INT32
    assert list(stored["c1.w/scale"].dims) == [5]
