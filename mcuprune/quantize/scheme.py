"""The integer parameters of every operator: computed here, used everywhere, recomputed nowhere.

:func:`integer_parameters` turns a node of a :class:`QuantizedGraph` into the numbers its kernel works with:
:mod:`mcuprune.quantize.run_int8` executes them and the code generator prints them.

Scales are float32 values, as a .tflite file stores them, and are combined in double precision.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape, arithmetic, elements, in_bytes, op_shape
from mcuprune.quantize import (  # noqa: F401  (each registers its operators)
    elementwise,
    movement,
    recurrent,
    reduce,
)
from mcuprune.quantize.arithmetic import quantize_multiplier
from mcuprune.quantize.dispatch import integer_parameters
from mcuprune.quantize.log_softmax import SOFTMAX_MAX_CHANNELS, softmax_scaling
from mcuprune.quantize.operands import (
    clamp_range,
    ends,
    kept_quantization,
    multipliers,
    quantization_of,
    require_equal_quantization,
    require_s8,
    scales,
    stored_bias,
    stored_weight,
)
from mcuprune.quantize.parameters import (
    ConcatParameters,
    ConcatPart,
    Conv2dParameters,
    CopyParameters,
    FullyConnectedParameters,
    LookupParameters,
    NoParameters,
    PadParameters,
    Pool2dParameters,
    QuantizedParameters,
    SoftmaxParameters,
    StoredParameters,
)
from mcuprune.quantize.tables import LOGISTIC_OUTPUT, TANH_OUTPUT, lookup_table, requantize_table
from mcuprune.quantize.wide import wide_function

__all__ = [
    "FIXED_OUTPUT",
    "SOFTMAX_OUTPUT",
    "integer_parameters",
    "quantize_multiplier",
]

SOFTMAX_OUTPUT = ir.Quantization(1.0 / 256.0, -128)

# For converters: outputs whose quantization TFLM fixes.
FIXED_OUTPUT = MappingProxyType({"softmax": SOFTMAX_OUTPUT, "sigmoid": LOGISTIC_OUTPUT, "tanh": TANH_OUTPUT})


@integer_parameters.register(ir.Input)
def _(node: ir.Input, qgraph: ir.QuantizedGraph) -> NoParameters:
    return NoParameters()


@integer_parameters.register(ir.Flatten)
def _(node: ir.Flatten, qgraph: ir.QuantizedGraph) -> NoParameters:
    if qgraph.quantization[node.inputs[0]] != qgraph.quantization[node.name]:
        require_equal_quantization(node, qgraph)
    return NoParameters()


@integer_parameters.register(ir.Stored)
def _(node: ir.Stored, qgraph: ir.QuantizedGraph) -> StoredParameters:
    values, shape = qgraph.constants[node.constant].values, qgraph.shape(node.name)
    quantization_of(node.name, qgraph)
    if values.dtype != np.int8 or values.shape != shape:
        raise UnsupportedError(f"constant '{node.name}': {values.dtype} {values.shape}, need int8 {shape}")
    return StoredParameters(values)


@integer_parameters.register(ir.Reshape)
def _(node: ir.Reshape, qgraph: ir.QuantizedGraph) -> NoParameters:
    return NoParameters()


@integer_parameters.register(ir.Conv2d)
@integer_parameters.register(ir.DepthwiseConv2d)
def _(node: ir.Conv2d | ir.DepthwiseConv2d, qgraph: ir.QuantizedGraph) -> Conv2dParameters:
    shape = op_shape(node, qgraph.shape)
    source, target, weight_scale = scales(node, qgraph)
    out_c = shape.output[2]
    real = source.scale * np.broadcast_to(weight_scale.astype(np.float64), out_c) / target.scale
    multiplier, shift = multipliers(node, real)
    clamp_min, clamp_max = clamp_range(node.activation, target)
    window = node.window
    return Conv2dParameters(
        *shape.inputs[0],
        *shape.output,
        *window.kernel,
        *window.stride,
        *window.dilation,
        *window.padding[:2],
        input_offset=-source.zero_point,
        output_offset=target.zero_point,
        clamp_min=clamp_min,
        clamp_max=clamp_max,
        weight=stored_weight(node, qgraph, _conv_weight_shape(node, shape)),
        bias=stored_bias(node, qgraph, out_c),
        multiplier=multiplier,
        shift=shift,
    )


@integer_parameters.register(ir.Linear)
def _(node: ir.Linear, qgraph: ir.QuantizedGraph) -> FullyConnectedParameters:
    source, target, weight_scale = scales(node, qgraph)
    if any(len(qgraph.shape(name)) != 1 for name in (node.name, node.inputs[0])):
        raise UnsupportedError(f"layer '{node.name}': a linear layer needs a vector; flatten its input first")
    if node.one_scale and weight_scale.size > 1:
        raise UnsupportedError(f"layer '{node.name}': {weight_scale.size} weight scales, but it says one")
    in_c, out_c = qgraph.shape(node.inputs[0])[0], qgraph.shape(node.name)[0]
    real = source.scale * weight_scale.astype(np.float64) / target.scale
    multiplier, shift = multipliers(node, real)
    clamp_min, clamp_max = clamp_range(node.activation, target)
    return FullyConnectedParameters(
        in_c=in_c,
        out_c=out_c,
        input_offset=-source.zero_point,
        output_offset=target.zero_point,
        clamp_min=clamp_min,
        clamp_max=clamp_max,
        per_channel=weight_scale.size > 1,
        weight=stored_weight(node, qgraph, (out_c, in_c)),
        bias=stored_bias(node, qgraph, out_c),
        multiplier=multiplier,
        shift=shift,
    )


@integer_parameters.register(ir.MaxPool2d)
@integer_parameters.register(ir.AveragePool2d)
def _(node: ir.MaxPool2d | ir.AveragePool2d, qgraph: ir.QuantizedGraph) -> Pool2dParameters:
    require_equal_quantization(node, qgraph)
    if node.window.dilation != (1, 1):
        raise UnsupportedError(f"layer '{node.name}': dilated pooling")
    if any(pad >= size for pad, size in zip(node.window.padding, node.window.kernel * 2, strict=True)):
        raise UnsupportedError(f"layer '{node.name}': a pooling window that lies wholly in the padding")
    shape = op_shape(node, qgraph.shape)
    clamp_min, clamp_max = clamp_range(node.activation, ends(node, qgraph)[1])
    return Pool2dParameters(
        *shape.inputs[0],
        *shape.output[:2],
        *node.window.kernel,
        *node.window.stride,
        *node.window.padding[:2],
        clamp_min=clamp_min,
        clamp_max=clamp_max,
    )


@integer_parameters.register(ir.Concat)
def _(node: ir.Concat, qgraph: ir.QuantizedGraph) -> ConcatParameters:
    """Sizes in bytes."""
    _, target = ends(node, qgraph)
    for name in node.inputs:
        if kept_quantization(node, name, qgraph) != target:
            raise UnsupportedError(
                f"layer '{node.name}': input '{name}' must have the output's scale and zero point"
            )
    shape = in_bytes(op_shape(node, qgraph.shape))
    height, width, out_c = shape.output
    offsets = np.cumsum([0] + [dims[2] for dims in shape.inputs])
    return ConcatParameters(
        tuple(
            ConcatPart(hw=height * width, in_c=dims[2], out_c=out_c, offset=int(offset))
            for dims, offset in zip(shape.inputs, offsets[:-1], strict=True)
        )
    )


@integer_parameters.register(ir.Pad)
def _(node: ir.Pad, qgraph: ir.QuantizedGraph) -> PadParameters:
    """Sizes in bytes; int16 values are padded with zeros only."""
    require_equal_quantization(node, qgraph)
    shape = in_bytes(op_shape(node, qgraph.shape))
    fill = ends(node, qgraph)[1].zero_point if node.fill is None else node.fill
    if fill and arithmetic(node) != "s8":
        raise UnsupportedError(f"layer '{node.name}': int16 values padded with {fill}; only 0 is implemented")
    return PadParameters(*shape.inputs[0], *node.padding, value=fill)


@integer_parameters.register(ir.Activation)
def _(node: ir.Activation, qgraph: ir.QuantizedGraph) -> LookupParameters | QuantizedParameters:
    if arithmetic(node) != "s8":
        return wide_function(node, qgraph)
    names = (node.inputs[0], node.name)
    if node.function == "identity":
        table = requantize_table(node, *(qgraph.quantization[name] for name in names))
    else:
        table = lookup_table(node, *(quantization_of(name, qgraph) for name in names))
    return LookupParameters(elements=elements(op_shape(node, qgraph.shape).output), table=table)


@integer_parameters.register(ir.Copy)
def _(node: ir.Copy, qgraph: ir.QuantizedGraph) -> CopyParameters:
    return CopyParameters(
        bytes=elements(op_shape(node, qgraph.shape).output) * qgraph.element_bytes(node.name)
    )


@integer_parameters.register(ir.State)
def _(node: ir.State, qgraph: ir.QuantizedGraph) -> NoParameters:
    return NoParameters()


@integer_parameters.register(ir.Softmax)
def _(node: ir.Softmax, qgraph: ir.QuantizedGraph) -> SoftmaxParameters:
    require_s8(node)
    if quantization_of(node.name, qgraph) != SOFTMAX_OUTPUT:
        raise UnsupportedError(
            f"layer '{node.name}': the output of a softmax must have scale 1/256, zero point -128"
        )
    height, width, channels = op_shape(node, qgraph.shape).output
    if channels > SOFTMAX_MAX_CHANNELS:
        raise UnsupportedError(
            f"layer '{node.name}': softmax over {channels} > {SOFTMAX_MAX_CHANNELS} channels"
        )
    multiplier, shift, radius = softmax_scaling(
        node, node.gain * quantization_of(node.inputs[0], qgraph).scale
    )
    return SoftmaxParameters(height * width, channels, multiplier, shift, -radius)


def _conv_weight_shape(node: ir.Conv2d | ir.DepthwiseConv2d, shape: OpShape) -> tuple[int, ...]:
    if isinstance(node, ir.Conv2d):
        return (shape.output[2], *node.window.kernel, shape.inputs[0][2])
    if shape.output[2] != shape.inputs[0][2] * node.multiplier:
        raise UnsupportedError(
            f"layer '{node.name}': {shape.output[2]} outputs are not inputs times multiplier"
        )
    return (*node.window.kernel, shape.output[2])
