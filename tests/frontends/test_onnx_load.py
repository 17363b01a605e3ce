"""ONNX files built by hand: every form of every operator against onnxruntime, and files to be refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from mcuprune.errors import McupruneError, UnsupportedError, UsageError
from mcuprune.frontends.onnx import load
from mcuprune.graph.run_float import run_float

RNG = np.random.default_rng(5)


def f32(*shape: int) -> np.ndarray:
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def node(op: str, inputs: str, output: str = "y", **attributes):
    return helper.make_node(op, inputs.split(" "), [output], name=f"the_{op}", **attributes)


def model(nodes, shape, opset: int = 17, batch: int | str = 1, **constants: np.ndarray) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, *shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


MAP = (3, 7, 8)
CASES = {
    "conv": (
        [node("Conv", "x w b", strides=[2, 1], pads=[1, 0, 2, 1])],
        MAP,
        11,
        {"w": f32(4, 3, 3, 2), "b": f32(4)},
    ),
    "conv dilated": ([node("Conv", "x w", dilations=[2, 3])], MAP, 11, {"w": f32(4, 3, 3, 2)}),
    "conv upper": (
        [node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])],
        MAP,
        11,
        {"w": f32(4, 3, 4, 3)},
    ),
    "conv lower": (
        [node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 3])],
        MAP,
        11,
        {"w": f32(4, 3, 4, 3)},
    ),
    "conv valid": ([node("Conv", "x w", auto_pad="VALID")], MAP, 11, {"w": f32(4, 3, 4, 3)}),
    "depthwise": ([node("Conv", "x w", group=3, pads=[0, 1, 0, 1])], MAP, 11, {"w": f32(6, 1, 2, 3)}),
    "conv, bias by add": (
        [node("Conv", "x w", "c"), node("Add", "c b")],
        MAP,
        13,
        {"w": f32(4, 3, 2, 2), "b": f32(1, 4, 1, 1)},
    ),
    "gemm": ([node("Gemm", "x w b", alpha=0.5, beta=2.0, transB=1)], (5,), 13, {"w": f32(4, 5), "b": f32(4)}),
    "gemm scalar": ([node("Gemm", "x w b")], (5,), 7, {"w": f32(5, 4), "b": f32(1)}),
    "matmul": ([node("MatMul", "x w", "m"), node("Add", "b m")], (5,), 13, {"w": f32(5, 4), "b": f32(4)}),
    "batch norm": (
        [node("BatchNormalization", "x g b m v", epsilon=0.01)],
        MAP,
        15,
        {"g": f32(3), "b": f32(3), "m": f32(3), "v": f32(3) ** 2},
    ),
    "clip 6": ([node("Clip", "x", min=0.0, max=6.0)], MAP, 6, {}),
    "clip 11": ([node("Clip", "x lo hi")], MAP, 11, {"lo": np.float32(0), "hi": np.float32(6)}),
    "clip low only": ([node("Clip", "x lo")], MAP, 13, {"lo": np.float32(0)}),
    "hard sigmoid": ([node("HardSigmoid", "x", alpha=0.3, beta=0.4)], MAP, 6, {}),
    "hard swish": ([node("HardSwish", "x")], MAP, 14, {}),
    "leaky": ([node("LeakyRelu", "x", alpha=0.3)], MAP, 16, {}),
    "sine": ([node("Mul", "x k", "m"), node("Sin", "m")], (4,), 13, {"k": np.float32(7)}),
    "cosine": ([node("Gemm", "x w", "m"), node("Cos", "m")], (4,), 13, {"w": f32(4, 3)}),
    "max pool": ([node("MaxPool", "x", kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 1])], MAP, 12, {}),
    "average pool": ([node("AveragePool", "x", kernel_shape=[3, 2], pads=[1, 0, 1, 1])], MAP, 11, {}),
    "average with zeros": (
        [node("AveragePool", "x", kernel_shape=[3, 2], pads=[1, 0, 1, 1], count_include_pad=1)],
        MAP,
        11,
        {},
    ),
    "global": ([node("GlobalAveragePool", "x", "p"), node("Squeeze", "p a")], MAP, 13, {"a": i64(2, 3)}),
    "squeeze 11": ([node("GlobalMaxPool", "x", "p"), node("Squeeze", "p", axes=[3, 2])], MAP, 11, {}),
    "mean 13": ([node("ReduceMean", "x", axes=[2, -1], keepdims=0)], MAP, 13, {}),
    "mean 18": ([node("ReduceMean", "x a")], MAP, 18, {"a": i64(2, 3)}),
    "add": ([node("Relu", "x", "r"), node("Add", "r x")], MAP, 13, {}),
    "sub": ([node("Relu", "x", "r"), node("Sub", "r x")], MAP, 13, {}),
    "one minus": (
        [node("Sub", "k x", "m"), node("Conv", "m w")],
        MAP,
        13,
        {"k": np.float32(1), "w": f32(2, 3, 2, 2)},
    ),
    "mul": ([node("GlobalAveragePool", "x", "p"), node("Mul", "p x")], MAP, 13, {}),
    "normalize": (
        [node("Sub", "x m", "s"), node("Div", "s d", "n"), node("Relu", "n")],
        MAP,
        13,
        {"m": f32(1, 3, 1, 1), "d": f32(3, 1, 1) + 2},
    ),
    "concat, flatten, gemm": (
        [
            node("Relu", "x", "r"),
            node("Concat", "r x", "c", axis=-3),
            node("Flatten", "c", "f"),
            node("Gemm", "f w"),
        ],
        (2, 2, 3),
        13,
        {"w": f32(24, 3)},
    ),
    "reshape": (
        [node("Reshape", "x s", "f"), node("MatMul", "f w")],
        (2, 2, 3),
        13,
        {"s": i64(0, -1), "w": f32(12, 3)},
    ),
    "reshape batch": (
        [node("Reshape", "x s", "f"), node("MatMul", "f w")],
        (2, 2, 3),
        13,
        {"s": i64(-1, 12), "w": f32(12, 3)},
    ),
    "unsqueeze": (
        [node("Unsqueeze", "x a", "u"), node("Squeeze", "u a", "s"), node("Relu", "s")],
        (3, 9),
        13,
        {"a": i64(-1)},
    ),
    "pad 10": ([node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 3, 0])], MAP, 10, {}),
    "pad 13": ([node("Pad", "x p")], MAP, 13, {"p": i64(0, 0, 1, 2, 0, 0, 3, 0)}),
    "pad 18": ([node("Pad", "x p  a")], MAP, 18, {"p": i64(1, 2, 3, 0), "a": i64(2, -1)}),
    "softmax 11": ([node("Softmax", "x")], (5,), 11, {}),
    "softmax 13": ([node("Softmax", "x", axis=1)], MAP, 13, {}),
    "dropout": ([node("Dropout", "x", "d"), node("Identity", "d", "i"), node("Tanh", "i")], MAP, 13, {}),
    "one dimension": (
        [node("Conv", "x w", "c", pads=[2, 1]), node("MaxPool", "c", kernel_shape=[2], strides=[2])],
        (3, 9),
        13,
        {"w": f32(4, 3, 3)},
    ),
}


@pytest.mark.parametrize("key", CASES)
def test_operator(key, tmp_path):
    nodes, shape, opset, constants = CASES[key]
    path = tmp_path / "net.onnx"
    onnx.save(model(nodes, shape, opset, "n", **constants), path)
    x = f32(2, *shape) * 4
    (wanted,) = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    graph = load(path)
    found = run_float(graph, np.moveaxis(x, 1, -1).reshape(2, *graph.shape("x")))
    found = np.moveaxis(found, -1, 1).reshape(wanted.shape)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_flattening_by_shape_arithmetic(tmp_path):
    """What exporters make of ``x.view(x.size(0), -1)`` with a dynamic batch."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n first", "n1"),
        node("Concat", "n1 rest", "t", axis=0),
        node("Reshape", "x t", "f"),
        node("Transpose", "w", "wt", perm=[1, 0]),
        node("MatMul", "f wt", "y"),
    ]
    weight = f32(3, 12)
    constants = {"zero": np.array(0, np.int64), "first": i64(0), "rest": i64(-1), "w": weight}
    path = tmp_path / "net.onnx"
    onnx.save(model(nodes, (2, 2, 3), 13, "n", **constants), path)
    x = f32(4, 2, 2, 3)
    np.testing.assert_allclose(
        run_float(load(path), x.transpose(0, 2, 3, 1)), x.reshape(4, -1) @ weight.T, atol=1e-5
    )


REFUSED = {
    "unknown": ([node("Gelu", "x")], 20, {}, r"node 'the_Gelu' \(Gelu\): is not supported"),
    "groups": ([node("Conv", "x w", group=2)], 13, {"w": f32(4, 2, 3, 3)}, r"\(Conv\): grouped convolution"),
    "clip": ([node("Clip", "x lo")], 13, {"lo": np.float32(-1)}, r"\(Clip\): clips to \[-1.0, inf\]"),
    "ceil": ([node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], 13, {}, r"ceil_mode"),
    "transpose": ([node("Transpose", "x", perm=[0, 1, 3, 2])], 13, {}, r"\(Transpose\): reorders axes"),
    "batch": ([node("Reshape", "x s")], 13, {"s": i64(-1, 8)}, r"\(Reshape\): .* the batch axis"),
    "axis": ([node("Concat", "x x", axis=2)], 13, {}, r"\(Concat\): concatenates on axis 2"),
    "pad value": (
        [node("Pad", "x p v")],
        13,
        {"p": i64(*[0] * 8), "v": np.float32(1)},
        r"\(Pad\): pads with",
    ),
    "flat output": ([node("Flatten", "x")], 13, {}, r"\(Flatten\): .* reaches the output"),
    "computed weight": ([node("Conv", "x x")], 13, {}, r"\(Conv\): input 1 is computed"),
    "shared": (
        [node("Conv", "x w", "a"), node("Relu", "a", "b"), node("Conv", "b w")],
        13,
        {"w": f32(4, 4, 1, 1)},
        r"shares its weights 'w' with node 'the_Conv'",
    ),
    "fill": (
        [node("ConstantOfShape", "s", "c"), node("Add", "x c")],
        13,
        {"s": i64(1 << 40)},
        r"ConstantOfShape",
    ),
}


@pytest.mark.parametrize("key", REFUSED)
def test_refused(key, tmp_path):
    nodes, opset, constants, message = REFUSED[key]
    path = tmp_path / "net.onnx"
    onnx.save(model(nodes, (4, 6, 6), opset, "n", **constants), path)
    with pytest.raises(UnsupportedError, match=message) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(UsageError, match=r"'.*none.onnx' does not exist"):
        load(tmp_path / "none.onnx")
    for content in (b"", b"not a model", bytes(range(256))):
        path = tmp_path / "bad.onnx"
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"bad.onnx' is not a valid ONNX model: ") as caught:
            load(path)
        assert "\n" not in str(caught.value)


def test_unknown_sizes(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(model([node("Relu", "x")], (3, "height", "width"), 13), path)
    with pytest.raises(UsageError, match=r"input 'x' has no fixed sizes"):
        load(path)


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_damage_gives_a_clean_error_or_a_graph(data, tmp_path_factory):
    """Changed bytes and cut ends must never give anything but a graph or one of our errors."""
    nodes, shape, opset, constants = CASES["concat, flatten, gemm"]
    content = bytearray(model(nodes, shape, opset, 1, **constants).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("fuzz") / "net.onnx"
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    try:
        outcome = str(load(path).outputs)
    except McupruneError as error:
        outcome = str(error)
    assert outcome
    assert "\n" not in outcome
