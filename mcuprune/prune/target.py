"""What a compression run aims at: budgets, the model that counts, and the floors that keep it sane."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mcuprune.errors import BudgetError
from mcuprune.graph.channels import prunable
from mcuprune.graph.ir import Graph
from mcuprune.prune.allocate import Problem, check_feasible, uniform_levels
from mcuprune.resources.model import ResourceModel

FLOOR = 0.75  # floors are this share of the uniform solution's widths (structured_pruning 8.2, 8.7)

ROOM = 1.1  # times the MACs: how much larger a network must be to be worth slower kernels


@dataclass(frozen=True)
class Target:
    """What the result must fit: budgets by resource, the model that counts, and the floors they allow."""

    resources: ResourceModel
    budgets: Mapping[str, float]
    floors: Mapping[str, int]
    uniform: Mapping[str, int]

    def costs(self, levels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Figures of the budgeted resources only."""
        return self.resources.figures(levels, self.budgets)


def make_target(graph: Graph, resources: ResourceModel, budgets: Mapping[str, float]) -> Target:
    """Check feasibility before any training, then derive the floors from the best uniform scaling.

    Raises BudgetError naming the resource and the smallest figure that this network can reach.
    """
    full = {group: graph.widths[group] for group in prunable(graph)}
    ones = dict.fromkeys(full, 1)
    empty: dict[str, np.ndarray] = {g: np.zeros(w + 1) for g, w in full.items()}
    check_feasible(Problem(empty, resources.figures, budgets, ones, resources.exact))

    def fits(levels: Mapping[str, int]) -> bool:
        figures = resources.exact(levels)
        return all(figures[k] <= b for k, b in budgets.items())

    uniform = uniform_levels(full, fits)
    floors = {group: max(1, math.floor(FLOOR * width)) for group, width in uniform.items()}
    if not fits(floors):  # packing is not monotone in the widths
        floors = uniform if fits(uniform) else ones
    return Target(resources, budgets, floors, uniform)


def best_target(graph: Graph, models: Sequence[ResourceModel], budgets: Mapping[str, float]) -> Target:
    """The first model, in the order given, whose kernels leave about as large a network as any other's.

    Fast kernels are large: of a few kilobytes of flash they can leave nothing to the network.  Raises
    BudgetError, the last model's, where none is feasible.
    """
    found, errors = [], []
    for model in models:
        try:
            found.append(make_target(graph, model, budgets))
        except BudgetError as error:
            errors.append(error)
    if not found:
        raise errors[-1]
    sizes = [target.resources.exact(target.uniform)["macs"] for target in found]
    return next(target for target, size in zip(found, sizes, strict=True) if ROOM * size >= max(sizes))
