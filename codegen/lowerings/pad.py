"""Spatial padding: ``mcp_pad``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Pad


@lower.register(Pad)
def _(node: Pad, operation: Operation) -> tuple[KernelCall, ...]:
    struct = Struct("mcp_pad", asdict(operation.parameters))
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
