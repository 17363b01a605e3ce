"""Placing buffers in one arena: exact where the search ends, else with a bound on what is lost.

Two buffers alive together must not touch, unless one is the output and the other an input of the same kernel:
then the output may start ``distance`` bytes before the input and run into it.

First a handful of first-fit orders is tried.  When the best of them does not meet the lower bound, the order
is improved step by step, and a branch and bound search follows.  Both are cut by the number of placements
they try, never by a clock, so that a plan depends on nothing but the network.
"""

from __future__ import annotations

from mcuprune.plan.climb import climb
from mcuprune.plan.placing import Buffer, Problem, Sharing, first_fit, orders, rules_of
from mcuprune.plan.search import Search

__all__ = ["Buffer", "Problem", "Sharing", "pack"]

PLACEMENT_LIMIT = 1_500


def pack(problem: Problem, placement_limit: int = PLACEMENT_LIMIT) -> tuple[int, ...]:
    """Offsets in bytes, one per buffer, with the smallest end that was found."""
    rules = rules_of(problem)
    best: tuple[int, ...] = ()
    for order in orders(problem):
        offsets = first_fit(problem, rules, order)
        if not best or problem.total(offsets) < problem.total(best):
            best = offsets
        if problem.total(best) <= problem.lower_bound:
            return best
    best = climb(problem, rules, best, placement_limit)
    if problem.total(best) <= problem.lower_bound:
        return best
    return Search(problem, rules, best, placement_limit).run()
