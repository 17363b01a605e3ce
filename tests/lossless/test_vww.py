"""The MLPerf Tiny visual wake words model: half of it is dead, and folding shows what that saves."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.graph.op_shape import op_shape
from mcuprune.lossless.optimise import optimise
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.macs import macs
from tests.lossless.planted import assert_same_bytes, probes, weight_bytes

MODEL = "mlperf_tiny/models/visual_wake_words__vww_96_int8.tflite"


def data(name: str) -> Path:
    path = Path(os.environ.get("MCUPRUNE_DATA", "")) / name
    if not os.environ.get("MCUPRUNE_DATA") or not path.is_file():
        pytest.skip(f"MCUPRUNE_DATA does not name a folder with {name}")
    return path


def all_macs(graph: ir.QuantizedGraph) -> int:
    return sum(int(macs(node, op_shape(node, graph.shape))) for node in graph.nodes if node.inputs)


def images(start: int, stop: int) -> np.ndarray:
    """int8 images; the model's input scale is 1/255 and its zero point -128."""
    pixels = np.load(data("vww01/x.npy"), mmap_mode="r")[start:stop]
    return (pixels.astype(np.int16) - 128).astype(np.int8)


@pytest.fixture(scope="module")
def original() -> ir.QuantizedGraph:
    return load_tflite(data(MODEL))


@pytest.fixture(scope="module")
def folded(original: ir.QuantizedGraph) -> ir.QuantizedGraph:
    return optimise(original).graph


def test_it_falls_to_half(original: ir.QuantizedGraph, folded: ir.QuantizedGraph) -> None:
    assert (all_macs(original), weight_bytes(original)) == (7_489_664, 208_112)
    assert all_macs(folded) <= 3_800_000
    assert weight_bytes(folded) <= 32_000


def test_bytes_of_some_images_and_extremes(original: ir.QuantizedGraph, folded: ir.QuantizedGraph) -> None:
    assert_same_bytes(original, folded, probes(original, count=6))
    x = images(0, 6)
    np.testing.assert_array_equal(run_int8(original, x), run_int8(folded, x))


@pytest.mark.slow
def test_bytes_of_all_images_in_the_oracle(folded: ir.QuantizedGraph) -> None:
    """Both files in TensorFlow Lite Micro, and the folded one in the specification."""
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    from mcuprune.verify.oracle import run_tflm

    before, after = data(MODEL).read_bytes(), write_tflite(folded)
    for start in range(0, 1000, 100):
        x = images(start, start + 100)
        assert len(x) == 100
        expected = run_tflm(before, x)
        np.testing.assert_array_equal(run_tflm(after, x), expected)
        np.testing.assert_array_equal(run_int8(folded, x), expected)
