"""Convolutions, ordinary and depthwise: ``mcp_conv2d``."""

from __future__ import annotations

from mcuprune.codegen.lowering import KernelCall, Operation, Struct, lower, pointers
from mcuprune.codegen.lowerings.weights import channel_arrays
from mcuprune.graph.ir import Conv2d, DepthwiseConv2d
from mcuprune.quantize.parameters import Conv2dParameters


@lower.register(Conv2d)
def _(node: Conv2d, operation: Operation) -> tuple[KernelCall, ...]:
    return _call(operation, "(out_c, kernel_h, kernel_w, in_c)", reduced=(1, 2, 3))


@lower.register(DepthwiseConv2d)
def _(node: DepthwiseConv2d, operation: Operation) -> tuple[KernelCall, ...]:
    return _call(operation, "(kernel_h, kernel_w, out_c)", reduced=(0, 1))


def _call(operation: Operation, axes: str, reduced: tuple[int, ...]) -> tuple[KernelCall, ...]:
    p: Conv2dParameters = operation.parameters
    fields = {
        "in_h": p.in_h,
        "in_w": p.in_w,
        "in_c": p.in_c,
        "out_h": p.out_h,
        "out_w": p.out_w,
        "out_c": p.out_c,
        "kernel_h": p.kernel_h,
        "kernel_w": p.kernel_w,
        "stride_h": p.stride_h,
        "stride_w": p.stride_w,
        "dilation_h": p.dilation_h,
        "dilation_w": p.dilation_w,
        "pad_top": p.pad_top,
        "pad_left": p.pad_left,
        "input_offset": p.input_offset,
        "output_offset": p.output_offset,
        "clamp_min": p.clamp_min,
        "clamp_max": p.clamp_max,
        **channel_arrays(operation, axes, reduced),
    }
    (source,), output = pointers(operation)
    arguments = (source, output, operation.scratch)
    return (KernelCall(Struct("mcp_conv2d", fields), arguments),)
