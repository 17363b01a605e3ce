"""Constant and dead channels go, and no output byte changes by it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.exporters.tflite import write_tflite
from mcuprune.graph import ir
from mcuprune.graph.memory import settle
from mcuprune.lossless.optimise import optimise
from tests.lossless.planted import assert_same_bytes, plant, probes, random_quantized, tensors, weight_bytes
from tests.quantize.int8_graphs import OPERATORS, small_network
from tests.quantize.integer_graphs import INTEGER_OPERATORS

ALL_OPERATORS = {**OPERATORS, **INTEGER_OPERATORS}
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
ANY_SHARE = st.sampled_from((0.2, 0.5, 1.0))


@QUICK
@given(st.integers(0, 40), st.integers(0, 10_000), ANY_SHARE)
def test_planted_networks_keep_their_bytes(network: int, seed: int, share: float) -> None:
    graph = plant(random_quantized(network), seed, share).graph
    folded = optimise(graph).graph
    assert_same_bytes(graph, folded, probes(graph, seed=seed))
    assert weight_bytes(folded) <= weight_bytes(graph)
    assert all(size >= 1 for shape in folded.shapes.values() for size in shape)


@pytest.mark.parametrize("operator", ALL_OPERATORS)
def test_single_operators_keep_their_bytes(operator: str) -> None:
    @settings(QUICK, max_examples=15)
    @given(ALL_OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, seed: int) -> None:
        assert_same_bytes(graph, optimise(graph).graph, probes(graph, seed=seed))

    check()


@settings(QUICK, max_examples=10)
@given(st.integers(0, 40), st.integers(0, 1000))
def test_nothing_is_left_to_do(network: int, seed: int) -> None:
    once = optimise(plant(random_quantized(network), seed).graph)
    again = optimise(once.graph)
    assert again.changes == ()
    assert again.graph.nodes == once.graph.nodes
    assert again.graph.shapes == once.graph.shapes


def chain(padding: int = 0) -> ir.QuantizedGraph:
    """Three convolutions (1x1, depthwise, 3x3) and a classifier."""
    rng = np.random.default_rng(5)

    def weight(*shape: int, outputs: int) -> ir.Constant:
        return ir.Constant(rng.integers(-90, 91, shape).astype(np.int8), np.full(outputs, 0.004, np.float32))

    def bias(outputs: int) -> ir.Constant:
        return ir.Constant(rng.integers(-500, 500, outputs).astype(np.int32))

    around = (padding,) * 4
    size = 4 + 2 * padding
    nodes = (
        ir.Input("x", ()),
        ir.Conv2d("a", ("x",), "a.w", "a.b", ir.Window((1, 1)), "relu"),
        ir.DepthwiseConv2d("d", ("a",), "d.w", "d.b", ir.Window((3, 3), padding=around), 1, "relu"),
        ir.Conv2d("c", ("d",), "c.w", "c.b", ir.Window((1, 1)), "relu"),
        ir.AveragePool2d("p", ("c",), ir.Window((size, size))),
        ir.Flatten("f", ("p",)),
        ir.Linear("l", ("f",), "l.w", "l.b"),
    )
    shapes = {
        "x": (6, 6, 3),
        "a": (6, 6, 8),
        "d": (size, size, 8),
        "c": (size, size, 7),
        "p": (1, 1, 7),
        "f": (7,),
        "l": (4,),
    }
    scale = ir.Quantization(0.05, -100)
    constants = {
        "a.w": weight(8, 1, 1, 3, outputs=8),
        "a.b": bias(8),
        "d.w": weight(3, 3, 8, outputs=8),
        "d.b": bias(8),
        "c.w": weight(7, 1, 1, 8, outputs=7),
        "c.b": bias(7),
        "l.w": weight(4, 7, outputs=4),
        "l.b": bias(4),
    }
    return ir.QuantizedGraph("chain", nodes, ("l",), shapes, dict.fromkeys(shapes, scale), constants)


def with_values(graph: ir.QuantizedGraph, **values: np.ndarray) -> ir.QuantizedGraph:
    """Constants replaced; ``a_w`` names ``a.w``."""
    named = {name.replace("_", "."): array for name, array in values.items()}
    changed = {name: replace(graph.constants[name], values=array) for name, array in named.items()}
    return replace(graph, constants={**graph.constants, **changed})


def zeroed(graph: ir.QuantizedGraph, name: str, where: object) -> np.ndarray:
    values = graph.constants[name].values.copy()
    values[where] = 0
    return values


def widths(graph: ir.QuantizedGraph) -> dict[str, int]:
    return {name: shape[-1] for name, shape in graph.shapes.items()}


def test_a_live_network_is_left_alone() -> None:
    graph = chain()
    found = optimise(graph)
    assert found.changes == ()
    assert found.graph is graph


def test_constant_channels_go_through_the_whole_chain() -> None:
    graph = chain()
    bias = graph.constants["a.b"].values.copy()
    bias[[1, 4]] = 3000
    graph = with_values(graph, a_w=zeroed(graph, "a.w", [1, 4]), a_b=bias)
    found = optimise(graph)
    assert widths(found.graph) == {**widths(graph), "a": 6, "d": 6}
    assert_same_bytes(graph, found.graph, probes(graph))
    reason = {change.layer: change.reason for change in found.changes}
    assert {reason[name].partition(" for ")[0] for name in ("a", "d")} == {"2 hold one value"}


def test_a_constant_beside_padding_stays_unless_it_is_the_zero_point() -> None:
    """At the border of ``d`` the padding is not what channel 1 holds, so its outputs differ there."""
    graph = chain(padding=1)
    bias = graph.constants["a.b"].values.copy()
    bias[1] = 3000  # some value
    bias[4] = -3000  # clipped to the zero point
    graph = with_values(graph, a_w=zeroed(graph, "a.w", [1, 4]), a_b=bias)
    found = optimise(graph).graph
    assert widths(found) == {**widths(graph), "a": 7, "d": 7}
    assert_same_bytes(graph, found, probes(graph))


@pytest.mark.parametrize("kind", ir.REDUCTIONS)
def test_constant_channels_go_through_a_reduction(kind: str) -> None:
    """As TFLite spells global pooling: a mean over height and width instead of the average pool."""
    graph = chain()
    nodes = tuple(ir.Reduce("p", ("c",), kind, (0, 1)) if node.name == "p" else node for node in graph.nodes)
    bias = graph.constants["c.b"].values.copy()
    bias[[0, 6]] = 4000
    graph = with_values(replace(graph, nodes=nodes), c_w=zeroed(graph, "c.w", [0, 6]), c_b=bias)
    found = optimise(graph).graph
    assert widths(found) == {**widths(graph), "c": 5, "p": 5, "f": 5}
    assert_same_bytes(graph, found, probes(graph))


def test_unread_channels_go_backwards() -> None:
    graph = chain()
    graph = with_values(
        graph, c_w=zeroed(graph, "c.w", np.s_[..., [0, 2, 7]]), l_w=zeroed(graph, "l.w", np.s_[:, 3])
    )
    found = optimise(graph)
    assert widths(found.graph) == {**widths(graph), "a": 5, "d": 5, "c": 6, "p": 6, "f": 6}
    assert_same_bytes(graph, found.graph, probes(graph))
    assert "reach no output" in {change.layer: change.reason for change in found.changes}["c"]


def test_a_layer_that_is_all_constant_leaves_a_model() -> None:
    graph = chain()
    graph = with_values(graph, c_w=zeroed(graph, "c.w", np.s_[:]))
    found = optimise(graph).graph
    assert_same_bytes(graph, found, probes(graph))
    assert widths(found) == {"x": 3, "a": 1, "d": 1, "c": 1, "p": 1, "f": 1, "l": 4}


def test_a_channel_that_always_clips_is_constant() -> None:
    graph = chain()
    bias = graph.constants["c.b"].values.copy()
    bias[2] = -(2**24)
    graph = with_values(graph, c_b=bias)
    found = optimise(graph).graph
    assert widths(found)["c"] == 6
    assert_same_bytes(graph, found, probes(graph))


def test_a_bias_that_would_not_fit_keeps_the_channel() -> None:
    graph = chain()
    bias, input_bias = graph.constants["c.b"].values.copy(), graph.constants["a.b"].values.copy()
    bias[:] = 2**31 - 1
    input_bias[1] = 3000
    weight = graph.constants["c.w"].values.copy()
    weight[..., 1] = 100
    weight[:, 0, 0, 0] = -100
    graph = with_values(graph, a_w=zeroed(graph, "a.w", [1]), a_b=input_bias, c_b=bias, c_w=weight)
    assert_same_bytes(graph, optimise(graph).graph, probes(graph))


def test_weights_that_two_layers_share_are_cut_for_each() -> None:
    """``c`` and ``e`` use the same constants, but only three channels of ``e`` are read."""
    graph = chain()
    second = ir.Conv2d("e", ("d",), "c.w", "c.b", ir.Window((1, 1)), "relu")
    tail = (
        ir.AveragePool2d("q", ("e",), ir.Window((4, 4))),
        ir.Flatten("g", ("q",)),
        ir.Linear("m", ("g",), "m.w", None),
    )
    weight = np.zeros((2, 7), np.int8)
    weight[:, :3] = [[40, -30, 20], [-10, 50, 60]]
    shapes = {**graph.shapes, "e": (4, 4, 7), "q": (1, 1, 7), "g": (7,), "m": (2,)}
    graph = replace(
        graph,
        nodes=(*graph.nodes, second, *tail),
        outputs=("l", "m"),
        shapes=shapes,
        quantization=dict.fromkeys(shapes, graph.quantization["x"]),
        constants={**graph.constants, "m.w": ir.Constant(weight, np.array([0.01], np.float32))},
    )
    found = optimise(graph).graph
    assert (widths(found)["c"], widths(found)["e"]) == (7, 3)
    assert_same_bytes(graph, found, probes(graph))


@dataclass(frozen=True)
class Sink(ir.Node):
    """A node class with an effect that the graph does not show."""


def test_what_an_unknown_node_reads_stays_whole() -> None:
    graph = chain()
    graph = with_values(graph, a_w=zeroed(graph, "a.w", [1, 4]), c_w=zeroed(graph, "c.w", np.s_[..., [0]]))
    sink = Sink("s", ("d",))
    shapes = {**graph.shapes, "s": (1,)}
    graph = replace(
        graph,
        nodes=(*graph.nodes, sink),
        shapes=shapes,
        quantization=dict.fromkeys(shapes, graph.quantization["x"]),
    )
    found = optimise(graph).graph
    assert sink in found.nodes
    assert (widths(found)["a"], widths(found)["d"]) == (8, 8)


def test_states_of_the_next_run_stay_whole() -> None:
    """The sum is read by weights of zero only, but it is what the next run begins with."""
    scale = ir.Quantization(0.05, 0)
    shapes = {"x": (1, 1, 4), "s": (1, 1, 4), "a": (1, 1, 4), "c": (1, 1, 2), "p": (1, 1, 2)}
    weight = np.zeros((2, 1, 1, 4), np.int8)
    weight[:, 0, 0, 0] = (90, -70)
    nodes = (
        ir.Input("x", ()),
        ir.State("s", (), "zeros"),
        ir.Add("a", ("x", "s")),
        ir.Conv2d("c", ("a",), "w", None, ir.Window((1, 1))),
        ir.Activation("p", ("c",), "relu"),
    )
    graph = ir.QuantizedGraph(
        "state",
        nodes,
        ("p",),
        shapes,
        dict.fromkeys(shapes, scale),
        {
            "zeros": ir.Constant(np.zeros((1, 1, 4), np.int8)),
            "w": ir.Constant(weight, np.array([0.01], np.float32)),
        },
        {"s": "a"},
    )
    graph = settle(graph)
    found = optimise(graph).graph
    assert found.updates == graph.updates
    assert found.shape("a") == (1, 1, 4)
    assert "p" in found.shapes
    assert "c" not in found.shapes, "the relu is fused, under the name of the output"
    assert_same_bytes(graph, found, probes(graph))


def test_dead_branches_of_a_residual_network_go() -> None:
    """A part of a concatenation that nobody reads takes its whole branch with it."""
    graph = small_network(0)
    weight = graph.constants["l.w"].values.copy()
    weight[:, 5:] = 0  # channels of "m", the max pool
    graph = with_values(graph, l_w=weight)
    found = optimise(graph)
    assert {"m", "both"} & {node.name for node in found.graph.nodes} == set()
    assert_same_bytes(graph, found.graph, probes(graph))
    assert {change.layer for change in found.changes if change.after == 0} >= {"m"}


def test_the_folded_model_is_the_same_in_the_oracle() -> None:
    oracle = pytest.importorskip("mcuprune.verify.oracle")
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    for seed in range(6):
        graph = plant(random_quantized(seed), seed, 0.5).graph
        folded = optimise(graph).graph
        x = probes(graph)["x"]
        np.testing.assert_array_equal(
            oracle.run_tflm(write_tflite(graph), x), oracle.run_tflm(write_tflite(folded), x)
        )
        assert len(tensors(folded, {"x": x})) <= len(tensors(graph, {"x": x}))
