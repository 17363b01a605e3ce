"""What is in memory while a kernel runs: storages, their readers, and the bytes alive at one step.

A *storage* is the memory behind one or more tensors (:mod:`mcuprune.graph.memory`); it carries the name of
the tensor that was written first.  Storages in the memory of a state take no bytes here: that memory is apart
from the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from mcuprune.graph.ir import ALIASES, GIVEN, Constant, Input, Node, Stored
from mcuprune.graph.memory import precedence, state_memory, storages
from mcuprune.graph.op_shape import Number, OpShape, ceil_to, elements, op_shape
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.ir import Call, Plan, RowLoop

ALIGNMENT = 4  # bytes: kernels load words from the start of every tensor and of their scratch

ShapeOf = Callable[[str], tuple[Number, ...]]
Choose = Callable[[OpShape, frozenset[str], str], Kernel]


class Network(Protocol):
    """What a plan needs of a network: a Graph without batch norms, or a QuantizedGraph."""

    @property
    def nodes(self) -> tuple[Node, ...]: ...
    @property
    def outputs(self) -> tuple[str, ...]: ...
    @property
    def updates(self) -> Mapping[str, str]: ...
    @property
    def constants(self) -> Mapping[str, Constant]: ...
    def shape(self, tensor: str) -> tuple[int, ...]: ...
    def element_bytes(self, tensor: str) -> int: ...


@dataclass(frozen=True)
class Work:
    """One node that runs a kernel; ``reads`` has a storage per input, ``writes`` is its own storage.

    ``elements`` gives the bytes of an element of every storage of the network, 0 for those outside the arena;
    ``after`` names the nodes that must have read a state before this one overwrites it.
    """

    node: Node
    kernel: Kernel
    shape: OpShape
    reads: tuple[str, ...]
    elements: Mapping[str, int]
    after: frozenset[str] = frozenset()

    @property
    def writes(self) -> str:
        return self.node.name

    @property
    def exact(self) -> bool:
        """Whether the output may overwrite an input only at exactly the declared distance."""
        return self.kernel.exact

    @property
    def scratch(self) -> int:
        """Bytes of scratch, aligned."""
        return int(self.scratch_of(self.shape))

    def scratch_of(self, shape: OpShape) -> Number:
        return ceil_to(self.kernel.scratch(shape), ALIGNMENT)

    def placed(self, scratch: int) -> Call:
        """The step of the plan, its scratch at that offset."""
        return Call(self.node.name, self.kernel.name, scratch, self.scratch)

    def sharable(self, dying: frozenset[str], shape: OpShape) -> dict[str, Number]:
        """Storages of ``dying`` that the output may overwrite, each with its least distance in bytes.

        A storage that is read through several inputs keeps the strictest rule of them.
        """
        distances: dict[str, Number] = {}
        refused = set()
        for storage, distance in zip(self.reads, self.kernel.overlap(shape), strict=True):
            if distance is None or storage not in dying or not self.elements[storage]:
                refused.add(storage)
            elif storage in distances:
                distances[storage] = maximum(distances[storage], ceil_to(distance, ALIGNMENT))
            else:
                distances[storage] = ceil_to(distance, ALIGNMENT)
        return {storage: distance for storage, distance in distances.items() if storage not in refused}


class Job(Protocol):
    """What a step of the schedule does: a :class:`Work`, or several of them in one loop."""

    @property
    def node(self) -> Node: ...
    @property
    def shape(self) -> OpShape: ...
    @property
    def reads(self) -> tuple[str, ...]: ...
    @property
    def elements(self) -> Mapping[str, int]: ...
    @property
    def writes(self) -> str: ...
    @property
    def exact(self) -> bool: ...
    @property
    def scratch(self) -> int: ...
    def scratch_of(self, shape: OpShape) -> Number: ...
    def sharable(self, dying: frozenset[str], shape: OpShape) -> Mapping[str, Number]: ...
    def placed(self, scratch: int) -> Call | RowLoop: ...


J = TypeVar("J", bound=Job, covariant=True)


@dataclass(frozen=True)
class LiveStep(Generic[J]):
    """One step of an order: ``alive`` are the storages other than the output that hold data while it runs,
    ``dying`` those of them that nobody needs afterwards."""

    work: J
    alive: tuple[str, ...]
    dying: frozenset[str]

    def bytes(self, shape_of: ShapeOf) -> Number:
        """Bytes alive during the step, in plain arithmetic on the sizes that ``shape_of`` gives.

        The output and the inputs it may overwrite take ``max(output, distance + inputs)`` together, or lie
        apart where that is smaller.
        """
        shape = op_shape(self.work.node, shape_of)
        shared = self.work.sharable(self.dying, shape)
        total = self.work.scratch_of(shape)
        for storage in self.alive:
            if storage not in shared:
                total = total + self._size(storage, shape_of)
        sizes = [self._size(storage, shape_of) for storage in shared]
        return total + shared_span(self._size(self.work.writes, shape_of), sizes, list(shared.values()))

    def _size(self, storage: str, shape_of: ShapeOf) -> Number:
        return storage_bytes(shape_of(storage), self.work.elements[storage])


def shared_span(output: Number, inputs: Sequence[Number], distances: Sequence[Number]) -> Number:
    """Least bytes that an output and the inputs it may overwrite can occupy together."""
    if not inputs:
        return output
    least = output  # no overlap at all
    for distance in distances:
        least = _minimum(least, distance)
    return maximum(output, sum(inputs) + least)


def _minimum(a: Number, b: Number) -> Number:
    return -maximum(-a, -b)


def maximum(a: Number, b: Number) -> Number:
    """The larger of two numbers, element by element; ints, numpy arrays and torch tensors."""
    if hasattr(a, "detach"):
        return a.clamp(min=b)
    if hasattr(b, "detach"):
        return b.clamp(min=a)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.maximum(a, b)
    return max(a, b)


def storage_bytes(shape: tuple[Number, ...], element: int = 1) -> Number:
    """Aligned bytes of a tensor of this shape with ``element`` bytes an element."""
    dims: tuple[Any, ...] = shape if len(shape) == 3 else (1, 1, shape[0])
    return ceil_to(elements((dims[0], dims[1], dims[2])) * element, ALIGNMENT)


def arena_elements(network: Network) -> dict[str, int]:
    """Bytes of an element of every storage, 0 where it is a constant or in the memory of a state."""
    constants = {node.name for node in network.nodes if isinstance(node, Stored)}
    outside = constants.union(state_memory(network.nodes, network.updates))
    return {
        storage: 0 if storage in outside else network.element_bytes(storage)
        for storage in storages(network.nodes).values()
    }


def network_inputs(nodes: Sequence[Node]) -> tuple[str, ...]:
    return tuple(node.name for node in nodes if isinstance(node, Input))


def works(network: Network, isa: frozenset[str], objective: str, choose: Choose) -> tuple[Work, ...]:
    """The nodes that run a kernel, in the network's order, each with the kernel chosen for its shape."""
    storage, elements = storages(network.nodes), arena_elements(network)
    before = precedence(network.nodes, network.updates)
    found = []
    for node in network.nodes:
        if not isinstance(node, (*GIVEN, *ALIASES)):
            shape = op_shape(node, network.shape)
            reads = tuple(storage[name] for name in node.inputs)
            kernel = choose(shape, isa, objective)
            found.append(Work(node, kernel, shape, reads, elements, before.get(node.name, frozenset())))
    return tuple(found)


Lifetimes = Mapping[str, tuple[int, int]]
"""First and last step of every storage, both included."""


def lifetimes(order: Sequence[Job], inputs: Sequence[str], outputs: Sequence[str]) -> Lifetimes:
    """Inputs exist from the first step, outputs until the last."""
    return _lifetimes([(work.reads, work.writes) for work in order], inputs, outputs)


def lifetimes_of_plan(network: Network, plan: Plan) -> Lifetimes:
    """The lifetimes that a finished plan has packed."""
    nodes = {node.name: node for node in network.nodes}
    storage = storages(network.nodes)
    order = []
    for step in plan.steps:
        reads = (step.source,) if isinstance(step, RowLoop) else nodes[step.node].inputs
        order.append((tuple(storage[name] for name in reads), step.node))
    return _lifetimes(order, network_inputs(network.nodes), [storage[name] for name in network.outputs])


def _lifetimes(
    order: Sequence[tuple[Sequence[str], str]], inputs: Sequence[str], outputs: Sequence[str]
) -> Lifetimes:
    last = max(len(order) - 1, 0)
    lives = dict.fromkeys(inputs, (0, 0))
    for index, (reads, writes) in enumerate(order):
        for storage in reads:
            if storage not in lives:  # a state or a constant, which is there from the first step
                lives[storage] = (0, index)
            lives[storage] = (lives[storage][0], index)
        lives[writes] = (index, index)
    for storage in outputs:
        lives[storage] = (lives[storage][0], last)
    return lives


def steps_of(order: Sequence[J], lives: Lifetimes, kept: frozenset[str]) -> tuple[LiveStep[J], ...]:
    """The steps of an order with the storages alive at each; ``kept`` (the outputs) never die."""
    steps = []
    for index, work in enumerate(order):
        alive = tuple(
            name for name, (first, last) in lives.items() if first <= index <= last and name != work.writes
        )
        dying = frozenset(name for name in alive if lives[name][1] == index and name not in kept)
        steps.append(LiveStep(work, alive, dying))
    return tuple(steps)


def step_bytes(steps: Sequence[LiveStep[Job]], shape_of: ShapeOf) -> list[Number]:
    """Bytes alive at every step; ``shape_of`` may give ints, arrays of candidates or tensors as channels."""
    return [step.bytes(shape_of) for step in steps]


def call_count(step: Call | RowLoop, node: Node) -> int:
    """How many calls the run function makes for one step of a plan."""
    per_input = isinstance(step, Call) and catalogue.kernel(step.kernel).calls_per_input
    return len(node.inputs) if per_input else 1
