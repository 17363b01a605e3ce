"""Quantization while training computes what the converted network computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.quantize.convert import quantize
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.int8 import FakeQuantizer
from mcuprune.training.recipe import Recipe, make_optimizer


def inputs(graph: Graph, count: int, seed: int = 0) -> np.ndarray:
    shape = graph.shape(graph.inputs[0])
    return np.random.default_rng(seed).uniform(-1, 1, (count, *shape)).astype(np.float32)


def difference_in_steps(graph: Graph, quantizer: FakeQuantizer, x: np.ndarray) -> np.ndarray:
    """Fake-quantized against integer outputs, in steps of the output's grid."""
    module = GraphModule(graph).eval()
    quantizer.observing = False
    with torch.no_grad():
        simulated = module(
            torch.from_numpy(x), weight=quantizer.weight, activation=quantizer.activation
        ).numpy()
    quantized = quantize(graph, x, ranges=quantizer.ranges())
    a, b = quantized.quantization[graph.inputs[0]], quantized.quantization[graph.outputs[0]]
    stored = np.clip(np.round(x / np.float32(a.scale)) + a.zero_point, -128, 127).astype(np.int8)
    return simulated / b.scale + b.zero_point - run_int8(quantized, stored)


def calibrated(graph: Graph, x: np.ndarray) -> FakeQuantizer:
    quantizer = FakeQuantizer(graph)
    quantizer.calibrate(GraphModule(graph).eval(), x)
    return quantizer


def test_simulation_agrees_with_integers_within_one_step(network):
    graph = run_passes(network[1])
    x = inputs(graph, 300)
    steps = difference_in_steps(graph, calibrated(graph, x), x)
    assert np.mean(np.abs(steps) < 1.01) > 0.98
    assert np.mean(np.abs(steps) < 0.01) > 0.9
    if graph.name != "siren":  # whose sines turn one step of phase into many of the output
        assert np.abs(steps).max() < 2.01


class Ties(nn.Module):
    """Prescribed scales behind pools, concatenated: every rule about shared grids at once."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.left, self.right, self.head = nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 3, padding=1), nn.Linear(28, 5)

    def forward(self, x: Tensor) -> Tensor:
        a = nn.functional.avg_pool2d(torch.sigmoid(3 * self.left(x)), 2)
        b = nn.functional.max_pool2d(4 * self.right(x), 2)
        return self.head(torch.cat([a, b], 1).flatten(1))


def test_simulation_follows_prescribed_and_shared_scales():
    graph = run_passes(trace(Ties(), (2, 4, 4), "ties"))
    x = inputs(graph, 300)
    steps = difference_in_steps(graph, calibrated(graph, x), x)
    assert np.mean(np.abs(steps) < 1.01) > 0.98


def test_simulation_agrees_after_training_with_it(network):
    graph = run_passes(network[1])
    x = inputs(graph, 256)
    quantizer, module = calibrated(graph, x), GraphModule(graph).train()
    optimizer = make_optimizer(module, Recipe(learning_rate=1e-3))
    before = {name: value.clone() for name, value in quantizer.state().items()}
    for step in range(10):
        batch = torch.from_numpy(x[step * 16 : step * 16 + 16])
        out = module(batch, weight=quantizer.weight, activation=quantizer.activation)
        optimizer.zero_grad()
        (out - 1.0).square().mean().backward()
        assert all(torch.isfinite(p.grad).all() for p in module.values.values() if p.grad is not None)
        optimizer.step()
    assert any(not torch.equal(before[name], value) for name, value in quantizer.state().items())
    steps = difference_in_steps(module.to_graph(), quantizer, inputs(graph, 200, seed=1))
    assert np.mean(np.abs(steps) < 1.01) > 0.97


def test_training_in_int8_beats_rounding_afterwards():
    """A layer with coarse ranges learns around its rounding."""
    torch.manual_seed(0)
    graph = run_passes(trace(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1)), (6,), "net"))
    x = inputs(graph, 512)
    target = torch.from_numpy(np.sin(3 * x[:, :1]))
    quantizer = calibrated(graph, x)
    coarse = {name: torch.stack([pair[0] * 12, pair[1] * 12]) for name, pair in quantizer.state().items()}
    quantizer.restore(coarse)
    quantizer.observing = False
    errors = []
    for hooks in ({}, {"weight": quantizer.weight, "activation": quantizer.activation}):
        module = GraphModule(graph)
        optimizer = make_optimizer(module, Recipe(learning_rate=1e-2))
        for _ in range(200):
            optimizer.zero_grad()
            (module(torch.from_numpy(x), **hooks) - target).square().mean().backward()
            optimizer.step()
        with torch.no_grad():
            seen = module(torch.from_numpy(x), weight=quantizer.weight, activation=quantizer.activation)
        errors.append(float((seen - target).square().mean()))
    assert errors[1] < errors[0]


def test_gradients_pass_inside_the_range_and_stop_outside():
    graph = run_passes(trace(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), (1,), "net"))
    quantizer = FakeQuantizer(graph)
    name = graph.nodes[1].name
    quantizer.restore({name: torch.tensor([-1.0, 1.0])})
    quantizer.observing = False
    value = torch.tensor([-3.0, -0.5, 0.0, 0.7, 2.0], requires_grad=True)
    out = quantizer.activation(name, value)
    out.sum().backward()
    assert value.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]
    assert out.detach().abs().max() <= 1.01
    weight = torch.tensor([[0.3], [-1.27]], requires_grad=True)
    rounded = quantizer.weight(graph.nodes[1].weight, weight)
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones_like(weight))


def test_ranges_survive_saving():
    graph = run_passes(trace(nn.Linear(3, 2), (3,), "net"))
    quantizer = calibrated(graph, inputs(graph, 20))
    other = FakeQuantizer(graph)
    other.restore(quantizer.state())
    assert other.ranges() == quantizer.ranges() != {}
    with pytest.raises(KeyError):
        FakeQuantizer(graph).ranges()
