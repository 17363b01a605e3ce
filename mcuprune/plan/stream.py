"""Where row streaming pays: the loops that lower a network's peak of memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from mcuprune.plan.live import Choose, Job, LiveStep, Network, ShapeOf, Work, step_bytes
from mcuprune.plan.rows import row_work


def stream(
    steps: Sequence[LiveStep[Job]],
    network: Network,
    isa: frozenset[str],
    objective: str,
    choose: Choose,
) -> tuple[LiveStep[Job], ...]:
    """``steps`` with runs of layers replaced by loops, as long as that lowers the fullest step.

    A loop begins and ends where a single tensor is in memory.  Of equal gains the shorter loop is taken: rows
    cost some cycles.
    """
    found = tuple(steps)
    while True:
        better = _best_loop(found, network, isa, objective, choose)
        if better is None:
            return found
        first, last, loop = better
        found = (*found[:first], loop, *found[last:])


def _best_loop(
    steps: Sequence[LiveStep[Job]],
    network: Network,
    isa: frozenset[str],
    objective: str,
    choose: Choose,
) -> tuple[int, int, LiveStep[Job]] | None:
    """First step, step after the last one, and the loop in their place that lowers the peak the most."""
    loads = step_bytes(steps, network.shape)
    peak = max(loads, default=0)
    fullest = [index for index, load in enumerate(loads) if load == peak]
    before = [0, *accumulate(loads, max)]
    after = [*reversed([0, *accumulate(reversed(loads), max)])]
    cuts = _cuts(steps)
    best, choice = (peak, 0), None
    for first in (cut for cut in cuts if fullest and cut <= fullest[0]):
        for last in (cut for cut in cuts if cut > fullest[-1]):
            if last - first < 2:
                continue
            loop = _loop(steps[first:last], network.shape, isa, objective, choose)
            if loop is None:
                break  # a longer one has the same layer in it
            total = max(before[first], loop.bytes(network.shape), after[last])
            if (total, last - first) < best:
                best, choice = (total, last - first), (first, last, loop)
    return choice


def _loop(
    steps: Sequence[LiveStep[Job]], shape_of: ShapeOf, isa: frozenset[str], objective: str, choose: Choose
) -> LiveStep[Job] | None:
    """The loop that does what ``steps`` do, as one step."""
    works = [step.work for step in steps if isinstance(step.work, Work)]
    source = shape_of(works[0].node.inputs[0]) if works else ()
    if len(works) < len(steps) or len(source) != 3:
        return None
    loop = row_work(works, (source[0], source[1], source[2]), isa, objective, choose)
    if loop is None:
        return None
    last_reader = max(index for index, work in enumerate(works) if loop.reads[0] in work.reads)
    return LiveStep(loop, loop.reads, steps[last_reader].dying & frozenset(loop.reads))


def _cuts(steps: Sequence[LiveStep[Job]]) -> list[int]:
    """Steps before which a single tensor is in the arena, and the end."""
    alive = [[name for name in step.alive if step.work.elements[name]] for step in steps]
    return [*(index for index, names in enumerate(alive) if len(names) == 1), len(steps)]
