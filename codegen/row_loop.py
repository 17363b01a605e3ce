"""The rows of a :class:`~mcuprune.plan.ir.RowLoop` as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mcuprune.codegen.c_text import comment
from mcuprune.codegen.lowering import Operation
from mcuprune.codegen.render import RowText
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.graph.op_shape import op_shape
from mcuprune.kernels import catalogue
from mcuprune.plan.ir import RowLoop, RowStep
from mcuprune.plan.rows import row_node, row_shape
from mcuprune.quantize.scheme import integer_parameters


def row_text(
    step: RowStep, loop: RowLoop, graph: QuantizedGraph, calls: Callable[[Operation], tuple[str, ...]]
) -> RowText:
    """``calls`` turns an operation into its C calls."""
    last = step.delay + step.period * (step.rows + step.below - 1)
    number = "tick" if not step.delay else f"(tick - {step.delay})"
    if step.period > 1:
        number = f"({number} >> {step.period.bit_length() - 1})"
    row = "row" if step.kept else f"output + {step.row_bytes} * {number}"
    if step.kernel:
        lines = calls(_row_operation(step, loop, graph, row))
    else:
        lines = (f"mcp_copy_row(row, input + {step.row_bytes} * {number}, {step.row_bytes});",)
    return RowText(
        title=comment(step.node),
        due=f"mcp_row_due(tick, {step.delay}, {step.period}, {last})",
        buffer=step.buffer,
        kept=step.kept,
        row_bytes=step.row_bytes,
        zero_point=graph.quantization[step.node].zero_point,
        row=row,
        calls=lines,
        padding_from=step.delay + step.period * step.rows if step.below else None,
    )


def _row_operation(step: RowStep, loop: RowLoop, graph: QuantizedGraph, row: str) -> Operation:
    """The layer on one row: a network of its own, whose input is as high as the window."""
    node = next(node for node in graph.nodes if node.name == step.node)
    shape = row_shape(op_shape(node, graph.shape))
    shapes = dict(zip(node.inputs, shape.inputs, strict=True)) | {node.name: shape.output}
    buffers = {other.node: other for other in loop.steps}
    places = [
        buffers[name].buffer + slot * buffers[name].row_bytes
        for name, slot in zip(node.inputs, step.slots, strict=True)
    ]
    scratch = f"memory + {loop.kernel_scratch}" if loop.scratch_bytes > loop.kernel_scratch else "NULL"
    return Operation(
        node=row_node(node),
        kernel=catalogue.kernel(step.kernel),
        parameters=integer_parameters(row_node(node), replace(graph, shapes=shapes)),
        inputs=tuple(f"memory + {place}" for place in places),
        output=row,
        scratch=scratch,
    )
