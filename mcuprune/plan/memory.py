"""Placing buffers in one arena: exact where the search ends, else with a bound on what is lost.

Two buffers alive together must not touch, unless one is the output and the other an input of the same kernel:
then the output may start ``distance`` bytes (or more) before the input and run into it.

First a handful of first-fit orders is tried.  When the best of them does not meet the lower bound, a branch
and bound search follows.  It places buffers from the bottom up: in an optimal placement with the least sum of
offsets, sorted by offset, every buffer lies directly on those before it (else it could slide down), so trying
the permutations in which offsets never decrease is exhaustive.  The search is cut by the number of placements
it tries, never by a clock, so that a plan depends on nothing but the network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcuprune.plan.live import shared_span

PLACEMENT_LIMIT = 1_500


@dataclass(frozen=True)
class Buffer:
    """``bytes`` (aligned) in use from step ``first`` to step ``last``, both included."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Sharing:
    """Buffer ``output`` may start ``distance`` bytes or more before buffer ``input`` and overwrite it."""

    output: int
    input: int
    distance: int


@dataclass(frozen=True)
class Problem:
    buffers: tuple[Buffer, ...]
    sharings: tuple[Sharing, ...]
    lower_bound: int

    def total(self, offsets: Sequence[int]) -> int:
        ends = (offset + buffer.bytes for offset, buffer in zip(offsets, self.buffers, strict=True))
        return max(ends, default=0)


def pack(problem: Problem, placement_limit: int = PLACEMENT_LIMIT) -> tuple[int, ...]:
    """Offsets in bytes, one per buffer, with the smallest end that was found."""
    rules = _rules(problem)
    best: tuple[int, ...] = ()
    for order in _orders(problem):
        offsets = _first_fit(problem, rules, order)
        if not best or problem.total(offsets) < problem.total(best):
            best = offsets
        if problem.total(best) <= problem.lower_bound:
            return best
    return _Search(problem, rules, best, placement_limit).run()


_Rules = tuple[tuple[tuple[int, int | None, bool], ...], ...]
"""Per buffer: (other buffer, distance or None where they must be disjoint, whether this one is the input)."""


def _rules(problem: Problem) -> _Rules:
    shared: dict[tuple[int, int], tuple[int, bool]] = {}
    for rule in problem.sharings:
        shared[rule.input, rule.output] = (rule.distance, True)
        shared[rule.output, rule.input] = (rule.distance, False)
    buffers = problem.buffers
    return tuple(
        tuple(
            (other, *shared.get((index, other), (None, False)))
            for other, b in enumerate(buffers)
            if other != index and a.bytes and b.bytes and a.first <= b.last and b.first <= a.last
        )
        for index, a in enumerate(buffers)
    )


def _orders(problem: Problem) -> list[list[int]]:
    """Orders for first fit: large, long-lived, early, late first, and outwards from the fullest step."""
    buffers = problem.buffers
    indices = range(len(buffers))
    last = max((buffer.last for buffer in buffers), default=0)
    load = [sum(b.bytes for b in buffers if b.first <= step <= b.last) for step in range(last + 1)]
    peak = load.index(max(load, default=0)) if load else 0

    def distance(index: int) -> int:
        return max(buffers[index].first - peak, peak - buffers[index].last, 0)

    return [
        sorted(indices, key=lambda i: (-buffers[i].bytes, buffers[i].first, i)),
        sorted(indices, key=lambda i: (distance(i), -buffers[i].bytes, i)),
        sorted(indices, key=lambda i: (buffers[i].first - buffers[i].last, -buffers[i].bytes, i)),
        sorted(indices, key=lambda i: (buffers[i].first, -buffers[i].bytes, i)),
        sorted(indices, key=lambda i: (-buffers[i].last, -buffers[i].bytes, i)),
    ]


def _first_fit(problem: Problem, rules: _Rules, order: Sequence[int]) -> tuple[int, ...]:
    """Every buffer in turn at the lowest offset that the buffers already placed allow."""
    buffers = problem.buffers
    offsets: dict[int, int] = {}
    for index in order:
        size = buffers[index].bytes
        forbidden = []  # open intervals of starts
        for other, distance, is_input in rules[index]:
            if other not in offsets:
                continue
            low, high = offsets[other] - size, offsets[other] + buffers[other].bytes
            if distance is not None and is_input:
                high = min(high, offsets[other] + distance)
            elif distance is not None:
                low = max(low, offsets[other] - distance)
            forbidden.append((low, high))
        start = 0
        for low, high in sorted(forbidden):
            if low < start < high:
                start = high
        offsets[index] = start
    return tuple(offsets[index] for index in range(len(buffers)))


class _Search:
    """Depth-first branch and bound; holds the best placement so far."""

    def __init__(self, problem: Problem, rules: _Rules, best: tuple[int, ...], limit: int) -> None:
        self.problem, self.rules, self.limit = problem, rules, limit
        self.best, self.best_total = best, problem.total(best)
        self.buffers = problem.buffers
        self.offsets = [0] * len(self.buffers)
        self.placements = 0
        last = max((buffer.last for buffer in self.buffers), default=0)
        self.alive = [
            [index for index, b in enumerate(self.buffers) if b.bytes and b.first <= step <= b.last]
            for step in range(last + 1)
        ]
        self.shared_at: list[list[Sharing]] = [[] for _ in range(last + 1)]
        for rule in problem.sharings:
            self.shared_at[self.buffers[rule.output].first].append(rule)

    def run(self) -> tuple[int, ...]:
        left = frozenset(index for index, buffer in enumerate(self.buffers) if buffer.bytes)
        self._place(left, [0] * len(self.buffers), 0)
        return self.best

    def _place(self, left: frozenset[int], floor: list[int], lowest: int) -> None:
        """Place the buffers ``left``; ``floor`` is where each would lie now, ``lowest`` the last offset."""
        if not left:
            self.best, self.best_total = tuple(self.offsets), self.problem.total(self.offsets)
            return
        starts = {index: max(floor[index], lowest) for index in left}
        if self._bound(left, starts) >= self.best_total:
            return
        ends = sorted((floor[index] + self.buffers[index].bytes, index) for index in left)[:2]
        fresh = [index for index in left if floor[index] >= lowest]  # the others wait to be lifted
        for index in sorted(fresh, key=lambda i: (floor[i], -self.buffers[i].bytes, i)):
            below = next((end for end, other in ends if other != index), None)
            if below is not None and below <= floor[index]:
                break  # that one would fit entirely underneath
            if self.best_total <= self.problem.lower_bound or self.placements >= self.limit:
                return
            self.placements += 1
            self.offsets[index] = floor[index]
            self._place(left - {index}, self._raise_floor(index, left, floor), floor[index])

    def _raise_floor(self, placed: int, left: frozenset[int], floor: list[int]) -> list[int]:
        raised = list(floor)
        end = self.offsets[placed] + self.buffers[placed].bytes
        for other, distance, is_input in self.rules[placed]:
            if other in left:
                start = end
                if distance is not None and not is_input:  # `other` is the input of `placed`
                    start = min(end, self.offsets[placed] + distance)
                raised[other] = max(raised[other], start)
        return raised

    def _bound(self, left: frozenset[int], starts: Mapping[int, int]) -> int:
        """No completion ends below this: the unplaced of every step stand on the lowest start of them."""
        bound = 0
        for step, alive in enumerate(self.alive):
            waiting = [index for index in alive if index in left]
            if not waiting:
                continue
            total = sum(self.buffers[index].bytes for index in waiting)
            rules = [rule for rule in self.shared_at[step] if rule.input in left and rule.output in left]
            if rules:
                inputs = [self.buffers[rule.input].bytes for rule in rules]
                output = self.buffers[rules[0].output].bytes
                total += shared_span(output, inputs, [rule.distance for rule in rules]) - output - sum(inputs)
            bound = max(bound, min(starts[index] for index in waiting) + total)
        return bound
