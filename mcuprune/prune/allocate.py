"""Allocation under exact integer budgets: how many units each site keeps.

Scoring is learned, allocation is provable.  A method predicts, for every site, the loss increase of keeping
``n`` units (its *curve*); this module chooses the levels.  Whatever the curves say, the result is never above
a budget and is maximal: no single unit can be added back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mcuprune.budget import quote
from mcuprune.errors import BudgetError

Levels = dict[str, int]
Costs = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""(site -> (candidates,) levels) -> (resource -> (..., candidates) figures; all leading entries must fit)."""
Exact = Callable[[Mapping[str, int]], Mapping[str, float]]
EXHAUSTIVE_LIMIT = 60_000  # candidates that are all tried
EXACT_LIMIT = 100  # of them, in order of predicted loss, that are tried under the exact figures
AHEAD = 8  # removals that are looked at together
_TINY = 1e-12


@dataclass(frozen=True)
class Problem:
    """Curves: site -> (levels + 1,) predicted loss increase of keeping ``n`` units, non-increasing in ``n``.

    ``exact`` is the figure that counts where ``costs`` (vectorised over candidates) is an approximation of
    it: the packed arena of the real planner, kernels that change with a width.  ``weights`` scales each
    resource's violation while ranking (1 + its multiplier).
    """

    curves: Mapping[str, np.ndarray]
    costs: Costs
    budgets: Mapping[str, float]
    floors: Mapping[str, int]
    exact: Exact | None = None
    weights: Mapping[str, float] | None = None

    @property
    def full(self) -> Levels:
        return {site: len(curve) - 1 for site, curve in self.curves.items()}

    def loss(self, levels: Mapping[str, int]) -> float:
        return float(sum(curve[levels[site]] for site, curve in self.curves.items()))


def allocate(problem: Problem) -> Levels:
    """Levels of every site: within every budget, at or above the floors, maximal.

    Greedy levels (:func:`allocate_greedily`); of small problems all levels are tried, others are improved by
    swaps.  Raises BudgetError, naming the resource and the smallest reachable figure, when even the floors
    do not fit.
    """
    check_feasible(problem)
    if not problem.curves:
        return {}
    levels = allocate_greedily(problem)
    small = _search_size(problem) <= EXHAUSTIVE_LIMIT
    if not small:
        levels = _swap(problem, levels)
    if problem.exact is not None:
        levels = _settle(problem, levels)
    return _exhausted(problem, levels) if small else levels


def allocate_greedily(problem: Problem, chunk: float = 0.0, start: Levels | None = None) -> Levels:
    """Removal of the unit with the largest decrease of violation per predicted loss, then filling the slack.

    By the approximate costs; the floors where not even those fit.  While training, ``chunk`` removes that
    fraction of a site at once, and removal may ``start`` from earlier levels instead of the full ones: both
    save time and cost only optimality.
    """
    return _fill(problem, _remove(problem, chunk, start or problem.full))


def check_feasible(problem: Problem) -> None:
    """Raise BudgetError unless the floors fit every budget."""
    figures = _figures(problem, problem.floors) if problem.exact is None else problem.exact(problem.floors)
    check_reached(figures, problem.budgets)


def check_reached(
    smallest: Mapping[str, float], budgets: Mapping[str, float], clock_hz: float | None = None
) -> None:
    """Raise BudgetError unless the smallest figures fit every budget."""
    for resource, budget in budgets.items():
        if smallest[resource] > budget:
            (name, wanted), (_, least) = (quote(resource, v, clock_hz) for v in (budget, smallest[resource]))
            raise BudgetError(
                f"budget {name}={wanted} cannot be reached: the smallest this model gets is {least}; raise "
                "the budget or start from a smaller model"
            )


def excess(figures: Mapping[str, float], budgets: Mapping[str, float]) -> float:
    """Sum over the budgets of the log of what a figure has above it; 0 where all hold."""
    return sum(
        max(0.0, math.log(max(figures[k], _TINY) / max(budget, _TINY))) for k, budget in budgets.items()
    )


def uniform_levels(
    full: Mapping[str, int], fits: Callable[[Mapping[str, int]], bool], steps: int = 1000
) -> Levels:
    """Levels ``max(1, floor(a * full))`` of the largest common factor ``a = k / steps`` that fits.

    Found by bisection, so the largest where figures grow with ``a``; one unit everywhere if nothing fits.
    """
    low, high = 0, steps
    while low < high:
        middle = (low + high + 1) // 2
        if fits(scaled(full, middle / steps)):
            low = middle
        else:
            high = middle - 1
    return scaled(full, low / steps)


def scaled(full: Mapping[str, int], factor: float) -> Levels:
    """Every width times ``factor``, rounded down, at least one unit."""
    return {site: max(1, math.floor(width * factor + 1e-9)) for site, width in full.items()}


def _figures(problem: Problem, levels: Mapping[str, int]) -> dict[str, float]:
    found = problem.costs({site: np.array([n]) for site, n in levels.items()})
    return {k: float(np.max(found[k])) for k in problem.budgets}


def _fits(problem: Problem, found: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """(candidates,) whether every budget holds."""
    ok = [_worst(found[k]) <= budget for k, budget in problem.budgets.items()]
    return np.logical_and.reduce([np.broadcast_to(row, (count,)) for row in ok])


def _worst(figures: np.ndarray) -> np.ndarray:
    return figures if figures.ndim <= 1 else figures.max(axis=tuple(range(figures.ndim - 1)))


def _violation(problem: Problem, candidates: Mapping[str, np.ndarray], families: int) -> np.ndarray:
    """(families, candidates of each) weighted sum over resources of the mean log excess of the entries above
    budget at the first of a family.

    Every schedule step above the RAM budget counts, not only the largest, so tied bottlenecks have a
    gradient.
    """
    found, count = problem.costs(candidates), len(next(iter(candidates.values())))
    total = np.zeros((families, count // families))
    for resource, budget in problem.budgets.items():
        excess = np.maximum(0.0, np.log(np.maximum(found[resource], _TINY) / max(budget, _TINY)))
        weight = 1.0 if problem.weights is None else problem.weights.get(resource, 1.0)
        rows = np.broadcast_to(excess, (*excess.shape[:-1], count)).reshape(-1, *total.shape)
        above = (rows[:, :, :1] > 0).sum(axis=0)
        total += weight * rows.sum(axis=0) / np.maximum(1, above)
    return total


def _remove(problem: Problem, chunk: float, start: Levels) -> Levels:
    """Units go until nothing is violated, those first that save most violation per predicted loss.

    Asking for the costs of many levels takes hardly longer than for those of a few.  So they are asked for
    along the path that removal takes if units go on saving what they did, as far as it turns out to be right.
    """
    sites = list(start)
    if not sites:
        return {}
    floors = np.array([problem.floors[site] for site in sites])
    curves = np.concatenate([problem.curves[site] for site in sites])
    origin = np.cumsum([0, *(len(problem.curves[site]) for site in sites)])[:-1]

    def sizes(levels: np.ndarray) -> np.ndarray:
        return np.minimum(levels - floors, np.maximum(1, (chunk * levels).astype(np.int64)))

    def after(levels: np.ndarray, saved: np.ndarray) -> np.ndarray:
        """The next levels, where the removals save so much; the same where all are at their floors."""
        size = sizes(levels)
        price = curves[origin + levels - size] - curves[origin + levels]
        gain = np.where(size > 0, saved / np.maximum(price, _TINY), -np.inf)
        return levels - size * (np.arange(len(sites)) == np.argmax(gain))

    path = [np.maximum([start[site] for site in sites], floors)]
    while True:
        moves = np.vstack([row for levels in path for row in (levels, levels - np.diag(sizes(levels)))])
        violation = _violation(problem, dict(zip(sites, moves.T, strict=True)), len(path))
        for levels, found, foreseen in zip(path, violation, [*path[1:], None], strict=True):
            saved = found[0] - found[1:]
            following = after(levels, saved)
            if found[0] <= 0 or (following == levels).all():
                return {site: int(n) for site, n in zip(sites, levels, strict=True)}
            if foreseen is None or (following != foreseen).any():
                break
        path = [following]
        while len(path) < AHEAD:
            path.append(after(path[-1], saved))


def _fill(problem: Problem, levels: Levels) -> Levels:
    """Add back, one at a time, the unit with the largest loss decrease per share of the budget it takes."""
    levels, full = dict(levels), problem.full
    while True:
        sites = [site for site, n in levels.items() if n < full[site]]
        if not sites:
            return levels
        found, count = problem.costs(_additions(levels, sites)), len(sites) + 1
        fits = _fits(problem, found, count)[1:]
        if not fits.any():
            return levels
        gain = np.array([problem.curves[s][levels[s]] - problem.curves[s][levels[s] + 1] for s in sites])
        rate = np.where(fits, (gain + _TINY) / (_share(problem, found, count) + _TINY), -1.0)
        levels[sites[int(np.argmax(rate))]] += 1


def _additions(levels: Levels, sites: list[str]) -> dict[str, np.ndarray]:
    """Candidate 0 is ``levels``; candidate ``i + 1`` has one more unit of ``sites[i]``."""
    columns = {site: np.full(len(sites) + 1, n, dtype=np.int64) for site, n in levels.items()}
    for i, site in enumerate(sites, start=1):
        columns[site][i] += 1
    return columns


def _share(problem: Problem, found: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """(moves,) the largest fraction of any budget that a move takes."""
    shares = [
        (_worst(found[k]) - _worst(found[k])[..., :1]) / max(b, _TINY) for k, b in problem.budgets.items()
    ]
    return np.maximum.reduce([np.broadcast_to(share, (count,)) for share in shares])[1:].clip(min=0.0)


def _swap(problem: Problem, levels: Levels, rounds: int = 40) -> Levels:
    """Improve by removing a few units of one site and filling again, while that lowers the predicted loss."""
    best = problem.loss(levels)
    for _ in range(rounds):
        found = None
        for site in levels:
            for count in (1, 2, 4):
                if levels[site] - count < problem.floors[site]:
                    break
                trial = _fill_without(problem, {**levels, site: levels[site] - count}, site)
                loss = problem.loss(trial)
                if loss < best - 1e-9 * max(1.0, abs(best)):
                    best, found = loss, trial
        if found is None:
            return levels
        levels = found
    return levels


def _fill_without(problem: Problem, levels: Levels, site: str) -> Levels:
    """Fill every other site first, then also the one just reduced."""
    rest = Problem(
        {s: (c[: levels[s] + 1] if s == site else c) for s, c in problem.curves.items()},
        problem.costs,
        problem.budgets,
        problem.floors,
    )
    return _fill(problem, _fill(rest, levels))


def _search_size(problem: Problem) -> float:
    return math.prod(float(len(c) - problem.floors[s]) for s, c in problem.curves.items())


def _exhausted(problem: Problem, known: Levels) -> Levels:
    """The levels of least predicted loss, by weighing all of them; ``known`` hold, and are the result where
    none are better.

    Exact figures take a plan each.  So they are expected to be the same multiple of the approximate ones
    everywhere as at ``known``, and at most :data:`EXACT_LIMIT` of those expected to fit are looked at.
    """
    sites = list(problem.curves)
    grids = np.meshgrid(*[np.arange(problem.floors[s], len(problem.curves[s])) for s in sites], indexing="ij")
    candidates = {site: grid.reshape(-1) for site, grid in zip(sites, grids, strict=True)}
    loss = sum((np.asarray(problem.curves[s])[candidates[s]] for s in sites), np.zeros(1))
    fits = _fits(_expected(problem, known), problem.costs(candidates), len(loss))
    better = np.flatnonzero(fits & (loss < problem.loss(known)))
    for index in better[np.argsort(loss[better], kind="stable")][:EXACT_LIMIT]:
        levels = {site: int(candidates[site][index]) for site in sites}
        if problem.exact is None:
            return _fill(problem, levels)
        if _holds(problem, levels):
            return _exact_fill(problem, levels)
    return known


def _expected(problem: Problem, known: Levels) -> Problem:
    """The problem with budgets in terms of the approximate figures."""
    if problem.exact is None:
        return problem
    near, exact = _figures(problem, known), problem.exact(known)
    return replace(problem, budgets={k: b * near[k] / exact[k] for k, b in problem.budgets.items()})


def _holds(problem: Problem, levels: Mapping[str, int]) -> bool:
    """Whether every budget holds by the exact figures."""
    assert problem.exact is not None
    figures = problem.exact(levels)
    return all(figures[k] <= budget for k, budget in problem.budgets.items())


def _settle(problem: Problem, levels: Levels) -> Levels:
    """Make the levels hold, and maximal, under the exact figures: the arena that is really packed."""
    while not _holds(problem, levels):
        sites = [s for s, n in levels.items() if n > problem.floors[s]]
        if not sites:
            return dict(problem.floors)
        levels = _exact_removal(problem, levels, sites)
    return _exact_fill(problem, levels)


def _exact_removal(problem: Problem, levels: Levels, sites: list[str]) -> Levels:
    """One unit less, where that lowers the exceeded figures most per predicted loss."""
    assert problem.exact is not None
    before = problem.exact(levels)
    over = [k for k, budget in problem.budgets.items() if before[k] > budget]
    price = {s: problem.curves[s][levels[s] - 1] - problem.curves[s][levels[s]] for s in sites}

    def gain(site: str) -> float:
        after = problem.exact({**levels, site: levels[site] - 1})  # type: ignore[misc]
        saved = sum(math.log(before[k] / max(after[k], _TINY)) for k in over)
        return float(saved / max(price[site], _TINY))

    best = max(sites, key=gain)
    if gain(best) <= 0:  # tied bottlenecks: give up the cheapest unit and look again
        best = min(sites, key=lambda s: price[s])
    return {**levels, best: levels[best] - 1}


def _exact_fill(problem: Problem, levels: Levels) -> Levels:
    """Add back units while the exact figures allow it, the most valuable first."""
    levels, full = dict(levels), problem.full
    while True:
        order = sorted(
            (s for s in levels if levels[s] < full[s]), key=lambda s: _unit_loss(problem, levels, s)
        )
        trials = ({**levels, site: levels[site] + 1} for site in order)
        found = next((trial for trial in trials if _holds(problem, trial)), None)
        if found is None:
            return levels
        levels = found


def _unit_loss(problem: Problem, levels: Levels, site: str) -> float:
    curve = problem.curves[site]
    return float(curve[levels[site] + 1] - curve[levels[site]])
