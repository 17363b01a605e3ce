"""Branch and bound over the placements of buffers in one arena.

Buffers are placed from the bottom up: in an optimal placement with the least sum of offsets, sorted by
offset, every buffer lies directly on those before it or exactly where one of them lets it in (else it could
slide down), so trying the permutations in which offsets never decrease is exhaustive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from mcuprune.plan.live import shared_span
from mcuprune.plan.placing import Problem, Rules, Sharing


class Search:
    """Depth-first branch and bound; holds the best placement so far."""

    def __init__(self, problem: Problem, rules: Rules, best: Sequence[int], limit: int) -> None:
        self.problem, self.rules, self.limit = problem, rules, limit
        self.best, self.best_total = tuple(best), problem.total(best)
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
        self._place(frozenset(index for index, buffer in enumerate(self.buffers) if buffer.bytes), 0)
        return self.best

    def _place(self, left: frozenset[int], lowest: int) -> None:
        """Place the buffers ``left``; ``lowest`` is the offset of the last one placed."""
        if not left:
            self.best, self.best_total = tuple(self.offsets), self.problem.total(self.offsets)
            return
        floor = {index: self._floor(index, left, lowest) for index in left}
        if (
            self._bound(left, {index: max(start, lowest) for index, start in floor.items()})
            >= self.best_total
        ):
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
            self._place(left - {index}, floor[index])

    def _floor(self, index: int, left: frozenset[int], lowest: int) -> int:
        """Where a buffer would lie now: above those placed, or exactly where one of them lets it in."""
        start = 0
        doors = []
        for rule in self.rules[index]:
            if rule.other in left:
                continue
            base = self.offsets[rule.other]
            if rule.at is None or base + rule.at < lowest:
                start = max(start, base + rule.high)
            else:
                doors.append((base + rule.at, base + rule.high))
        fitting = (at for at in sorted({start, *chain(*doors)}) if at >= start)
        return next(at for at in fitting if all(at == door or at >= end for door, end in doors))

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
