"""The promise itself, with the real resource model: never above budget, maximal, refused when infeasible."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from random_graphs import random_graph

from mcuprune.budget import quote
from mcuprune.core import CORES
from mcuprune.errors import BudgetError
from mcuprune.graph.channels import prunable
from mcuprune.prune import allocate as allocation
from mcuprune.prune.allocate import Problem, allocate
from mcuprune.prune.method import curve
from mcuprune.prune.target import ROOM, best_target, make_target, smallest_levels
from mcuprune.resources.model import ResourceModel

GRAPHS = 120


def tight_budgets(model: ResourceModel, groups: dict[str, int], rng: np.random.Generator) -> dict[str, float]:
    """Between one channel everywhere and the dense network, nearer to the former.

    Either can take more of a resource than the other.
    """
    ends = model.exact(dict.fromkeys(groups, 1)), model.exact({})
    share = {k: rng.uniform(0.02, 0.5) for k in ("flash", "ram", "macs")}
    low, high = ({k: side(end[k] for end in ends) for k in share} for side in (min, max))
    return {k: float(np.floor(low[k] + share[k] * (high[k] - low[k]))) for k in share}


def check(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(seed)
    model = ResourceModel(graph, CORES["cortex-m4"])
    groups = {g: graph.widths[g] for g in prunable(graph)}
    budgets = tight_budgets(model, groups, rng)
    target = make_target(graph, model, budgets)
    curves = {g: curve(rng.gamma(0.5, 1.0, w)) for g, w in groups.items()}
    levels = allocate(Problem(curves, target.costs, budgets, target.floors, model.exact))
    figures = model.exact(levels)
    assert all(figures[k] <= b for k, b in budgets.items()), (seed, figures, budgets)
    assert all(target.floors[g] <= n <= groups[g] for g, n in levels.items())
    for group, n in levels.items():
        if n < groups[group]:
            more = model.exact({**levels, group: n + 1})
            assert any(more[k] > b for k, b in budgets.items()), (seed, group)


@pytest.mark.parametrize("block", range(6))
def test_random_networks_under_tight_budgets(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However early the search for the best is given up."""
    monkeypatch.setattr(allocation, "EXACT_LIMIT", 1 + 99 * (block % 2))
    for seed in range(block * GRAPHS // 6, (block + 1) * GRAPHS // 6):
        check(seed)


@pytest.mark.slow
def test_a_thousand_random_networks_under_tight_budgets() -> None:
    for seed in range(1000):
        check(seed)


def test_infeasible_budgets_are_refused_with_the_smallest_figure() -> None:
    graph = random_graph(3)
    model = ResourceModel(graph, CORES["cortex-m4"])
    smallest = model.exact(dict.fromkeys(prunable(graph), 1))
    for resource in ("flash", "ram", "macs", "cycles"):
        with pytest.raises(BudgetError, match=f"budget {resource}=.*smallest"):
            make_target(graph, model, {resource: smallest[resource] - 1})
        make_target(graph, model, {resource: smallest[resource]})


def test_what_only_wider_layers_reach_is_reached() -> None:
    """One channel needs a kernel of its own, whose code takes more than it saves: the floors are wider."""
    graph = random_graph(80)
    model = ResourceModel(graph, CORES["cortex-m4"])
    full = {group: graph.widths[group] for group in prunable(graph)}
    least = model.exact(smallest_levels(full, model.exact, {"flash": 0}))["flash"]
    assert least < model.exact(dict.fromkeys(full, 1))["flash"]
    target = make_target(graph, model, {"flash": least})
    for levels in (target.floors, target.uniform):
        assert model.exact(levels)["flash"] <= least


@pytest.mark.parametrize("seed", [80, 85, 148, 161, 590, 658])
def test_the_smallest_network_is_found(seed: int) -> None:
    """Among the networks of all widths, where one channel everywhere is not the smallest."""
    graph = random_graph(seed)
    model = ResourceModel(graph, CORES["cortex-m4"])
    full = {group: graph.widths[group] for group in prunable(graph)}
    ranges = [range(1, width + 1) for width in full.values()]
    every = [model.exact(dict(zip(full, widths, strict=True))) for widths in product(*ranges)]
    ones, found = model.exact(dict.fromkeys(full, 1)), {}
    for resource in ("flash", "ram", "macs", "cycles"):
        found[resource] = model.exact(smallest_levels(full, model.exact, {resource: 0}))[resource]
        assert found[resource] == min(figures[resource] for figures in every)
    assert any(found[k] < ones[k] for k in found)


def test_budgets_that_only_fit_one_at_a_time_are_refused_together() -> None:
    graph = random_graph(80)
    model = ResourceModel(graph, CORES["cortex-m4"])
    full = {group: graph.widths[group] for group in prunable(graph)}
    least = {k: model.exact(smallest_levels(full, model.exact, {k: 0}))[k] for k in ("flash", "macs")}
    for resource, budget in least.items():
        make_target(graph, model, {resource: budget})
    with pytest.raises(BudgetError, match=r"budgets flash=\S+, macs=\S+ cannot be reached together"):
        make_target(graph, model, least)


def test_kernels_are_chosen_so_that_the_network_has_room() -> None:
    """Of little flash the small kernels leave more to the network; of much, the fast ones are taken."""
    graph = random_graph(3)
    models = [ResourceModel(graph, CORES["cortex-m4"], objective=o) for o in ("cycles", "balanced", "size")]
    ones = dict.fromkeys(prunable(graph), 1)
    plenty = {"flash": 10 * max(model.exact({})["flash"] for model in models)}
    assert best_target(graph, models, plenty).resources.objective == "cycles"
    scarce = {"flash": 1.2 * models[2].exact(ones)["flash"]}
    chosen = best_target(graph, models, scarce)
    alone = make_target(graph, models[2], scarce)
    room = {id(t): t.resources.exact(t.uniform)["macs"] for t in (chosen, alone)}
    assert ROOM * room[id(chosen)] >= room[id(alone)]
    impossible = {"flash": models[2].exact(ones)["flash"] - 1}
    with pytest.raises(BudgetError, match="smallest"):
        best_target(graph, models, impossible)


def test_what_cannot_be_reached_is_said_of_the_best_kernels_for_it() -> None:
    """Small kernels reach the flash, fast ones the latency; only what none reaches is called out of reach."""
    graph = random_graph(3)
    models = [ResourceModel(graph, CORES["cortex-m4"], objective=o, clock_hz=1e6) for o in ("cycles", "size")]
    full = {group: graph.widths[group] for group in prunable(graph)}
    least = {
        k: [m.exact(smallest_levels(full, m.exact, {k: 0}))[k] for m in models] for k in ("cycles", "flash")
    }
    assert least["cycles"][0] < least["cycles"][1]
    assert least["flash"][1] < least["flash"][0]
    enough = {k: min(v) + 1 for k, v in least.items()}
    for wanted, name in (({"cycles": 1.0}, "latency"), ({"flash": 100.0}, "flash")):
        amount = re.escape(quote(*next(iter({k: min(least[k]) for k in wanted}.items())), 1e6)[1])
        with pytest.raises(BudgetError, match=f"budget {name}=.* smallest this model gets is {amount};"):
            best_target(graph, models, {**enough, **wanted})
    with pytest.raises(BudgetError, match=r"budgets latency=\S+, flash=\S+ cannot be reached together"):
        best_target(graph, models, enough)
