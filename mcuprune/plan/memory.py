"""Placing buffers in one arena: exact where the search ends, else with a bound on what is lost.

Two buffers alive together must not touch, unless one is the output and the other an input of the same kernel:
then the output may start ``distance`` bytes before the input and run into it.

First a handful of first-fit orders is tried.  When the best of them does not meet the lower bound, few
buffers are placed by branch and bound, and if that does not end or there are many, each of the orders is
improved step by step.  All is cut by the number of placements tried, never by a clock, so that a plan depends
on nothing but the network.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from mcuprune.plan.climb import climb
from mcuprune.plan.placing import Buffer, Problem, Sharing, first_fit, orders, rules_of
from mcuprune.plan.search import Search

__all__ = ["Buffer", "Problem", "Sharing", "pack"]

PLACEMENT_LIMIT = 20_000
SEARCH_COST = 20  # a placement in the search takes as long as this many of first fit
EXHAUSTED_BUFFERS = 6  # the search always ends with so few
SEARCHED_BUFFERS = 24  # and hardly ever with more


def pack(problem: Problem, placement_limit: int = PLACEMENT_LIMIT) -> tuple[int, ...]:
    """Offsets in bytes, one per buffer, with the smallest end that was found."""
    rules = rules_of(problem)
    starts = orders(problem)
    best = _best(problem, (first_fit(problem, rules, order) for order in starts))
    count = sum(buffer.bytes > 0 for buffer in problem.buffers)
    searched = count <= SEARCHED_BUFFERS and not problem.boundaries  # the search knows no banks
    if problem.total(best) > problem.lower_bound and searched:
        best = Search(problem, rules, best, placement_limit // SEARCH_COST).run()
    if problem.total(best) > problem.lower_bound and count > EXHAUSTED_BUFFERS:
        share = placement_limit // len(starts)
        climbed = (climb(problem, rules, order, share) for order in starts)
        best = _best(problem, chain((best,), climbed))
    return best


def _best(problem: Problem, found: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    """The first of the lowest placements; no further than one that meets the lower bound."""
    best: tuple[int, ...] = ()
    for offsets in found:
        if not best or problem.total(offsets) < problem.total(best):
            best = offsets
        if problem.total(best) <= problem.lower_bound:
            break
    return best
