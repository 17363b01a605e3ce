"""Channel groups on the topologies that make pruning hard."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError
from mcuprune.graph.channels import build_graph, element_index, prunable, unit_of_element
from mcuprune.graph.ir import (
    Add,
    Block,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Input,
    Linear,
    Mul,
    Softmax,
    Window,
)

ONE = Window((1, 1))


def zeros(*shape: int) -> Constant:
    return Constant(np.zeros(shape, np.float32))


def conv(name: str, source: str, out: int, cin: int, constants: dict[str, Constant]) -> Conv2d:
    constants[f"{name}.weight"] = zeros(out, 1, 1, cin)
    return Conv2d(name, (source,), f"{name}.weight", None, ONE)


def linear(name: str, source: str, out: int, cin: int, constants: dict[str, Constant]) -> Linear:
    constants[f"{name}.weight"] = zeros(out, cin)
    return Linear(name, (source,), f"{name}.weight", None)


def test_residual_addition_unifies_its_branches() -> None:
    c: dict[str, Constant] = {}
    nodes = [
        Input("x", ()),
        conv("a", "x", 8, 3, c),
        conv("b", "a", 8, 8, c),
        Add("sum", ("a", "b")),
        conv("out", "sum", 2, 8, c),
    ]
    graph = build_graph("net", nodes, {"x": (4, 4, 3)}, ["out"], c)
    assert graph.tensors["sum"].channels == graph.tensors["a"].channels == graph.tensors["b"].channels
    assert prunable(graph) == (graph.tensors["a"].channels[0].group,)
    assert graph.shape("sum") == (4, 4, 8)


def test_addition_to_a_concatenation_splits_the_other_group() -> None:
    c: dict[str, Constant] = {}
    nodes = [
        Input("x", ()),
        conv("a", "x", 3, 1, c),
        conv("b", "x", 5, 1, c),
        conv("wide", "x", 8, 1, c),
        Concat("ab", ("a", "b")),
        Add("sum", ("wide", "ab")),
        conv("out", "sum", 2, 8, c),
    ]
    graph = build_graph("net", nodes, {"x": (4, 4, 1)}, ["out"], c)
    assert [graph.widths[b.group] for b in graph.tensors["wide"].channels] == [3, 5]
    assert graph.tensors["wide"].channels == graph.tensors["ab"].channels == graph.tensors["sum"].channels
    assert graph.tensors["a"].channels == graph.tensors["wide"].channels[:1]


def test_depth_multiplier_and_flatten_scale_the_block() -> None:
    c = {"dw.weight": zeros(1, 1, 6)}
    nodes = [
        Input("x", ()),
        conv("a", "x", 3, 1, c),
        DepthwiseConv2d("dw", ("a",), "dw.weight", None, ONE, multiplier=2),
        Flatten("flat", ("dw",)),
        linear("out", "flat", 2, 24, c),
    ]
    graph = build_graph("net", nodes, {"x": (2, 2, 1)}, ["out"], c)
    assert graph.tensors["flat"].channels == (Block("a", size=2, repeat=4),)
    kept = element_index(graph.tensors["flat"].channels, graph.widths, {"a": np.array([0, 2])})
    assert kept.tolist() == [0, 1, 4, 5, 6, 7, 10, 11, 12, 13, 16, 17, 18, 19, 22, 23]
    pairs = unit_of_element(graph.tensors["flat"].channels, graph.widths)["a"]
    assert pairs[:8].tolist() == [[0, 0], [1, 0], [2, 1], [3, 1], [4, 2], [5, 2], [6, 0], [7, 0]]


def test_flatten_of_a_concatenation_interleaves() -> None:
    c: dict[str, Constant] = {}
    nodes = [
        Input("x", ()),
        conv("a", "x", 2, 1, c),
        conv("b", "x", 1, 1, c),
        Concat("ab", ("a", "b")),
        Flatten("flat", ("ab",)),
        linear("out", "flat", 2, 6, c),
    ]
    graph = build_graph("net", nodes, {"x": (1, 2, 1)}, ["out"], c)
    axis = graph.tensors["flat"].channels
    assert [b.group for b in axis] == ["a", "b", "a", "b"]
    assert element_index(axis, graph.widths, {"a": np.array([1])}).tolist() == [1, 2, 4, 5]


def test_linear_added_to_a_flattened_map_is_tied_to_its_channels() -> None:
    c: dict[str, Constant] = {}
    nodes = [
        Input("x", ()),
        conv("a", "x", 3, 1, c),
        Flatten("flat", ("a",)),
        linear("fc", "flat", 12, 12, c),
        Add("sum", ("fc", "flat")),
        linear("out", "sum", 2, 12, c),
    ]
    graph = build_graph("net", nodes, {"x": (2, 2, 1)}, ["out"], c)
    assert graph.tensors["fc"].channels == (Block("a", 1, 4),)
    assert "fc" not in graph.widths


def test_squeeze_excite_product_unifies_and_softmax_freezes() -> None:
    c: dict[str, Constant] = {}
    nodes = [
        Input("x", ()),
        conv("a", "x", 6, 1, c),
        conv("gate", "x", 6, 1, c),
        Mul("scaled", ("a", "gate")),
        conv("attention", "x", 4, 1, c),
        Softmax("soft", ("attention",)),
        Concat("both", ("scaled", "soft")),
        conv("out", "both", 2, 10, c),
    ]
    graph = build_graph("net", nodes, {"x": (4, 4, 1)}, ["out"], c)
    assert graph.frozen == {"x", "attention", "out"}
    assert len(prunable(graph)) == 1


def test_size_mismatch_names_the_layer() -> None:
    c: dict[str, Constant] = {}
    nodes = [Input("x", ()), conv("stem", "x", 6, 5, c)]
    with pytest.raises(UnsupportedError, match=r"'stem'.*reads? 5 channels"):
        build_graph("net", nodes, {"x": (4, 4, 3)}, ["stem"], c)
