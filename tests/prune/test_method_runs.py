"""Whole runs of every method on a small network: within the budgets, maximal, resumable, finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import blobs
from torch import Tensor, nn

from mcuprune.core import CORES
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.progress import SILENT
from mcuprune.prune import checkpoint
from mcuprune.prune.constrain import BINDINGS, find_binding
from mcuprune.prune.importance import unit_norms
from mcuprune.prune.method import Method
from mcuprune.prune.methods import METHODS, find_method
from mcuprune.prune.run import Found
from mcuprune.prune.search import Search
from mcuprune.prune.setting import Setting
from mcuprune.prune.shrink import shrink
from mcuprune.prune.stage import Stage
from mcuprune.prune.target import Target, make_target
from mcuprune.resources.model import ResourceModel
from mcuprune.tasks.task import accuracy
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import predict
from mcuprune.training.recipe import Recipe
from mcuprune.training.saved import load, save

METHOD_KINDS = {m.name: m.kind for m in METHODS if issubclass(m, Method)}
TRAINED = list(METHOD_KINDS)


class Chain(nn.Module):
    """Three groups of channels, so that there is something to allocate."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(2, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.second, self.norm2 = nn.Conv2d(8, 10, 3, padding=1), nn.BatchNorm2d(10)
        self.third, self.norm3 = nn.Conv2d(10, 7, 1), nn.BatchNorm2d(7)
        self.head = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm1(self.first(x)))
        x = torch.relu(self.norm2(self.second(x)))
        return self.head(torch.relu(self.norm3(self.third(x))).mean((2, 3)))


def problem(share: float = 0.4, widths: tuple[float, float] = Recipe.widths) -> tuple[Graph, Target]:
    torch.manual_seed(0)
    graph = trace(Chain(), (2, 8, 8), "net")
    resources = ResourceModel(run_passes(graph), CORES["cortex-m4"], objective="size")
    low, high = resources.exact({g: 1 for g in graph.widths if g not in graph.frozen}), resources.exact({})
    budgets = {k: low[k] + share * (high[k] - low[k]) for k in ("flash", "ram", "macs")}
    return graph, make_target(graph, resources, budgets, widths)


def make_search(name: str, target: Target, binding: str | None = None, epochs: int = 6) -> Search:
    data = blobs()

    def score(module: nn.Module) -> float:
        return accuracy(predict(module, data.x), data.y)

    method = find_method(name)
    assert isinstance(method, Method)
    bound = find_binding(binding) if binding else None
    recipe = Recipe(epochs=epochs, batch_size=16, learning_rate=1e-2)
    return Search(target, method, data, nn.functional.cross_entropy, recipe, score, binding=bound)


def finished(search: Search, graph: Graph) -> Found:
    run = search.start(graph)
    while run.epoch < search.recipe.epochs:
        search.epoch(run)
    return search.finish(run)


def assert_within_and_maximal(target: Target, found: Found, masked: bool = False) -> None:
    levels = {group: len(units) for group, units in found.keep.items()}
    figures = target.resources.exact(levels)
    assert all(figures[k] <= b for k, b in target.budgets.items())
    if levels == dict(target.uniform) and masked:
        return  # element-wise masks run on the uniform solution
    for group, n in levels.items():
        if n < target.resources.graph.widths[group]:
            more = target.resources.exact({**levels, group: n + 1})
            assert any(more[k] > b for k, b in target.budgets.items())


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_keeps_every_budget_and_learns(name: str) -> None:
    graph, target = problem()
    found = finished(make_search(name, target), graph)
    assert_within_and_maximal(target, found, masked=METHOD_KINDS[name] == "weight")
    assert found.history[-1].score > 0.6
    assert all(np.isfinite(record.loss) for record in found.history)


@pytest.mark.parametrize("name", TRAINED)
def test_a_network_without_anything_to_choose_is_trained(name: str) -> None:
    torch.manual_seed(0)
    graph = trace(nn.Sequential(nn.Flatten(), nn.Linear(128, 3)), (2, 8, 8), "net")
    resources = ResourceModel(run_passes(graph), CORES["cortex-m4"], objective="size")
    target = make_target(graph, resources, {"flash": 2 * resources.exact({})["flash"]})
    found = finished(make_search(name, target), graph)
    assert found.history[-1].score > 0.6


@pytest.mark.parametrize("name", [name for name, kind in METHOD_KINDS.items() if kind == "weight"])
@pytest.mark.parametrize("epochs", [1, 6])
def test_masks_of_weights_hold_from_the_freeze_on(name: str, epochs: int) -> None:
    """Also the first step after it, and a run that ends with it, see no weight that is masked out."""
    graph, target = problem()
    search = make_search(f"{name}:density=0.3", target, epochs=epochs)
    run = search.start(graph)
    search._freeze(run)
    parameters, _ = run.module.state()
    for key, mask in run.masks.items():
        assert int(mask.sum()) == max(1, round(0.3 * mask.numel()))
        assert torch.equal(parameters[key] != 0, mask > 0)


@pytest.mark.parametrize("name", ["imp", "imp:cycles=1,schedule=llr", "imp:budgeted=false", "exact_obs"])
@pytest.mark.parametrize("epochs", [1, 7])
def test_every_stage_keeps_every_budget(name: str, epochs: int) -> None:
    graph, target = problem()
    stage, data = find_method(name), blobs()
    assert isinstance(stage, Stage)
    recipe = Recipe(epochs=epochs, batch_size=16, learning_rate=1e-2)
    loss = nn.functional.cross_entropy
    setting = Setting(data, loss, recipe, lambda module: accuracy(predict(module, data.x), data.y), data.x)
    found = stage.compress(graph, target, setting, SILENT)
    assert_within_and_maximal(target, found)
    assert found.graph.widths == {**found.graph.widths, **{g: len(k) for g, k in found.keep.items()}}
    if name != "imp:budgeted=false":
        assert len(found.history) == max(epochs, 2 if name.startswith("imp") else 1)
    if epochs > 1:
        assert found.history[-1].score > 0.6


@pytest.mark.parametrize("binding", [b.name for b in BINDINGS])
def test_the_promise_does_not_depend_on_the_binding(binding: str) -> None:
    graph, target = problem(0.2)
    assert_within_and_maximal(target, finished(make_search("hard_concrete", target, binding), graph))


def test_a_search_starts_from_the_largest_filters_as_many_as_are_tried() -> None:
    graph, target = problem(0.2, (1.0, 1.5))
    narrowed = [group for group, n in target.ceilings.items() if n < graph.widths[group]]
    assert narrowed
    run = make_search("taylor", target).start(graph)
    assert {group: run.module.graph.widths[group] for group in target.ceilings} == target.ceilings
    norms = unit_norms(GraphModule(graph))
    for group in narrowed:
        left = np.setdiff1d(np.arange(graph.widths[group]), run.keep[group])
        assert norms[group][run.keep[group]].min() >= norms[group][left].max()


def test_what_is_kept_are_units_of_the_whole_network() -> None:
    graph, target = problem(0.2, (1.0, 1.5))
    search = make_search("taylor", target)
    started, found = search.start(graph).keep, finished(search, graph)
    for group, units in found.keep.items():
        assert np.isin(units, started[group]).all()
        assert target.floors[group] <= len(units) <= target.ceilings[group]
    shapes = {name: c.values.shape for name, c in run_passes(shrink(graph, found.keep)).constants.items()}
    assert shapes == {name: c.values.shape for name, c in found.graph.constants.items()}


@pytest.mark.parametrize("widths", [Recipe.widths, (1.0, 1.5)])
@pytest.mark.parametrize("name", TRAINED)
def test_a_run_resumed_while_gating_ends_the_same(
    name: str, widths: tuple[float, float], tmp_path: Path
) -> None:
    graph, target = problem(widths=widths)
    search = make_search(name, target, epochs=8)
    run = search.start(graph)
    for _ in range(2):
        search.epoch(run)
    save(tmp_path / "run.pt", checkpoint.pack(run))
    resumed = checkpoint.unpack(search, graph, load(tmp_path / "run.pt"))
    for each in (run, resumed):
        while each.epoch < search.recipe.epochs:
            search.epoch(each)
    first, second = search.finish(run), search.finish(resumed)
    for group in first.keep:
        np.testing.assert_array_equal(first.keep[group], second.keep[group])
    for name_, constant in first.graph.constants.items():
        np.testing.assert_array_equal(constant.values, second.graph.constants[name_].values)
