"""Files that remember: variables, their first values, what reading and assigning mean."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.quantize.run_int8 import Session, run_int8
from mcuprune.verify.oracle import sequence_tflm
from tests.frontends.tflite_files import FileBuilder, streaming

Q = (0.05, 3)


def sequence(data: bytes, x: np.ndarray) -> np.ndarray:
    return np.stack([step[0].reshape(-1) for step in sequence_tflm(data, [(row,) for row in x])])


@pytest.mark.parametrize("first", [None, np.arange(-6, 6, dtype=np.int8).reshape(1, 12)])
def test_a_running_sum(first: np.ndarray | None) -> None:
    data = streaming("sum", first)
    graph = load_tflite(data)
    assert list(graph.updates.values()) == ["total/copy"]  # the output stays with the caller
    x = np.random.default_rng(0).integers(-30, 30, (6, 12)).astype(np.int8)
    np.testing.assert_array_equal(run_int8(graph, x), sequence(data, x))
    start = graph.constants[next(n.initial for n in graph.nodes if isinstance(n, ir.State))].values
    assert start.reshape(-1).tolist() == ([Q[1]] * 12 if first is None else first.reshape(-1).tolist())


def test_states_that_exchange_their_values() -> None:
    data = streaming("exchange", None)
    graph = load_tflite(data)
    assert len(graph.updates) == 2
    x = np.random.default_rng(1).integers(-128, 128, (7, 12)).astype(np.int8)
    np.testing.assert_array_equal(run_int8(graph, x), sequence(data, x))


def test_reading_after_assigning_gives_the_new_value() -> None:
    data = streaming("read back", None)
    x = np.random.default_rng(2).integers(-128, 128, (4, 12)).astype(np.int8)
    graph = load_tflite(data)
    np.testing.assert_array_equal(run_int8(graph, x), sequence(data, x))


def test_a_session_continues_and_begins_again() -> None:
    graph = load_tflite(streaming("sum", None))
    x = np.random.default_rng(3).integers(-30, 30, (6, 12)).astype(np.int8)
    session, whole = Session(graph), run_int8(graph, x)
    parts = [session.run(x[:2])[graph.outputs[0]], session.run(x[2:])[graph.outputs[0]]]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    session.reset()
    np.testing.assert_array_equal(session.run(x)[graph.outputs[0]], whole)


def test_an_empty_sequence() -> None:
    graph = load_tflite(streaming("sum", None))
    assert run_int8(graph, np.zeros((0, 12), np.int8)).shape == (0, 12)


@pytest.mark.parametrize("quantization", [(0.05, 131), (0.07, 20)])
def test_uint8_ends(quantization: tuple[float, int]) -> None:
    """uint8 -> int8 -> TANH -> uint8, with and without a change of scale."""
    file = FileBuilder()
    x = file.tensor("x", (1, 256), "uint8", Q if quantization[1] == 20 else quantization)
    inner, result = file.tensor("i", (1, 256), "int8", Q), file.tensor("t", (1, 256), "int8", (1 / 128, 0))
    y = file.tensor("y", (1, 256), "uint8", (1 / 128, 128) if quantization[1] == 131 else (1 / 64, 100))
    file.operator("QUANTIZE", [x], [inner])
    file.operator("TANH", [inner], [result])
    file.operator("QUANTIZE", [result], [y])
    data = file.pack([x], [y])
    graph = load_tflite(data)
    values = np.arange(256, dtype=np.uint8)[None]
    ours = run_int8(graph, values)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, sequence(data, values))


def test_an_output_that_is_an_input_gets_memory_of_its_own() -> None:
    file = FileBuilder()
    x = file.input("x", (1, 6), Q)
    y, z = file.tensor("y", (1, 2, 3), "int8", Q), file.tensor("z", (1, 6), "int8", (1 / 128, 0))
    file.operator("RESHAPE", [x], [y], "ReshapeOptions")
    file.operator("TANH", [x], [z])
    graph = load_tflite(file.pack([x], [y, z, z]))
    assert graph.outputs == ("y/copy", "z", "z/copy")
    values = np.arange(-3, 3, dtype=np.int8)[None]
    found = run_int8(graph, values)
    np.testing.assert_array_equal(found["y/copy"].reshape(1, 6), values)
    np.testing.assert_array_equal(found["z"], found["z/copy"])


def test_first_values_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError, match="begins as int8"):
        load_tflite(streaming("sum", np.zeros((1, 5), np.int8)))


def test_a_uint8_layer_is_refused() -> None:
    file = FileBuilder()
    x, y = file.tensor("x", (1, 4), "uint8", Q), file.tensor("y", (1, 4), "uint8", Q)
    file.operator("RELU", [x], [y])
    with pytest.raises(UnsupportedError, match="UINT8, not an int8 activation"):
        load_tflite(file.pack([x], [y]))
