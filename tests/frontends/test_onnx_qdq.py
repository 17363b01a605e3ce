"""Quantized ONNX files become the integer network they describe; onnxruntime says what that is.

onnxruntime computes in floats between dequantizing and quantizing again, we in integers: outputs may differ
by one step.  The shares of differing outputs are bounds for the files made here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from mcuprune.errors import UnsupportedError
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.onnx import load
from mcuprune.graph.ir import Conv2d, Graph, Linear, QuantizedGraph
from mcuprune.quantize.convert import quantize_input
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import run_tflm
from tests.frontends.qdq_files import (
    NETWORKS,
    Perceptron,
    Residual,
    float_file,
    quantized_file,
    run_onnxruntime,
    run_ours,
    samples,
)

onnxruntime = pytest.importorskip("onnxruntime", reason="writes and runs the quantized files")
from onnxruntime.quantization import QuantFormat, QuantType  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # of exporters and quantizers, about themselves
DIFFERING = {
    "Residual": 0.06,
    "Pooled": 0.3,
    "Perceptron": 0.4,
}  # a sigmoid's and a tanh's scale is prescribed


def integers(path: Path) -> QuantizedGraph:
    graph = load(path)
    assert isinstance(graph, QuantizedGraph)
    return graph


def assert_one_step(path: Path, graph: QuantizedGraph, differing: float) -> None:
    x = samples(200, seed=9)
    theirs, ours = run_onnxruntime(path, x), run_ours(graph, x)
    steps = np.abs(theirs - ours) / graph.quantization[graph.outputs[0]].scale
    assert steps.max() < 1.01
    assert np.mean(steps > 0.51) < differing
    assert np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1)) >= 0.98


@pytest.mark.parametrize(
    ("form", "activation", "per_channel"),
    [
        (QuantFormat.QDQ, QuantType.QInt8, False),
        (QuantFormat.QDQ, QuantType.QUInt8, True),
        (QuantFormat.QOperator, QuantType.QUInt8, True),
    ],
    ids=["QDQ int8", "QDQ uint8 per channel", "QOperator"],
)
@pytest.mark.parametrize("network", NETWORKS, ids=lambda kind: kind.__name__)
def test_files_of_onnxruntimes_quantizer(
    network, form, activation, per_channel: bool, tmp_path: Path
) -> None:
    path = quantized_file(
        float_file(network, tmp_path),
        quant_format=form,
        activation_type=activation,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    assert_one_step(path, integers(path), DIFFERING[network.__name__])


def test_weights_are_the_stored_integers(tmp_path: Path) -> None:
    path = quantized_file(float_file(Residual, tmp_path), per_channel=True, weight_type=QuantType.QInt8)
    stored = [
        numpy_helper.to_array(entry).transpose(0, 2, 3, 1)
        for entry in onnx.load(path).graph.initializer
        if entry.data_type == onnx.TensorProto.INT8 and len(entry.dims) == 4
    ]
    graph = integers(path)
    first = next(graph.constants[node.weight] for node in graph.nodes if isinstance(node, Conv2d))
    assert any(values.shape == first.values.shape and (values == first.values).all() for values in stored)


def test_weights_that_are_quantized_in_the_file_itself(tmp_path: Path) -> None:
    """As training frameworks write it: real weights with a QuantizeLinear behind them."""
    path = quantized_file(
        float_file(Residual, tmp_path),
        weight_type=QuantType.QInt8,
        extra_options={"AddQDQPairToWeight": True},
    )
    assert_one_step(path, integers(path), DIFFERING["Residual"])


def test_asymmetric_weights_are_quantized_anew(tmp_path: Path) -> None:
    """Zero points other than 0 in weights have no counterpart: the numbers they stand for are kept."""
    path = quantized_file(
        float_file(Perceptron, tmp_path),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QUInt8,
        extra_options={"WeightSymmetric": False},
    )
    graph = integers(path)
    weights = [graph.constants[node.weight].values for node in graph.nodes if isinstance(node, Linear)]
    assert all(values.dtype == np.int8 for values in weights)
    theirs, ours = run_onnxruntime(path, samples(100, 9)), run_ours(graph, samples(100, 9))
    assert np.abs(theirs - ours).max() < 6 * graph.quantization[graph.outputs[0]].scale
    assert np.mean(theirs.argmax(axis=1) == ours.argmax(axis=1)) > 0.9


@pytest.mark.parametrize("network", NETWORKS, ids=lambda kind: kind.__name__)
def test_the_result_is_what_tensorflow_lite_micro_computes(network, tmp_path: Path) -> None:
    pytest.importorskip("tflite_micro", reason="the interpreter is the witness")
    graph = integers(quantized_file(float_file(network, tmp_path), weight_type=QuantType.QInt8))
    inputs = quantize_input(graph, samples(5, 2).transpose(0, 2, 3, 1))
    np.testing.assert_array_equal(run_tflm(write_tflite(graph), inputs), run_int8(graph, inputs))


def test_a_partly_quantized_file_is_a_float_model(tmp_path: Path) -> None:
    path = quantized_file(float_file(Perceptron, tmp_path), op_types_to_quantize=["Tanh"])
    graph = load(path)
    assert isinstance(graph, Graph)


def changed(path: Path, change) -> Path:
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def constant(graph: onnx.GraphProto, name: str) -> onnx.TensorProto:
    return next(entry for entry in graph.initializer if entry.name == name)


def first_quantizer(graph: onnx.GraphProto) -> onnx.NodeProto:
    return next(node for node in graph.node if node.op_type == "QuantizeLinear")


def test_a_dequantization_with_another_scale_is_refused(tmp_path: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        made = first_quantizer(graph).output[0]
        reader = next(node for node in graph.node if made in node.input)
        graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "other"))
        reader.input[1] = "other"

    path = quantized_file(float_file(Perceptron, tmp_path), weight_type=QuantType.QInt8)
    with pytest.raises(UnsupportedError, match="another scale than they were made with"):
        load(changed(path, change))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_impossible_scales_are_refused(scale: float, tmp_path: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        name = first_quantizer(graph).input[1]
        constant(graph, name).CopyFrom(numpy_helper.from_array(np.float32(scale), name))

    path = quantized_file(float_file(Perceptron, tmp_path), weight_type=QuantType.QInt8)
    with pytest.raises(UnsupportedError, match="one positive scale"):
        load(changed(path, change))


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        name = first_quantizer(graph).input[2]
        constant(graph, name).CopyFrom(numpy_helper.from_array(np.int16(0), name))

    path = quantized_file(float_file(Perceptron, tmp_path), weight_type=QuantType.QInt8)
    model = onnx.load(path)
    model.opset_import[0].CopyFrom(helper.make_opsetid("", 21))
    onnx.save(model, path)
    with pytest.raises(UnsupportedError, match="to int16"):
        load(changed(path, change))
