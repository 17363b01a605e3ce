"""Better first-fit orders, step by step.

Some order is perfect: that of the offsets of the best placement.  So orders are searched.  A buffer that ends
above the lower bound, or one alive together with it, changes its turn or swaps it with such another; the new
order stays unless it is worse.  What is worse: a higher end, then more bytes above the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mcuprune.plan.placing import Problem, Rules, first_fit


def climb(problem: Problem, rules: Rules, order: Sequence[int], limit: int) -> tuple[int, ...]:
    """The best offsets found from ``order`` on, with about ``limit`` placements of a buffer."""
    random = Random(0)
    buffers = problem.buffers

    def one_of(given: Sequence[int]) -> int:
        return given[int(random.random() * len(given))]

    offsets = first_fit(problem, rules, order)
    height = _height(problem, offsets)
    for _ in range(limit // max(len(buffers), 1)):
        if height[0] <= problem.lower_bound:
            break
        high = [i for i, b in enumerate(buffers) if b.bytes and offsets[i] + b.bytes > problem.lower_bound]
        blamed = one_of(high)
        moved = one_of([blamed, *(rule.other for rule in rules[blamed])])
        partners = [rule.other for rule in rules[moved]]
        if partners and random.random() < 0.5:
            swap = {moved: (partner := one_of(partners)), partner: moved}
            changed = [swap.get(index, index) for index in order]
        else:
            changed = [index for index in order if index != moved]
            changed.insert(int(random.random() * len(order)), moved)
        found = first_fit(problem, rules, changed)
        reached = _height(problem, found)
        if reached <= height:
            order, offsets, height = changed, found, reached
    return offsets


def _height(problem: Problem, offsets: Sequence[int]) -> tuple[int, int]:
    ends = [offset + buffer.bytes for offset, buffer in zip(offsets, problem.buffers, strict=True)]
    return max(ends, default=0), sum(end for end in ends if end > problem.lower_bound)
