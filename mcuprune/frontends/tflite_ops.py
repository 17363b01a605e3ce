"""TFLite operators as nodes: one small function each, listed in :data:`OPERATORS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UsageError
from mcuprune.frontends.tflite_arithmetic import ARITHMETIC, elementwise
from mcuprune.frontends.tflite_axes import integers
from mcuprune.frontends.tflite_groups import Weights, grouped_convolution
from mcuprune.frontends.tflite_movement import MOVEMENT
from mcuprune.frontends.tflite_reader import FloatChain, PendingPad, TfliteReader
from mcuprune.frontends.tflite_recurrent import RECURRENT_OPERATORS
from mcuprune.frontends.tflite_states import STATE_OPERATORS
from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE

Operator = Callable[[TfliteReader, schema.OperatorT], None]

_SIXTH = float(np.float32(1.0 / 6.0))
_NO_PADDING = (0, 0, 0, 0)
_WIDE_FUNCTIONS = ("sigmoid", "tanh")
_SIGNED = ("int8", "int16")


def _result(reader: TfliteReader, operator: schema.OperatorT) -> tuple[str, int]:
    index = int(operator.outputs[0])
    return reader.names[index], index


def _convolution(reader: TfliteReader, operator: schema.OperatorT) -> None:
    name, index = _result(reader, operator)
    key, values, scale = reader.weight(operator, axis=0)
    source, window = _window(reader, operator, values.shape[1:3])
    arithmetic, bias = _sums(reader, operator, source)
    clamp = reader.fused(operator)
    scale = np.array(np.broadcast_to(scale, values.shape[0]))
    if values.shape[3] != reader.shapes[source][-1]:
        if arithmetic != "s8":
            raise reader.refuse(operator, "groups of channels on int16 activations")
        groups = _groups(reader, operator, source, values.shape)
        grouped_convolution(reader, index, source, groups, Weights(key, values, scale, bias), window, clamp)
        return
    reader.constants[key] = ir.Constant(values, scale)
    reader.define(ir.Conv2d(name, (source,), key, bias, window, clamp, arithmetic), index)


def _sums(reader: TfliteReader, operator: schema.OperatorT, source: str) -> tuple[str, str | None]:
    """Arithmetic and bias of a layer of weights; TFLM sums int16 activations up in 64 bits, biases too."""
    arithmetic = reader.arithmetic(source)
    return arithmetic, reader.bias(operator, dtype="int64" if arithmetic == WIDE else "int32")


def _groups(reader: TfliteReader, operator: schema.OperatorT, source: str, weights: tuple[int, ...]) -> int:
    """How many parts the channels of a convolution fall into, each with filters of its own."""
    channels = reader.shapes[source][-1]
    groups, rest = divmod(channels, weights[3])
    if rest or groups == 0 or weights[0] % groups:
        raise reader.refuse(operator, f"weights {weights} for {channels} channels")
    return groups


def _depthwise(reader: TfliteReader, operator: schema.OperatorT) -> None:
    name, index = _result(reader, operator)
    key, values, scale = reader.weight(operator, axis=3)
    source, window = _window(reader, operator, values.shape[1:3])
    reader.constants[key] = ir.Constant(values[0], np.array(np.broadcast_to(scale, values.shape[3])))
    arithmetic, bias = _sums(reader, operator, source)
    multiplier, clamp = values.shape[3] // reader.shapes[source][-1], reader.fused(operator)
    node = ir.DepthwiseConv2d(name, (source,), key, bias, window, multiplier, clamp, arithmetic)
    reader.define(node, index)


def _fully_connected(reader: TfliteReader, operator: schema.OperatorT) -> None:
    name, index = _result(reader, operator)
    if operator.builtinOptions.weightsFormat != schema.FullyConnectedOptionsWeightsFormat.DEFAULT:
        raise reader.refuse(operator, "shuffled weights")
    key, values, scale = reader.weight(operator, axis=0)
    if values.ndim != 2:
        raise reader.refuse(operator, f"weights of shape {values.shape}")
    source = reader.source(operator, types=_SIGNED)
    (out_c, in_c), size = values.shape, math.prod(reader.shapes[source])
    rows, rest = divmod(size, in_c)
    if rest:
        raise reader.refuse(operator, f"{size} input elements are no rows of {in_c}")
    arithmetic, bias = _sums(reader, operator, source)
    clamp = reader.fused(operator)
    if rows == 1:
        reader.constants[key] = ir.Constant(values, scale)
        source = reader.view(source, (in_c,))
        one_scale = scale is not None and scale.size == 1 < out_c
        linear = ir.Linear(name, (source,), key, bias, clamp, arithmetic, one_scale)
        reader.define(linear, index, (out_c,))
        return
    key = f"{key}/rows"  # the same weights can serve a single row elsewhere
    reader.constants[key] = ir.Constant(
        values.reshape(out_c, 1, 1, in_c), np.array(np.broadcast_to(scale, out_c))
    )
    image, window = reader.view(source, (rows, 1, in_c)), ir.Window((1, 1))
    node = ir.Conv2d(name, (image,), key, bias, window, clamp, arithmetic)
    reader.define(node, index, (rows, 1, out_c))


def _pool(kind: type[ir.MaxPool2d] | type[ir.AveragePool2d]) -> Operator:
    def convert(reader: TfliteReader, operator: schema.OperatorT) -> None:
        name, index = _result(reader, operator)
        options = operator.builtinOptions
        source, window = _window(reader, operator, (options.filterHeight, options.filterWidth))
        node = kind(name, (source,), window, reader.fused(operator), reader.arithmetic(source))
        reader.define(node, index)

    return convert


def _window(
    reader: TfliteReader, operator: schema.OperatorT, kernel: tuple[int, ...]
) -> tuple[str, ir.Window]:
    """Input node and window; an explicit PAD just before becomes the window's own padding."""
    options = operator.builtinOptions
    pending = reader.pads.get(int(operator.inputs[0]))
    source = pending.source if pending else reader.image(operator, types=_SIGNED)
    stride = (options.strideH, options.strideW)
    dilation = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    if min(*kernel, *stride, *dilation) < 1:
        raise UsageError(
            f"{reader.operator_name(operator)} '{_result(reader, operator)[0]}': impossible window"
        )
    size = reader.shapes[source][:2]
    padding = pending.padding if pending else _NO_PADDING
    if options.padding == schema.Padding.SAME:
        ends = [_same(size[i], kernel[i], stride[i], dilation[i]) for i in (0, 1)]
        padding = (ends[0][0], ends[1][0], ends[0][1], ends[1][1])
    return source, ir.Window((int(kernel[0]), int(kernel[1])), stride, padding, dilation)


def _same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TFLite's SAME padding along one axis: before, after."""
    output = -(-size // stride)
    missing = max(0, (output - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return missing // 2, missing - missing // 2


def _pad(reader: TfliteReader, operator: schema.OperatorT) -> None:
    """PAD and PADV2: fused into the window that follows if that pads with the same value, else nodes."""
    name, index = _result(reader, operator)
    source = reader.source(operator, types=_SIGNED)
    dims, arithmetic = reader.dimensions(int(operator.inputs[0])), reader.arithmetic(source)
    amounts = np.reshape(integers(reader, operator, 1, "the padding"), (-1, 2))
    if len(amounts) != len(dims) or (amounts < 0).any():
        raise reader.refuse(operator, f"paddings {amounts.tolist()} of {dims}")
    zero = reader.quantization[source].zero_point
    fill = int(reader.array(int(operator.inputs[2])).reshape(-1)[0]) if len(operator.inputs) > 2 else zero
    if len(dims) != 4 or dims[0] != 1 or amounts[[0, 3]].any():
        _pad_axes(reader, operator, source, amounts, None if fill == zero else fill)
        return
    padding = (int(amounts[1, 0]), int(amounts[2, 0]), int(amounts[1, 1]), int(amounts[2, 1]))
    follower = reader.sole_reader(operator)
    lowest = -(2**15) if arithmetic == WIDE else -128
    if follower is not None and _pads_itself(reader, follower, fill, (zero, lowest)):
        reader.pads[index] = PendingPad(source, padding)
    else:
        reader.define(ir.Pad(name, (source,), padding, None if fill == zero else fill, arithmetic), index)


def _pad_axes(
    reader: TfliteReader, operator: schema.OperatorT, source: str, amounts: np.ndarray, fill: int | None
) -> None:
    """Padding along any axes, one after the other: each as the width of an image."""
    name, index = _result(reader, operator)
    dims = list(reader.dimensions(int(operator.inputs[0])))
    axes = [axis for axis in range(len(dims)) if amounts[axis].any()]
    if not axes:
        reader.values[index] = reader.alias(source, index)
    for axis in axes:
        before, after = (int(amount) for amount in amounts[axis])
        shape = (math.prod(dims[:axis]), dims[axis], math.prod(dims[axis + 1 :]))
        dims[axis] += before + after
        padded = (shape[0], dims[axis], shape[2])
        view = reader.view(source, shape)
        node = ir.Pad(name, (view,), (0, before, 0, after), fill, reader.arithmetic(view))
        if axis == axes[-1]:
            reader.define(node, index, padded)
            return
        source = reader.fresh(f"{name}/axis_{axis}")
        reader.record(replace(node, name=source), padded, reader.quantization[node.inputs[0]])


def _pads_itself(reader: TfliteReader, follower: schema.OperatorT, fill: int, own: tuple[int, int]) -> bool:
    """Whether the operator after a pad is a VALID window whose own padding has the value ``fill``.

    ``own`` is the padding of sums and that of maxima.
    """
    code = reader.operator_name(follower)
    if code not in ("CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"):
        return False
    own_fill = own[code == "MAX_POOL_2D"]
    return follower.builtinOptions.padding == schema.Padding.VALID and fill == own_fill


def _sum_or_product(kind: type[ir.Add] | type[ir.Mul], step: str) -> Operator:
    on_integers = elementwise(kind, fuses=True)

    def convert(reader: TfliteReader, operator: schema.OperatorT) -> None:
        if int(operator.inputs[0]) in reader.floats:
            _float_step(reader, operator, step)
        else:
            on_integers(reader, operator)

    return convert


def _reshape(reader: TfliteReader, operator: schema.OperatorT) -> None:
    """The same bytes under another shape: the file says which, whatever it was computed from."""
    index = int(operator.outputs[0])
    reader.values[index] = reader.alias(reader.source(operator, types=tuple(ir.ELEMENT_BYTES)), index)


def _softmax(reader: TfliteReader, operator: schema.OperatorT) -> None:
    name, index = _result(reader, operator)
    beta = float(operator.builtinOptions.beta)
    if not 0.0 < beta < math.inf:
        raise reader.refuse(operator, f"beta {beta}")
    reader.define(ir.Softmax(name, (reader.source(operator),), gain=beta), index)


def _log_softmax(reader: TfliteReader, operator: schema.OperatorT) -> None:
    name, index = _result(reader, operator)
    reader.define(ir.LogSoftmax(name, (reader.source(operator),)), index)


def _function(function: str) -> Operator:
    def convert(reader: TfliteReader, operator: schema.OperatorT) -> None:
        name, index = _result(reader, operator)
        source = reader.source(operator, types=_SIGNED if function in _WIDE_FUNCTIONS else ("int8",))
        node = ir.Activation(name, (source,), function, arithmetic=reader.arithmetic(source))
        reader.define(node, index)

    return convert


def _leaky_relu(reader: TfliteReader, operator: schema.OperatorT) -> None:
    name, index = _result(reader, operator)
    slope = float(operator.builtinOptions.alpha)
    reader.define(ir.Activation(name, (reader.source(operator),), "leaky_relu", slope=slope), index)


def _dequantize(reader: TfliteReader, operator: schema.OperatorT) -> None:
    reader.floats[int(operator.outputs[0])] = FloatChain(reader.source(operator, types=_SIGNED))


def _sin(reader: TfliteReader, operator: schema.OperatorT) -> None:
    _extend(reader, operator, ("sin", 0.0))


def _float_step(reader: TfliteReader, operator: schema.OperatorT, step: str) -> None:
    """MUL or ADD of a float32 tensor and a stored number."""
    operand = reader.array(int(operator.inputs[1]))
    if operand.size != 1:
        raise reader.refuse(operator, "a float32 operand that is not a single number")
    clamp = reader.fused(operator)
    _extend(reader, operator, (f"{step}+{clamp}" if clamp else step, float(operand.reshape(-1)[0])))


def _extend(reader: TfliteReader, operator: schema.OperatorT, step: tuple[str, float]) -> None:
    chain = reader.floats.get(int(operator.inputs[0]))
    if chain is None:
        raise reader.refuse(operator, "only between DEQUANTIZE and QUANTIZE")
    reader.floats[int(operator.outputs[0])] = FloatChain(chain.source, (*chain.steps, step))


def _quantize(reader: TfliteReader, operator: schema.OperatorT) -> None:
    """The end of a float32 chain that spells a known function, or a change of scale after RELU6."""
    name, index = _result(reader, operator)
    chain = reader.floats.get(int(operator.inputs[0]))
    if chain is None:
        _rescale(reader, operator)
    elif chain.source is None and not chain.steps:
        _quantized_input(reader, operator)
    else:
        function, gain = _spelled(chain)
        if function is None or chain.source is None:
            raise reader.refuse(operator, f"float32 operators {[step for step, _ in chain.steps]} before it")
        reader.define(ir.Activation(name, (chain.source,), function, gain=gain), index)


def _quantized_input(reader: TfliteReader, operator: schema.OperatorT) -> None:
    """The application quantizes a float32 input: its integers are the graph's input."""
    name, index = _result(reader, operator)
    real = reader.names[int(operator.inputs[0])]
    known = next((node for node, given in reader.input_names.items() if given == real), None)
    if known is None:
        reader.input_names[name] = real
        reader.define(ir.Input(name, ()), index, types=("int8", "uint8", "int16"))
    elif reader.quantization_at(index) == reader.quantization[known]:
        reader.values[index] = known
    else:
        raise reader.refuse(operator, f"a second quantization of input '{real}'")


def _spelled(chain: FloatChain) -> tuple[str | None, float]:
    """Function and gain that a chain of float32 operators stands for."""
    steps = [step for step, _ in chain.steps]
    if steps == ["sin"]:
        return "sine", 1.0
    if steps == ["mul", "sin"]:
        return "sine", chain.steps[0][1]
    if chain.steps == (("add+relu6", 3.0), ("mul", _SIXTH)):
        return "hard_sigmoid", 1.0
    return None, 1.0


_RESCALED = {("int8", "int16"): "s8_s16", ("int16", "int8"): "s16_s8", ("int16", "int16"): WIDE}


def _rescale(reader: TfliteReader, operator: schema.OperatorT) -> None:
    """Another scale or type, byte types by a table; RELU6 just before becomes part of it."""
    name, index = _result(reader, operator)
    source = reader.source(operator, types=("int8", "uint8", "int16"))
    arithmetic = _RESCALED.get((reader.quantization[source].dtype, reader.quantization_at(index).dtype))
    if arithmetic is not None:
        node = ir.Activation(name, (source,), "identity", arithmetic=arithmetic)
        reader.define(node, index, types=_SIGNED)
        return
    last = reader.nodes[-1]
    clamped = isinstance(last, ir.Activation) and last.function == "relu6" and last.name == source
    if (
        clamped
        and reader.is_read_once(int(operator.inputs[0]))
        and reader.quantization_at(index).dtype == "int8"
    ):
        reader.nodes.pop()
        del reader.shapes[source], reader.quantization[source]
        reader.define(ir.Activation(name, last.inputs, "relu6"), index)
    else:
        reader.define(ir.Activation(name, (source,), "identity"), index, types=("int8", "uint8"))


OPERATORS: Mapping[str, Operator] = {
    **ARITHMETIC,
    **MOVEMENT,
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _fully_connected,
    "MAX_POOL_2D": _pool(ir.MaxPool2d),
    "AVERAGE_POOL_2D": _pool(ir.AveragePool2d),
    "ADD": _sum_or_product(ir.Add, "add"),
    "MUL": _sum_or_product(ir.Mul, "mul"),
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
    "EXPAND_DIMS": _reshape,
    "PAD": _pad,
    "PADV2": _pad,
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "ABS": _function("abs"),
    "ELU": _function("elu"),
    "RELU": _function("relu"),
    "RELU6": _function("relu6"),
    "LEAKY_RELU": _leaky_relu,
    "HARD_SWISH": _function("hard_swish"),
    "LOGISTIC": _function("sigmoid"),
    "TANH": _function("tanh"),
    "DEQUANTIZE": _dequantize,
    "SIN": _sin,
    "QUANTIZE": _quantize,
    **STATE_OPERATORS,
    **RECURRENT_OPERATORS,
}
