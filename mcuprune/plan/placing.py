"""Placing buffers in one arena, one after the other, each as low as it can lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

OUTSIDE = 1 << 40  # an offset beyond any memory


@dataclass(frozen=True)
class Buffer:
    """``bytes`` (aligned) in use from step ``first`` to step ``last``, both included."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class Sharing:
    """Buffer ``output`` may start ``distance`` bytes before buffer ``input`` and overwrite it.

    Or more bytes before, unless the distance is ``exact``.
    """

    output: int
    input: int
    distance: int
    exact: bool = False


@dataclass(frozen=True)
class Problem:
    """``boundaries`` are offsets that no buffer crosses; the buffers ``first_bank`` lie before the first."""

    buffers: tuple[Buffer, ...]
    sharings: tuple[Sharing, ...]
    lower_bound: int
    boundaries: tuple[int, ...] = ()
    first_bank: frozenset[int] = frozenset()

    def total(self, offsets: Sequence[int]) -> int:
        ends = (offset + buffer.bytes for offset, buffer in zip(offsets, self.buffers, strict=True))
        return max(ends, default=0)

    def reach(self, offsets: Sequence[int], bank: int) -> int:
        """Bytes used of a bank, from its start."""
        starts = (0, *self.boundaries, OUTSIDE)
        ends = (o + b.bytes for o, b in zip(offsets, self.buffers, strict=True) if b.bytes)
        return max((end - starts[bank] for end in ends if starts[bank] < end <= starts[bank + 1]), default=0)


@dataclass(frozen=True)
class Rule:
    """What a buffer has to do with another one that is alive at the same time.

    It may start ``low`` bytes before the other's start or deeper, and ``high`` bytes behind it or higher;
    with ``at``, also exactly ``at`` bytes behind it.
    """

    other: int
    low: int
    high: int
    at: int | None = None


Rules = tuple[tuple[Rule, ...], ...]


def rules_of(problem: Problem) -> Rules:
    buffers = problem.buffers
    shared = {(rule.output, rule.input): rule for rule in problem.sharings}

    def rule(index: int, other: int) -> Rule:
        low, high, at = buffers[index].bytes, buffers[other].bytes, None
        if (index, other) in shared:
            sharing = shared[index, other]
            low = low if sharing.exact else min(low, sharing.distance)
            at = -sharing.distance if sharing.exact else None
        elif (other, index) in shared:
            sharing = shared[other, index]
            high = high if sharing.exact else min(high, sharing.distance)
            at = sharing.distance if sharing.exact else None
        return Rule(other, low, high, at)

    return tuple(
        tuple(
            rule(index, other)
            for other, b in enumerate(buffers)
            if other != index and a.bytes and b.bytes and a.first <= b.last and b.first <= a.last
        )
        for index, a in enumerate(buffers)
    )


def orders(problem: Problem) -> list[list[int]]:
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


def first_fit(problem: Problem, rules: Rules, order: Sequence[int]) -> tuple[int, ...]:
    """Every buffer in turn at the lowest offset that the buffers already placed allow."""
    offsets: list[int | None] = [None] * len(problem.buffers)
    for index in order:
        size = problem.buffers[index].bytes
        forbidden = [(boundary - size, boundary) for boundary in problem.boundaries]  # open, of starts
        if index in problem.first_bank and problem.boundaries:
            forbidden.append((problem.boundaries[0] - size, OUTSIDE))
        for rule in rules[index]:
            base = offsets[rule.other]
            if base is None:
                continue
            if rule.at is None:
                forbidden.append((base - rule.low, base + rule.high))
            else:
                forbidden.append((base - rule.low, base + rule.at))
                forbidden.append((base + rule.at, base + rule.high))
        start = 0
        for low, high in sorted(forbidden):
            if low < start < high:
                start = high
        offsets[index] = start
    return tuple(offset or 0 for offset in offsets)
