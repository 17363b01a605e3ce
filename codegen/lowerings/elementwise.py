"""Sum and product of two tensors: ``mcp_elementwise``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Add, Mul


@lower.register(Add)
@lower.register(Mul)
def _(node: Add | Mul, operation: Operation) -> tuple[KernelCall, ...]:
    struct = Struct("mcp_elementwise", asdict(operation.parameters))
    return (KernelCall(struct, (*operation.inputs, operation.output)),)
