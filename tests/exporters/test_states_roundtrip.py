"""States written to a .tflite file: in TensorFlow Lite Micro it remembers what the network remembers."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.quantize.flat import run_flat, sample_bytes
from mcuprune.verify.oracle import flat_tflm
from tests.frontends.tflite_files import streaming
from tests.quantize.recurrent_graphs import lstm_file, svdf_file

FIRST = np.arange(-6, 6, dtype=np.int8).reshape(1, 12)
FILES = {
    "sum": streaming("sum", FIRST),
    "exchange": streaming("exchange", FIRST),
    "read back": streaming("read back", None),
    "lstm": lstm_file(11),
    "svdf": svdf_file(12, "int16"),
    "svdf of bytes": svdf_file(13, "int8"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_reads_and_runs_the_same(name: str) -> None:
    graph = load_tflite(FILES[name], "net")
    data = write_tflite(graph)
    again = load_tflite(data, "net")
    assert (again.nodes, again.updates, again.outputs) == (graph.nodes, graph.updates, graph.outputs)
    flat = np.random.default_rng(5).integers(-128, 128, (6, sample_bytes(graph))).astype(np.int8)
    expected = run_flat(graph, flat)
    np.testing.assert_array_equal(run_flat(again, flat), expected)
    np.testing.assert_array_equal(flat_tflm(data, again, flat), expected)
