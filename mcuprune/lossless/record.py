"""What was folded, and why no output byte can change by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcuprune.graph import ir


@dataclass(frozen=True)
class Change:
    """One layer: ``before`` and ``after`` are its channels (0: it is gone), ``reason`` why that is safe."""

    layer: str
    op: str
    before: int
    after: int
    reason: str


@dataclass(frozen=True)
class Folded:
    """An optimised graph; ``original`` computes the same bytes for every input."""

    graph: ir.QuantizedGraph
    original: ir.QuantizedGraph
    changes: tuple[Change, ...]

    def rows(self) -> tuple[tuple[str, str, str, str], ...]:
        """Layer, operator, channels before and after, reason."""
        return tuple((c.layer, c.op, _channels(c), c.reason) for c in self.changes)


HEAD = ("layer", "op", "channels", "why no output changes")


def _channels(change: Change) -> str:
    return str(change.before) if change.before == change.after else f"{change.before} -> {change.after}"


def merged(changes: Iterable[Change], graph: ir.QuantizedGraph) -> tuple[Change, ...]:
    """One entry a layer, in the order of ``graph``'s nodes: its reasons joined, equal ones only once."""
    found: dict[str, Change] = {}
    for change in changes:
        old = found.get(change.layer)
        if old is None:
            found[change.layer] = change
        else:
            reason = old.reason if change.reason in old.reason else f"{old.reason}; {change.reason}"
            found[change.layer] = replace(old, after=change.after, reason=reason)
    order = {node.name: position for position, node in enumerate(graph.nodes)}
    return tuple(sorted(found.values(), key=lambda change: order.get(change.layer, len(order))))
