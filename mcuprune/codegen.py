"""The one door to the code generator, whose modules lie in the top-level folder ``codegen``.

``mcuprune.codegen.<module>`` imports from that folder, in a checkout and installed alike.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from mcuprune import share
from mcuprune.board import Board
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.plan.ir import Plan

__path__ = [str(share.folder("codegen"))]


def emit(graph: QuantizedGraph, plan: Plan, board: Board) -> Mapping[str, str]:
    """The C package of a model: relative path -> text, the same bytes for the same arguments.

    Raises UnsupportedError for a node class or arithmetic without a lowering.
    """
    sources: Mapping[str, str] = importlib.import_module("mcuprune.codegen.lower").emit(graph, plan, board)
    return sources
