"""All passes in turn until nothing changes: the same output bytes for every input, from a smaller network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from mcuprune.graph import ir
from mcuprune.graph.memory import settle
from mcuprune.lossless.absorb import absorb
from mcuprune.lossless.bounds import bounds, constant_channels
from mcuprune.lossless.cut import cut
from mcuprune.lossless.known import channels, readers
from mcuprune.lossless.liveness import Keep, live_channels, needed
from mcuprune.lossless.record import Change, Folded, merged
from mcuprune.lossless.simplify import simplify
from mcuprune.quantize.multipliers import marked


def optimise(graph: ir.QuantizedGraph) -> Folded:
    """``graph`` without constant and dead channels and with neighbours fused, and the record of it.

    Every round removes a node or a channel, or puts a constant into a bias for good, so it ends.  Raises
    UnsupportedError for a layer whose parameters are outside the arithmetic contract.
    """
    folded, changes = graph, []
    while True:
        before = folded
        simpler, found = simplify(before, bounds(before))
        limits = bounds(simpler)
        absorbed = absorb(simpler, limits)
        keep = live_channels(absorbed)
        folded = cut(absorbed, keep)
        changes += [*found, *_removals(absorbed, keep, limits)]
        if not found and absorbed is simpler and _same_size(before, folded):
            return Folded(marked(settle(before)) if changes else graph, graph, merged(changes, graph))


def _same_size(a: ir.QuantizedGraph, b: ir.QuantizedGraph) -> bool:
    return [n.name for n in a.nodes] == [n.name for n in b.nodes] and dict(a.shapes) == dict(b.shapes)


def _removals(graph: ir.QuantizedGraph, keep: Keep, limits: Mapping[str, np.ndarray]) -> Iterator[Change]:
    """What :func:`~mcuprune.lossless.cut.cut` takes away, with the reason by which each channel was dead."""
    alive = needed(graph, keep)
    reading = readers(graph)
    for node in graph.nodes:
        width, op = channels(graph, node.name), type(node).__name__
        if node.name not in alive:
            reason = _reason(np.ones(width, bool), limits[node.name], reading[node.name], graph)
            yield Change(node.name, op, width, 0, reason)
        elif not keep[node.name].all():
            reason = _reason(~keep[node.name], limits[node.name], reading[node.name], graph)
            yield Change(node.name, op, width, int(keep[node.name].sum()), reason)


def _reason(
    removed: np.ndarray, limits: np.ndarray, followers: tuple[ir.Node, ...], graph: ir.QuantizedGraph
) -> str:
    """Constant channels count as such; the others are dead because no weight or no node reads them."""
    constant, _ = constant_channels(limits)
    fixed, dead = int((removed & constant).sum()), int((removed & ~constant).sum())
    parts = []
    if fixed:
        parts.append(f"{fixed} hold one value for every input (carried in biases)")
    if dead:
        parts.append(f"{dead} reach no output (every reader has zero weights or is constant)")
    return "; ".join(parts)
