"""Operators that move or interpolate elements: ``mcp_rearrange``, ``mcp_take``, ``mcp_resize_bilinear``."""

from __future__ import annotations

from dataclasses import asdict

from mcuprune.codegen.c_text import dims
from mcuprune.codegen.lowering import Array, KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Rearrange, ResizeBilinear, Take
from mcuprune.quantize.parameters import TakeParameters


@lower.register(Rearrange)
@lower.register(ResizeBilinear)
def _(node: Rearrange | ResizeBilinear, operation: Operation) -> tuple[KernelCall, ...]:
    kind = "mcp_rearrange" if isinstance(node, Rearrange) else "mcp_resize_bilinear"
    return (KernelCall(Struct(kind, asdict(operation.parameters)), (operation.inputs[0], operation.output)),)


@lower.register(Take)
def _(node: Take, operation: Operation) -> tuple[KernelCall, ...]:
    p: TakeParameters = operation.parameters
    fields = {
        "channels": p.channels,
        "row_stride": p.row_stride,
        "out_h": p.out_h,
        "out_w": p.out_w,
        "row": Array("row", p.row, f"{dims(p.row.shape)} (out_h)"),
        "column": Array("column", p.column, f"{dims(p.column.shape)} (out_w)"),
    }
    return (KernelCall(Struct("mcp_take", fields), (operation.inputs[0], operation.output)),)
