"""Maximum and average pooling: ``mcp_pool2d``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower, pointers
from mcuprune.graph.ir import AveragePool2d, MaxPool2d


@lower.register(MaxPool2d)
@lower.register(AveragePool2d)
def _(node: MaxPool2d | AveragePool2d, operation: Operation) -> tuple[KernelCall, ...]:
    struct = Struct("mcp_pool2d", asdict(operation.parameters))
    (source,), output = pointers(operation)
    return (KernelCall(struct, (source, output)),)
