"""The reset function: what every state holds before the first run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcuprune.codegen.lowering import Array, Struct
from mcuprune.graph.ir import QuantizedGraph, State
from mcuprune.plan.ir import Plan
from mcuprune.resources.flash import is_uniform


@dataclass(frozen=True)
class FirstValue:
    """``bytes`` at ``offset`` of the state memory: all of them ``fill``, or else those of ``array``."""

    state: str
    offset: int
    bytes: int
    fill: int
    array: Array | None

    @property
    def struct(self) -> Struct:
        """What the copy of ``array`` is called with."""
        return Struct("mcp_copied", {"bytes": self.bytes}, "first")


def first_values(graph: QuantizedGraph, plan: Plan) -> tuple[FirstValue, ...]:
    found = []
    for node in graph.nodes:
        if isinstance(node, State):
            values = graph.constants[node.initial].values.reshape(-1)
            stored = values.astype(values.dtype.newbyteorder("<")).view(np.int8)
            array = (
                None
                if is_uniform(stored)
                else Array("first", stored, f"({stored.size}) bytes of the first value")
            )
            offset = plan.state_offsets[node.name]
            found.append(FirstValue(node.name, offset, stored.size, int(stored[0]), array))
    return tuple(found)
