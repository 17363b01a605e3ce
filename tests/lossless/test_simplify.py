"""Single rewritings: what is fused or dropped, what must stay, and that no byte changes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.lossless.optimise import optimise
from tests.lossless.planted import assert_same_bytes, probes

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
Q = ir.Quantization(0.05, -20)
SIDE = (5, 5, 3)


def weights(inputs: int, outputs: int, kernel: int = 1, seed: int = 0) -> ir.Constant:
    values = np.random.default_rng(seed).integers(-90, 91, (outputs, kernel, kernel, inputs))
    return ir.Constant(values.astype(np.int8), np.full(outputs, 0.01, np.float32))


def graph_of(
    *nodes: ir.Node,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    quantization: Mapping[str, ir.Quantization] | None = None,
    constants: Mapping[str, ir.Constant] | None = None,
) -> ir.QuantizedGraph:
    """Nodes after an input ``x``; tensors are 5x5x3 in one quantization unless another is given."""
    names = ["x", *(node.name for node in nodes)]
    return ir.QuantizedGraph(
        "few",
        (ir.Input("x", ()), *nodes),
        (nodes[-1].name,),
        {**dict.fromkeys(names, SIDE), **(shapes or {})},
        {**dict.fromkeys(names, Q), **(quantization or {})},
        constants or {},
    )


def folded(graph: ir.QuantizedGraph) -> ir.QuantizedGraph:
    """The optimised graph, equal on 40 inputs."""
    found = optimise(graph).graph
    assert_same_bytes(graph, found, probes(graph, 40))
    return found


def names(graph: ir.QuantizedGraph) -> list[str]:
    return [node.name for node in graph.nodes]


def node_of(graph: ir.QuantizedGraph, name: str) -> ir.Node:
    return next(node for node in graph.nodes if node.name == name)


def last() -> ir.Activation:
    return ir.Activation("end", ("y",), "hard_swish")


def test_a_pad_becomes_the_padding_of_the_convolution() -> None:
    pad = ir.Pad("p", ("x",), (1, 2, 0, 1))
    conv = ir.Conv2d("y", ("p",), "w", None, ir.Window((3, 3)))
    shapes = {"p": (6, 8, 3), "y": (4, 6, 3)}
    found = folded(graph_of(pad, conv, shapes=shapes, constants={"w": weights(3, 3, 3)}))
    assert names(found) == ["x", "y"]
    assert node_of(found, "y").window.padding == (1, 2, 0, 1)


def test_a_pad_before_a_pool_stays() -> None:
    """A max pool pads with -128, not with the zero point."""
    pad = ir.Pad("p", ("x",), (1, 1, 1, 1))
    pool = ir.MaxPool2d("y", ("p",), ir.Window((3, 3)))
    found = folded(graph_of(pad, pool, shapes={"p": (7, 7, 3)}))
    assert names(found) == ["x", "p", "y"]


def test_a_pad_beyond_the_window_stays() -> None:
    pad = ir.Pad("p", ("x",), (2, 2, 2, 2))
    conv = ir.Conv2d("y", ("p",), "w", None, ir.Window((1, 1)))
    found = folded(
        graph_of(pad, conv, shapes={"p": (9, 9, 3), "y": (9, 9, 3)}, constants={"w": weights(3, 3)})
    )
    assert names(found) == ["x", "p", "y"]


@QUICK
@given(
    st.sampled_from(("relu", "relu6", "leaky_relu", "hard_swish")),
    st.sampled_from(ir.CLAMPS),
    st.integers(-128, 127),
    st.floats(0.005, 0.2),
    st.booleans(),
)
def test_activations_after_a_convolution(
    function: str, own: str | None, zero: int, scale: float, same: bool
) -> None:
    here = ir.Quantization(float(np.float32(scale)), zero)
    conv = ir.Conv2d("y", ("x",), "w", None, ir.Window((1, 1)), own)
    after = ir.Activation("z", ("y",), function)
    ends = {"y": here, "z": here if same else Q}
    found = folded(graph_of(conv, after, quantization=ends, constants={"w": weights(3, 3)}))
    if same and function in ("relu", "relu6") and own in (None, function):
        assert names(found) == ["x", "z"], "the output keeps its name"


def test_an_activation_of_a_tensor_that_others_read_stays() -> None:
    conv = ir.Conv2d("y", ("x",), "w", None, ir.Window((1, 1)))
    relu, total = ir.Activation("r", ("y",), "relu"), ir.Add("s", ("y", "r"))
    found = folded(graph_of(conv, relu, total, constants={"w": weights(3, 3)}))
    assert names(found) == ["x", "y", "r", "s"]


@pytest.mark.parametrize(("first", "second"), [("relu", "relu"), ("relu6", "relu6"), ("relu6", "relu")])
def test_two_tables_become_one_where_one_says_it_all(first: str, second: str) -> None:
    found = folded(graph_of(ir.Activation("a", ("x",), first), ir.Activation("b", ("a",), second)))
    assert names(found) == ["x", "b"]


@QUICK
@given(
    st.sampled_from(("relu", "relu6", "leaky_relu", "hard_swish", "hard_sigmoid")),
    st.sampled_from(("relu", "relu6", "leaky_relu", "hard_swish")),
    st.tuples(st.floats(0.01, 0.2), st.floats(0.01, 0.2)),
    st.tuples(st.integers(-128, 127), st.integers(-128, 127)),
)
def test_tables_in_a_row_keep_their_bytes(
    first: str, second: str, scales: tuple[float, float], zeros: tuple[int, int]
) -> None:
    middle, end = (ir.Quantization(float(np.float32(s)), z) for s, z in zip(scales, zeros, strict=True))
    graph = graph_of(
        ir.Activation("a", ("x",), first),
        ir.Activation("b", ("a",), second),
        quantization={"a": middle, "b": end},
    )
    assert len(folded(graph).nodes) <= 3


@pytest.mark.parametrize(
    "idle",
    [
        ir.MaxPool2d("i", ("x",), ir.Window((1, 1))),
        ir.AveragePool2d("i", ("x",), ir.Window((1, 1))),
        ir.Concat("i", ("x",)),
        ir.Pad("i", ("x",), (0, 0, 0, 0)),
        ir.Reshape("i", ("x",)),
    ],
    ids=lambda node: type(node).__name__,
)
def test_nodes_that_do_nothing_go(idle: ir.Node) -> None:
    follow = ir.Activation("y", ("i",), "hard_swish")
    assert names(folded(graph_of(idle, follow))) == ["x", "y"]


def test_an_output_stays_even_if_it_only_hands_on() -> None:
    assert names(folded(graph_of(ir.Pad("i", ("x",), (0, 0, 0, 0))))) == ["x", "i"]


def test_another_scale_is_not_the_same_tensor() -> None:
    """Pooling tolerates scales that differ by less than 1e-6; what reads them would compute otherwise."""
    near = ir.Quantization(Q.scale + 9e-7, Q.zero_point)
    pool = ir.MaxPool2d("y", ("x",), ir.Window((1, 1)))
    assert "y" in names(folded(graph_of(pool, last(), quantization={"y": near})))


@pytest.mark.parametrize("constant_first", [True, False])
def test_a_branch_that_adds_nothing_goes(constant_first: bool) -> None:
    """A residual branch whose weights are all zero gives the zero point: the sum is the other operand."""
    dead = ir.Constant(np.zeros((3, 1, 1, 3), np.int8), np.full(3, 0.01, np.float32))
    branch = ir.Conv2d("b", ("x",), "w", None, ir.Window((1, 1)))
    total = ir.Add("y", ("b", "x") if constant_first else ("x", "b"))
    found = folded(graph_of(branch, total, last(), constants={"w": dead}))
    assert names(found) == ["x", "end"]


def test_a_branch_that_adds_something_stays() -> None:
    shifted = {"b": ir.Constant(np.array([500, 0, -700], np.int32))}
    dead = ir.Constant(np.zeros((3, 1, 1, 3), np.int8), np.full(3, 0.01, np.float32))
    branch = ir.Conv2d("k", ("x",), "w", "b", ir.Window((1, 1)))
    graph = graph_of(branch, ir.Add("y", ("x", "k")), last(), constants={"w": dead, **shifted})
    assert names(folded(graph)) == ["x", "k", "y", "end"]


@pytest.mark.parametrize(("bias", "left"), [(100_000, None), (0, "relu")])
def test_a_clamp_that_never_clips_is_dropped(bias: int, left: str | None) -> None:
    """No weighted sum goes below -3 * 90 * 147, so a bias of 100,000 keeps all of them positive."""
    conv = ir.Conv2d("y", ("x",), "w", "b", ir.Window((1, 1)), "relu")
    constants = {"w": weights(3, 3), "b": ir.Constant(np.full(3, bias, np.int32))}
    graph = graph_of(conv, last(), quantization={"y": ir.Quantization(0.6, -100)}, constants=constants)
    assert node_of(folded(graph), "y").activation == left


def test_the_record_names_every_layer_once_in_order() -> None:
    relu, again = ir.Activation("a", ("x",), "relu"), ir.Activation("b", ("a",), "relu")
    found = optimise(graph_of(ir.Pad("p", ("x",), (0, 0, 0, 0)), ir.Activation("a", ("p",), "relu"), again))
    assert [change.layer for change in found.changes] == ["p", "a"]
    assert all(change.after == 0 and change.reason for change in found.changes)
    assert relu.name == found.changes[1].layer
    assert found.changes[0].row()[2] == "3 -> 0"
