"""Shapes of .tflite files: sequences, rows, reshapes and static shape arithmetic."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.graph.shapes import canonical_shape, output_shape
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import run_tflm, sequence_tflm
from tests.frontends.tflite_files import FileBuilder

Q = (0.05, 3)


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        ((), (1,)),
        ((7,), (7,)),
        ((1, 7), (7,)),
        ((5, 7), (5, 1, 7)),
        ((1, 5, 7), (5, 1, 7)),
        ((1, 1, 7), (1, 1, 7)),
        ((3, 5, 7), (3, 5, 7)),
        ((1, 3, 5, 7), (3, 5, 7)),
        ((2, 3, 5, 7), (6, 5, 7)),
        ((1, 2, 3, 5, 7), (6, 5, 7)),
    ],
)
def test_canonical_shape(dims: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert canonical_shape(dims) == shape


def test_a_reshape_keeps_the_number_of_elements() -> None:
    node = ir.Reshape("r", ("x",))
    assert output_shape(node, ((4, 1, 3),), {}, (2, 6)) == (2, 6)
    with pytest.raises(UnsupportedError, match="layer 'r'"):
        output_shape(node, ((4, 1, 3),), {}, (5,))


def flatten_as_keras_writes_it() -> bytes:
    """SHAPE, STRIDED_SLICE, PACK, RESHAPE between a RELU and a TANH."""
    file = FileBuilder()
    x, y = file.input("x", (1, 2, 3, 4), Q), file.tensor("y", (1, 2, 3, 4), "int8", Q)
    file.operator("RELU", [x], [y])
    shape = file.tensor("shape", (4,), "int32")
    file.operator("SHAPE", [y], [shape])
    batch = file.tensor("batch", (), "int32")
    ends = [
        file.constant(name, np.array([value], np.int32)) for name, value in (("b", 0), ("e", 1), ("s", 1))
    ]
    file.operator("STRIDED_SLICE", [shape, *ends], [batch], "StridedSliceOptions", shrinkAxisMask=1)
    target = file.tensor("target", (2,), "int32")
    minus = file.constant("minus", np.array(-1, np.int32))
    file.operator("PACK", [batch, minus], [target], "PackOptions", valuesCount=2)
    flat = file.tensor("flat", (1, 24), "int8", Q)
    file.operator("RESHAPE", [y, target], [flat], "ReshapeOptions")
    out = file.tensor("out", (1, 24), "int8", (1 / 128, 0))
    file.operator("TANH", [flat], [out])
    return file.pack([x], [out])


def test_static_shape_arithmetic_leaves_no_node() -> None:
    data = flatten_as_keras_writes_it()
    graph = load_tflite(data)
    assert [type(node).__name__ for node in graph.nodes] == ["Input", "Activation", "Flatten", "Activation"]
    x = np.random.default_rng(0).integers(-128, 128, (3, 2, 3, 4)).astype(np.int8)
    np.testing.assert_array_equal(run_int8(graph, x), run_tflm(data, x))


def rows(dims: tuple[int, ...], out_dims: tuple[int, ...], scales: int, keep: bool) -> bytes:
    rng = np.random.default_rng(1)
    out_c = out_dims[-1]
    file = FileBuilder()
    x = file.input("x", dims, Q)
    scale = np.linspace(0.01, 0.02, scales).astype(np.float32)
    weight = file.constant("w", rng.integers(-127, 128, (out_c, dims[-1])).astype(np.int8), (scale, 0))
    bias = file.constant("b", rng.integers(-500, 500, out_c).astype(np.int32), (scale * np.float32(Q[0]), 0))
    y = file.tensor("y", out_dims, "int8", (0.08, -5))
    file.operator("FULLY_CONNECTED", [x, weight, bias], [y], "FullyConnectedOptions", keepNumDims=keep)
    return file.pack([x], [y])


@pytest.mark.parametrize(
    ("dims", "out_dims", "keep"),
    [
        ((6, 8), (6, 5), False),
        ((1, 6, 8), (1, 6, 5), True),
        ((1, 6, 8), (6, 5), False),
        ((1, 1, 8), (1, 5), False),
    ],
)
@pytest.mark.parametrize("scales", [1, 5])
def test_fully_connected_works_row_by_row(dims, out_dims, keep: bool, scales: int) -> None:
    data = rows(dims, out_dims, scales, keep)
    graph = load_tflite(data)
    x = np.random.default_rng(2).integers(-128, 128, (4, *dims)).astype(np.int8)
    ours = run_int8(graph, x.reshape(4, *graph.shape("x")))
    theirs = np.concatenate([step[0].reshape(-1) for step in sequence_tflm(data, [(part,) for part in x])])
    np.testing.assert_array_equal(ours.reshape(-1), theirs)


def test_elements_that_fill_no_row_are_refused() -> None:
    data = rows((1, 6, 8), (6, 5), 1, False)
    broken = data.replace(np.array([1, 6, 8], "<i4").tobytes(), np.array([1, 6, 7], "<i4").tobytes())
    with pytest.raises(UnsupportedError, match="no rows of 8"):
        load_tflite(broken)


def test_a_reshape_to_other_elements_is_refused() -> None:
    file = FileBuilder()
    x, y = file.input("x", (1, 2, 3), Q), file.tensor("y", (1, 7), "int8", Q)
    file.operator("RESHAPE", [x], [y], "ReshapeOptions")
    with pytest.raises((UsageError, UnsupportedError), match="'y'"):
        load_tflite(file.pack([x], [y]))
