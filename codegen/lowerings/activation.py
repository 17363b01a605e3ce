"""Functions of one value: a table of 256 results, ``mcp_lookup``, or arithmetic on int16 values."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from mcuprune.codegen.lowering import Array, KernelCall, Operation, Struct, lower, pointers
from mcuprune.graph.ir import Activation
from mcuprune.quantize.parameters import LookupParameters, QuantizedParameters


@lower.register(Activation)
def _(node: Activation, operation: Operation) -> tuple[KernelCall, ...]:
    p: LookupParameters | QuantizedParameters = operation.parameters
    if isinstance(p, QuantizedParameters):
        (source,), output = pointers(operation)
        return (KernelCall(Struct("mcp_quantized", asdict(p)), (source, output)),)
    table = Array("table", p.table.astype(np.int8), f"(256), {node.function} of -128..127")
    struct = Struct("mcp_lookup", {"elements": p.elements, "table": table})
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
