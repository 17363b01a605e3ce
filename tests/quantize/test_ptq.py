"""Post-training quantization of whole networks against their float form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Constant, Graph, QuantizedGraph
from mcuprune.graph.passes import run_passes
from mcuprune.graph.run_float import run_tensors
from mcuprune.graph.sharing import KEEPS_QUANTIZATION, scale_owners
from mcuprune.quantize.convert import (
    fixed_quantization,
    layer_sqnr,
    measure_ranges,
    quantize,
    tensor_quantization,
)
from mcuprune.quantize.observers import OBSERVERS
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.quantize.scheme import FIXED_OUTPUT, integer_parameters

FLOOR_DB = {"chain": 22.0, "residual": 28.0, "separable": 26.0, "concat_flatten": 28.0, "siren": 18.0}


def inputs(graph: Graph, count: int = 200, seed: int = 0) -> np.ndarray:
    shape = graph.shape(graph.inputs[0])
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def integer_outputs(graph: QuantizedGraph, x: np.ndarray) -> np.ndarray:
    """Outputs of the integer network, dequantized."""
    a, b = graph.quantization[graph.inputs[0]], graph.quantization[graph.outputs[0]]
    stored = np.clip(np.round(x / np.float32(a.scale)) + a.zero_point, -128, 127).astype(np.int8)
    return (run_int8(graph, stored).astype(np.float64) - b.zero_point) * b.scale


def changed(graph: Graph, values: Mapping[str, np.ndarray]) -> Graph:
    constants = {
        name: replace(c, values=values[name].astype(np.float32)) if name in values else c
        for name, c in graph.constants.items()
    }
    return replace(graph, constants=constants)


def linear(weight: np.ndarray, bias: np.ndarray) -> Graph:
    """One fully connected layer with the given values."""
    graph = trace(nn.Linear(weight.shape[1], weight.shape[0]), (weight.shape[1],), "one")
    node = graph.nodes[-1]
    return changed(graph, {node.weight: weight, node.bias: bias})


@pytest.mark.parametrize("observer", sorted(OBSERVERS))
def test_every_layer_stays_close_to_float(network, observer):
    graph = run_passes(network[1])
    x, unseen = inputs(graph), inputs(graph, seed=1)
    quantized = quantize(graph, x, observer)
    found = layer_sqnr(graph, quantized, unseen)
    assert set(found) == set(graph.tensors)
    assert found[graph.outputs[0]] > FLOOR_DB[graph.name], found
    assert min(found.values()) > 15.0, found


def test_the_same_class_wins_unless_it_is_a_tie(network):
    graph = run_passes(network[1])
    x = inputs(graph, 400, seed=2)
    exact, integer = (
        run_tensors(graph, x)[graph.outputs[0]],
        integer_outputs(quantize(graph, inputs(graph)), x),
    )
    top = np.sort(exact, axis=1)
    error = np.abs(exact - integer)
    clear = top[:, -1] - top[:, -2] > 8 * error.std()
    assert clear.mean() > 0.05
    agree = np.argmax(exact, axis=1) == np.argmax(integer, axis=1)
    assert agree[clear].all()
    assert agree.mean() > 0.8


def test_constants_have_the_scales_of_the_contract(network):
    graph = run_passes(network[1])
    quantized = quantize(graph, inputs(graph))
    assert quantized.nodes == graph.nodes
    for node in quantized.nodes:
        integer_parameters(node, quantized)  # raises where the arithmetic contract does not hold
        if not hasattr(node, "weight"):
            continue
        weight, bias = quantized.constants[node.weight], quantized.constants[node.bias]
        assert weight.values.dtype == np.int8
        assert weight.values.min() >= -127
        source = np.float32(quantized.quantization[node.inputs[0]].scale)
        np.testing.assert_allclose(bias.scale, source * weight.scale, rtol=1e-6)
        original = graph.constants[node.bias].values
        assert bias.values.dtype == np.int32
        assert np.all(np.abs(bias.values * bias.scale - original) <= 0.501 * bias.scale)


def test_two_runs_give_the_same_integers(network):
    graph = run_passes(network[1])
    one, other = quantize(graph, inputs(graph), "mse"), quantize(graph, inputs(graph), "mse")
    assert one.quantization == other.quantization
    assert all(np.array_equal(one.constants[n].values, other.constants[n].values) for n in one.constants)


def test_given_ranges_replace_measured_ones(network):
    graph = run_passes(network[1])
    ranges = dict.fromkeys(graph.tensors, (-8.0, 8.0))
    quantized = quantize(graph, inputs(graph), ranges=ranges)
    fixed = fixed_quantization(graph)
    for name, q in quantized.quantization.items():
        assert q == fixed[name] if name in fixed else q.scale == pytest.approx(16.0 / 255.0)


def test_tied_tensors_share_the_union_of_their_ranges():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.small, self.large = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1)
            nn.init.normal_(self.large.weight, std=10.0)

        def forward(self, x: Tensor) -> Tensor:
            both = torch.cat([torch.relu(self.small(x)), self.large(x)], 1)
            return nn.functional.max_pool2d(both, 2)

    graph = run_passes(trace(Net(), (2, 4, 4), "net"))
    x = inputs(graph)
    ranges = measure_ranges(graph, x, "minmax")
    found = tensor_quantization(graph, ranges)
    owner = scale_owners(graph)
    tied = [name for name in graph.tensors if owner[name] == owner[graph.outputs[0]]]
    assert len(tied) >= 4
    assert len({found[name] for name in tied}) == 1
    span = max(ranges[name][1] for name in tied) - min(0.0, *(ranges[name][0] for name in tied))
    assert found[tied[0]].scale == pytest.approx(span / 255.0, rel=1e-6)
    for node in graph.nodes:
        if isinstance(node, KEEPS_QUANTIZATION):
            assert {found[name] for name in node.inputs} == {found[node.name]}


def test_prescribed_scales_reach_the_tensors_that_share_them():
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(torch.sigmoid(x), 2)

    graph = run_passes(trace(Net(), (2, 4, 4), "net"))
    quantized = quantize(graph, inputs(graph), ranges=dict.fromkeys(graph.tensors, (-3.0, 3.0)))
    prescribed = [q for name, q in quantized.quantization.items() if name not in graph.inputs]
    assert set(prescribed) == {FIXED_OUTPUT["sigmoid"]}
    assert layer_sqnr(graph, quantized, inputs(graph))[graph.outputs[0]] > 35.0


def test_dead_channels_cost_nothing_and_break_nothing(network):
    graph = run_passes(network[1])
    node = next(n for n in graph.nodes if hasattr(n, "weight"))
    weight, bias = (graph.constants[name].values.copy() for name in (node.weight, node.bias))
    axis = -1 if type(node).__name__ == "DepthwiseConv2d" else 0
    np.moveaxis(weight, axis, 0)[1] = 0.0
    bias[1] = 0.0
    graph = changed(graph, {node.weight: weight, node.bias: bias})
    quantized = quantize(graph, inputs(graph))
    stored = quantized.constants[node.weight]
    assert np.all(np.moveaxis(stored.values, axis, 0)[1] == 0)
    assert np.isfinite(stored.scale).all()
    assert (stored.scale > 0).all()
    assert layer_sqnr(graph, quantized, inputs(graph))[graph.outputs[0]] > FLOOR_DB[graph.name] - 3.0


def test_network_of_zeros():
    graph = linear(np.zeros((3, 4)), np.zeros(3))
    quantized = quantize(graph, inputs(graph))
    assert np.all(integer_outputs(quantized, inputs(graph)) == 0.0)
    quantized = quantize(graph, np.zeros((5, 4), np.float32))
    assert np.all(integer_outputs(quantized, np.zeros((5, 4))) == 0.0)


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-12])
def test_tiny_weights_beside_a_big_bias(size):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 6)) * size
    bias = np.array([5.0, -3.0, 0.5, 0.0])
    graph = linear(weight, bias)
    quantized = quantize(graph, inputs(graph))
    node = quantized.nodes[-1]
    assert np.abs(quantized.constants[node.bias].values.astype(np.int64)).max() <= 2**30 * (1 + 1e-6)
    step = quantized.quantization[graph.outputs[0]].scale
    exact = run_tensors(graph, inputs(graph))[graph.outputs[0]]
    assert np.abs(integer_outputs(quantized, inputs(graph)) - exact).max() <= 1.5 * step


def test_channels_of_very_different_size_keep_their_precision():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(3, 16)) * np.array([[1.0], [1e-2], [1e-4]])
    graph = linear(weight, np.zeros(3))
    quantized = quantize(graph, inputs(graph))
    node = quantized.nodes[-1]
    stored = quantized.constants[node.weight]
    assert np.abs(stored.values).max(axis=1).min() >= 64  # scales are powers of two times each other
    assert np.abs(stored.values[0]).max() == 127
    np.testing.assert_allclose(stored.values * stored.scale[:, None], weight, atol=0.0, rtol=1.0)
    relative = np.abs(stored.values * stored.scale[:, None] - weight).max(axis=1) / np.abs(weight).max(axis=1)
    assert relative.max() < 1.0 / 127 + 1e-6


def test_outliers_in_calibration_hurt_minmax_only():
    graph = linear(np.eye(4), np.zeros(4))
    x, clean = inputs(graph, 20_000), inputs(graph, 500, seed=3)
    x[11, 0] = 300.0
    found = {name: quantize(graph, x, name) for name in OBSERVERS}
    noise = {name: np.abs(integer_outputs(q, clean) - clean).mean() for name, q in found.items()}
    assert noise["percentile"] < 0.1 * noise["minmax"]
    assert noise["mse"] <= noise["minmax"]


def test_unknown_observer_and_unfolded_batch_norm(network):
    graph = network[1]
    with pytest.raises(UsageError, match="unknown observer 'max'; use one of minmax, percentile, mse"):
        quantize(run_passes(graph), inputs(graph), "max")
    if graph.name in ("residual", "separable"):
        with pytest.raises(UnsupportedError, match=r"fold it first"):
            quantize(graph, inputs(graph))


def test_masks_and_codecs_stay_with_their_weights():
    graph = linear(np.eye(4), np.zeros(4))
    node = graph.nodes[-1]
    mask = np.eye(4, dtype=bool)
    graph = replace(
        graph, constants={**graph.constants, node.weight: Constant(np.eye(4, dtype=np.float32), mask=mask)}
    )
    stored = quantize(graph, inputs(graph)).constants[node.weight]
    assert stored.mask is mask
    assert np.all(stored.values[~mask] == 0)
