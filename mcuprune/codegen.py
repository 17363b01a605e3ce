"""The one door to the code generator, whose modules lie in the top-level folder ``codegen``.

``mcuprune.codegen.<module>`` imports from that folder, in a checkout and installed alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from mcuprune import share
from mcuprune.board import Board
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.plan.ir import Plan

__path__ = [str(share.folder("codegen"))]


@dataclass(frozen=True)
class Layer:
    """One step of the generated run function: the node, the kernel, and the bytes of the node's output."""

    node: str
    kernel: str
    bytes: int


@dataclass(frozen=True)
class ConstantData:
    """A constant as the linked image of a 32-bit little-endian core holds it.

    ``pointers`` maps byte offsets, where ``data`` has four zeros, to the symbol whose address stands there.
    """

    data: bytes
    pointers: Mapping[int, str]


@dataclass(frozen=True)
class Sources:
    """A generated package.

    name        of the model as a C identifier: ``include/<name>.h``, ``<name>_run``
    files       relative path -> text
    constants   C symbol -> bytes, of every constant that holds no pointer
    structs     C symbol -> contents, of every constant that holds pointers
    layers      in the order in which they run, which is the order of ``MCP_LAYER_DONE``
    """

    name: str
    files: Mapping[str, str]
    constants: Mapping[str, bytes]
    structs: Mapping[str, ConstantData]
    layers: tuple[Layer, ...]

    @property
    def constant_bytes(self) -> int:
        """Bytes of flash that the constants take: each starts on a multiple of 4."""
        sizes = [len(data) for data in self.constants.values()]
        sizes += [len(struct.data) for struct in self.structs.values()]
        return sum(-(-size // 4) * 4 for size in sizes)


@dataclass(frozen=True)
class Picked:
    """Which of the data's ``of`` channels or columns (``axis``) a model's input holds, in this order."""

    axis: str
    kept: tuple[int, ...]
    of: int

    @property
    def words(self) -> str:
        return f"{self.axis} {', '.join(map(str, self.kept))} of the {self.of} of the data"


def emit(graph: QuantizedGraph, plan: Plan, board: Board, picked: Picked | None = None) -> Sources:
    """The C package of a model, the same bytes for the same arguments.

    ``picked`` is said in the header.

    Raises UnsupportedError for a node class or arithmetic without a lowering, and for a network with several
    inputs or outputs.
    """
    sources: Sources = importlib.import_module("mcuprune.codegen.lower").emit(graph, plan, board, picked)
    return sources
