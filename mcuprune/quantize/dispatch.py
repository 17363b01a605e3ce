"""The two functions that every operator of the integer arithmetic registers with."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from mcuprune.graph import ir


@singledispatch
def integer_parameters(node: ir.Node, qgraph: ir.QuantizedGraph) -> Any:
    """The integer parameters of one node, a record of :mod:`mcuprune.quantize.parameters`.

    Raises :class:`UnsupportedError` naming the layer for node classes, quantizations and sizes outside the
    arithmetic contract (docs/explain/quantization.md).
    """
    raise ir.unsupported(node, "integer arithmetic")


@singledispatch
def advance(node: ir.Node, parameters: Any, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """One sample through a node that changes states: its output, then the states as it leaves them."""
    raise ir.unsupported(node, "the integer interpreter")


@singledispatch
def evaluate(node: ir.Node, parameters: Any, *inputs: np.ndarray) -> np.ndarray:
    """One node on a batch: ``(N, *shape)`` each, ``(N, ...)`` out, in the types of the tensors."""
    raise ir.unsupported(node, "the integer interpreter")
