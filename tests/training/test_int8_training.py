"""Running ranges of activations that share one int8 scale."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import AveragePool2d, Concat, Graph
from mcuprune.graph.passes import run_passes
from mcuprune.graph.sharing import scale_owners
from mcuprune.quantize.multipliers import shared_scales
from mcuprune.training.divergence import DivergedError
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.int8 import DECAY, FakeQuantizer
from mcuprune.training.loop import Arrays, train
from mcuprune.training.recipe import Recipe

X = torch.from_numpy(np.random.default_rng(3).normal(0, 1, (64, 8, 8, 3)).astype(np.float32))


class Pooled(nn.Module):
    """Parts of very different range, concatenated; then the mean of a map, far below the map's peaks."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.small, self.large = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)
        self.mix, self.head = nn.Conv2d(8, 6, 3), nn.Linear(6, 5)
        with torch.no_grad():
            self.large.weight *= 10.0

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([torch.relu(self.small(x)), torch.relu(self.large(x))], 1)
        return self.head(torch.relu(self.mix(x)).mean((2, 3)))


@pytest.fixture
def graph() -> Graph:
    return run_passes(trace(Pooled(), (3, 8, 8), "pooled"))


def start(graph: Graph) -> tuple[GraphModule, FakeQuantizer]:
    module, quantizer = GraphModule(graph).train(), FakeQuantizer(graph)
    quantizer.calibrate(module, X.numpy())
    return module, quantizer


@pytest.mark.parametrize("kind", [AveragePool2d, Concat])
def test_many_batches_do_not_clip_the_widest_of_them(graph: Graph, kind: type) -> None:
    module, quantizer = start(graph)
    node = next(node for node in graph.nodes if isinstance(node, kind))
    owner = scale_owners(graph)
    sharing = [name for name in graph.tensors if owner[name] == owner[node.name]]
    assert len(sharing) > 1
    _, calibrated = quantizer.ranges()[node.name]
    for _ in range(100):
        module(X, weight=quantizer.weight, activation=quantizer.activation)
    ranges = quantizer.ranges()
    assert ranges[node.name][1] == pytest.approx(calibrated, rel=0.03)
    assert len({ranges[name] for name in sharing}) == 1


def test_ranges_follow_the_batches_up_and_down(graph: Graph) -> None:
    _, quantizer = start(graph)
    name = graph.nodes[1].name
    low, high = quantizer.state()[name].tolist()
    for factor in (3.0, 0.1):
        value = torch.tensor([factor * low, factor * high], requires_grad=True)
        before = quantizer.state()[name][1].item()
        quantizer.activation(name, value)
        expected = DECAY * before + (1 - DECAY) * factor * high
        assert quantizer.state()[name][1].item() == pytest.approx(expected, rel=1e-5)
    quantizer.observing = False
    before = quantizer.state()[name].tolist()
    quantizer.activation(name, torch.tensor([1e6], requires_grad=True))
    assert quantizer.state()[name].tolist() == before


def test_rounding_keeps_the_gradients_of_weights_and_of_activations_within_their_range(graph: Graph) -> None:
    _, quantizer = start(graph)
    weight = next(name for name in graph.constants if graph.constants[name].values.ndim == 4)
    value = torch.from_numpy(np.array(graph.constants[weight].values)).requires_grad_()
    found = quantizer.weight(weight, value)
    (gradient,) = torch.autograd.grad(found.sum(), value)
    assert bool((gradient == 1).all()), "the largest of a channel learns too"
    largest = np.abs(graph.constants[weight].values).max((1, 2, 3)) / np.float32(127)
    scale = torch.from_numpy(shared_scales(largest, largest.max())).reshape(-1, 1, 1, 1)
    assert torch.equal(found.detach(), (value.detach() / scale).round() * scale)

    name = graph.nodes[1].name
    low, high = quantizer.ranges()[name]
    quantizer.observing = False
    activation = torch.tensor([low - high, 0.5 * (low + high), high + 1.0], requires_grad=True)
    rounded = quantizer.activation(name, activation)
    (gradient,) = torch.autograd.grad(rounded.sum(), activation)
    step = (high - low) / 255
    expected = [low, 0.5 * (low + high), high]
    assert np.allclose(rounded.detach().numpy(), expected, atol=0.51 * step)
    assert gradient.tolist() == [0.0, 1.0, 0.0]


def test_ranges_start_from_all_of_the_data(graph: Graph) -> None:
    """Files are often sorted by class: the largest values may come last."""
    sorted_by_size = np.sort(np.random.default_rng(0).uniform(0, 9, (3000, 8, 8, 3)).astype(np.float32), 0)
    quantizer = FakeQuantizer(graph)
    quantizer.calibrate(GraphModule(graph), sorted_by_size)
    assert quantizer.ranges()[graph.inputs[0]][1] == pytest.approx(9.0, abs=0.05)


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_ranges_that_are_no_numbers_are_a_divergence(graph: Graph, bad: float) -> None:
    quantizer = FakeQuantizer(graph)
    x = X.numpy().copy()
    x[0, 0, 0, 0] = bad
    with pytest.raises(DivergedError, match="lower --learning-rate"):
        quantizer.calibrate(GraphModule(graph), x)


class Counted:
    """Rounds nothing, counts the tensors of training that it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def weight(self, name: str, value: Tensor) -> Tensor:
        return value

    def activation(self, name: str, value: Tensor) -> Tensor:
        self.seen += value.requires_grad
        return value

    def state(self) -> dict[str, Tensor]:
        return {"seen": torch.tensor(self.seen)}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.seen = int(state["seen"])


def test_an_epoch_that_diverges_leaves_no_trace_in_the_ranges(graph: Graph) -> None:
    """The converter gets the ranges: those of an epoch that is repeated are forgotten with its weights."""
    data, recipe = Arrays(X.numpy(), np.arange(64) % 5), Recipe(epochs=2, batch_size=16)
    found = []
    for bad in (None, 3):  # the step whose loss is no number
        rounding, steps = Counted(), count(1)

        def loss(
            outputs: Tensor, labels: Tensor, steps: Iterator[int] = steps, bad: int | None = bad
        ) -> Tensor:
            value = nn.functional.cross_entropy(outputs, labels)
            return value * torch.inf if next(steps) == bad else value

        train(graph, data, loss, recipe, lambda module: 0.0, rounding=rounding)
        found.append((next(steps) - 1, rounding.seen))
    assert [steps for steps, _ in found] == [8, 11]
    assert found[0][1] == found[1][1] > 0
