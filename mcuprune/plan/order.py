"""The operator order of least peak memory.

A state of the search is the set of nodes already run; what is in memory follows from it.  States are expanded
by their peak so far, the smallest first (a shortest path whose length is the largest step, not the sum),
so the first complete state has the least peak.  Most networks never get there: where the given order
already meets the bound that holds for every order it is kept.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcuprune.plan.live import Work, shared_span

STATE_LIMIT = 20_000


@dataclass(frozen=True)
class Cost:
    """Integer sizes of one work, in bytes; ``distances`` of the storages that the output may overwrite."""

    scratch: int
    output: int
    distances: Mapping[str, int]


@dataclass(frozen=True)
class Problem:
    """``sizes`` in bytes per storage; ``kept`` storages (the outputs) stay alive until the end."""

    works: tuple[Work, ...]
    costs: tuple[Cost, ...]
    sizes: Mapping[str, int]
    inputs: tuple[str, ...]
    kept: frozenset[str]


@dataclass(frozen=True)
class _Tables:
    """Bit masks over work indices."""

    needs: tuple[int, ...]  # works that must have run before
    readers: Mapping[str, int]
    reads: tuple[tuple[str, ...], ...]  # distinct storages
    unread: int  # bytes of the inputs that no work reads: there at the first step only


def least_peak_order(problem: Problem, state_limit: int = STATE_LIMIT) -> tuple[int, ...]:
    """Work indices in the order of least peak memory.

    Among equal peaks the given order is kept.  When more than ``state_limit`` sets of nodes would have to be
    looked at (wide networks with many parallel branches), the given order is returned.
    """
    count = len(problem.works)
    given = tuple(range(count))
    tables = _tables(problem)
    peak = _peak(problem, tables, given)
    if peak <= _bound_of_any_order(problem, tables):
        return given
    full = (1 << count) - 1
    # peak so far, works left, serial number (earliest first), works done, live bytes, last work
    queue = [(0, count, 0, 0, _bytes_at_start(problem, tables), -1)]
    last_of: dict[int, int] = {}
    serial = 0
    while queue:
        so_far, left, _, done, live, last = heapq.heappop(queue)
        if done in last_of:
            continue
        last_of[done] = last
        if done == full:
            return _path(last_of, full)
        if len(last_of) > state_limit:
            return given
        for index in given:
            after = done | 1 << index
            if after == done or tables.needs[index] & ~done or after in last_of:
                continue
            step, alive = _run(problem, tables, done, index, live)
            if max(so_far, step) < peak:
                serial += 1
                heapq.heappush(queue, (max(so_far, step), left - 1, serial, after, alive, index))
    return given


def _peak(problem: Problem, tables: _Tables, order: Sequence[int]) -> int:
    done, peak = 0, 0
    live = _bytes_at_start(problem, tables)
    for index in order:
        step, live = _run(problem, tables, done, index, live)
        done |= 1 << index
        peak = max(peak, step)
    return peak


def _bytes_at_start(problem: Problem, tables: _Tables) -> int:
    return sum(problem.sizes[name] for name in problem.inputs if tables.readers[name] or name in problem.kept)


def _run(problem: Problem, tables: _Tables, done: int, index: int, live: int) -> tuple[int, int]:
    """Bytes alive while work ``index`` runs after ``done``, and those afterwards."""
    cost, sizes = problem.costs[index], problem.sizes
    dying = [
        name
        for name in tables.reads[index]
        if not tables.readers[name] & ~(done | 1 << index) and name not in problem.kept
    ]
    shared = [name for name in dying if name in cost.distances]
    distances = [cost.distances[name] for name in shared]
    span = shared_span(cost.output, [sizes[name] for name in shared], distances)
    step = live - sum(sizes[name] for name in shared) + span + cost.scratch
    if not done:
        step += tables.unread
    writes = problem.works[index].writes
    stays = tables.readers[writes] or writes in problem.kept
    return step, live - sum(sizes[name] for name in dying) + (cost.output if stays else 0)


def _bound_of_any_order(problem: Problem, tables: _Tables) -> int:
    """Bytes of the fullest step if nothing but its own inputs, output and scratch were in memory."""
    bound = 0
    for cost, reads in zip(problem.costs, tables.reads, strict=True):
        shared = [name for name in reads if name in cost.distances and name not in problem.kept]
        distances = [cost.distances[name] for name in shared]
        span = shared_span(cost.output, [problem.sizes[name] for name in shared], distances)
        rest = sum(problem.sizes[name] for name in reads if name not in shared)
        bound = max(bound, span + rest + cost.scratch)
    return bound


def _tables(problem: Problem) -> _Tables:
    writer = {work.writes: index for index, work in enumerate(problem.works)}
    readers = dict.fromkeys(problem.sizes, 0)
    reads = tuple(tuple(dict.fromkeys(work.reads)) for work in problem.works)
    for index, names in enumerate(reads):
        for name in names:
            readers[name] |= 1 << index
    needs = tuple(
        sum(1 << writer[name] for name in {*names, *work.after} if name in writer)
        for names, work in zip(reads, problem.works, strict=True)
    )
    unread = [name for name in problem.inputs if not readers[name] and name not in problem.kept]
    return _Tables(needs, readers, reads, sum(problem.sizes[name] for name in unread))


def _path(last_of: Mapping[int, int], full: int) -> tuple[int, ...]:
    path = []
    state = full
    while state:
        index = last_of[state]
        path.append(index)
        state &= ~(1 << index)
    return tuple(reversed(path))
