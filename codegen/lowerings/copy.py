"""Copies: ``mcp_copied``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Copy


@lower.register(Copy)
def _(node: Copy, operation: Operation) -> tuple[KernelCall, ...]:
    struct = Struct("mcp_copied", asdict(operation.parameters))
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
