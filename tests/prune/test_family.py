"""One gated run for several budgets."""

from __future__ import annotations

import pytest
from test_experiment import setting
from test_method_runs import assert_within_and_maximal, problem

from mcuprune.core import CORES
from mcuprune.prune.family import crossing, family
from mcuprune.prune.methods import find_method
from mcuprune.prune.target import make_target
from mcuprune.resources.model import ResourceModel
from mcuprune.training.recipe import Recipe


def test_budgets_are_passed_in_order() -> None:
    dense, tightest = {"flash": 100.0, "ram": 10.0}, {"flash": 1.0, "ram": 10.0}
    points = [crossing(dense, {"flash": b, "ram": 10.0}, tightest) for b in (100.0, 10.0, 1.0, 0.5)]
    assert points == pytest.approx([0.0, 0.5, 1.0, 1.0])


def test_a_budget_that_the_dense_network_keeps_hurries_nobody() -> None:
    dense, tightest = {"flash": 100.0, "ram": 10.0}, {"flash": 1.0, "ram": 5.0}
    for spare in (10.0, 20.0):
        assert crossing(dense, {"flash": 10.0, "ram": spare}, tightest) == pytest.approx(0.5)
    assert crossing(dense, {"flash": 10.0}, tightest) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "epochs"), [("taylor", 12), ("hard_concrete", 12), ("taylor", 7), ("taylor", 1)]
)
def test_every_member_is_within_its_budgets(name: str, epochs: int) -> None:
    """And fills it, also where gating ends within an epoch: none is a copy of the tightest."""
    graph, _ = problem()
    targets = [problem(share)[1] for share in (0.7, 0.45, 0.2)]
    recipe = Recipe(epochs, 16, 1e-2)
    found = family(graph, targets, find_method(name), setting(recipe=recipe))  # type: ignore[arg-type]
    assert len(found) == 3
    for target, member in zip(targets, found, strict=True):
        assert_within_and_maximal(target, member)
        assert member.history[-1].phase == "int8"
        assert member.history[-1].score > 0.6 or epochs < 12
    flash = [targets[0].resources.exact({g: len(k) for g, k in m.keep.items()})["flash"] for m in found]
    assert flash[0] > flash[1] > flash[2]


def test_a_looser_budget_waits_for_its_own_kernels() -> None:
    """Kernels of little code make the wide network look as if it had always kept a budget of fast ones."""
    graph, tight = problem(0.2)
    fast = ResourceModel(tight.resources.graph, CORES["cortex-m4"], objective="cycles")
    whole, small = fast.exact(tight.ceilings), tight.resources.exact(tight.ceilings)
    assert whole["flash"] > small["flash"]
    budget = small["flash"] + 0.5 * (whole["flash"] - small["flash"])
    loose = make_target(graph, fast, {"flash": budget})
    tight = make_target(graph, tight.resources, {"flash": tight.budgets["flash"]})
    found = family(graph, [loose, tight], find_method("taylor"), setting(recipe=Recipe(12, 16, 1e-2)))  # type: ignore[arg-type]
    assert_within_and_maximal(loose, found[0])
    assert found[0].history[0].phase != "narrow", "it was gated before it was frozen"


def test_close_budgets_give_different_members() -> None:
    """Both are passed after the last whole epoch before the freeze."""
    graph, dense = problem(1.0)
    targets = [problem(share)[1] for share in (0.24, 0.2)]
    points = crossing(dense.resources.exact({}), targets[0].budgets, targets[1].budgets)
    assert points > 0.8
    found = family(graph, targets, find_method("taylor"), setting(recipe=Recipe(7, 16, 1e-2)))  # type: ignore[arg-type]
    assert_within_and_maximal(targets[0], found[0])
