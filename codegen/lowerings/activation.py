"""Functions of one value: a table of 256 results, ``mcp_lookup``."""

from __future__ import annotations

import numpy as np

from mcuprune.codegen.lowering import Array, KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Activation
from mcuprune.quantize.parameters import LookupParameters


@lower.register(Activation)
def _(node: Activation, operation: Operation) -> tuple[KernelCall, ...]:
    p: LookupParameters = operation.parameters
    table = Array("table", p.table.astype(np.int8), f"(256), {node.function} of -128..127")
    struct = Struct("mcp_lookup", {"elements": p.elements, "table": table})
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
