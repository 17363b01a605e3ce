"""Which channels can reach an output, found backwards from the outputs and the states of the next run.

``keep`` marks channels.  A node says for the marks of its tensors which more marks they imply: a weighted sum
needs the inputs that have a weight other than zero in an output that is kept; an operator that treats
channels one by one keeps the same channels of input and output; an opaque node needs everything.  Marks are
only ever added, so going round until nothing changes ends, and what is then not marked is dead.
"""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from mcuprune.graph import ir
from mcuprune.lossless.known import channels, known, pinned

Keep = dict[str, np.ndarray]


def live_channels(graph: ir.QuantizedGraph) -> Keep:
    """Bool ``(channels,)`` of every tensor; all False for a tensor that nothing needs.

    A tensor that is needed for its place in the network alone (its readers' weights are all zero) keeps one
    channel.
    """
    seen = pinned(graph)
    keep = {node.name: np.zeros(channels(graph, node.name), bool) for node in graph.nodes}
    for node in graph.nodes:
        if node.name in seen or not known(node, graph):
            keep[node.name][:] = True
            if not known(node, graph):
                for name in node.inputs:
                    if name in keep:
                        keep[name][:] = True
    while True:
        _spread(graph, keep)
        empty = next((name for name in reversed(needed(graph, keep)) if not keep[name].any()), None)
        if empty is None:
            return keep
        keep[empty][0] = True


def needed(graph: ir.QuantizedGraph, keep: Keep) -> tuple[str, ...]:
    """Tensors that must exist, in graph order; a concatenation can do without a part that is all dead."""
    found = set(pinned(graph))
    for node in reversed(graph.nodes):
        opaque = not known(node, graph)
        if opaque:
            found.add(node.name)
        if node.name in found:
            kept = node.inputs if opaque or not isinstance(node, ir.Concat) else kept_parts(node, graph, keep)
            found.update(kept)
    return tuple(node.name for node in graph.nodes if node.name in found)


def _spread(graph: ir.QuantizedGraph, keep: Keep) -> None:
    """Add marks until every node's are consistent."""
    nodes = [node for node in graph.nodes if known(node, graph)]
    changed = True
    while changed:
        changed = False
        for node in (node for node in reversed(nodes) if keep[node.name].any()):
            for name, marks in implied(node, graph, keep):
                if (marks & ~keep[name]).any():
                    keep[name] |= marks
                    changed = True


Marks = tuple[tuple[str, np.ndarray], ...]


@singledispatch
def implied(node: ir.Node, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    """Marks that those of a known node's tensors imply, where any of its output is kept.

    By default all its tensors keep the same channels.
    """
    both = keep[node.name] | keep[node.inputs[0]]
    return ((node.inputs[0], both), (node.name, both))


@implied.register
def _(node: ir.Conv2d, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    kept = graph.constants[node.weight].values[keep[node.name]]
    return ((node.inputs[0], np.asarray(kept.any(axis=(0, 1, 2)))),)


@implied.register
def _(node: ir.Linear, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    kept = graph.constants[node.weight].values[keep[node.name]]
    return ((node.inputs[0], np.asarray(kept.any(axis=0))),)


@implied.register
def _(node: ir.DepthwiseConv2d, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    source = keep[node.inputs[0]] | keep[node.name].reshape(-1, node.multiplier).any(axis=1)
    return ((node.inputs[0], source), (node.name, np.repeat(source, node.multiplier)))


@implied.register(ir.Add)
@implied.register(ir.Mul)
def _(node: ir.Add | ir.Mul, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    """An operand of one channel that is broadcast is needed whole, whatever is kept of the others."""
    width = channels(graph, node.name)
    full = [name for name in (node.name, *node.inputs) if channels(graph, name) == width]
    union = np.asarray(np.stack([keep[name] for name in full]).any(axis=0))
    single = [name for name in node.inputs if name not in full]
    return tuple((name, union) for name in full) + tuple(
        (name, np.asarray(union.any(keepdims=True))) for name in single
    )


@implied.register
def _(node: ir.Concat, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    """A part of which the result keeps anything keeps the same; the others may hold what they want."""
    parts = _parts(node, graph, keep)
    both = [(name, marks | keep[name] if marks.any() else marks) for name, marks in parts]
    return ((node.name, np.concatenate([marks for _, marks in both])), *both)


def kept_parts(node: ir.Concat, graph: ir.QuantizedGraph, keep: Keep) -> tuple[str, ...]:
    """The inputs of which the result keeps anything, in order."""
    return tuple(name for name, marks in _parts(node, graph, keep) if marks.any())


def _parts(node: ir.Concat, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    edges = np.cumsum([channels(graph, name) for name in node.inputs])[:-1]
    return tuple(zip(node.inputs, np.split(keep[node.name], edges), strict=True))


@implied.register(ir.Flatten)
@implied.register(ir.Reshape)
def _(node: ir.Flatten | ir.Reshape, graph: ir.QuantizedGraph, keep: Keep) -> Marks:
    """The narrower of the two channel axes recurs in the wider one: all its copies are kept or none is."""
    narrow, wide = sorted((node.inputs[0], node.name), key=lambda name: keep[name].size)
    width = keep[narrow].size
    if keep[wide].size % width:
        return tuple((name, np.ones_like(keep[name])) for name in (narrow, wide))
    both = keep[narrow] | keep[wide].reshape(-1, width).any(axis=0)
    return ((narrow, both), (wide, np.tile(both, keep[wide].size // width)))
