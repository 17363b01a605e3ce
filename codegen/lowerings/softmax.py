"""Softmax over the channels: ``mcp_softmax``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Softmax


@lower.register(Softmax)
def _(node: Softmax, operation: Operation) -> tuple[KernelCall, ...]:
    struct = Struct("mcp_softmax", asdict(operation.parameters))
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
