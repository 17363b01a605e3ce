"""The float meaning of each node class, against plain loops and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.graph import ir
from mcuprune.graph.channels import build_graph
from mcuprune.graph.ir import (
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    Softmax,
    Window,
)
from mcuprune.graph.run_float import evaluate, run_float, run_tensors


def value(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def one(node: Node, *inputs: np.ndarray, **constants: np.ndarray) -> np.ndarray:
    return evaluate(node, list(inputs), {name: Constant(values) for name, values in constants.items()})


def channels_first(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(x, -1, 1).copy())


def channels_last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.numpy(), 1, -1)


def test_every_node_class_has_a_meaning():
    fallback = evaluate.dispatch(Node)
    assert [kind.__name__ for kind in ir.NODES if evaluate.dispatch(kind) is fallback] == []


def test_every_function_has_a_meaning():
    x = np.linspace(-8, 8, 33)
    for function in ir.FUNCTIONS:
        assert one(Activation("a", ("x",), function), x).shape == x.shape
    for clamp in ir.CLAMPS:
        assert one(Add("a", ("x", "y"), clamp), x, x).shape == x.shape


def test_unknown_nodes_are_errors():
    class Strange(Node):
        pass

    with pytest.raises(UnsupportedError, match=r"layer 's': the float interpreter does not support Strange"):
        one(Strange("s", ()))
    with pytest.raises(UnsupportedError, match=r"layer 'a': .*'wobble'"):
        one(Activation("a", ("x",), "wobble"), value(2))


@pytest.mark.parametrize(
    ("function", "reference"),
    [
        ("relu", F.relu),
        ("relu6", F.relu6),
        ("leaky_relu", lambda x: F.leaky_relu(x, 0.2)),
        ("hard_swish", F.hardswish),
        ("hard_sigmoid", F.hardsigmoid),
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("sine", torch.sin),
    ],
)
@pytest.mark.parametrize("gain", [1.0, 30.0])
def test_activations(function, reference, gain):
    x = np.concatenate([np.linspace(-9, 9, 181), [-1e4, 1e4]])
    found = one(Activation("a", ("x",), function, gain, 0.2), x)
    np.testing.assert_allclose(found, reference(torch.from_numpy(gain * x)).numpy(), atol=1e-12)


windows = st.builds(
    Window,
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.tuples(*[st.integers(0, 3)] * 4),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
)


@settings(deadline=None, max_examples=60)
@given(window=windows, multiplier=st.integers(1, 3), size=st.tuples(st.integers(7, 9), st.integers(7, 10)))
def test_convolutions(window, multiplier, size):
    x = value(2, *size, 3)
    top, left, bottom, right = window.padding
    padded = F.pad(channels_first(x), (left, right, top, bottom))
    weight, bias = value(4, *window.kernel, 3, seed=1), value(4, seed=2)
    found = one(Conv2d("c", ("x",), "w", "b", window), x, w=weight, b=bias)
    oihw = torch.from_numpy(weight.transpose(0, 3, 1, 2).copy())
    wanted = F.conv2d(padded, oihw, torch.from_numpy(bias), window.stride, 0, window.dilation)
    np.testing.assert_allclose(found, channels_last(wanted), atol=1e-12)

    weight = value(*window.kernel, 3 * multiplier, seed=3)
    found = one(DepthwiseConv2d("d", ("x",), "w", None, window, multiplier), x, w=weight)
    o1hw = torch.from_numpy(weight.transpose(2, 0, 1)[:, None].copy())
    wanted = F.conv2d(padded, o1hw, None, window.stride, 0, window.dilation, groups=3)
    np.testing.assert_allclose(found, channels_last(wanted), atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(window=windows.filter(lambda w: all(p < k for p, k in zip(w.padding, w.kernel * 2, strict=True))))
def test_pools(window):
    """Padding counts neither for the maximum (it is no zero) nor for the mean."""
    x = value(2, 8, 9, 2) - 5.0
    height, width = window.output_size(8, 9)
    largest = one(MaxPool2d("p", ("x",), window), x)
    mean = one(AveragePool2d("p", ("x",), window), x)
    assert largest.shape == mean.shape == (2, height, width, 2)
    for row in range(height):
        for column in range(width):
            rows = (
                np.arange(window.kernel[0]) * window.dilation[0] + row * window.stride[0] - window.padding[0]
            )
            columns = np.arange(window.kernel[1]) * window.dilation[1]
            columns += column * window.stride[1] - window.padding[1]
            rows, columns = rows[(rows >= 0) & (rows < 8)], columns[(columns >= 0) & (columns < 9)]
            if rows.size and columns.size:
                real = x[:, rows][:, :, columns].reshape(2, -1, 2)
                np.testing.assert_allclose(largest[:, row, column], real.max(axis=1))
                np.testing.assert_allclose(mean[:, row, column], real.mean(axis=1))


def test_the_other_nodes():
    x, y = value(2, 3, 4, 5), value(2, 3, 4, 5, seed=1)
    gate, mask = value(2, 1, 1, 5, seed=2), value(2, 3, 4, 1, seed=3)
    np.testing.assert_array_equal(one(Add("a", ("x", "y"), "relu6"), x, y), np.clip(x + y, 0, 6))
    np.testing.assert_array_equal(one(Mul("a", ("x", "y")), x, gate), x * gate)
    np.testing.assert_array_equal(one(Mul("a", ("x", "y"), "relu"), mask, x), np.maximum(mask * x, 0))
    np.testing.assert_array_equal(one(Concat("c", ("x", "y")), x, mask)[..., 5], mask[..., 0])
    np.testing.assert_array_equal(one(Flatten("f", ("x",)), x)[:, 5 * (4 * 2 + 3) + 1], x[:, 2, 3, 1])
    np.testing.assert_array_equal(one(Pad("p", ("x",), (1, 2, 0, 3)), x)[:, 1:, 2:-3], x)
    assert one(Pad("p", ("x",), (1, 2, 0, 3)), x).shape == (2, 4, 9, 5)
    soft = one(Softmax("s", ("x",)), 1000 * x)
    np.testing.assert_allclose(soft.sum(axis=-1), 1)
    norm = {"g": value(5, seed=4), "b": value(5, seed=5), "m": value(5, seed=6), "v": value(5, seed=7) ** 2}
    found = one(BatchNorm("n", ("x",), "g", "b", "m", "v", 0.1), x, **norm)
    wanted = (x - norm["m"]) / np.sqrt(norm["v"] + 0.1) * norm["g"] + norm["b"]
    np.testing.assert_allclose(found, wanted)


def test_masked_weights_count_as_zero():
    weight, mask = value(3, 4), value(3, 4, seed=1) > 0
    found = evaluate(Linear("l", ("x",), "w", None), [np.eye(4)], {"w": Constant(weight, mask=mask)})
    np.testing.assert_array_equal(found.T, weight * mask)


def two_inputs():
    nodes = [Input("a", ()), Input("b", ()), Add("sum", ("a", "b")), Activation("out", ("sum",), "tanh")]
    return build_graph("two", nodes, {"a": (3,), "b": (3,)}, ["sum", "out"], {})


def test_all_tensors_in_float32():
    a, b = value(5, 3), value(5, 3, seed=1)
    tensors = run_tensors(two_inputs(), {"a": a, "b": b})
    assert list(tensors) == ["a", "b", "sum", "out"]
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(tensors["out"], np.tanh(a + b), atol=1e-6)


def test_wrong_inputs_are_explained():
    graph = two_inputs()
    with pytest.raises(UsageError, match=r"input 'b' of graph 'two' must be \(N, 3\), not \(5, 4\)"):
        run_tensors(graph, {"a": value(5, 3), "b": value(5, 4)})
    with pytest.raises(UsageError, match=r"needs a value for its input 'b'"):
        run_tensors(graph, value(5, 3))
    with pytest.raises(UsageError, match=r"has 2 outputs"):
        run_float(graph, {"a": value(5, 3), "b": value(5, 3)})
