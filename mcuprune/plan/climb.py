"""Better first-fit orders, step by step.

Some order is perfect: that of the offsets of the best placement.  So orders are searched.  A buffer that ends
above the lower bound, or one alive together with it, changes its turn; the new order stays unless it is
worse.  What is worse: a higher end, then more bytes above the bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from mcuprune.plan.placing import Problem, Rules, first_fit


def climb(problem: Problem, rules: Rules, start: Sequence[int], limit: int) -> tuple[int, ...]:
    """The best offsets found from ``start`` on, with about ``limit`` placements of a buffer."""
    random = Random(0)
    buffers = problem.buffers
    offsets = tuple(start)
    order = sorted(range(len(buffers)), key=lambda index: (offsets[index], index))
    height = _height(problem, offsets)
    rounds = limit // max(len(buffers), 1)
    for _ in range(rounds):
        if height[0] <= problem.lower_bound:
            break
        high = [i for i, b in enumerate(buffers) if b.bytes and offsets[i] + b.bytes > problem.lower_bound]
        blamed = high[int(random.random() * len(high))]
        involved = [blamed, *(rule.other for rule in rules[blamed])]
        moved = involved[int(random.random() * len(involved))]
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
