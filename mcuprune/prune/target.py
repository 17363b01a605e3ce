"""What a compression run aims at: budgets, the model that counts, and the floors that keep it sane."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mcuprune.budget import quote
from mcuprune.errors import BudgetError
from mcuprune.graph.channels import Keep, prunable
from mcuprune.graph.ir import Graph
from mcuprune.prune.allocate import (
    Exact,
    Levels,
    Problem,
    allocate,
    check_reached,
    excess,
    uniform_levels,
)
from mcuprune.prune.method import best_units, curve
from mcuprune.resources.model import ResourceModel
from mcuprune.training.recipe import Recipe

LEAST_START = 2  # a layer of one unit has no choice
FEW = (1, 2, 3, 4, 6, 8)  # widths among which the smallest network is sought

ROOM = 1.1  # times the MACs: how much larger a network must be to be worth slower kernels


@dataclass(frozen=True)
class Target:
    """What the result must fit: budgets by resource, the model that counts, and the widths to be tried.

    A search starts from the ``ceilings`` and stays above the ``floors``, both multiples of the ``uniform``
    widths, which are those of the best uniform scaling.
    """

    resources: ResourceModel
    budgets: Mapping[str, float]
    floors: Mapping[str, int]
    uniform: Mapping[str, int]
    ceilings: Mapping[str, int]

    def costs(self, levels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Figures of the budgeted resources only."""
        return self.resources.figures(levels, self.budgets)

    def problem(
        self, curves: Mapping[str, np.ndarray], budgets: Mapping[str, float] | None = None
    ) -> Problem:
        """What the allocator solves for a network that nothing trains on meanwhile: figures are exact."""
        wanted = self.budgets if budgets is None else budgets
        return Problem(curves, self.costs, wanted, self.floors, self.resources.exact)


def cut(target: Target, scores: Mapping[str, np.ndarray], budgets: Mapping[str, float] | None = None) -> Keep:
    """The best units that fit the target, or ``budgets`` on the way to it; ``scores`` of its groups."""
    curves = {group: curve(scores[group]) for group in target.floors}
    return best_units(scores, allocate(target.problem(curves, budgets)))


def make_target(
    graph: Graph,
    resources: ResourceModel,
    budgets: Mapping[str, float],
    widths: tuple[float, float] = Recipe.widths,
) -> Target:
    """Check feasibility before any training, then derive the widths to be tried, those of a recipe.

    Raises BudgetError naming the resource and the smallest figure that this network can reach.
    """
    _check_feasible(_full(graph), [resources], budgets)
    return _target(graph, resources, budgets, widths)


def _target(
    graph: Graph, resources: ResourceModel, budgets: Mapping[str, float], widths: tuple[float, float]
) -> Target:
    """That of a model which reaches the budgets."""
    full = _full(graph)

    def fits(levels: Mapping[str, int]) -> bool:
        figures = resources.exact(levels)
        return all(figures[k] <= b for k, b in budgets.items())

    uniform = uniform_levels(full, fits)
    if not fits(uniform):
        uniform = smallest_levels(full, resources.exact, budgets)
    low, high = widths
    floors = {group: max(1, math.floor(low * width)) for group, width in uniform.items()}
    ceilings = {
        group: min(full[group], max(LEAST_START, math.ceil(high * width))) for group, width in uniform.items()
    }
    near = replace(resources, usual=uniform)
    return Target(near, budgets, floors if fits(floors) else uniform, uniform, ceilings)


def smallest_levels(full: Mapping[str, int], exact: Exact, budgets: Mapping[str, float]) -> Levels:
    """Levels that exceed the budgets least; one unit everywhere where that fits.

    One unit is not always the least: the kernels that run a single channel can take more code and scratch
    than those of two or eight.  So where it does not fit, widths of :data:`FEW` and the full ones are tried,
    for all groups at once and then group by group, until nothing helps.  A search, not a proof: of 1,897
    random networks that are small enough to try all widths, it missed the least flash of five, by 6 % at
    most, and no least RAM, MACs or cycles.
    """

    def over(levels: Mapping[str, int]) -> float:
        return excess(exact(levels), budgets)

    starts = [{group: min(width, n) for group, width in full.items()} for n in FEW]
    if over(starts[0]) <= 0:
        return starts[0]
    return min((_fewer(full, over, start) for start in [*starts, dict(full)]), key=over)


def _fewer(full: Mapping[str, int], over: Callable[[Levels], float], levels: Levels) -> Levels:
    """Change one group after the other to the width of :data:`FEW` that exceeds least, until none helps."""
    while True:
        before = levels
        for group, width in full.items():
            moves = [{**levels, group: n} for n in FEW if n <= width]
            levels = min([levels, *moves], key=over)
        if levels == before or over(levels) <= 0:
            return levels


def _check_feasible(
    full: Mapping[str, int], models: Sequence[ResourceModel], budgets: Mapping[str, float]
) -> None:
    """BudgetError unless one of the models reaches all budgets, by the figures of the best for each."""
    if any(_reaches(full, model, budgets) for model in models):
        return
    clock_hz = models[0].clock_hz
    for resource, budget in budgets.items():
        least = min(_smallest(full, model, {resource: 0.0})[resource] for model in models)
        check_reached({resource: least}, {resource: budget}, clock_hz)
    together = ", ".join("=".join(quote(k, b, clock_hz)) for k, b in budgets.items())
    raise BudgetError(
        f"budgets {together} cannot be reached together, only each by itself; raise one of them or start "
        "from a smaller model"
    )


def _full(graph: Graph) -> dict[str, int]:
    return {group: graph.widths[group] for group in prunable(graph)}


def _reaches(full: Mapping[str, int], model: ResourceModel, budgets: Mapping[str, float]) -> bool:
    return excess(_smallest(full, model, budgets), budgets) <= 0


def _smallest(
    full: Mapping[str, int], model: ResourceModel, budgets: Mapping[str, float]
) -> Mapping[str, float]:
    return model.exact(smallest_levels(full, model.exact, budgets))


def best_target(
    graph: Graph,
    models: Sequence[ResourceModel],
    budgets: Mapping[str, float],
    widths: tuple[float, float] = Recipe.widths,
) -> Target:
    """The first model, in the order given, whose kernels leave about as large a network as any other's.

    Fast kernels are large: of a few kilobytes of flash they can leave nothing to the network.  Raises
    BudgetError where none is feasible.
    """
    full = _full(graph)
    _check_feasible(full, models, budgets)
    found = [_target(graph, m, budgets, widths) for m in models if _reaches(full, m, budgets)]
    sizes = [target.resources.exact(target.uniform)["macs"] for target in found]
    return next(target for target, size in zip(found, sizes, strict=True) if ROOM * size >= max(sizes))
