"""Densities as resources: published sparsity targets, model-wise and layer-wise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch_networks import NETWORKS, make_module

from mcuprune.core import CORES
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import prunable
from mcuprune.graph.passes import run_passes
from mcuprune.prune.constrain import find_binding
from mcuprune.prune.density import Density
from mcuprune.prune.method import Method
from mcuprune.prune.methods import find_method
from mcuprune.prune.search import Search
from mcuprune.prune.shrink import shrink
from mcuprune.prune.target import make_target
from mcuprune.tasks.load import load_task
from mcuprune.training.loop import Arrays, predict
from mcuprune.training.recipe import Recipe


@given(name=st.sampled_from(sorted(NETWORKS)), seed=st.integers(0, 1000))
@settings(max_examples=12, deadline=None)
def test_shares_are_those_of_the_shrunk_network(name: str, seed: int) -> None:
    graph = run_passes(trace(*make_module(name), name))
    density, rng = Density(graph, CORES["cortex-m4"]), np.random.default_rng(seed)
    levels = {g: int(rng.integers(1, graph.widths[g] + 1)) for g in prunable(graph)}
    small = shrink(graph, {g: np.arange(n) for g, n in levels.items()})
    weights = [n.weight for n in graph.nodes if hasattr(n, "weight")]
    count = [sum(g.constants[w].values.size for w in weights) for g in (small, graph)]
    exact = density.exact(levels)
    assert exact["density"] == pytest.approx(count[0] / count[1])
    arrays = density.figures({g: np.array([n, graph.widths[g]]) for g, n in levels.items()})
    relaxed = density.relaxed({**graph.widths, **{g: torch.tensor(float(n)) for g, n in levels.items()}})
    for key, value in exact.items():
        assert arrays[key].tolist() == pytest.approx([value, 1.0])
        assert float(relaxed[key]) == pytest.approx(value, rel=1e-5)


class LeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 3), nn.Conv2d(10, 20, 3)
        self.hidden, self.head = nn.Linear(20 * 16, 50), nn.Linear(50, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        return self.head(torch.relu(self.hidden(x.flatten(1))))


def test_a_layer_counts_its_own_gates() -> None:
    """Outputs of convolutions, inputs of linear layers; pixels are not gated, so there outputs."""
    graph = trace(LeNet(), (1, 8, 8), "net")
    density = Density(graph, CORES["cortex-m4"])
    widths = dict(zip(prunable(graph), (5, 4, 10), strict=True))
    found = density.exact(widths)
    names = ("conv1", "conv2", "hidden", "head")
    assert [found[f"density:{name}"] for name in names] == pytest.approx([0.5, 0.2, 0.2, 0.2])
    graph = trace(Perceptron(), (1, 8, 8), "net")
    found = Density(graph, CORES["cortex-m4"]).exact(dict(zip(prunable(graph), (30, 10), strict=True)))
    assert [found[f"density:{name}"] for name in "abc"] == pytest.approx([0.5, 0.5, 0.25])


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 60), nn.Linear(60, 40), nn.Linear(40, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(torch.relu(self.b(torch.relu(self.a(x.flatten(1))))))


@pytest.mark.parametrize(
    "budgets", [{"density": 0.25}, {"density:a": 0.5, "density:b": 0.3}], ids=["model", "layers"]
)
def test_hard_concrete_exports_what_was_asked_for(budgets: dict[str, float]) -> None:
    """Published targets: never above, and at least 95 % of the tightest one used."""
    task = load_task("digits", None)
    torch.manual_seed(0)
    graph = trace(Perceptron(), (1, 8, 8), "net")
    target = make_target(graph, Density(run_passes(graph), CORES["cortex-m4"]), budgets)

    def score(module: nn.Module) -> float:
        return task.score(predict(module, task.validation.x), task.validation.y)

    method = find_method("hard_concrete")
    assert isinstance(method, Method)
    search = Search(
        target,
        method,
        Arrays(task.train.x, task.train.y),
        task.loss_function,
        Recipe(epochs=20, batch_size=32, learning_rate=3e-3),
        score,
        binding=find_binding("lagrangian:rate=1"),
    )
    run = search.start(graph)
    while not run.frozen:
        gated = search.method.widths(run.state) if run.epoch else None
        search.epoch(run)
    assert gated is not None
    before = target.resources.exact(gated)
    while run.epoch < 20:
        search.epoch(run)
    found = search.finish(run)
    figures = target.resources.exact({g: len(k) for g, k in found.keep.items()})
    assert all(figures[k] <= b for k, b in budgets.items())
    assert max(figures[k] / b for k, b in budgets.items()) >= 0.95
    assert all(before[k] < 0.9 for k in budgets), "the gates close by themselves too"
    assert found.history[-1].score > 0.9
