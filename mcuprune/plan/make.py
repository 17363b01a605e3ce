"""From a network to a :class:`~mcuprune.plan.ir.Plan`: kernels, order, arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from mcuprune.graph.ir import Stored
from mcuprune.graph.memory import state_memory, storages
from mcuprune.plan import memory, order, select
from mcuprune.plan.ir import Bank, Plan
from mcuprune.plan.live import (
    ALIGNMENT,
    Choose,
    Job,
    Lifetimes,
    LiveStep,
    Network,
    Work,
    arena_elements,
    lifetimes,
    network_inputs,
    step_bytes,
    steps_of,
    storage_bytes,
    works,
)
from mcuprune.plan.stream import stream


def make_plan(
    network: Network,
    isa: frozenset[str],
    objective: str = "cycles",
    choose: Choose | None = None,
    placement_limit: int = memory.PLACEMENT_LIMIT,
    streaming: bool = False,
    banks: tuple[int, ...] = (),
) -> Plan:
    """Plan an integer network; a float one counts one byte an element.

    ``network`` is a QuantizedGraph, or a Graph whose batch norms are folded.  ``isa`` names the kernel
    families that the core can run, ``objective`` what kernels are chosen for (:mod:`mcuprune.plan.select`),
    unless ``choose`` decides; ``ram`` looks for the least arena, streaming included.  Raises
    UnsupportedError for a node that no kernel implements.  ``placement_limit`` bounds the search for a
    tighter arena: more of it never makes the arena larger, so a plan made with less is a safe estimate.
    With ``streaming`` layers run together row by row where that lowers the peak
    (:mod:`mcuprune.plan.stream`).  ``banks`` are the bytes of the board's memories, the main one first: the
    others are used where the main one is too small, and inputs and outputs stay in it.
    """
    if choose is None and objective == "ram":
        return _least_arena(network, isa, placement_limit, banks)
    chosen = choose or select.select(network, isa, objective)
    steps: Sequence[LiveStep[Job]] = live_steps(network, isa, objective, chosen)
    if streaming:
        steps = stream(steps, network, isa, objective, chosen)
    return _packed(network, steps, placement_limit, banks)


def _least_arena(network: Network, isa: frozenset[str], placement_limit: int, banks: tuple[int, ...]) -> Plan:
    """Layers row by row where that helps; kernels of little scratch only where the peak of memory is.

    The layers of a loop get the fastest kernels, or those of least scratch if the arena is smaller then.
    """
    sparing = select.sparing(network, isa)
    plans = []
    for rows in ("cycles", "ram"):
        whole = live_steps(network, isa, rows, sparing)
        peak = max(step_bytes(stream(whole, network, isa, rows, sparing), network.shape), default=0)
        relaxed = select.relaxed(whole, network, isa, peak)
        for choose in (relaxed, sparing):
            steps = stream(live_steps(network, isa, rows, choose), network, isa, rows, choose)
            plans.append(_packed(network, steps, placement_limit, banks))
    return min(plans, key=lambda plan: plan.memory_bytes)


def _packed(
    network: Network, steps: Sequence[LiveStep[Job]], placement_limit: int, banks: tuple[int, ...]
) -> Plan:
    """The plan of these steps: where everything lies."""
    lower_bound = max(step_bytes(steps, network.shape), default=0)
    storage, elements = storages(network.nodes), arena_elements(network)
    outputs = dict.fromkeys(storage[name] for name in network.outputs)
    lives = lifetimes([step.work for step in steps], network_inputs(network.nodes), tuple(outputs))
    sizes = {name: storage_bytes(network.shape(name), elements[name]) for name in lives}
    problem = _memory_problem(steps, lives, sizes, lower_bound)
    packed = memory.pack(problem, placement_limit)
    if banks and problem.total(packed) > banks[0]:
        given = {*outputs, *network_inputs(network.nodes)}
        ends = frozenset(index for index, name in enumerate(lives) if name in given)
        split = replace(problem, boundaries=tuple(accumulate(banks[:-1])), first_bank=ends)
        spread = memory.pack(split, placement_limit)
        if problem.total(spread) <= sum(banks):
            problem, packed = split, spread
    offsets = dict(zip(lives, packed, strict=False))
    state_offsets, state_bytes = _states(network)
    apart = {*state_offsets, *(node.name for node in network.nodes if isinstance(node, Stored))}
    whole = {n: o for n, o in storage.items() if o in offsets and not {n, o} & apart}
    return Plan(
        steps=tuple(step.work.placed(at) for step, at in zip(steps, packed[len(lives) :], strict=True)),
        offsets={name: offsets[owner] for name, owner in whole.items()},
        sizes={name: sizes[owner] for name, owner in whole.items()},
        arena_bytes=problem.reach(packed, 0),
        lower_bound=max(lower_bound, problem.lower_bound),
        state_offsets=state_offsets,
        state_bytes=state_bytes,
        banks=_banks(problem, packed),
    )


def _banks(problem: memory.Problem, packed: Sequence[int]) -> tuple[Bank, ...]:
    """What is used of the further banks, up to the last one that is."""
    used = [problem.reach(packed, number) for number in range(1, len(problem.boundaries) + 1)]
    while used and not used[-1]:
        used.pop()
    starts = problem.boundaries[: len(used)]
    return tuple(Bank(start, max(size, ALIGNMENT)) for start, size in zip(starts, used, strict=True))


def _states(network: Network) -> tuple[dict[str, int], int]:
    """Offset of every tensor in the memory of states, one state after the other, and the bytes of all."""
    homes, storage = state_memory(network.nodes, network.updates), storages(network.nodes)
    offsets: dict[str, int] = {}
    total = 0
    for node in network.nodes:
        if homes.get(node.name) == node.name:
            offsets[node.name] = total
            total += storage_bytes(network.shape(node.name), network.element_bytes(node.name))
    found = {name: offsets[homes[owner]] for name, owner in storage.items() if owner in homes}
    return found, total


def live_steps(
    network: Network, isa: frozenset[str], objective: str = "cycles", choose: Choose | None = None
) -> tuple[LiveStep[Work], ...]:
    """The steps of the plan's order; ``step_bytes(steps, shape_of)`` counts them for other widths.

    Kernels, order and lifetimes are those of ``network`` as it is; only the sizes follow ``shape_of``.
    """
    given = works(network, isa, objective, choose or select.select(network, isa, objective))
    storage = storages(network.nodes)
    kept = frozenset(storage[name] for name in network.outputs)
    inputs = network_inputs(network.nodes)
    elements = arena_elements(network)
    sizes = {name: storage_bytes(network.shape(name), element) for name, element in elements.items()}
    costs = tuple(
        order.Cost(work.scratch, sizes[work.writes], work.sharable(frozenset(work.reads), work.shape))
        for work in given
    )
    found = order.least_peak_order(order.Problem(given, costs, sizes, inputs, kept))
    sequence = tuple(given[index] for index in found)
    return steps_of(sequence, lifetimes(sequence, inputs, tuple(kept)), kept)


def _memory_problem(
    steps: Sequence[LiveStep[Job]],
    lives: Lifetimes,
    sizes: Mapping[str, int],
    lower_bound: int,
) -> memory.Problem:
    """Buffers: the storages in the order of ``lives``, then the scratch of every step."""
    index = {name: number for number, name in enumerate(lives)}
    buffers = [memory.Buffer(name, sizes[name], *lives[name]) for name in lives]
    sharings = []
    for number, step in enumerate(steps):
        work = step.work
        buffers.append(memory.Buffer(f"{work.node.name}: scratch", work.scratch, number, number))
        for name, distance in work.sharable(step.dying, work.shape).items():
            sharings.append(memory.Sharing(index[work.writes], index[name], distance, work.exact))
    alone = max(sizes.values(), default=0)  # an input that no step reads
    return memory.Problem(tuple(buffers), tuple(sharings), max(lower_bound, alone))
