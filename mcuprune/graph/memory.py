"""Whose memory a tensor has: aliases, and states that are updated.

A *storage* is the memory behind one or more tensors: an alias (``ir.ALIASES``) gives a tensor a new shape in
the same storage, every other node has a storage of its own, named after it.  The storage of a state's new
value lies in the state's memory: its node runs after every reader of the old value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mcuprune.graph import ir


def storages(nodes: Iterable[ir.Node]) -> dict[str, str]:
    """The storage of every tensor; nodes in topological order."""
    found: dict[str, str] = {}
    for node in nodes:
        found[node.name] = found[node.inputs[0]] if isinstance(node, ir.ALIASES) else node.name
    return found


def state_memory(nodes: Sequence[ir.Node], updates: Mapping[str, str]) -> dict[str, str]:
    """Storages that lie in the memory of a state -> that state."""
    storage = storages(nodes)
    own = {node.name: node.name for node in nodes if isinstance(node, ir.State)}
    return {**own, **{storage[value]: state for state, value in updates.items()}}


def precedence(nodes: Sequence[ir.Node], updates: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """For each node that writes a state: the other nodes that must have read the old value before."""
    storage = storages(nodes)
    writers = {state: storage[value] for state, value in updates.items()}
    readers: dict[str, set[str]] = {state: set() for state in writers}
    for node in nodes:
        for name in node.inputs:
            if storage[name] in readers and not isinstance(node, ir.ALIASES):
                readers[storage[name]].add(node.name)
    return {writer: frozenset(readers[state] - {writer}) for state, writer in writers.items()}


def in_order(nodes: Sequence[ir.Node], updates: Mapping[str, str]) -> tuple[ir.Node, ...] | None:
    """The nodes in an order in which every state is read before it is overwritten, as near the given one as
    possible; ``None`` if there is no such order."""
    before = precedence(nodes, updates)
    waiting, done, found = list(nodes), set[str](), list[ir.Node]()
    while waiting:
        ready = next(
            (
                node
                for node in waiting
                if done.issuperset(node.inputs) and done.issuperset(before.get(node.name, ()))
            ),
            None,
        )
        if ready is None:
            return None
        waiting.remove(ready)
        done.add(ready.name)
        found.append(ready)
    return tuple(found)


def settle(graph: ir.QuantizedGraph) -> ir.QuantizedGraph:
    """``graph`` with a :class:`~mcuprune.graph.ir.Copy` wherever an output or the new value of a state could
    not be written in place, and its nodes in an order that reads states before it overwrites them.

    Afterwards outputs have storages of their own that the network writes, and the new value of every state
    is written by one node that is free to write into the state's memory.
    """
    taken: set[str] = set()
    outputs = []
    for name in graph.outputs:
        storage = storages(graph.nodes)[name]
        if storage in taken or isinstance(_node(graph, storage), ir.GIVEN):
            graph, name = with_copy(graph, name)
            storage = name
        taken.add(storage)
        outputs.append(name)
    graph = replace(graph, outputs=tuple(outputs))
    for state, value in graph.updates.items():
        graph = _settle_state(graph, state, value, taken)
        taken.add(storages(graph.nodes)[graph.updates[state]])
    ordered = in_order(graph.nodes, graph.updates)
    assert ordered is not None, "every update was checked as it was settled"
    return replace(graph, nodes=ordered)


def _settle_state(graph: ir.QuantizedGraph, state: str, value: str, taken: set[str]) -> ir.QuantizedGraph:
    """One update made possible; those of the states that come later are left out while it is checked."""
    later = list(graph.updates)[list(graph.updates).index(state) + 1 :]

    def checked(candidate: ir.QuantizedGraph) -> bool:
        updates = {k: v for k, v in candidate.updates.items() if k not in later}
        return in_order(candidate.nodes, updates) is not None

    writer = _node(graph, storages(graph.nodes)[value])
    reads = {storages(graph.nodes)[name] for name in writer.inputs}
    free = writer.name not in taken and not isinstance(writer, ir.GIVEN)
    if free and (state not in reads or writer.in_place) and checked(graph):
        return graph
    if isinstance(writer, ir.State):  # states that take each other's values need one of them kept aside
        graph, value = with_copy(graph, value)
    graph, value = with_copy(graph, value)
    return replace(graph, updates={**graph.updates, state: value})


def with_copy(graph: ir.QuantizedGraph, tensor: str) -> tuple[ir.QuantizedGraph, str]:
    """The graph with a copy of ``tensor`` as its last node, and the copy's name."""
    name, number = f"{tensor}/copy", 2
    while name in graph.shapes:
        name, number = f"{tensor}/copy_{number}", number + 1
    copied = replace(
        graph,
        nodes=(*graph.nodes, ir.Copy(name, (tensor,))),
        shapes={**graph.shapes, name: graph.shapes[tensor]},
        quantization={**graph.quantization, name: graph.quantization[tensor]},
    )
    return copied, name


def _node(graph: ir.QuantizedGraph, name: str) -> ir.Node:
    return next(node for node in graph.nodes if node.name == name)
