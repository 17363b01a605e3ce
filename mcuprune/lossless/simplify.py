"""Rewritings of single nodes and of neighbours that compute the same bytes with less.

Each rule looks for the first place where it applies and returns the changed graph with a record, or None.
Outputs of the network and new values of its states keep their names and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.lossless.known import BINARY, WEIGHTED, WINDOWED, channels, known, pinned, readers, with_nodes
from mcuprune.lossless.record import Change
from mcuprune.lossless.tables import clamped, lookup, passes, reachable
from mcuprune.quantize.operands import clamp_range, quantization_of

Limits = Mapping[str, np.ndarray]
Step = tuple[ir.QuantizedGraph, Change] | None
FUSES = (*WEIGHTED, *WINDOWED, *BINARY)


def drop_identity(graph: ir.QuantizedGraph, limits: Limits) -> Step:
    """A node that hands on one of its inputs: its readers read that input."""
    for node in graph.nodes:
        if node.name in pinned(graph) or not known(node, graph):
            continue
        source = passes(node, graph, limits)
        if source is None or not _same_kind(source, node.name, graph):
            continue
        reason = f"hands on '{source}' unchanged"
        return _without(node, source, graph), _gone(node, graph, reason)
    return None


def fuse_pad(graph: ir.QuantizedGraph, limits: Limits) -> Step:
    """A pad with the zero point becomes the window's own padding of the convolutions that read it."""
    reading = readers(graph)
    for node in graph.nodes:
        if not isinstance(node, ir.Pad) or not known(node, graph) or node.name in pinned(graph):
            continue
        (source,) = node.inputs
        followers = reading[node.name]
        if not followers or not _same_quantization(source, node.name, graph):
            continue
        if all(_takes_padding(follower, node.padding, graph) for follower in followers):
            nodes = tuple(
                _padded(other, source, node.padding) if other in followers else other
                for other in graph.nodes
                if other is not node
            )
            names = ", ".join(follower.name for follower in followers)
            return with_nodes(graph, nodes), _gone(
                node, graph, f"pads with the zero point, as '{names}' does itself"
            )
    return None


def _takes_padding(node: ir.Node, padding: tuple[int, ...], graph: ir.QuantizedGraph) -> bool:
    """Padding stays within the window's reach, so that every window sees some of the input."""
    if not isinstance(node, ir.Conv2d | ir.DepthwiseConv2d) or not known(node, graph):
        return False
    window = node.window
    reach = [(k - 1) * d for k, d in zip(window.kernel, window.dilation, strict=True)] * 2
    total = (own + more for own, more in zip(window.padding, padding, strict=True))
    return all(amount <= limit for amount, limit in zip(total, reach, strict=True))


def _padded(node: ir.Node, source: str, padding: tuple[int, int, int, int]) -> ir.Node:
    assert isinstance(node, ir.Conv2d | ir.DepthwiseConv2d)
    own = node.window.padding
    total = (own[0] + padding[0], own[1] + padding[1], own[2] + padding[2], own[3] + padding[3])
    return replace(node, inputs=(source,), window=replace(node.window, padding=total))


def fuse_activation(graph: ir.QuantizedGraph, limits: Limits) -> Step:
    """An activation that only clamps becomes the fused activation of the node before it."""
    reading, by_name = readers(graph), {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if not isinstance(node, ir.Activation) or not known(node, graph):
            continue
        before = by_name[node.inputs[0]]
        alone = len(reading[before.name]) == 1 and before.name not in pinned(graph)
        if not isinstance(before, FUSES) or not known(before, graph) or not alone:
            continue
        if not _same_quantization(before.name, node.name, graph):
            continue
        wanted = lookup(node, graph)[clamped(before.activation, before.name, graph) + 128]
        for choice in ir.CLAMPS:
            if np.array_equal(clamped(choice, node.name, graph), wanted):
                name = node.name if node.name in pinned(graph) else before.name
                fused = replace(before, name=name, activation=choice)
                reason = f"equals a clamp of '{before.name}' at all 256 values"
                return _fused(graph, before, node, fused), _gone(node, graph, reason)
    return None


def _fused(graph: ir.QuantizedGraph, before: ir.Node, node: ir.Node, fused: ir.Node) -> ir.QuantizedGraph:
    """``fused`` instead of ``before`` and its only reader ``node``."""
    nodes = tuple(fused if other is before else other for other in graph.nodes if other is not node)
    return with_nodes(graph, tuple(_renamed(other, node.name, fused.name) for other in nodes))


def merge_lookups(graph: ir.QuantizedGraph, limits: Limits) -> Step:
    """Two activations in a row become one where one of the two, across both, has the composed table."""
    reading, by_name = readers(graph), {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        if not isinstance(node, ir.Activation) or not known(node, graph):
            continue
        before = by_name[node.inputs[0]]
        alone = len(reading[before.name]) == 1 and before.name not in pinned(graph)
        if not isinstance(before, ir.Activation) or not known(before, graph) or not alone:
            continue
        composed = lookup(node, graph)[lookup(before, graph).astype(np.int64) + 128]
        seen = reachable(limits[before.inputs[0]])
        for candidate in (replace(node, inputs=before.inputs), replace(before, name=node.name)):
            table = _table_or_none(candidate, graph)
            if table is not None and np.array_equal(table[seen], composed[seen]):
                nodes = tuple(candidate if o is node else o for o in graph.nodes if o is not before)
                reason = f"with '{node.name}' it is one table of the same values"
                return with_nodes(graph, nodes), _gone(before, graph, reason)
    return None


def _table_or_none(node: ir.Activation, graph: ir.QuantizedGraph) -> np.ndarray | None:
    """The table, or None where the function does not exist between these quantizations."""
    try:
        return lookup(node, graph)
    except UnsupportedError:
        return None


def drop_clamp(graph: ir.QuantizedGraph, limits: Limits) -> Step:
    """A fused activation that never clips: the bounds stay clear of it."""
    for node in graph.nodes:
        if not isinstance(node, FUSES) or node.activation is None or not known(node, graph):
            continue
        low, high = clamp_range(node.activation, quantization_of(node.name, graph))
        found = limits[node.name]
        if (low, high) == (-128, 127):
            continue
        if (low == -128 or found[0].min() > low) and (high == 127 or found[1].max() < high):
            nodes = tuple(replace(node, activation=None) if other is node else other for other in graph.nodes)
            width = channels(graph, node.name)
            reason = f"{node.activation} never clips: values lie within {found[0].min()}..{found[1].max()}"
            return with_nodes(graph, nodes), Change(node.name, type(node).__name__, width, width, reason)
    return None


# A fused activation gives a tensor's name to other values: rules that look at bounds come before it.
RULES = (drop_identity, merge_lookups, drop_clamp, fuse_pad, fuse_activation)


def simplify(graph: ir.QuantizedGraph, limits: Limits) -> tuple[ir.QuantizedGraph, tuple[Change, ...]]:
    """Every rule wherever it applies; ``limits`` are the bounds of ``graph``, and not of the result."""
    changes: list[Change] = []
    for rule in RULES:
        while (step := rule(graph, limits)) is not None:
            graph, change = step
            changes.append(change)
    return graph, tuple(changes)


def _same_quantization(a: str, b: str, graph: ir.QuantizedGraph) -> bool:
    return graph.quantization[a] == graph.quantization[b]


def _same_kind(a: str, b: str, graph: ir.QuantizedGraph) -> bool:
    return _same_quantization(a, b, graph) and graph.shape(a) == graph.shape(b)


def _without(node: ir.Node, source: str, graph: ir.QuantizedGraph) -> ir.QuantizedGraph:
    nodes = (_renamed(other, node.name, source) for other in graph.nodes if other is not node)
    return with_nodes(graph, tuple(nodes))


def _renamed(node: ir.Node, old: str, new: str) -> ir.Node:
    """``node`` reading ``new`` wherever it read ``old``."""
    if old not in node.inputs:
        return node
    return replace(node, inputs=tuple(new if name == old else name for name in node.inputs))


def _gone(node: ir.Node, graph: ir.QuantizedGraph, reason: str) -> Change:
    return Change(node.name, type(node).__name__, channels(graph, node.name), 0, reason)
