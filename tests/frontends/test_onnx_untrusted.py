"""ONNX files that refer outside, lie about sizes or blow up; and maps whose channels stand last."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mcuprune.errors import McupruneError, UnsupportedError, UsageError
from mcuprune.frontends.onnx import load
from mcuprune.graph.ir import Graph
from mcuprune.graph.run_float import run_float

RNG = np.random.default_rng(5)
SHAPE = (5, 6, 3)  # height, width, channels


def f32(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def model(nodes, shape, kind: int = TensorProto.FLOAT, **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, (1, *shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def node(op: str, inputs: str, output: str = "y", **attributes):
    return helper.make_node(op, inputs.split(" "), [output], name=f"{op}_{output}", **attributes)


def linear() -> onnx.ModelProto:
    return model([node("MatMul", "x w")], (8,), w=f32(8, 4))


def with_external(folder: Path, location: str) -> Path:
    """A model in ``folder`` whose weights are said to lie at ``location``; a real file of them lies above."""
    found = linear()
    weights = found.graph.initializer[0]
    (folder.parent / "w.bin").write_bytes(weights.raw_data)
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(8 * 4 * 4))):
        weights.external_data.add(key=key, value=value)
    path = folder / "net.onnx"
    path.write_bytes(found.SerializeToString())
    return path


@pytest.mark.parametrize(
    "location", ["../w.bin", "sub/../../w.bin", "/etc/hostname", "", "missing.bin", "link"]
)
def test_data_outside_the_models_folder_are_not_read(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "w.bin")
    with pytest.raises(UsageError, match="no file in the model's folder"):
        load(with_external(folder, location))


def test_data_beside_the_model_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    path = with_external(folder, "w.bin")
    stored = (tmp_path / "w.bin").read_bytes()
    (folder / "w.bin").write_bytes(stored)
    graph = load(path)
    (constant,) = graph.constants.values()
    assert constant.values.T.tobytes() == stored


def test_data_files_that_are_too_short_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    path = with_external(folder, "w.bin")
    (folder / "w.bin").write_bytes(b"short")
    with pytest.raises(McupruneError):
        load(path)


def doubling(count: int) -> onnx.ModelProto:
    """A constant that doubles ``count`` times."""
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(count)]
    for index, entry in enumerate(nodes):
        entry.name = f"n{index}"
    return model([*nodes, node("Add", f"x c{count}")], (8,), c0=f32(1024))


def deep(count: int) -> onnx.ModelProto:
    """Linear layers whose vector becomes a map again at the end."""
    nodes = [node("MatMul", f"v{i} w{i}", f"v{i + 1}") for i in range(count)]
    nodes += [node("Unsqueeze", f"v{count} a", "m"), node("Conv", "m k")]
    for index, entry in enumerate(nodes):
        entry.name = f"n{index}"
    nodes[0].input[0] = "x"
    constants = {f"w{i}": np.eye(2, dtype=np.float32) * (i + 1) for i in range(count)}
    return model(nodes, (2,), a=np.array([2, 3], np.int64), k=f32(2, 2, 1, 1), **constants)


def without_initializer() -> onnx.ModelProto:
    found = linear()
    del found.graph.initializer[:]
    return found


def cyclic() -> onnx.ModelProto:
    return model([node("Relu", "b", "a"), node("Relu", "a", "b"), node("Add", "x b")], (8,))


def twice_defined() -> onnx.ModelProto:
    return model([node("Relu", "x", "a"), node("Sigmoid", "x", "a"), node("Relu", "a")], (8,))


def false_shape() -> onnx.ModelProto:
    found = linear()
    found.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]
    return found


def false_opset() -> onnx.ModelProto:
    found = linear()
    found.opset_import[0].version = 1 << 40
    return found


HOSTILE = {
    "doubling constants": lambda: doubling(40),
    "a deep chain": lambda: deep(2000),
    "a missing initializer": without_initializer,
    "a cycle": cyclic,
    "a name twice": twice_defined,
    "an impossible shape": false_shape,
    "an impossible operator set": false_opset,
    "an impossible input": lambda: model([node("Relu", "x")], (1 << 20, 1 << 20, 1 << 20)),
    "an integer input": lambda: model([node("Relu", "x")], (8,), TensorProto.INT64),
    "a huge outer sum": lambda: model(
        [node("Add", "a b", "c"), node("Add", "x c")], (8,), a=f32(1 << 17, 1), b=f32(1, 1 << 17)
    ),
    "weights that are not finite": lambda: model([node("MatMul", "x w")], (2,), w=f32(2, 2) * np.nan),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused(what: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(HOSTILE[what]().SerializeToString())
    with pytest.raises(McupruneError) as caught:
        load(tmp_path / "net.onnx")
    assert len(str(caught.value)) < 1000


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_never_escape_as_another_exception(tmp_path_factory, data: st.DataObject) -> None:
    stored = bytearray(channels_last(True).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(stored)
    with contextlib.suppress(McupruneError):
        load(path)


def channels_last(quantized: bool = False) -> onnx.ModelProto:
    """As converters from channels-last frameworks write it: transposed around the convolutions."""
    height, width, channels = SHAPE
    begin = [node("Transpose", "x", "first", perm=[0, 3, 1, 2])]
    if quantized:
        begin = [
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q s z", "d"),
            node("Transpose", "d", "first", perm=[0, 3, 1, 2]),
        ]
    nodes = [
        *begin,
        node("Conv", "first w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("Relu", "t", "r"),
        node("Reshape", "r flat", "f"),
        node("MatMul", "f m"),
    ]
    length = height * width * 4
    constants = {
        "w": f32(4, channels, 3, 3),
        "m": f32(length, 5),
        "flat": np.array([-1, length], np.int64),
        "s": np.float32(0.05),
        "z": np.int8(3),
    }
    return model(nodes, SHAPE, **constants)


def transposed_branches() -> onnx.ModelProto:
    """Sums, products, concatenation and a mean of maps whose channels stand last; then a mean in disguise."""
    nodes = [
        node("Transpose", "x", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first w", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("Mul", "t factors", "m"),
        node("Add", "m t", "a"),
        node("Concat", "a t", "j", axis=3),
        node("ReduceMean", "j", "r", axes=[1, 2], keepdims=1),
        node("Reshape", "r moved", "u"),
        node("Conv", "u k", "v"),
        node("Reshape", "v back", "z"),
        node("Squeeze", "z axes"),
    ]
    constants = {
        **{"w": f32(4, SHAPE[2], 3, 3), "factors": f32(4), "k": f32(5, 8, 1, 1)},
        **{"moved": np.array([1, 8, 1, 1]), "back": np.array([1, 1, 1, 5]), "axes": np.array([1, 2])},
    }
    return model(nodes, SHAPE, **constants)


def transposed_sequence() -> onnx.ModelProto:
    nodes = [
        node("Unsqueeze", "x one", "u"),
        node("Transpose", "u", "first", perm=[0, 3, 1, 2]),
        node("Conv", "first w", "c"),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("Squeeze", "t one", "s"),
        node("Relu", "s", "r"),
        node("ReduceMean", "r", axes=[1], keepdims=0),
    ]
    return model(nodes, (9, 3), w=f32(4, 3, 1, 3), one=np.array([1]))


@pytest.mark.parametrize("make", [channels_last, transposed_branches, transposed_sequence])
def test_maps_with_channels_last_are_read_as_they_are(make, tmp_path: Path) -> None:
    path, made = tmp_path / "net.onnx", make()
    onnx.save(made, path)
    graph = load(path)
    assert isinstance(graph, Graph)
    sizes = [dim.dim_value for dim in made.graph.input[0].type.tensor_type.shape.dim]
    x = f32(*sizes)
    expected = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})[0]
    ours = run_float(graph, x.reshape(1, *graph.shape(graph.inputs[0])))
    np.testing.assert_allclose(ours.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)


def test_names_are_short_and_of_the_first_of_merged_layers(tmp_path: Path) -> None:
    relu = helper.make_node("Relu", ["x"], ["y"], name="a" * 300 + "/b;" + "c" * 20)
    onnx.save(model([relu], (8,)), tmp_path / "net.onnx")
    graph = load(tmp_path / "net.onnx")
    assert graph.outputs == ("a" * 80,)


def test_other_operators_on_such_maps_are_refused(tmp_path: Path) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
        node("MaxPool", "t", kernel_shape=[2, 2]),
    ]
    onnx.save(model(nodes, (3, 6, 5)), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match="channels stand last"):
        load(tmp_path / "net.onnx")
