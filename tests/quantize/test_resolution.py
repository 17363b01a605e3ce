"""Tensors that are (nearly) constant: scales stay within what the integer arithmetic can compute."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.errors import UsageError
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Conv2d, DepthwiseConv2d, Graph, Linear, QuantizedGraph
from mcuprune.graph.passes import run_passes
from mcuprune.graph.run_float import run_float
from mcuprune.quantize.convert import quantize
from mcuprune.quantize.observers import OBSERVERS
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.quantize.scheme import integer_parameters
from mcuprune.verify.oracle import run_tflm

X = np.random.default_rng(7).uniform(-1, 1, (64, 4, 4, 2)).astype(np.float32)
NOISE = 1e-9  # what float rounding leaves of a sum that cancels


class Dead(nn.Module):
    """A convolution whose bias keeps its ReLU shut, and ``combine`` on what it leaves."""

    def __init__(self, combine: Callable[[Tensor, Tensor], Tensor], bias: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.combine = combine
        self.dead, self.alive = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 1)
        nn.init.constant_(self.dead.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.combine(torch.relu(self.dead(x)), self.alive(x))


class Sum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.other = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + self.other(x)


def cancelling(graph: Graph) -> Graph:
    """The graph of :class:`Sum`, its second convolution the negative of the first but for :data:`NOISE`."""
    one, other = (node for node in graph.nodes if isinstance(node, Conv2d))
    values = {name: graph.constants[name].values for name in (one.weight, one.bias)}
    negative = {other.weight: -values[one.weight], other.bias: NOISE - values[one.bias]}
    constants = {name: replace(graph.constants[name], values=array) for name, array in negative.items()}
    return replace(graph, constants={**graph.constants, **constants})


class ZeroLogits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(32, 4)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.head(x.flatten(1)), 1)


DEGENERATE: dict[str, nn.Module] = {
    "dead": Dead(lambda dead, alive: dead, -100.0),
    "dead, huge bias": Dead(lambda dead, alive: dead, -1e6),
    "dead in a sum": Dead(torch.add, -100.0),
    "dead in a product": Dead(torch.mul, -100.0),
    "dead in a concatenation": Dead(lambda dead, alive: torch.cat([dead, alive], 1), -100.0),
    "dead, pooled": Dead(lambda dead, alive: F.max_pool2d(dead, 2), -100.0),
    "cancelling": Sum(),
    "zero logits": ZeroLogits(),
}


def quantized_pair(module: nn.Module) -> tuple[Graph, QuantizedGraph, np.ndarray]:
    graph = run_passes(trace(module.eval(), (2, 4, 4), "degenerate"))
    graph = cancelling(graph) if isinstance(module, Sum) else graph
    quantized = quantize(graph, X)
    q = quantized.quantization[quantized.inputs[0]]
    stored = np.clip(np.round(X / np.float32(q.scale)) + q.zero_point, -128, 127).astype(np.int8)
    return graph, quantized, stored


@pytest.mark.parametrize("name", DEGENERATE)
def test_constant_tensors_are_computed_without_scaling_up(name: str) -> None:
    graph, quantized, stored = quantized_pair(DEGENERATE[name])
    for node in quantized.nodes:
        shift = getattr(integer_parameters(node, quantized), "shift", 0)
        if not name.endswith("logits") or isinstance(node, Linear):
            assert np.max(shift) <= 1, node.name
    output = quantized.quantization[quantized.outputs[0]]
    outputs = run_int8(quantized, stored)
    assert isinstance(outputs, np.ndarray)
    values = (outputs.astype(np.float64) - output.zero_point) * output.scale
    exact = run_float(graph, X)
    assert np.abs(values - exact).max() <= max(0.02 * np.abs(exact).max(), 1.5 * output.scale)


@pytest.mark.parametrize("name", DEGENERATE)
def test_constant_tensors_in_tflm(name: str) -> None:
    pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
    _, quantized, stored = quantized_pair(DEGENERATE[name])
    np.testing.assert_array_equal(run_int8(quantized, stored), run_tflm(write_tflite(quantized), stored))


class Normalized(nn.Module):
    """One channel whose ReLU is shut, and what a batch norm makes of a channel without variance."""

    def __init__(self, dead: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(2, 3, 1), nn.Conv2d(3, 3, 3, padding=1, groups=3)
        self.last = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.first.bias[0] = dead
            self.second.weight[0] *= 1e4

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


def test_channels_that_do_not_move_cost_the_others_no_resolution() -> None:
    graph, quantized, stored = quantized_pair(Normalized(-100.0))
    output = quantized.quantization[quantized.outputs[0]]
    outputs = run_int8(quantized, stored)
    assert isinstance(outputs, np.ndarray)
    values, exact = (outputs.astype(np.float64) - output.zero_point) * output.scale, run_float(graph, X)
    assert np.abs(values - exact).max() <= 0.03 * np.abs(exact).max()
    for node in quantized.nodes:
        assert np.max(getattr(integer_parameters(node, quantized), "shift", 0)) <= 1


def test_a_constant_that_is_amplified_and_taken_away_again_leaves_the_others_alone() -> None:
    """As behind a batch norm of a channel without variance: 10,000 times 2, less 19,999.5."""
    module = Normalized(0.5)
    with torch.no_grad():
        module.first.weight[0] = 0.0
        module.first.bias[0] = 2.0
        module.second = nn.Conv2d(3, 3, 1, groups=3)
        module.second.weight[0] = 1e4
        module.second.bias[0] = 0.5 - 2e4
    graph, quantized, stored = quantized_pair(module)
    output = quantized.quantization[quantized.outputs[0]]
    outputs = run_int8(quantized, stored)
    assert isinstance(outputs, np.ndarray)
    values, exact = (outputs.astype(np.float64) - output.zero_point) * output.scale, run_float(graph, X)
    assert np.abs(values - exact).max() <= 0.03 * np.abs(exact).max()


def test_a_channel_that_moves_keeps_its_largest_weight() -> None:
    graph, quantized, _ = quantized_pair(Normalized(0.5))
    node = next(node for node in quantized.nodes if isinstance(node, DepthwiseConv2d))
    scale = quantized.constants[node.weight].scale
    assert scale is not None
    largest = np.abs(graph.constants[node.weight].values).max(axis=(0, 1))
    assert (scale >= largest / 127.0 * (1 - 1e-6)).all()
    assert (scale < 2 * largest / 127.0).all()


def test_a_channel_without_weights_keeps_a_fine_bias() -> None:
    module = nn.Conv2d(2, 3, 1)
    with torch.no_grad():
        module.weight[1] = 0.0
        module.bias.copy_(torch.tensor([0.1, 0.0123, -0.2]))
    _, quantized, _ = quantized_pair(module)
    node = quantized.nodes[-1]
    bias = quantized.constants[node.bias]
    assert bias.values[1] * bias.scale[1] == pytest.approx(0.0123, rel=1e-4)


def test_ordinary_scales_are_left_alone() -> None:
    """The span of the output, over 255: nothing coarser."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Hardswish(), nn.Conv2d(8, 4, 1))
    graph, quantized, _ = quantized_pair(module)
    values = run_float(graph, X)
    span = max(0.0, float(values.max())) - min(0.0, float(values.min()))
    assert quantized.quantization[graph.outputs[0]].scale == pytest.approx(span / 255, rel=1e-6)


def test_missing_ranges_are_measured() -> None:
    graph = run_passes(trace(nn.Sequential(nn.Conv2d(2, 3, 1), nn.Hardswish()), (2, 4, 4), "net"))
    measured = quantize(graph, X).quantization
    given = quantize(graph, X, ranges={graph.outputs[0]: (-7.0, 7.0)}).quantization
    assert given[graph.outputs[0]].scale == pytest.approx(14.0 / 255, rel=1e-6)
    assert all(given[name] == measured[name] for name in graph.tensors if name != graph.outputs[0])


def test_what_cannot_be_quantized_is_named() -> None:
    graph = run_passes(trace(nn.Conv2d(2, 3, 1), (2, 4, 4), "net"))
    with pytest.raises(UsageError, match="no calibration inputs"):
        quantize(graph, X[:0])
    node = graph.nodes[-1]
    bad = replace(graph.constants[node.weight], values=np.full((3, 1, 1, 2), np.nan, np.float32))
    with pytest.raises(UsageError, match=rf"'{node.weight}' holds NaN or infinity"):
        quantize(replace(graph, constants={**graph.constants, node.weight: bad}), X)
    infinite = np.where(np.arange(64).reshape(-1, 1, 1, 1) == 5, np.inf, X).astype(np.float32)
    for observer in OBSERVERS:
        with pytest.raises(UsageError, match=rf"tensor '{graph.inputs[0]}' reaches from"):
            quantize(graph, infinite, observer)
