"""One gated run for several budgets."""

from __future__ import annotations

import pytest
from test_experiment import setting
from test_method_runs import assert_within_and_maximal, problem

from mcuprune.prune.family import crossing, family
from mcuprune.prune.methods import find_method
from mcuprune.training.recipe import Recipe


def test_budgets_are_passed_in_order() -> None:
    dense, tightest = {"flash": 100.0, "ram": 10.0}, {"flash": 1.0, "ram": 10.0}
    points = [crossing(dense, {"flash": b, "ram": 10.0}, tightest) for b in (100.0, 10.0, 1.0, 0.5)]
    assert points == pytest.approx([0.0, 0.5, 1.0, 1.0])


@pytest.mark.parametrize("name", ["taylor", "hard_concrete"])
def test_every_member_is_within_its_budgets(name: str) -> None:
    graph, _ = problem()
    targets = [problem(share)[1] for share in (0.7, 0.45, 0.2)]
    method = find_method(name)
    found = family(graph, targets, method, setting(recipe=Recipe(12, 16, 1e-2)), tuning=4)  # type: ignore[arg-type]
    assert len(found) == 3
    for target, member in zip(targets, found, strict=True):
        assert_within_and_maximal(target, member)
        assert member.history[-1].phase == "int8"
        assert member.history[-1].score > 0.6
    flash = [targets[0].resources.exact({g: len(k) for g, k in m.keep.items()})["flash"] for m in found]
    assert flash[0] > flash[1] > flash[2]
