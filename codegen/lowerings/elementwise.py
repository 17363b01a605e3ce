"""Operations on two tensors: ``mcp_elementwise``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower, pointers
from mcuprune.graph.ir import ELEMENTWISE, Node


def _elementwise(node: Node, operation: Operation) -> tuple[KernelCall, ...]:
    struct = Struct("mcp_elementwise", asdict(operation.parameters))
    sources, output = pointers(operation)
    return (KernelCall(struct, (*sources, output)),)


for _kind in ELEMENTWISE:
    lower.register(_kind, _elementwise)
