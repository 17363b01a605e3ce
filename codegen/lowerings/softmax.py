"""Softmax over the channels and its logarithm: ``mcp_softmax``, ``mcp_log_softmax``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import LogSoftmax, Softmax


@lower.register(Softmax)
@lower.register(LogSoftmax)
def _(node: Softmax | LogSoftmax, operation: Operation) -> tuple[KernelCall, ...]:
    kind = "mcp_softmax" if isinstance(node, Softmax) else "mcp_log_softmax"
    struct = Struct(kind, asdict(operation.parameters))
    return (KernelCall(struct, (operation.inputs[0], operation.output)),)
