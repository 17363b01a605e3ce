"""Each pass keeps the values of the outputs and leaves the nodes that it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.errors import UnsupportedError
from mcuprune.graph.channels import all_constant_axes, build_graph
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
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Node,
    Pad,
    Window,
    axis_width,
)
from mcuprune.graph.passes import PASSES, run_passes
from mcuprune.graph.passes.fold_batchnorm import fold_batchnorm
from mcuprune.graph.passes.fuse import fuse_activation, fuse_pad
from mcuprune.graph.passes.remove_noops import remove_noops
from mcuprune.graph.passes.rewrite import remove_dead
from mcuprune.graph.run_float import run_tensors

SAME = Window((3, 3), (1, 1), (1, 1, 1, 1))
ONE = Window((1, 1))


class Net:
    """Nodes and constants written down one after another."""

    def __init__(self, *shape: int, seed: int = 0) -> None:
        self.rng, self.shape = np.random.default_rng(seed), shape
        self.nodes: list[Node] = [Input("x", ())]
        self.constants: dict[str, Constant] = {}

    def add(self, node: Node) -> None:
        self.nodes.append(node)

    def random(self, name: str, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        self.constants[name] = Constant(self.rng.uniform(low, high, shape).astype(np.float32))
        return name

    def conv(
        self, name: str, source: str, cin: int, out: int, window: Window = SAME, bias: bool = False
    ) -> None:
        weight = self.random(f"{name}.w", out, *window.kernel, cin)
        self.add(Conv2d(name, (source,), weight, self.random(f"{name}.b", out) if bias else None, window))

    def depthwise(
        self, name: str, source: str, channels: int, multiplier: int, window: Window = SAME
    ) -> None:
        weight = self.random(f"{name}.w", *window.kernel, channels * multiplier)
        self.add(DepthwiseConv2d(name, (source,), weight, None, window, multiplier))

    def linear(self, name: str, source: str, cin: int, out: int, bias: bool = False) -> None:
        weight = self.random(f"{name}.w", out, cin)
        self.add(Linear(name, (source,), weight, self.random(f"{name}.b", out) if bias else None))

    def norm(self, name: str, source: str, channels: int) -> None:
        names = [self.random(f"{name}.{role}", channels) for role in ("gamma", "beta", "mean")]
        variance = self.random(f"{name}.variance", channels, low=0.2, high=2.0)
        self.add(BatchNorm(name, (source,), *names, variance, 1e-3))

    def relu(self, name: str, source: str, function: str = "relu") -> None:
        self.add(Activation(name, (source,), function))

    def graph(self, *outputs: str) -> Graph:
        return build_graph("net", self.nodes, {"x": self.shape}, outputs, self.constants)


def assert_kept(before: Graph, after: Graph) -> None:
    """Equal outputs up to float32 rounding, which goes with the largest value on the way: terms cancel."""
    x = np.random.default_rng(9).uniform(-3, 3, (3, *before.shape("x")))
    wanted, found = run_tensors(before, x), run_tensors(after, x)
    largest = max(np.abs(values).max() for values in wanted.values())
    for name, kept in zip(before.outputs, after.outputs, strict=True):
        np.testing.assert_allclose(found[kept], wanted[name], rtol=0, atol=2e-6 * max(1.0, largest))
    assert_consistent(after)


def assert_consistent(graph: Graph) -> None:
    """Nothing is left over, and widths, groups and constants agree."""
    assert set(graph.tensors) == {node.name for node in graph.nodes}
    used = {block.group for kind in graph.tensors.values() for block in kind.channels}
    assert set(graph.widths) == used
    assert graph.frozen <= used
    axes = all_constant_axes(graph)
    assert set(axes) == set(graph.constants)
    for name, sizes in axes.items():
        for size, axis in zip(graph.constants[name].values.shape, sizes, strict=True):
            assert axis is None or axis_width(axis, graph.widths) == size


def kinds(graph: Graph) -> list[str]:
    return [type(node).__name__ for node in graph.nodes[1:]]


@pytest.mark.parametrize("bias", [False, True])
def test_batch_norm_folds_into_the_layer_before(bias):
    net = Net(5, 6, 3)
    net.conv("c", "x", 3, 4, bias=bias)
    net.norm("n", "c", 4)
    net.depthwise("d", "n", 4, 2)
    net.norm("m", "d", 8)
    net.add(AveragePool2d("p", ("m",), Window((5, 6))))
    net.add(Flatten("f", ("p",)))
    net.linear("l", "f", 8, 5, bias=bias)
    net.norm("o", "l", 5)
    before = net.graph("o")
    after = fold_batchnorm(before)
    assert_kept(before, after)
    assert kinds(after) == ["Conv2d", "DepthwiseConv2d", "AveragePool2d", "Flatten", "Linear"]
    assert after.outputs == ("l",)
    assert kinds(before)[1] == "BatchNorm"  # the given graph is not changed


def test_batch_norm_with_nothing_before_becomes_depthwise():
    net = Net(4, 4, 3)
    net.norm("n", "x", 3)
    net.relu("r", "n")
    net.conv("c", "r", 3, 4)
    net.norm("k", "c", 4)  # "c" is read twice: it must stay as it is
    net.add(Add("a", ("c", "k")))
    before = net.graph("a")
    after = run_passes(before)
    assert_kept(before, after)
    assert kinds(after) == ["DepthwiseConv2d", "Conv2d", "DepthwiseConv2d", "Add"]
    assert after.nodes[1].activation == "relu"


def test_batch_norm_of_a_vector_folds_forward():
    net = Net(6)
    net.norm("n", "x", 6)
    net.linear("a", "n", 6, 3)
    net.linear("b", "n", 6, 3, bias=True)
    before = net.graph("a", "b")
    after = fold_batchnorm(before)
    assert_kept(before, after)
    assert kinds(after) == ["Linear", "Linear"]


@pytest.mark.parametrize("out", [("n",), ("r",)])
def test_batch_norm_of_a_vector_without_a_layer(out):
    net = Net(6)
    net.norm("n", "x", 6)
    net.relu("r", "n")
    with pytest.raises(UnsupportedError, match=r"layer 'n': batch normalization of a vector"):
        fold_batchnorm(net.graph(*out))


def test_folding_leaves_shared_constants_to_the_others():
    net = Net(4, 4, 3)
    net.conv("c", "x", 3, 3, ONE)
    net.norm("n", "c", 3)
    net.add(Conv2d("d", ("n",), "c.w", None, ONE))
    net.norm("m", "d", 3)
    before = net.graph("m")
    assert_kept(before, fold_batchnorm(before))


def test_folding_keeps_masks():
    net = Net(4, 4, 3)
    net.conv("c", "x", 3, 4)
    net.norm("n", "c", 4)
    mask = net.rng.uniform(size=(4, 3, 3, 3)) > 0.5
    net.constants["c.w"] = Constant(net.constants["c.w"].values, mask=mask)
    before = net.graph("n")
    after = fold_batchnorm(before)
    assert_kept(before, after)
    np.testing.assert_array_equal(after.constants["c.w"].mask, mask)


def test_activations_fuse_into_what_they_read():
    net = Net(6, 6, 3)
    net.conv("c", "x", 3, 4)
    net.relu("r", "c")
    net.add(MaxPool2d("p", ("r",), Window((2, 2), (2, 2))))
    net.relu("s", "p", "relu6")
    net.conv("d", "s", 4, 4)
    net.add(Add("a", ("d", "s")))
    net.relu("t", "a")
    net.relu("u", "t", "relu6")  # narrower than what is fused already
    before = net.graph("u")
    after = fuse_activation(before)
    assert_kept(before, after)
    assert [getattr(n, "activation", None) for n in after.nodes[1:]] == ["relu", "relu6", None, "relu", None]
    assert after.outputs == ("u",)


def test_activations_do_not_fuse_when_others_look():
    net = Net(4, 4, 2)
    net.conv("c", "x", 2, 2)
    net.relu("r", "c")
    net.relu("first", "x")
    net.relu("t", "r", "tanh")
    net.add(Add("a", ("t", "c")))
    net.conv("o", "a", 2, 2)
    net.relu("last", "o")
    before = net.graph("a", "o", "last", "first")
    after = fuse_activation(before)
    assert_kept(before, after)
    assert after.nodes == before.nodes


def test_padding_goes_into_convolutions_only():
    net = Net(5, 5, 2)
    net.add(Pad("p", ("x",), (1, 0, 2, 1)))
    net.conv("c", "p", 2, 3)
    net.depthwise("d", "p", 2, 1, Window((3, 2), (2, 1)))
    net.add(MaxPool2d("m", ("p",), Window((2, 2))))
    net.add(Pad("q", ("c",), (0, 2, 0, 0)))
    net.conv("e", "q", 3, 2, ONE)
    before = net.graph("e", "d", "m")
    after = fuse_pad(before)
    assert_kept(before, after)
    assert kinds(after) == ["Pad", "Conv2d", "DepthwiseConv2d", "MaxPool2d", "Conv2d"]
    assert after.nodes[2].window.padding == (2, 1, 3, 2)
    assert after.nodes[5].window.padding == (0, 2, 0, 0)


def test_nodes_without_effect_go():
    net = Net(6)
    net.add(Flatten("f", ("x",)))
    net.linear("l", "f", 6, 4)
    net.relu("r", "l", "relu6")
    net.relu("s", "r", "relu")
    net.add(Concat("c", ("s",)))
    net.add(Flatten("g", ("c",)))
    before = net.graph("g")
    after = run_passes(before)
    assert_kept(before, after)
    assert kinds(after) == ["Linear"]
    assert (after.outputs, after.nodes[1].activation) == (("l",), "relu6")


def test_maps_without_effect_go():
    net = Net(4, 4, 2)
    net.add(Pad("p", ("x",), (0, 0, 0, 0)))
    net.add(MaxPool2d("m", ("p",), ONE))
    net.add(AveragePool2d("a", ("m",), ONE))
    net.conv("c", "a", 2, 3)
    before = net.graph("c")
    after = remove_noops(before)
    assert_kept(before, after)
    assert kinds(after) == ["Conv2d"]


def test_an_output_never_becomes_an_input():
    net = Net(6)
    net.add(Flatten("f", ("x",)))
    after = run_passes(net.graph("f"))
    assert after.outputs == ("f",)


def test_dead_nodes_and_their_constants_go():
    net = Net(4, 4, 2)
    net.conv("c", "x", 2, 3)
    net.conv("unused", "x", 2, 5, bias=True)
    net.norm("n", "unused", 5)
    before = net.graph("c")
    after = remove_dead(before)
    assert_kept(before, after)
    assert set(after.constants) == {"c.w"}
    assert set(after.widths) == {"x", "c"}


KINDS = ("conv", "depthwise", "norm", "relu", "relu6", "tanh", "pad", "pool", "add", "concat")


@st.composite
def networks(draw):
    """Chains with skip connections, in which every node class that passes touch can follow every other."""
    net = Net(6, 6, 2, seed=draw(st.integers(0, 99)))
    current, channels, size, earlier = "x", 2, 6, {}
    for index in range(draw(st.integers(1, 9))):
        name = f"n{index}"
        kind = draw(st.sampled_from(KINDS))
        earlier.setdefault((channels, size), []).append(current)
        if kind == "conv":
            net.conv(name, current, channels, draw(st.integers(1, 4)), SAME, draw(st.booleans()))
            channels = net.constants[f"{name}.w"].values.shape[0]
        elif kind == "depthwise":
            net.depthwise(name, current, channels, 1)
        elif kind == "norm":
            net.norm(name, current, channels)
        elif kind == "pad":
            top = draw(st.integers(0, 1))
            net.add(Pad(name, (current,), (top, 0, 0, 0)))
            size += top
        elif kind == "pool":
            net.add(MaxPool2d(name, (current,), draw(st.sampled_from([SAME, ONE]))))
        elif kind in ("add", "concat"):
            other = draw(st.sampled_from(earlier[channels, size]))
            net.add(Add(name, (current, other)) if kind == "add" else Concat(name, (current, other)))
            channels *= 1 if kind == "add" else 2
        else:
            net.relu(name, current, kind)
        current = name
    return net.graph(*dict.fromkeys([draw(st.sampled_from(net.nodes)).name, current]))


@settings(deadline=None, max_examples=120)
@given(graph=networks())
def test_any_network_keeps_its_outputs(graph):
    for apply in PASSES:
        after = apply(graph)
        assert_kept(graph, after)
        graph = after
    assert not any(isinstance(node, BatchNorm) for node in graph.nodes)
