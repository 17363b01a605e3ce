"""Residual blocks: found, removed exactly, and chosen by gates."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.prune.blocks import branches, choose_depth, without
from mcuprune.prune.setting import Setting
from mcuprune.tasks.task import accuracy
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, predict
from mcuprune.training.recipe import Recipe


class Blocks(nn.Module):
    """Three residual blocks, one with an activation behind the addition; the second one's skip is a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1)
        self.a, self.a2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.b, self.skip = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.c = nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.a2(self.a(x)))
        x = self.skip(x) + torch.relu(self.b(x))
        x = x + torch.relu(self.c(x))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def network() -> Graph:
    torch.manual_seed(0)
    return trace(Blocks(), (2, 8, 8), "net")


def size(graph: Graph) -> dict[str, float]:
    return {"flash": float(sum(c.values.size for c in graph.constants.values()))}


def test_only_what_can_go_is_found() -> None:
    graph = network()
    assert len(branches(graph)) == 2, "the middle addition joins two layers: neither is a mere extra"


def test_without_equals_a_closed_gate() -> None:
    graph = network()
    x = torch.randn(5, 8, 8, 2, generator=torch.Generator().manual_seed(1))
    for branch in branches(graph):
        closed = GraphModule(graph).eval()(
            x, activation=lambda name, value, o=branch.output: value * 0 if name == o else value
        )
        small = without(graph, branch)
        torch.testing.assert_close(GraphModule(small).eval()(x), closed, rtol=1e-5, atol=1e-6)
        assert size(small)["flash"] < size(graph)["flash"]
    both = without(without(graph, branches(graph)[0]), branches(graph)[1])
    assert branches(both) == ()
    assert GraphModule(both).eval()(x).isfinite().all()


@pytest.mark.parametrize("budget", [1.0, 0.02])
def test_gates_drop_blocks_as_budgets_ask(budget: float) -> None:
    """Nothing goes for free; under pressure the costly branch (nine taps, not one) goes first."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 192)
    x = rng.normal(size=(192, 8, 8, 2)).astype(np.float32)
    x[:, :4] += 1.0 * (y == 1)[:, None, None, None]
    x[:, :, 4:] += 1.0 * (y == 2)[:, None, None, None]
    data, graph = Arrays(x, y), network()
    recipe = Recipe(epochs=10, batch_size=16, learning_rate=5e-3)
    loss = nn.functional.cross_entropy
    setting = Setting(data, loss, recipe, lambda m: accuracy(predict(m, x), y), x)
    found = choose_depth(graph, setting, size, {"flash": budget * size(graph)["flash"]})
    small, dropped = found.graph, found.dropped
    assert len(branches(small)) == 2 - len(dropped)
    if budget == 1.0:
        assert dropped == ()
    else:
        assert "a" in dropped[0].nodes
        assert size(small)["flash"] < 0.7 * size(graph)["flash"]


class Bottlenecks(nn.Module):
    """Two blocks in a row without an activation behind their additions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 1), nn.Conv2d(6, 6, 1)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = x + torch.relu(self.a(x))
        x = x + torch.relu(self.b(x))
        out: Tensor = self.head(x.mean((2, 3)))
        return out


def test_blocks_in_a_row_go_in_any_order() -> None:
    torch.manual_seed(0)
    graph = trace(Bottlenecks(), (2, 8, 8), "net")
    first, second = branches(graph)
    x = torch.randn(5, 8, 8, 2, generator=torch.Generator().manual_seed(1))
    closed = GraphModule(graph).eval()(
        x, activation=lambda name, value: value * 0 if name in (first.output, second.output) else value
    )
    for one, other in ((first, second), (second, first)):
        small = without(without(graph, one), other)
        torch.testing.assert_close(GraphModule(small).eval()(x), closed, rtol=1e-5, atol=1e-6)
