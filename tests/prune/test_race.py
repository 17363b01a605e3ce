"""Rivals after the freeze: what is proposed, who goes on, what it may cost; a stop changes nothing."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch

from mcuprune.board import load_board
from mcuprune.config import RunConfig, load_config
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.problem import load_problem
from mcuprune.prune import checkpoint
from mcuprune.prune.allocate import Problem, allocate
from mcuprune.prune.method import curve
from mcuprune.prune.methods import find_method
from mcuprune.prune.race import HEATS, MOST, Rival, affordable, alike, logarithmic, proposals, survivors
from mcuprune.prune.search import Search
from mcuprune.prune.target import Target, make_target
from mcuprune.resources.model import ResourceModel
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays
from mcuprune.training.recipe import Recipe
from mcuprune.training.schedules import Phases


@pytest.fixture(scope="module")
def graph() -> Graph:
    return load_problem(load_config(None, {"seed": 0})).graph


@pytest.fixture(scope="module")
def target(graph: Graph) -> Target:
    board = load_board("stm32f4")
    resources = ResourceModel(run_passes(graph), board.core, "zig", "size", board.flash)
    return make_target(graph, resources, {"flash": 6144, "ram": 8192})


def problem_of(target: Target, starve: str) -> Problem:
    """Equal units, but those of one group seem worthless."""
    curves = {
        k: curve(np.full(n, 1e-4 if k == starve else 1.0))
        for k, n in target.resources.graph.widths.items()
        if k in target.floors
    }
    return Problem(curves, target.costs, target.budgets, target.floors, target.resources.exact)


def norms_of(target: Target) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {group: rng.random(target.resources.graph.widths[group]) for group in target.floors}


def test_proposals_differ_and_every_one_fits(target: Target) -> None:
    problem, norms = problem_of(target, "stem_conv"), norms_of(target)
    found = proposals(problem, target, norms, MOST, seed=0)
    assert len(found) == MOST == len({tuple(levels.values()) for levels in found})
    for levels in found:
        figures = target.resources.exact(levels)
        assert all(figures[k] <= budget for k, budget in target.budgets.items())
    assert found == proposals(problem, target, norms, MOST, seed=0)


def test_a_run_has_as_many_rivals_as_it_is_allowed(graph: Graph, target: Target) -> None:
    data = Arrays(np.zeros((64, 24, 24, 1), np.float32), np.zeros(64, np.int64))
    loss, recipe = torch.nn.functional.cross_entropy, Recipe(epochs=1, batch_size=64)
    for allowed in (1, 2):
        search = Search(target, find_method("taylor"), data, loss, recipe, lambda module: 0.0, rivals=allowed)
        run = search.start(graph)
        search._freeze(run)
        assert len(run.rivals) == min(allowed, affordable(target, 64, Phases()))
    assert RunConfig().rivals == MOST


def test_the_first_proposal_is_the_methods_own_and_alone_when_one_is_asked_for(target: Target) -> None:
    problem = problem_of(target, "stem_conv")
    assert proposals(problem, target, norms_of(target), 1, seed=0) == [allocate(problem)]


def test_the_third_proposal_is_that_of_the_norms(target: Target) -> None:
    problem, norms = problem_of(target, "stem_conv"), norms_of(target)
    norms["body1_conv"] *= 1e-4
    third = proposals(problem, target, norms, 3, seed=0)[2]
    assert third["body1_conv"] == target.floors["body1_conv"]
    assert allocate(problem)["body1_conv"] > third["body1_conv"]


def test_a_group_that_seems_worthless_is_starved_by_sums_but_not_by_shares(target: Target) -> None:
    problem = problem_of(target, "reduce2_conv")
    assert allocate(alike(problem))["reduce2_conv"] > allocate(problem)["reduce2_conv"]


def test_logarithmic_curves_equal_additive_ones_for_small_cuts_and_outgrow_them() -> None:
    added = curve(np.full(1000, 0.5))
    found = logarithmic(Problem({"a": added}, lambda x: {}, {}, {"a": 1})).curves["a"]
    assert found[990] == pytest.approx(added[990], rel=0.01)
    assert found[10] > 4 * added[10]
    assert (np.diff(found) <= 0).all()
    assert found[-1] == 0.0


def test_groups_without_any_score_are_shared_out_by_width() -> None:
    even = alike(Problem({"a": np.zeros(5)}, lambda x: {}, {}, {"a": 1})).curves["a"]
    assert even[2] == pytest.approx(math.log(2))
    assert even[4] == 0.0


def test_heats_keep_the_best_and_nan_never_wins(graph: Graph) -> None:
    module = GraphModule(graph)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    losses = [math.nan, *(float(9 - i) for i in range(MOST - 1))]
    rivals = [Rival(module, optimizer, {}, 0.1, loss) for loss in losses]
    assert survivors(rivals, HEATS[0][0] - 0.01) == rivals
    second = survivors(rivals, HEATS[0][0])
    assert [r.loss for r in second] == [2.0, 3.0, 4.0]
    assert [r.loss for r in survivors(second, HEATS[1][0])] == [2.0]


def test_losses_are_averaged_from_the_first_on() -> None:
    rival = Rival(None, None, {}, 0.1)  # type: ignore[arg-type]
    rival.note(2.0)
    assert rival.loss == 2.0
    rival.note(1.0)
    assert 1.9 < rival.loss < 2.0


def test_few_rivals_where_the_network_stays_large_many_where_it_is_small(graph: Graph) -> None:
    board = load_board("stm32f4")
    resources = ResourceModel(run_passes(graph), board.core, "zig", "size", board.flash)
    dense = resources.exact({})["flash"]
    targets = [make_target(graph, resources, {"flash": dense * share}) for share in (0.99, 0.5, 0.1)]
    counts = [affordable(target, 64, Phases()) for target in targets]
    assert counts == sorted(counts)
    assert counts[0] == 1
    assert counts[-1] > 1
    assert affordable(targets[-1], 64, Phases(race=Phases.freeze)) == 1
    assert affordable(targets[-1], 1, Phases()) == 1  # what a step costs apart from its MACs


def test_a_run_stopped_in_the_race_ends_as_if_it_had_not_been(graph: Graph, target: Target) -> None:
    rng = np.random.default_rng(0)
    data = Arrays(rng.standard_normal((320, 24, 24, 1)).astype(np.float32), rng.integers(0, 10, 320))
    recipe = Recipe(epochs=5, batch_size=64)
    search = Search(
        target, find_method("taylor"), data, torch.nn.functional.cross_entropy, recipe, lambda module: 0.0
    )
    run = search.start(graph)
    stopped = None
    while run.epoch < recipe.epochs:
        search.epoch(run)
        if run.rivals:
            stopped = copy.deepcopy(checkpoint.pack(run))
            assert len(run.rivals) > 1
    assert stopped is not None
    assert not run.rivals
    again = checkpoint.unpack(search, graph, stopped)
    while again.epoch < recipe.epochs:
        search.epoch(again)
    for name, constant in search.finish(run).graph.constants.items():
        np.testing.assert_array_equal(constant.values, search.finish(again).graph.constants[name].values)
