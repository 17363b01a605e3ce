"""Allocation: never above budget, maximal, near the optimum, honest when infeasible."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from mcuprune.errors import BudgetError
from mcuprune.prune.allocate import Problem, allocate, allocate_greedily, uniform_levels
from mcuprune.prune.method import curve

KEYS = ("a", "b", "c", "d", "e")


def random_problem(seed: int, sites: int | None = None, largest: int = 24) -> Problem:
    """A chain of layers (bilinear flash and MACs), RAM a maximum over steps; budgets from loose to tight."""
    rng = np.random.default_rng(seed)
    count = sites or int(rng.integers(2, 6))
    names = KEYS[:count]
    full = {k: int(rng.integers(2, largest)) for k in names}
    kernel, area = rng.integers(1, 10, count + 1), rng.integers(1, 65, count + 1)

    def costs(levels):  # type: ignore[no-untyped-def]
        n = [np.ones(1), *(np.asarray(levels[k], float) for k in names), np.full(1, 10.0)]
        flash = sum(kernel[i] * n[i] * n[i + 1] + 9 * n[i + 1] for i in range(count + 1))
        macs = sum(area[i] * kernel[i] * n[i] * n[i + 1] for i in range(count + 1))
        ram = [area[i] * n[i] + area[min(i + 1, count)] * n[i + 1] for i in range(count + 1)]
        return {"flash": flash, "macs": macs, "ram": np.stack(np.broadcast_arrays(*ram))}

    curves = {k: curve(rng.gamma(0.5, 1.0, n)) for k, n in full.items()}
    floors = dict.fromkeys(names, 1)
    low, high = (costs({k: np.array([v]) for k, v in point.items()}) for point in (floors, full))
    tight = {k: rng.uniform(0.02, 0.6) for k in low}
    budgets = {k: float(np.floor(low[k].max() + tight[k] * (high[k].max() - low[k].max()))) for k in low}
    return Problem(curves, costs, budgets, floors)


def usage(problem: Problem, levels: dict[str, int]) -> dict[str, float]:
    found = problem.costs({k: np.array([v]) for k, v in levels.items()})
    return {k: float(v.max()) for k, v in found.items()}


def assert_sound(problem: Problem, levels: dict[str, int]) -> None:
    figures = usage(problem, levels)
    assert all(figures[k] <= b for k, b in problem.budgets.items())
    assert all(problem.floors[k] <= n <= problem.full[k] for k, n in levels.items())
    for site, n in levels.items():
        if n < problem.full[site]:
            bigger = usage(problem, {**levels, site: n + 1})
            assert any(bigger[k] > b for k, b in problem.budgets.items()), (
                f"a unit of {site} could be added back"
            )


@pytest.mark.parametrize("block", range(10))
def test_never_above_budget_and_maximal(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        problem = random_problem(seed)
        assert_sound(problem, allocate_greedily(problem, chunk=0.06 if seed % 2 else 0.0))


@pytest.mark.parametrize("chunk", [0.0, 0.1])
def test_looking_ahead_changes_no_level(monkeypatch: pytest.MonkeyPatch, chunk: float) -> None:
    problems = [random_problem(seed) for seed in range(60)]
    found = [allocate_greedily(problem, chunk) for problem in problems]
    monkeypatch.setattr("mcuprune.prune.allocate.AHEAD", 1)
    assert [allocate_greedily(problem, chunk) for problem in problems] == found


def test_refined_allocation_is_sound_too() -> None:
    for seed in range(40):
        problem = random_problem(seed, largest=40)
        assert_sound(problem, allocate(problem))


def test_small_problems_are_solved_exactly() -> None:
    for seed in range(60):
        problem = random_problem(seed, sites=3, largest=12)
        grid = itertools.product(*[range(1, n + 1) for n in problem.full.values()])
        points = np.array(list(grid))
        figures = problem.costs({k: points[:, i] for i, k in enumerate(problem.full)})
        fits = np.logical_and.reduce(
            [(v if v.ndim == 1 else v.max(0)) <= problem.budgets[k] for k, v in figures.items()]
        )
        losses = sum(problem.curves[k][points[:, i]] for i, k in enumerate(problem.full))
        best = float(np.where(fits, losses, np.inf).min())
        assert problem.loss(allocate(problem)) <= best + 1e-9


@pytest.mark.parametrize("share", [0.6, 1.0, 1.3])
def test_small_problems_are_solved_exactly_whatever_the_approximation_is_off_by(share: float) -> None:
    """Exact figures are ``share`` of the approximate ones: the optimum is found with few plans."""
    for seed in range(30):
        problem, calls = random_problem(seed, sites=3, largest=12), []

        def exact(levels, problem=problem, calls=calls):  # type: ignore[no-untyped-def]
            calls.append(levels)
            return {k: share * v for k, v in usage(problem, dict(levels)).items()}

        strict = replace(problem, exact=exact, budgets={k: share * b for k, b in problem.budgets.items()})
        assert problem.loss(allocate(strict)) == pytest.approx(problem.loss(allocate(problem)), abs=1e-9)
        assert len(calls) < 120


def test_swaps_stay_within_five_percent_of_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search that large problems get, judged where brute force can still be afforded."""
    best = {seed: (p := random_problem(seed, largest=16), p.loss(allocate(p)))[1] for seed in range(60)}
    monkeypatch.setattr("mcuprune.prune.allocate.EXHAUSTIVE_LIMIT", 0)
    ratios = [
        (problem := random_problem(seed, largest=16)).loss(allocate(problem)) / max(loss, 1e-12)
        for seed, loss in best.items()
    ]
    assert max(ratios) <= 1.05


def test_infeasible_budget_names_the_smallest_reachable_figure() -> None:
    problem = random_problem(1)
    smallest = usage(problem, dict(problem.floors))["flash"]
    impossible = Problem(
        problem.curves, problem.costs, {**problem.budgets, "flash": smallest - 1}, problem.floors
    )
    with pytest.raises(
        BudgetError, match=f"flash=.*smallest.*{smallest:,.0f}|flash=.*smallest.*{smallest:.4g}"
    ):
        allocate(impossible)


def test_tied_ram_bottlenecks_are_both_relieved() -> None:
    """Two equal bottlenecks: removing one unit alone gains nothing, yet the budget is met without waste."""

    def costs(levels):  # type: ignore[no-untyped-def]
        return {"ram": np.stack([10 * levels["a"], 10 * levels["b"]])}

    curves = {k: curve(np.arange(1.0, 9.0)) for k in ("a", "b")}
    problem = Problem(curves, costs, {"ram": 50}, {"a": 1, "b": 1})
    assert allocate_greedily(problem) == {"a": 5, "b": 5}


def test_exact_figures_decide_where_the_approximation_is_too_kind() -> None:
    """The packed arena may exceed the live sum: the result must fit, and be maximal, by the exact figure."""
    problem = random_problem(7)

    def exact(levels):  # type: ignore[no-untyped-def]
        figures = usage(problem, dict(levels))
        return {**figures, "ram": figures["ram"] + 8 * (sum(levels.values()) % 3)}

    strict = Problem(problem.curves, problem.costs, problem.budgets, problem.floors, exact=exact)
    levels = allocate(strict)
    assert all(exact(levels)[k] <= b for k, b in problem.budgets.items())
    for site, n in levels.items():
        if n < problem.full[site]:
            figures = exact({**levels, site: n + 1})
            assert any(figures[k] > b for k, b in problem.budgets.items())


def test_uniform_scaling_is_the_largest_that_fits() -> None:
    full = {"a": 40, "b": 10}
    found = uniform_levels(full, lambda n: n["a"] * n["b"] <= 100)
    assert found == {"a": 20, "b": 5}


def test_a_network_without_anything_to_remove_has_no_levels() -> None:
    fixed = Problem({}, lambda levels: {"flash": np.array([7.0])}, {"flash": 8.0}, {})
    assert allocate(fixed) == allocate_greedily(fixed) == {}
    with pytest.raises(BudgetError, match="smallest this model gets is 7"):
        allocate(Problem({}, fixed.costs, {"flash": 6.0}, {}))


def test_greedy_levels_end_at_the_floors_where_nothing_fits() -> None:
    problem = random_problem(1)
    impossible = replace(problem, budgets=dict.fromkeys(problem.budgets, 0.5))
    assert allocate_greedily(impossible) == problem.floors
