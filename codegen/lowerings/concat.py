"""Concatenation: one ``mcp_concat`` per input."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Concat


@lower.register(Concat)
def _(node: Concat, operation: Operation) -> tuple[KernelCall, ...]:
    return tuple(
        KernelCall(Struct("mcp_concat", asdict(part), f"input{index}"), (source, operation.output))
        for index, (part, source) in enumerate(zip(operation.parameters.parts, operation.inputs, strict=True))
    )
