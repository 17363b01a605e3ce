"""Interval analysis: every value that any input gives lies within the bounds, and the bounds are reached."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.lossless.bounds import bounds, constant_channels
from tests.lossless.planted import plant, probes, random_quantized, tensors
from tests.quantize.int8_graphs import OPERATORS, activations
from tests.quantize.integer_graphs import INTEGER_OPERATORS

ALL_OPERATORS = {**OPERATORS, **INTEGER_OPERATORS}
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def assert_bounded(graph: ir.QuantizedGraph, seed: int) -> None:
    limits = bounds(graph)
    for name, values in tensors(graph, probes(graph, seed=seed)).items():
        low, high = limits[name]
        assert ((values >= low) & (values <= high)).all(), name


@pytest.mark.parametrize("operator", ALL_OPERATORS)
def test_values_lie_within_the_bounds_of_each_operator(operator: str) -> None:
    @QUICK
    @given(ALL_OPERATORS[operator], st.integers(0, 1000))
    def check(graph: ir.QuantizedGraph, seed: int) -> None:
        assert_bounded(graph, seed)

    check()


@pytest.mark.parametrize("function", ir.FUNCTIONS)
def test_values_lie_within_the_bounds_of_each_table(function: str) -> None:
    @QUICK
    @given(activations(function))
    def check(graph: ir.QuantizedGraph) -> None:
        assert_bounded(graph, 0)

    check()


@QUICK
@given(st.integers(0, 40), st.integers(0, 1000))
def test_values_lie_within_the_bounds_of_whole_networks(network: int, seed: int) -> None:
    assert_bounded(plant(random_quantized(network), seed).graph, seed)


def convolution(weight: np.ndarray, zero_point: int, padding: int, **changes: int) -> ir.QuantizedGraph:
    """A 3x3 convolution of a 5x5 map with one input and one output channel, scales that keep integers."""
    side = 3 + 2 * padding
    node = ir.Conv2d("y", ("x",), "w", "b", ir.Window((3, 3), padding=(padding,) * 4))
    return ir.QuantizedGraph(
        "one",
        (ir.Input("x", ()), node),
        ("y",),
        {"x": (5, 5, 1), "y": (side, side, 1)},
        {"x": ir.Quantization(1.0, zero_point), "y": ir.Quantization(1.0, 0)},
        {
            "w": ir.Constant(weight.astype(np.int8).reshape(1, 3, 3, 1), np.array([0.01], np.float32)),
            "b": ir.Constant(np.array([changes.get("bias", 0)], np.int32)),
        },
    )


def test_bounds_of_a_weighted_sum_are_reached() -> None:
    """The input that takes the greatest value where the weight is positive gives the bound itself."""
    weight = np.random.default_rng(1).integers(-9, 10, (3, 3))
    graph = convolution(weight, 3, 0)
    extreme = np.where(np.pad(weight, 1)[np.newaxis, :, :, np.newaxis] > 0, 127, -128).astype(np.int8)
    assert tensors(graph, {"x": extreme})["y"][0, 1, 1, 0] == bounds(graph)["y"][1, 1, 1, 0]
    opposite = np.where(extreme == 127, -128, 127).astype(np.int8)
    lowest = tensors(graph, {"x": opposite})["y"][0, 1, 1, 0]
    assert lowest >= bounds(graph)["y"][0, 1, 1, 0]


def test_a_border_has_bounds_of_its_own() -> None:
    """Where the window hangs over the edge fewer inputs can move the sum."""
    low, high = bounds(convolution(np.ones((3, 3)), 0, 1))["y"].astype(int)
    assert high[2, 2, 0] > high[0, 2, 0] > high[0, 0, 0] > 0
    assert low[2, 2, 0] < low[0, 2, 0] < low[0, 0, 0] < 0


def test_a_sum_that_can_wrap_says_nothing() -> None:
    """Just below the end of 32 bits the network's own arithmetic wraps, so there is no narrower bound."""
    graph = convolution(np.full((3, 3), 127), 0, 0, bias=2**31 - 1)
    low, high = bounds(graph)["y"]
    assert ((low == -128) & (high == 127)).all()
    safe, _ = bounds(convolution(np.full((3, 3), 127), 0, 0, bias=2**31 - 1 - 2**20))["y"]
    assert (safe == 127).all()


@dataclass(frozen=True)
class Strange(ir.MaxPool2d):
    """A class that no pass has heard of, derived from one that they know."""


@pytest.mark.parametrize("change", ["class", "arithmetic", "dtype"])
def test_what_is_not_known_can_be_anything(change: str) -> None:
    window = ir.Window((1, 1))
    node = {
        "class": Strange("b", ("a",), window),
        "arithmetic": ir.MaxPool2d("b", ("a",), window, arithmetic="s16x8"),
        "dtype": ir.MaxPool2d("b", ("a",), window),
    }[change]
    relu = ir.Activation("a", ("x",), "relu")
    both = ir.Quantization(1.0, 0)
    graph = ir.QuantizedGraph(
        "odd",
        (ir.Input("x", ()), relu, node),
        ("b",),
        dict.fromkeys("xab", (2, 2, 1)),
        dict.fromkeys("xab", both),
        {},
    )
    if change == "dtype":
        graph = replace(graph, quantization={**graph.quantization, "b": ir.Quantization(1.0, 0, "int16")})
    limits = bounds(graph)
    assert limits["a"][0].min() == 0
    wide = np.iinfo(limits["b"].dtype)
    assert ((limits["b"][0] == wide.min) & (limits["b"][1] == wide.max)).all()


def test_constant_channels_are_one_value_at_all_positions() -> None:
    limits = np.zeros((2, 2, 2, 3), np.int8)
    limits[1, :, :, 0] = 1  # may vary
    limits[:, 0, 0, 1] = 5  # fixed, but differs between positions
    limits[..., 2] = -7
    constant, values = constant_channels(limits)
    assert constant.tolist() == [False, False, True]
    assert values[2] == -7
