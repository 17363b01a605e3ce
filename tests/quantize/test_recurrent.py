"""LSTM and SVDF over sequences, byte for byte as TensorFlow Lite Micro computes them."""

from __future__ import annotations

import dataclasses
import importlib

import numpy as np
import pytest
from hypothesis import given, settings

from mcuprune.errors import UnsupportedError
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.quantize.recurrent import SIGMOID_TABLE, sigmoid_int16, tanh_int16
from mcuprune.quantize.run_int8 import Session, run_int8
from mcuprune.verify.oracle import sequence_tflm
from tests.frontends.tflite_files import FileBuilder
from tests.quantize.int8_graphs import small_network
from tests.quantize.recurrent_graphs import RECURRENT_FILES, lstm_file

run_int8_module = importlib.import_module("mcuprune.quantize.run_int8")
EVERY = np.arange(-(2**15), 2**15)


@pytest.mark.parametrize("name", RECURRENT_FILES)
def test_sequences_equal_tflm(name: str) -> None:
    @settings(max_examples=25, deadline=None)
    @given(RECURRENT_FILES[name])
    def check(data: bytes) -> None:
        graph = load_tflite(data)
        x = np.random.default_rng(0).integers(-128, 128, (5, *graph.shape("x"))).astype(np.int8)
        theirs = np.stack([step[0].reshape(-1) for step in sequence_tflm(data, [(row,) for row in x])])
        np.testing.assert_array_equal(np.asarray(run_int8(graph, x)).reshape(5, -1), theirs)

    check()


@pytest.mark.parametrize("operator", ["LOGISTIC", "TANH"])
def test_functions_of_every_16_bit_number_equal_tflm(operator: str) -> None:
    file = FileBuilder()
    x = file.tensor("x", (1, len(EVERY)), "int16", (2.0**-12, 0))
    y = file.tensor("y", (1, len(EVERY)), "int16", (2.0**-15, 0))
    file.operator(operator, [x], [y])
    ((theirs,),) = sequence_tflm(file.pack([x], [y]), [(EVERY.astype(np.int16),)])
    ours = sigmoid_int16(EVERY) if operator == "LOGISTIC" else tanh_int16(EVERY, 3, 0)
    np.testing.assert_array_equal(ours, theirs.reshape(-1))


def test_the_table_follows_the_sigmoid() -> None:
    exact = 65536.0 / (1.0 + np.exp(-np.arange(256) / 24.0))
    assert np.abs(SIGMOID_TABLE - exact).max() < 1.2
    assert (np.diff(SIGMOID_TABLE) >= 0).all()


def test_states_are_kept_from_run_to_run_and_forgotten_at_a_reset() -> None:
    graph = load_tflite(lstm_file(7))
    x = np.random.default_rng(1).integers(-128, 128, (2, *graph.shape("x"))).astype(np.int8)
    session = Session(graph)
    first, second = (session.run(row[None])["y"] for row in x)
    session.reset()
    np.testing.assert_array_equal(session.run(x[:1])["y"], first)
    session.reset()
    assert not np.array_equal(session.run(x[1:])["y"], second)


@pytest.mark.parametrize("stateful", [True, False])
def test_samples_go_through_in_parts_that_fit_in_memory(
    stateful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = load_tflite(lstm_file(7)) if stateful else small_network()
    (name,) = graph.inputs
    x = np.random.default_rng(1).integers(-128, 128, (7, *graph.shape(name))).astype(np.int8)
    whole, every = run_int8(graph, x), dataclasses.replace(graph, outputs=tuple(graph.shapes))
    monkeypatch.setattr(run_int8_module, "_BATCH_ELEMENTS", 1)
    assert isinstance(whole, np.ndarray)
    np.testing.assert_array_equal(np.asarray(run_int8(graph, x)), whole)
    assert np.asarray(run_int8(graph, x[:0])).shape == (0, *whole.shape[1:])
    parts, kept = run_int8(every, x), run_int8(graph, x, keep_all=True)
    assert isinstance(parts, dict)
    assert isinstance(kept, dict)
    for tensor in parts:
        np.testing.assert_array_equal(parts[tensor], kept[tensor], tensor)


def test_a_cell_state_must_have_a_power_of_two_as_scale() -> None:
    graph = load_tflite(lstm_file(3))
    for kind in (ir.Quantization(0.0003, 0, "int16"), ir.Quantization(2.0**-12, 4, "int16")):
        kinds = {**graph.quantization, "cell": kind}
        broken = ir.QuantizedGraph(
            "g", graph.nodes, graph.outputs, graph.shapes, kinds, graph.constants, graph.updates
        )
        with pytest.raises(UnsupportedError, match="layer 'y': a cell state"):
            run_int8(broken, np.zeros((1, *graph.shape("x")), np.int8))
