"""Linear layers: ``mcp_fully_connected``."""

from __future__ import annotations

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower, pointers
from mcuprune.codegen.lowerings.weights import channel_arrays
from mcuprune.graph.ir import Linear
from mcuprune.quantize.parameters import FullyConnectedParameters


@lower.register(Linear)
def _(node: Linear, operation: Operation) -> tuple[KernelCall, ...]:
    p: FullyConnectedParameters = operation.parameters
    fields = {
        "in_c": p.in_c,
        "out_c": p.out_c,
        "input_offset": p.input_offset,
        "output_offset": p.output_offset,
        "clamp_min": p.clamp_min,
        "clamp_max": p.clamp_max,
        "per_channel": int(p.per_channel),
        **channel_arrays(operation, "(out_c, in_c)", reduced=(1,)),
    }
    (source,), output = pointers(operation)
    arguments = (source, output, operation.scratch)
    return (KernelCall(Struct("mcp_fully_connected", fields), arguments),)
