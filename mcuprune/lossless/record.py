"""What was folded, and why no output byte can change by it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mcuprune.graph import ir

HEAD = ("layer", "op", "channels", "why no output changes")


@dataclass(frozen=True)
class Change:
    """One layer: ``before`` and ``after`` are its channels (0: it is gone), ``reason`` why that is safe."""

    layer: str
    op: str
    before: int
    after: int
    reason: str

    def row(self) -> tuple[str, str, str, str]:
        """Cells under :data:`HEAD`."""
        same = self.before == self.after
        return self.layer, self.op, str(self.after) if same else f"{self.before} -> {self.after}", self.reason


@dataclass(frozen=True)
class Folded:
    """An optimised graph; ``original`` computes the same bytes for every input."""

    graph: ir.QuantizedGraph
    original: ir.QuantizedGraph
    changes: tuple[Change, ...]


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
