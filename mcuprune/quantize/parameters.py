"""The integer parameters of each kernel, as frozen records.

They mirror the structs of ``codegen/kernels/mcp_kernels.h`` field by field.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NoParameters:
    """Inputs and flattening: nothing is computed."""


@dataclass(frozen=True, eq=False)
class StoredParameters:
    """The values of a constant tensor."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Conv2dParameters:
    """``mcp_conv2d``: convolution (weight OHWI) and depthwise convolution (weight (kh, kw, out))."""

    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int
    input_offset: int
    output_offset: int
    clamp_min: int
    clamp_max: int
    weight: np.ndarray  # int8
    bias: np.ndarray  # int32 (out_c), zeros where the node has none
    multiplier: np.ndarray  # int32 (out_c)
    shift: np.ndarray  # int8 (out_c)


@dataclass(frozen=True, eq=False)
class FullyConnectedParameters:
    """``mcp_fully_connected``; multiplier and shift have one element unless ``per_channel``."""

    in_c: int
    out_c: int
    input_offset: int
    output_offset: int
    clamp_min: int
    clamp_max: int
    per_channel: bool
    weight: np.ndarray  # int8 (out_c, in_c)
    bias: np.ndarray  # int32 (out_c)
    multiplier: np.ndarray  # int32 (out_c) or (1)
    shift: np.ndarray  # int8 (out_c) or (1)


@dataclass(frozen=True)
class Pool2dParameters:
    """``mcp_pool2d``."""

    in_h: int
    in_w: int
    channels: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    pad_top: int
    pad_left: int
    clamp_min: int
    clamp_max: int


@dataclass(frozen=True)
class Operand:
    """``mcp_operand``: strides are 0 along the axes it is broadcast over."""

    stride_hw: int
    stride_c: int
    offset: int
    multiplier: int = 0
    shift: int = 0


@dataclass(frozen=True)
class ElementwiseParameters:
    """``mcp_elementwise``: an operation on two tensors."""

    hw: int
    channels: int
    a: Operand
    b: Operand
    output_offset: int
    multiplier: int
    shift: int
    clamp_min: int
    clamp_max: int


@dataclass(frozen=True)
class Reduction:
    """``mcp_reduction``: see :class:`mcuprune.graph.axes.Walk`."""

    outer: int
    inner: int
    rows: int
    run: int
    outer_stride: int
    inner_stride: int
    row_stride: int
    run_stride: int


@dataclass(frozen=True)
class ReduceMeanParameters:
    """``mcp_reduce_mean``: mean or sum."""

    walk: Reduction
    bias: int
    multiplier: int
    shift: int
    output_offset: int


@dataclass(frozen=True)
class ReduceExtremeParameters:
    """``mcp_reduce_extreme``: largest or smallest value."""

    walk: Reduction
    smallest: int


@dataclass(frozen=True)
class RearrangeParameters:
    """``mcp_rearrange``."""

    start: int
    count0: int
    count1: int
    count2: int
    count3: int
    stride0: int
    stride1: int
    stride2: int
    stride3: int


@dataclass(frozen=True, eq=False)
class TakeParameters:
    """``mcp_take``."""

    channels: int
    row_stride: int
    out_h: int
    out_w: int
    row: np.ndarray  # int16 (out_h)
    column: np.ndarray  # int16 (out_w)


@dataclass(frozen=True)
class ResizeBilinearParameters:
    """``mcp_resize_bilinear``; steps and halves in 1/1024 of a pixel."""

    channels: int
    step_h: int
    step_w: int
    half_h: int
    half_w: int
    in_h: int
    in_w: int
    out_h: int
    out_w: int


@dataclass(frozen=True)
class ConcatPart:
    """``mcp_concat``: one input of a concatenation."""

    hw: int
    in_c: int
    out_c: int
    offset: int


@dataclass(frozen=True)
class ConcatParameters:
    parts: tuple[ConcatPart, ...]


@dataclass(frozen=True)
class PadParameters:
    """``mcp_pad``."""

    in_h: int
    in_w: int
    channels: int
    pad_top: int
    pad_left: int
    pad_bottom: int
    pad_right: int
    value: int


@dataclass(frozen=True, eq=False)
class LookupParameters:
    """``mcp_lookup``."""

    elements: int
    table: np.ndarray  # int8 (256)


@dataclass(frozen=True)
class QuantizedParameters:
    """``mcp_quantized``."""

    elements: int
    input_offset: int
    output_offset: int
    multiplier: int
    shift: int


@dataclass(frozen=True)
class CopyParameters:
    """``mcp_copied``."""

    bytes: int


@dataclass(frozen=True, eq=False)
class LstmParameters:
    """``mcp_lstm``; the first axis of the arrays is the gate: input, forget, cell, output.

    ``multiplier`` and ``shift`` scale, in this order, the sums over the input for each gate, the sums over
    the hidden state for each gate, forget gate times cell, input gate times cell gate, output gate times
    activated cell.
    """

    steps: int
    in_c: int
    units: int
    weight: np.ndarray  # int8 (4, units, in_c)
    recurrent: np.ndarray  # int8 (4, units, units)
    bias: np.ndarray  # int32 (4, units)
    recurrent_bias: np.ndarray  # int32 (4, units)
    multiplier: np.ndarray  # int32 (11)
    shift: np.ndarray  # int8 (11)
    output_offset: int
    cell_clip: int
    tanh_multiplier: int
    tanh_shift: int


@dataclass(frozen=True, eq=False)
class SvdfParameters:
    """``mcp_svdf``; ``weight`` with the input offset folded into ``feature_bias``."""

    in_c: int
    units: int
    rank: int
    memory: int
    weight: np.ndarray  # int8 (filters, in_c)
    feature_bias: np.ndarray  # int32 (filters)
    time: np.ndarray  # int8 or int16 (filters, memory)
    bias: np.ndarray  # int32 (units)
    feature_multiplier: int
    feature_shift: int
    multiplier: int
    shift: int
    output_offset: int


@dataclass(frozen=True)
class SoftmaxParameters:
    """``mcp_softmax``."""

    rows: int
    channels: int
    multiplier: int
    shift: int
    diff_min: int


@dataclass(frozen=True)
class LogSoftmaxParameters:
    """``mcp_log_softmax``."""

    rows: int
    channels: int
    multiplier: int
    shift: int
    reverse_multiplier: int
    reverse_shift: int
    diff_min: int


Parameters = (
    NoParameters
    | StoredParameters
    | Conv2dParameters
    | FullyConnectedParameters
    | Pool2dParameters
    | ElementwiseParameters
    | ReduceMeanParameters
    | RearrangeParameters
    | TakeParameters
    | ResizeBilinearParameters
    | ReduceExtremeParameters
    | ConcatParameters
    | PadParameters
    | LookupParameters
    | QuantizedParameters
    | CopyParameters
    | LstmParameters
    | SvdfParameters
    | SoftmaxParameters
    | LogSoftmaxParameters
)
