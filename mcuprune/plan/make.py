"""From a network to a :class:`~mcuprune.plan.ir.Plan`: kernels, order, arena."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan import memory, order
from mcuprune.plan.ir import Call, Plan
from mcuprune.plan.live import (
    Choose,
    Lifetimes,
    LiveStep,
    Network,
    lifetimes,
    network_inputs,
    step_bytes,
    steps_of,
    storage_bytes,
    storages,
    works,
)


def choose_kernel(shape: OpShape, isa: frozenset[str], objective: str) -> Kernel:
    return catalogue.choose(shape, isa, objective)


def make_plan(
    network: Network,
    isa: frozenset[str],
    objective: str = "cycles",
    choose: Choose = choose_kernel,
    placement_limit: int = memory.PLACEMENT_LIMIT,
) -> Plan:
    """Plan an int8 network: one byte an element.

    ``network`` is a QuantizedGraph, or a Graph whose batch norms are folded.  ``isa`` names the kernel
    families that the core can run, ``objective`` what a kernel is chosen for.  Raises UnsupportedError for a
    node that no kernel implements.  ``placement_limit`` bounds the search for a tighter arena: more of it
    never makes the arena larger, so a plan made with less is a safe estimate.
    """
    steps = live_steps(network, isa, objective, choose)
    lower_bound = max(step_bytes(steps, network.shape), default=0)
    storage = storages(network.nodes)
    outputs = dict.fromkeys(storage[name] for name in network.outputs)
    lives = lifetimes([step.work for step in steps], network_inputs(network.nodes), tuple(outputs))
    sizes = {name: storage_bytes(network.shape(name)) for name in lives}
    problem = _memory_problem(steps, lives, sizes, lower_bound)
    packed = memory.pack(problem, placement_limit)
    offsets = dict(zip(lives, packed, strict=False))
    calls = tuple(
        Call(step.work.node.name, step.work.kernel.name, offset, step.work.scratch)
        for step, offset in zip(steps, packed[len(lives) :], strict=True)
    )
    return Plan(
        steps=calls,
        offsets={node.name: offsets[storage[node.name]] for node in network.nodes},
        sizes={node.name: sizes[storage[node.name]] for node in network.nodes},
        arena_bytes=problem.total(packed),
        lower_bound=max(lower_bound, problem.lower_bound),
    )


def live_steps(
    network: Network, isa: frozenset[str], objective: str = "cycles", choose: Choose = choose_kernel
) -> tuple[LiveStep, ...]:
    """The steps of the plan's order; ``step_bytes(steps, shape_of)`` counts them for other widths.

    Kernels, order and lifetimes are those of ``network`` as it is; only the sizes follow ``shape_of``.
    """
    given = works(network, isa, objective, choose)
    storage = storages(network.nodes)
    kept = frozenset(storage[name] for name in network.outputs)
    inputs = network_inputs(network.nodes)
    sizes = {name: storage_bytes(network.shape(name)) for name in (*inputs, *(work.writes for work in given))}
    costs = tuple(
        order.Cost(work.scratch, sizes[work.writes], work.sharable(frozenset(work.reads), work.shape))
        for work in given
    )
    found = order.least_peak_order(order.Problem(given, costs, sizes, inputs, kept))
    sequence = tuple(given[index] for index in found)
    return steps_of(sequence, lifetimes(sequence, inputs, tuple(kept)), kept)


def _memory_problem(
    steps: Sequence[LiveStep],
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
            sharings.append(memory.Sharing(index[work.writes], index[name], distance))
    alone = max(sizes.values(), default=0)  # an input that no step reads
    return memory.Problem(tuple(buffers), tuple(sharings), max(lower_bound, alone))
