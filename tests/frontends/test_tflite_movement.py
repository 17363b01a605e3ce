"""Operators of .tflite files that move elements or broadcast, of any rank, against TensorFlow Lite Micro."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from mcuprune.errors import UnsupportedError
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph import ir
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import sequence_tflm
from tests.frontends.tflite_files import FileBuilder

Q = (0.1, 3)
QUICK = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
DIMS = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(lambda sizes: (1, *sizes))


def int32(*values: object) -> np.ndarray:
    return np.array(values, np.int32)


def assert_equal_bytes(data: bytes, seed: int = 0) -> ir.QuantizedGraph:
    """Two random inferences through the file in both; every output."""
    graph, rng = load_tflite(data), np.random.default_rng(seed)
    for _ in range(2):
        given_values = {
            n: rng.integers(-128, 128, (1, *graph.shape(n))).astype(np.int8) for n in graph.inputs
        }
        ours = run_int8(graph, given_values)
        if not isinstance(ours, dict):
            ours = {graph.outputs[0]: ours}
        ((theirs),) = sequence_tflm(data, [tuple(given_values.values())])
        for name, wanted in zip(graph.outputs, theirs, strict=True):
            np.testing.assert_array_equal(ours[name].reshape(-1), wanted.reshape(-1))
    return graph


def one(
    code: str,
    dims: Sequence[int],
    outputs: Sequence[Sequence[int]],
    constants: Sequence[np.ndarray] = (),
    options: str = "",
    before: Sequence[np.ndarray] = (),
    **fields: object,
) -> bytes:
    """One operator on an activation: constants ``before`` and after it."""
    file = FileBuilder()
    x = file.input("x", dims, Q)
    first = [file.constant(f"b{i}", values) for i, values in enumerate(before)]
    later = [file.constant(f"k{i}", values) for i, values in enumerate(constants)]
    targets = [file.tensor(f"y{i}", shape, "int8", Q) for i, shape in enumerate(outputs)]
    given_options = (options,) if options else ()
    file.operator(code, [*first, x, *later], targets, *given_options, **fields)
    return file.pack([x], targets)


@QUICK
@given(DIMS, st.data())
def test_slice(dims: tuple[int, ...], data: st.DataObject) -> None:
    begin = [data.draw(st.integers(0, size - 1)) for size in dims]
    size = [data.draw(st.integers(1, n - b)) for n, b in zip(dims, begin, strict=True)]
    assert_equal_bytes(one("SLICE", dims, [size], [int32(*begin), int32(*size)], "SliceOptions"))


@QUICK
@given(DIMS, st.data())
def test_strided_slice(dims: tuple[int, ...], data: st.DataObject) -> None:
    begin, end, stride, index, shrink = [], [], [], [], 0
    for axis, size in enumerate(dims):
        step = data.draw(st.sampled_from((1, 1, 2, -1))) if axis else 1
        first = data.draw(st.integers(0, size - 1))
        last = (
            data.draw(st.integers(first + 1, size))
            if step > 0
            else data.draw(st.integers(-size - 1, first - size - 1))
        )
        if axis and data.draw(st.integers(0, 4)) == 0:
            shrink |= 1 << axis
            first, last, step = first, first + 1, 1
        begin.append(first), end.append(last), stride.append(step)
        index.append(first if shrink >> axis & 1 else slice(first, None if last < -size else last, step))
    shape = np.zeros(dims)[tuple(index)].shape
    constants = [int32(*begin), int32(*end), int32(*stride)]
    masks = {"shrinkAxisMask": shrink}
    assert_equal_bytes(one("STRIDED_SLICE", dims, [shape], constants, "StridedSliceOptions", **masks))


@QUICK
@given(DIMS, st.data())
def test_split_and_unpack(dims: tuple[int, ...], data: st.DataObject) -> None:
    axis, count = data.draw(st.integers(0, len(dims) - 1)), data.draw(st.integers(1, 3))
    whole = list(dims)
    whole[axis] *= count
    signed = axis - len(dims) if data.draw(st.booleans()) else axis
    parts = [dims] * count
    assert_equal_bytes(
        one("SPLIT", whole, parts, [], "SplitOptions", [np.array(signed, np.int32)], numSplits=count)
    )
    sizes = int32(*[dims[axis]] * count)
    assert_equal_bytes(
        one("SPLIT_V", whole, parts, [sizes, np.array(axis, np.int32)], "SplitVOptions", numSplits=count)
    )
    rest = tuple(size for i, size in enumerate(dims) if i != axis) or (1,)
    assert_equal_bytes(
        one("UNPACK", dims, [rest] * dims[axis], [], "UnpackOptions", num=dims[axis], axis=signed)
    )


@QUICK
@given(st.lists(st.integers(1, 4), min_size=2, max_size=4), st.data())
def test_transpose(dims: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(dims))))
    shape = [dims[axis] for axis in order]
    assert_equal_bytes(one("TRANSPOSE", dims, [shape], [int32(*order)], "TransposeOptions"))


@QUICK
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3))
def test_space_to_depth_and_back(height: int, width: int, channels: int, block: int) -> None:
    wide, deep = (1, height * block, width * block, channels), (1, height, width, channels * block * block)
    assert_equal_bytes(one("SPACE_TO_DEPTH", wide, [deep], [], "SpaceToDepthOptions", blockSize=block))
    assert_equal_bytes(one("DEPTH_TO_SPACE", deep, [wide], [], "DepthToSpaceOptions", blockSize=block))


@QUICK
@given(DIMS, st.data())
def test_gather(dims: tuple[int, ...], data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(dims) - 1))
    indices = data.draw(st.lists(st.integers(0, dims[axis] - 1), min_size=1, max_size=6))
    shape = (*dims[:axis], len(indices), *dims[axis + 1 :])
    assert_equal_bytes(one("GATHER", dims, [shape], [int32(*indices)], "GatherOptions", axis=axis))


@QUICK
@given(DIMS, st.data())
def test_pad_any_axis(dims: tuple[int, ...], data: st.DataObject) -> None:
    amounts = np.array([[data.draw(st.integers(0, 2)) for _ in range(2)] for _ in dims], np.int32)
    amounts[0] = 0
    shape = [int(size + sum(pair)) for size, pair in zip(dims, amounts, strict=True)]
    assert_equal_bytes(one("PAD", dims, [shape], [amounts], "PadOptions"))


@QUICK
@given(st.integers(2, 5), st.integers(2, 5), st.integers(1, 3), st.booleans(), st.data())
def test_mirror_pad(height: int, width: int, channels: int, reflect: bool, data: st.DataObject) -> None:
    amounts = np.zeros((4, 2), np.int32)
    for axis, size in ((1, height), (2, width)):
        amounts[axis] = [data.draw(st.integers(0, size - reflect)) for _ in range(2)]
    dims = (1, height, width, channels)
    shape = [int(size + sum(pair)) for size, pair in zip(dims, amounts, strict=True)]
    mode = schema.MirrorPadMode.REFLECT if reflect else schema.MirrorPadMode.SYMMETRIC
    assert_equal_bytes(one("MIRROR_PAD", dims, [shape], [amounts], "MirrorPadOptions", mode=mode))


@QUICK
@given(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 20)] * 2), st.integers(0, 3))
def test_resize_nearest_neighbor(size: tuple[int, int], wanted: tuple[int, int], ends: int) -> None:
    fields = {"alignCorners": bool(ends & 1), "halfPixelCenters": bool(ends & 2)}
    dims, shape = (1, *size, 2), (1, *wanted, 2)
    data = one(
        "RESIZE_NEAREST_NEIGHBOR", dims, [shape], [int32(*wanted)], "ResizeNearestNeighborOptions", **fields
    )
    assert_equal_bytes(data)


@QUICK
@given(st.tuples(*[st.integers(1, 9)] * 2), st.tuples(*[st.integers(1, 20)] * 2), st.integers(0, 2))
def test_resize_bilinear(size: tuple[int, int], wanted: tuple[int, int], ends: int) -> None:
    fields = {"alignCorners": ends == 1, "halfPixelCenters": ends == 2}
    dims, shape = (1, *size, 2), (1, *wanted, 2)
    assert_equal_bytes(
        one("RESIZE_BILINEAR", dims, [shape], [int32(*wanted)], "ResizeBilinearOptions", **fields)
    )


@QUICK
@given(DIMS, st.data())
def test_concatenation_and_pack(dims: tuple[int, ...], data: st.DataObject) -> None:
    """Two activations and a constant, along any axis."""
    axis = data.draw(st.integers(0, len(dims) - 1))
    values = np.random.default_rng(0).integers(-128, 128, dims).astype(np.int8)
    for code, options in (("CONCATENATION", "ConcatenationOptions"), ("PACK", "PackOptions")):
        file = FileBuilder()
        a, b = file.input("a", dims, Q), file.input("b", dims, Q)
        k = file.constant("k", values, Q)
        shape = (*dims[:axis], 3, *dims[axis:])
        fields = {"axis": axis, "valuesCount": 3}
        if code == "CONCATENATION":
            shape, fields = (*dims[:axis], 3 * dims[axis], *dims[axis + 1 :]), {"axis": axis}
        y = file.tensor("y", shape, "int8", Q)
        file.operator(code, [a, k, b], [y], options, **fields)
        assert_equal_bytes(file.pack([a, b], [y]))


@pytest.mark.parametrize("code", ["ADD", "SUB"])
@pytest.mark.parametrize(
    ("first", "second", "out"), [(0.1, 0.07, 0.2), (0.0123, 0.2345, 0.1), (0.3, 0.3, 0.45)]
)
def test_every_pair_of_a_sum(code: str, first: float, second: float, out: float) -> None:
    """Ties show in what precision the scales were combined; few pairs are any."""
    file = FileBuilder()
    a = file.input("a", (1, 256, 256, 1), (first, 3))
    b = file.input("b", (1, 256, 256, 1), (second, -4))
    y = file.tensor("y", (1, 256, 256, 1), "int8", (out, 11))
    file.operator(code, [a, b], [y], f"{code.capitalize()}Options")
    data, steps = file.pack([a, b], [y]), np.arange(-128, 128, dtype=np.int8)
    given_values = tuple(side.reshape(1, 256, 256, 1) for side in np.meshgrid(steps, steps))
    ours = run_int8(load_tflite(data), dict(zip("ab", given_values, strict=True)))
    (((theirs,),),) = (sequence_tflm(data, [given_values]),)
    assert isinstance(ours, np.ndarray)
    np.testing.assert_array_equal(ours.reshape(-1), np.asarray(theirs).reshape(-1))


@pytest.mark.parametrize("code", ["ADD", "MUL", "SUB", "MINIMUM", "MAXIMUM", "SQUARED_DIFFERENCE"])
def test_broadcast(code: str) -> None:
    @QUICK
    @given(DIMS, st.data())
    def check(dims: tuple[int, ...], data: st.DataObject) -> None:
        sides = [tuple(data.draw(st.sampled_from((size, size, 1))) for size in dims) for _ in range(2)]
        sides[1] = sides[1][data.draw(st.integers(0, len(dims) - 1)) :]
        full = np.broadcast_shapes(*sides)
        same = code in ("MINIMUM", "MAXIMUM")
        file = FileBuilder()
        a = file.input("a", sides[0], Q)
        b = file.input("b", sides[1], Q if same else (0.07, -4))
        y = file.tensor("y", full, "int8", Q if same else (0.2, 11))
        name = "MaximumMinimum" if same else "".join(word.capitalize() for word in code.split("_"))
        file.operator(code, [a, b], [y], f"{name}Options")
        assert_equal_bytes(file.pack([a, b], [y]))

    check()


@QUICK
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.booleans(), st.data())
def test_reductions_of_any_axes(dims: list[int], keep: bool, data: st.DataObject) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(dims) - 1), min_size=1)))
    assume(axes not in ([0, 2], [1, 3]) or len(dims) < 4 or min(dims) == 1)  # refused, see below
    kept = [1 if axis in axes else size for axis, size in enumerate(dims)]
    shape = kept if keep else [size for axis, size in enumerate(dims) if axis not in axes]
    for code in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
        assert_equal_bytes(one(code, dims, [shape], [int32(*axes)], "ReducerOptions", keepDims=keep))


@QUICK
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_convolution_in_groups(size: int, groups: int, count: int, biased: bool) -> None:
    """``groups`` parts of ``size`` channels, ``count`` filters each."""
    rng = np.random.default_rng(size + 10 * groups)
    values = rng.integers(-127, 128, (groups * count, 3, 2, size)).astype(np.int8)
    scale = np.linspace(0.01, 0.03, groups * count).astype(np.float32)
    file = FileBuilder()
    x, y = (
        file.input("x", (1, 5, 6, groups * size), Q),
        file.tensor("y", (1, 5, 6, groups * count), "int8", (0.9, -5)),
    )
    weight = file.constant("w", values, (scale, 0))
    offsets = rng.integers(-900, 900, groups * count).astype(np.int32)
    bias = file.constant("b", offsets, (scale * np.float32(Q[0]), 0))
    fields = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    file.operator("CONV_2D", [x, weight, *([bias] if biased else [])], [y], "Conv2DOptions", **fields)
    assert_equal_bytes(file.pack([x], [y]))


REFUSED: dict[str, Callable[[], bytes]] = {
    "MEAN producing tensor 'y0': axes [0, 2] of (2, 2, 2, 2), with others between them": lambda: one(
        "MEAN", (2, 2, 2, 2), [(2, 2)], [int32(0, 2)], "ReducerOptions", keepDims=False
    ),
    "GATHER producing tensor 'y0': an index outside": lambda: one(
        "GATHER", (1, 3), [(1, 1)], [int32(7)], "GatherOptions", axis=1
    ),
    "TRANSPOSE producing tensor 'y0': order": lambda: one(
        "TRANSPOSE", (1, 3), [(3, 1)], [int32(0, 0)], "TransposeOptions"
    ),
    "SPLIT producing tensor 'y0': axis 5": lambda: one(
        "SPLIT", (1, 4), [(1, 2), (1, 2)], [], "SplitOptions", [np.array(5, np.int32)], numSplits=2
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals_say_what_and_where(message: str) -> None:
    with pytest.raises(UnsupportedError, match=re.escape(message)):
        load_tflite(REFUSED[message]())
