"""Mean, sum, largest and smallest value: ``mcp_reduce_mean`` and ``mcp_reduce_extreme``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Reduce
from mcuprune.quantize.parameters import ReduceMeanParameters


@lower.register(Reduce)
def _(node: Reduce, operation: Operation) -> tuple[KernelCall, ...]:
    is_mean = isinstance(operation.parameters, ReduceMeanParameters)
    struct = Struct("mcp_reduce_mean" if is_mean else "mcp_reduce_extreme", asdict(operation.parameters))
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
