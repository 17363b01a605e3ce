"""Channels that share a multiplier: scales, what the converter guarantees, and what readers find out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Constant, Graph, Input, Linear, Quantization, QuantizedGraph
from mcuprune.graph.passes import run_passes
from mcuprune.kernels.layouts import pack_channels, pack_shared_row_pairs
from mcuprune.lossless.optimise import optimise
from mcuprune.plan.make import make_plan
from mcuprune.quantize.convert import quantize
from mcuprune.quantize.multipliers import (
    BIAS_LIMIT,
    WEIGHTED,
    marked,
    powers_of_two,
    shared_scales,
    weight_sums,
)
from mcuprune.quantize.scheme import integer_parameters
from tests.random_graphs import random_graph

POSITIVE = st.floats(2.0**-60, 2.0**60, width=32)


@given(POSITIVE)
def test_the_next_power_of_two(value: float) -> None:
    (power,) = powers_of_two(np.array([value], np.float32))
    assert power / 2 < value <= power
    assert np.frexp(power)[0] == 0.5


@given(
    st.lists(st.floats(2.0**-20, 2.0**20, width=32), min_size=1, max_size=9), st.floats(0.5, 2.0, width=32)
)
def test_scales_are_the_finest_that_are_related(least: list[float], base: float) -> None:
    needed = np.array(least, np.float32)
    scales = shared_scales(needed, base)
    assert scales.dtype == np.float32
    assert (scales >= needed * (1 - 1e-6)).all()
    assert (scales < 2 * needed * (1 + 1e-6)).all()
    assert len(set(np.frexp(scales.astype(np.float64))[0])) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 3e4]))
def test_every_converted_layer_has_one_multiplier_and_biases_that_fit(seed: int, size: float) -> None:
    """However large the biases are, and still when it is read from a file."""
    graph = run_passes(random_graph(seed))
    constants = {
        name: replace(constant, values=constant.values * np.float32(size if constant.values.ndim == 1 else 1))
        for name, constant in graph.constants.items()
    }
    graph = replace(graph, constants=constants)
    inputs = (
        np.random.default_rng(seed).standard_normal((4, *graph.shape(graph.inputs[0]))).astype(np.float32)
    )
    quantized = quantize(graph, inputs)
    assert marked(quantized).nodes == quantized.nodes
    for found in (quantized, load_tflite(write_tflite(quantized))):
        for node in found.nodes:
            if isinstance(node, WEIGHTED):
                p = integer_parameters(node, found)
                assert not node.own_multipliers
                assert len(set(p.multiplier[p.multiplier != 0])) <= 1
                for offset in (0, p.input_offset):
                    assert np.abs(p.bias + offset * weight_sums(p.weight, type(node))).max() < BIAS_LIMIT


def linear(scale: list[float], bias: list[int], weight: int = 1) -> QuantizedGraph:
    graph = run_passes(random_graph(0))
    quantized = quantize(graph, np.zeros((1, *graph.shape(graph.inputs[0])), np.float32))
    node = next(node for node in reversed(quantized.nodes) if isinstance(node, Linear))
    out_c, in_c = quantized.constants[node.weight].values.shape
    assert node.bias is not None
    constants = {
        node.weight: Constant(
            np.full((out_c, in_c), weight, np.int8), np.resize(scale, out_c).astype(np.float32)
        ),
        node.bias: Constant(np.resize(bias, out_c).astype(np.int32), None),
    }
    return replace(quantized, constants={**quantized.constants, **constants})


@pytest.mark.parametrize(
    ("scale", "bias", "own"),
    [
        ([0.25, 0.5], [7], False),
        ([0.3, 0.6, 0.15], [-7], False),
        ([0.25, 0.3], [7], True),
        ([0.25, 0.5], [BIAS_LIMIT], True),
        ([0.25, 0.5], [-BIAS_LIMIT], True),
    ],
)
def test_a_reader_tells_layers_apart(scale: list[float], bias: list[int], own: bool) -> None:
    found = [node for node in marked(linear(scale, bias)).nodes if isinstance(node, Linear)]
    assert found[-1].own_multipliers is own


def test_an_unmarked_layer_is_not_stored_wrongly() -> None:
    weight, bias = np.ones((2, 1, 1, 4), np.int8), np.zeros(2, np.int32)
    shift, several = np.array([-3, -4], np.int8), np.array([2**30, 2**30 + 1], np.int32)
    with pytest.raises(ValueError, match="several multipliers"):
        pack_channels(bias, several, shift)
    with pytest.raises(ValueError, match="several multipliers"):
        pack_shared_row_pairs("row_pairs", weight, bias, several, shift)
    with pytest.raises(ValueError, match="biases of 33554432 or more"):
        pack_channels(bias + BIAS_LIMIT, several[:1].repeat(2), shift)


def test_a_word_holds_bias_and_shift() -> None:
    bias, multiplier = np.array([5, -5, 2**25 - 1, 3]), np.array([2**30, 2**30, 2**30, 0], np.int32)
    words, shared = pack_channels(bias, multiplier, np.array([-31, 30, -1, 0], np.int8))
    assert shared == 2**30
    assert (words >> 6).tolist() == bias.tolist()
    assert ((words << 26) >> 26).tolist() == [-31, 30, -1, -31]


@pytest.mark.parametrize("inputs", [3_000, 12_000])
def test_layers_of_many_inputs_keep_their_precision(inputs: int) -> None:
    rng = np.random.default_rng(inputs)
    weight = rng.uniform(-1, 1, (8, inputs)).astype(np.float32)
    graph = one_layer(weight, rng.standard_normal(8).astype(np.float32))
    quantized = quantize(graph, rng.uniform(0, 1, (16, inputs)).astype(np.float32))
    stored = next(quantized.constants[node.weight] for node in quantized.nodes if isinstance(node, Linear))
    assert np.abs(stored.values.astype(int)).max(axis=1).min() > 63
    assert marked(quantized).nodes == quantized.nodes


@pytest.mark.parametrize("sign", [-1, 1])
def test_biases_at_the_limit_are_held(sign: int) -> None:
    """Weights of one sign and a bias on the same side: the input offset adds as much as it can."""
    weight = np.full((2, 5_000), sign, np.float32)
    graph = one_layer(weight, np.array([sign * 70_000.0, 0.0], np.float32))
    quantized = quantize(graph, np.random.default_rng(0).uniform(0, 255, (4, 5_000)).astype(np.float32))
    assert marked(quantized).nodes == quantized.nodes


def test_what_folding_adds_to_a_bias_is_looked_at_again() -> None:
    """A constant channel goes into the biases behind it, which may then leave their word."""
    live, q = 200, Quantization(0.5, -128)
    first = np.ones((1 + live, 2), np.int8)
    first[0] = 0
    limit = BIAS_LIMIT - 1 - 128 * 127 * (1 + live)
    constants = {
        "w1": Constant(first, np.array([0.5], np.float32)),
        "b1": Constant(np.array([2_000, *[0] * live], np.int32), None),
        "w2": Constant(np.full((1, 1 + live), 127, np.int8), np.array([0.5], np.float32)),
        "b2": Constant(np.array([limit], np.int32), None),
    }
    nodes = (Input("x", ()), Linear("h", ("x",), "w1", "b1", "relu"), Linear("y", ("h",), "w2", "b2"))
    shapes = {"x": (2,), "h": (1 + live,), "y": (1,)}
    quantization = {"x": q, "h": q, "y": Quantization(40_000.0, -128)}
    graph = marked(QuantizedGraph("folded", nodes, ("y",), shapes, quantization, constants))
    assert not any(node.own_multipliers for node in graph.nodes if isinstance(node, Linear))
    folded = optimise(graph).graph
    assert folded.constants["b2"].values[0] > limit
    assert [node.own_multipliers for node in folded.nodes if isinstance(node, Linear)] == [False, True]
    emit(folded, make_plan(folded, frozenset({"portable"})), load_board("stm32f4"))


def one_layer(weight: np.ndarray, bias: np.ndarray) -> Graph:
    module = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(weight))
        module.bias.copy_(torch.from_numpy(bias))
    return run_passes(trace(module, (weight.shape[1],)))
