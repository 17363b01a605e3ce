"""Which parameters a node gets, that no node class is forgotten, and what is refused."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.exporters import onnx, tflite
from mcuprune.graph import ir
from mcuprune.quantize import parameters as records
from mcuprune.quantize.run_int8 import evaluate, run_int8
from mcuprune.quantize.scheme import SOFTMAX_OUTPUT, integer_parameters
from tests.quantize.int8_graphs import batch, one_op, small_network

Q = ir.Quantization(0.1, 3)
HEADER = Path(__file__).parents[2] / "codegen" / "kernels" / "mcp_kernels.h"
STRUCTS = {
    "mcp_conv2d": records.Conv2dParameters,
    "mcp_fully_connected": records.FullyConnectedParameters,
    "mcp_pool2d": records.Pool2dParameters,
    "mcp_operand": records.Operand,
    "mcp_elementwise": records.ElementwiseParameters,
    "mcp_concat": records.ConcatPart,
    "mcp_pad": records.PadParameters,
    "mcp_lookup": records.LookupParameters,
    "mcp_copied": records.CopyParameters,
    "mcp_lstm": records.LstmParameters,
    "mcp_svdf": records.SvdfParameters,
    "mcp_softmax": records.SoftmaxParameters,
}


@pytest.mark.parametrize("stage", [integer_parameters, evaluate])
def test_every_integer_node_class_has_a_meaning(stage) -> None:
    missing = [kind.__name__ for kind in ir.INTEGER_NODES if stage.dispatch(kind) is stage.dispatch(object)]
    assert missing == []


@pytest.mark.parametrize("stage", [tflite.lower, onnx.lower])
def test_every_node_class_can_be_exported(stage) -> None:
    missing = [kind.__name__ for kind in ir.NODES if stage.dispatch(kind) is stage.dispatch(object)]
    assert missing == ["BatchNorm"], (
        "batch norms are folded before quantization; everything else must be here"
    )


def test_every_function_has_a_table() -> None:
    for function in ir.FUNCTIONS:
        target = {"sigmoid": SOFTMAX_OUTPUT, "tanh": ir.Quantization(1 / 128, 0)}.get(function, Q)
        graph = one_op(ir.Activation("y", ("x",), function), (4,), (4,), Q, target)
        assert len(set(integer_parameters(graph.nodes[1], graph).table.tolist())) > 5


@pytest.mark.parametrize("name", STRUCTS)
def test_records_mirror_the_c_structs(name: str) -> None:
    body = re.search(r"typedef struct \{([^}]*)\} " + name + ";", HEADER.read_text()).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.DOTALL)
    fields = [
        part.strip().split()[-1].lstrip("*")
        for line in body.split(";")
        if line.strip()
        for part in line.split(",")
    ]
    assert sorted(fields) == sorted(field.name for field in dataclasses.fields(STRUCTS[name]))


def test_convolution_parameters() -> None:
    weight = ir.Constant(np.ones((2, 1, 1, 3), np.int8), np.array([0.5, 0.25], np.float32))
    node = ir.Conv2d("y", ("x",), "w", None, ir.Window((1, 1)), "relu6")
    graph = one_op(
        node, (4, 4, 3), (4, 4, 2), ir.Quantization(0.5, -7), ir.Quantization(0.125, -100), {"w": weight}
    )
    found = integer_parameters(node, graph)
    assert (found.input_offset, found.output_offset) == (7, -100)
    assert (found.clamp_min, found.clamp_max) == (-100, -52)
    assert (found.multiplier.tolist(), found.shift.tolist()) == ([2**30, 2**30], [2, 1])
    assert found.bias.tolist() == [0, 0]
    assert found.bias.dtype == found.multiplier.dtype == np.int32


def refused(graph: ir.QuantizedGraph) -> str:
    with pytest.raises(UnsupportedError) as caught:
        run_int8(graph, batch(graph))
    return str(caught.value)


def test_batch_norm_is_refused() -> None:
    graph = one_op(ir.BatchNorm("norm", ("x",), "g", "b", "m", "v"), (4,), (4,), Q, Q)
    assert "layer 'norm'" in refused(graph)


def test_other_arithmetic_is_refused() -> None:
    graph = one_op(ir.Pad("y", ("x",), (1, 1, 1, 1), arithmetic="s1"), (2, 2, 1), (4, 4, 1), Q, Q)
    assert "'s1' is not implemented" in refused(graph)


def test_concatenation_needs_one_quantization() -> None:
    graph = one_op(ir.Concat("y", ("x", "x")), (2, 2, 1), (2, 2, 2), Q, ir.Quantization(0.1001, 3))
    assert "input 'x' must have the output's scale" in refused(graph)


@pytest.mark.parametrize(
    "node", [ir.MaxPool2d("y", ("x",), ir.Window((1, 1))), ir.Pad("y", ("x",), (0, 0, 0, 0))]
)
def test_moving_integers_needs_one_quantization(node: ir.Node) -> None:
    assert "same scale" in refused(one_op(node, (2, 2, 1), (2, 2, 1), Q, ir.Quantization(0.1, 4)))


def test_fixed_outputs_are_demanded() -> None:
    assert "scale 1/256, zero point -128" in refused(one_op(ir.Softmax("y", ("x",)), (4,), (4,), Q, Q))
    assert "1/128" in refused(one_op(ir.Activation("y", ("x",), "tanh"), (4,), (4,), Q, Q))


def test_impossible_scales_are_refused() -> None:
    graph = one_op(ir.Mul("y", ("x", "x")), (4,), (4,), ir.Quantization(1e6, 0), ir.Quantization(1e-6, 0))
    assert "output scale is too small" in refused(graph)
    graph = one_op(ir.Add("y", ("x", "x")), (4,), (4,), ir.Quantization(1e6, 0), ir.Quantization(1e-3, 0))
    assert "output scale is too small" in refused(graph)
    graph = one_op(ir.Flatten("y", ("x",)), (2, 2, 1), (4,), ir.Quantization(0.0, 0), Q)
    assert "is not int8" in refused(graph)


def test_gain_belongs_to_sine() -> None:
    assert "only defined for sine" in refused(
        one_op(ir.Activation("y", ("x",), "relu", 2.0), (4,), (4,), Q, Q)
    )


def test_wrong_input_is_named() -> None:
    graph = small_network()
    with pytest.raises(UsageError, match=r"input 'x' is int8 \(3, 8, 8, 3\), need int8 \(N, 8, 8, 2\)"):
        run_int8(graph, np.zeros((3, 8, 8, 3), np.int8))
    with pytest.raises(UsageError, match="float32"):
        run_int8(graph, np.zeros((3, 8, 8, 2), np.float32))


def test_all_tensors_on_request() -> None:
    graph = small_network()
    x = batch(graph, 3)
    tensors = run_int8(graph, x, keep_all=True)
    assert list(tensors) == [node.name for node in graph.nodes]
    assert all(tensors[name].shape == (3, *graph.shape(name)) for name in tensors)
    assert all(values.dtype == np.int8 for values in tensors.values())
    np.testing.assert_array_equal(tensors["s"], run_int8(graph, x))


def test_empty_batch() -> None:
    graph = small_network()
    assert run_int8(graph, np.zeros((0, 8, 8, 2), np.int8)).shape == (0, 6)


def test_batches_are_independent() -> None:
    graph = small_network()
    x = batch(graph, 7)
    np.testing.assert_array_equal(run_int8(graph, x)[3:4], run_int8(graph, x[3:4]))
