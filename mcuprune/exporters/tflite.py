"""A quantized graph as a .tflite file with int8 input and output.

The file means exactly what :func:`mcuprune.quantize.run_int8.run_int8` computes: in the TensorFlow Lite Micro
interpreter its outputs are equal byte for byte.  Writing is deterministic.

Padding that TFLite's SAME and VALID cannot express becomes an explicit PAD (before a max pool: PADV2 with
-128).  Functions without an int8 operator become float32 operators between DEQUANTIZE and QUANTIZE.
"""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError
from mcuprune.exporters import tflite_integer  # noqa: F401  (registers its operators)
from mcuprune.exporters.tflite_file import FUSED, TfliteFile, affine, lower
from mcuprune.exporters.tflite_states import write_first_values, write_updates
from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE, OpShape, op_shape

_UNARY = {"hard_swish": "HARD_SWISH", "sigmoid": "LOGISTIC", "tanh": "TANH", "abs": "ABS", "elu": "ELU"}


def write_tflite(qgraph: ir.QuantizedGraph) -> bytes:
    """The .tflite file of ``qgraph``, batch 1.

    Raises :class:`UnsupportedError` naming the layer that TFLite cannot express.
    """
    file = TfliteFile(qgraph)
    for name in qgraph.inputs:
        file.activation(name)
    write_first_values(file)
    for node in qgraph.nodes:
        lower(node, file)
    write_updates(file, qgraph.updates)
    return file.pack()


@lower.register(ir.Input)
def _(node: ir.Input, file: TfliteFile) -> None:
    file.activation(node.name)


@lower.register(ir.Conv2d)
def _(node: ir.Conv2d, file: TfliteFile) -> None:
    source, padding = _padded_input(node, file)
    stride, dilation = node.window.stride, node.window.dilation
    options = schema.Conv2DOptionsT(
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        fusedActivationFunction=FUSED[node.activation],
    )
    values = file.qgraph.constants[node.weight].values
    inputs = [source, *_weight_and_bias(node, file, values, 0)]
    file.operator("CONV_2D", inputs, file.activation(node.name), options, "Conv2DOptions")


@lower.register(ir.DepthwiseConv2d)
def _(node: ir.DepthwiseConv2d, file: TfliteFile) -> None:
    source, padding = _padded_input(node, file)
    stride, dilation = node.window.stride, node.window.dilation
    options = schema.DepthwiseConv2DOptionsT(
        padding=padding,
        strideH=stride[0],
        strideW=stride[1],
        dilationHFactor=dilation[0],
        dilationWFactor=dilation[1],
        depthMultiplier=node.multiplier,
        fusedActivationFunction=FUSED[node.activation],
    )
    values = file.qgraph.constants[node.weight].values[np.newaxis]
    inputs = [source, *_weight_and_bias(node, file, values, 3)]
    file.operator("DEPTHWISE_CONV_2D", inputs, file.activation(node.name), options, "DepthwiseConv2DOptions")


@lower.register(ir.Linear)
def _(node: ir.Linear, file: TfliteFile) -> None:
    options = schema.FullyConnectedOptionsT(fusedActivationFunction=FUSED[node.activation])
    values = file.qgraph.constants[node.weight].values
    inputs = [file.activation(node.inputs[0]), *_weight_and_bias(node, file, values, 0)]
    file.operator("FULLY_CONNECTED", inputs, file.activation(node.name), options, "FullyConnectedOptions")


@lower.register(ir.MaxPool2d)
def _(node: ir.MaxPool2d, file: TfliteFile) -> None:
    _pool(node, file, "MAX_POOL_2D")


@lower.register(ir.AveragePool2d)
def _(node: ir.AveragePool2d, file: TfliteFile) -> None:
    _pool(node, file, "AVERAGE_POOL_2D")


@lower.register(ir.Add)
def _(node: ir.Add, file: TfliteFile) -> None:
    options = schema.AddOptionsT(fusedActivationFunction=FUSED[node.activation])
    inputs = [file.activation(name) for name in node.inputs]
    file.operator("ADD", inputs, file.activation(node.name), options, "AddOptions")


@lower.register(ir.Mul)
def _(node: ir.Mul, file: TfliteFile) -> None:
    options = schema.MulOptionsT(fusedActivationFunction=FUSED[node.activation])
    inputs = [file.activation(name) for name in node.inputs]
    file.operator("MUL", inputs, file.activation(node.name), options, "MulOptions")


@lower.register(ir.Concat)
def _(node: ir.Concat, file: TfliteFile) -> None:
    options = schema.ConcatenationOptionsT(axis=len(file.qgraph.shape(node.name)))
    inputs = [file.activation(name) for name in node.inputs]
    file.operator("CONCATENATION", inputs, file.activation(node.name), options, "ConcatenationOptions")


@lower.register(ir.Flatten)
@lower.register(ir.Reshape)
def _(node: ir.Flatten | ir.Reshape, file: TfliteFile) -> None:
    shape = np.array([1, *file.qgraph.shape(node.name)], np.int32)
    inputs = [file.activation(node.inputs[0]), file.constant(f"{node.name}/shape", shape)]
    options = schema.ReshapeOptionsT(newShape=shape)
    file.operator("RESHAPE", inputs, file.activation(node.name), options, "ReshapeOptions")


@lower.register(ir.Pad)
def _(node: ir.Pad, file: TfliteFile) -> None:
    source = file.activation(node.inputs[0])
    _pad(file, source, file.activation(node.name), node.name, node.padding, node.fill)


@lower.register(ir.Softmax)
def _(node: ir.Softmax, file: TfliteFile) -> None:
    source = file.activation(node.inputs[0])
    file.operator(
        "SOFTMAX",
        [source],
        file.activation(node.name),
        schema.SoftmaxOptionsT(beta=node.gain),
        "SoftmaxOptions",
    )


@lower.register(ir.Activation)
def _(node: ir.Activation, file: TfliteFile) -> None:
    if node.gain != 1.0 and node.function != "sine":
        raise UnsupportedError(
            f"layer '{node.name}': a gain is only defined for sine, not for {node.function}"
        )
    source, target = file.activation(node.inputs[0]), file.activation(node.name)
    if node.function == "relu":
        file.operator("RELU", [source], target)
    elif node.function == "relu6":
        _relu6(node, file, source, target)
    elif node.function == "leaky_relu":
        options = schema.LeakyReluOptionsT(alpha=node.slope)
        file.operator("LEAKY_RELU", [source], target, options, "LeakyReluOptions")
    elif node.function == "identity":
        file.operator("QUANTIZE", [source], target)
    elif node.function in _UNARY:
        file.operator(_UNARY[node.function], [source], target)
    elif node.function in ("sine", "hard_sigmoid"):
        _float_function(node, file, source, target)
    else:
        raise UnsupportedError(f"layer '{node.name}': the .tflite exporter does not know '{node.function}'")


def _relu6(node: ir.Activation, file: TfliteFile, source: int, target: int) -> None:
    """RELU6 leaves the quantization as it is; a different one needs a QUANTIZE after it."""
    quantization = file.qgraph.quantization
    if quantization[node.inputs[0]] == quantization[node.name]:
        file.operator("RELU6", [source], target)
        return
    clamped = file.quantized(
        f"{node.name}/clamped", file.qgraph.shape(node.name), quantization[node.inputs[0]]
    )
    file.operator("RELU6", [source], clamped)
    file.operator("QUANTIZE", [clamped], target)


def _float_function(node: ir.Activation, file: TfliteFile, source: int, target: int) -> None:
    shape = (1, *file.qgraph.shape(node.name))

    def real(suffix: str) -> int:
        return file.tensor(f"{node.name}/{suffix}", shape, "float32")

    def scalar(suffix: str, value: float) -> int:
        return file.constant(f"{node.name}/{suffix}", np.array([value], np.float32))

    x = file.operator("DEQUANTIZE", [source], real("real"))
    if node.function == "sine":
        if node.gain != 1.0:
            gain = scalar("gain", node.gain)
            x = file.operator("MUL", [x, gain], real("phase"), schema.MulOptionsT(), "MulOptions")
        x = file.operator("SIN", [x], real("sine"))
    else:
        clamp = schema.AddOptionsT(fusedActivationFunction=FUSED["relu6"])
        x = file.operator("ADD", [x, scalar("three", 3.0)], real("clamped"), clamp, "AddOptions")
        sixth = scalar("sixth", 1.0 / 6.0)
        x = file.operator("MUL", [x, sixth], real("gate"), schema.MulOptionsT(), "MulOptions")
    file.operator("QUANTIZE", [x], target)


def _weight_and_bias(
    node: ir.Conv2d | ir.DepthwiseConv2d | ir.Linear, file: TfliteFile, values: np.ndarray, dimension: int
) -> list[int]:
    """Weights with one scale per output along ``dimension``, and biases of matching scale: int32, and int64
    with int16 activations."""
    scale = np.asarray(file.qgraph.constants[node.weight].scale, np.float32).reshape(-1)
    if not isinstance(node, ir.Linear):
        scale = np.broadcast_to(scale, values.shape[dimension])
    weight = file.constant(node.weight, values, affine(scale, np.zeros(scale.size), dimension))
    bias_scale = np.float32(file.qgraph.quantization[node.inputs[0]].scale) * scale
    parameters = affine(bias_scale, np.zeros(scale.size))
    if (
        node.bias is None
    ):  # as zeros: LiteRT demands a bias, TFLM dereferences that of a depthwise convolution
        zeros = np.zeros(values.shape[dimension], np.int64 if node.arithmetic == WIDE else np.int32)
        return [weight, file.constant(f"{node.weight}/no_bias", zeros, parameters)]
    return [weight, file.constant(node.bias, file.qgraph.constants[node.bias].values, parameters)]


def _pool(node: ir.MaxPool2d | ir.AveragePool2d, file: TfliteFile, code: str) -> None:
    source, padding = _padded_input(node, file)
    options = schema.Pool2DOptionsT(
        padding=padding,
        strideH=node.window.stride[0],
        strideW=node.window.stride[1],
        filterHeight=node.window.kernel[0],
        filterWidth=node.window.kernel[1],
        fusedActivationFunction=FUSED[node.activation],
    )
    file.operator(code, [source], file.activation(node.name), options, "Pool2DOptions")


def _padded_input(
    node: ir.Conv2d | ir.DepthwiseConv2d | ir.MaxPool2d | ir.AveragePool2d, file: TfliteFile
) -> tuple[int, int]:
    """Input tensor and padding scheme; an explicit PAD where neither SAME nor VALID is exact."""
    shape = op_shape(node, file.qgraph.shape)
    source = file.activation(node.inputs[0])
    if _is_valid(shape):
        return source, schema.Padding.VALID
    if _is_same(shape):
        return source, schema.Padding.SAME
    if isinstance(node, ir.AveragePool2d):
        raise UnsupportedError(
            f"layer '{node.name}': average pooling with padding {node.window.padding} has no .tflite "
            "equivalent; use TFLite's SAME padding, or an explicit pad that is counted"
        )
    height, width, channels = shape.inputs[0]
    top, left, bottom, right = node.window.padding
    padded_shape = (height + top + bottom, width + left + right, channels)
    padded = file.quantized(f"{node.name}/padded", padded_shape, file.qgraph.quantization[node.inputs[0]])
    lowest = int(np.iinfo(file.qgraph.quantization[node.inputs[0]].dtype).min)
    fill = lowest if isinstance(node, ir.MaxPool2d) else None
    _pad(file, source, padded, f"{node.name}/padded", node.window.padding, fill)
    return padded, schema.Padding.VALID


def _is_valid(shape: OpShape) -> bool:
    window = shape.window
    exact = ir.Window(window.kernel, window.stride, dilation=window.dilation)
    return window.padding[:2] == (0, 0) and exact.output_size(*shape.inputs[0][:2]) == shape.output[:2]


def _is_same(shape: OpShape) -> bool:
    """TFLite's SAME: output ceil(input / stride), half of the missing rows (rounded down) at the top."""
    window = shape.window
    for axis in (0, 1):
        size, stride = shape.inputs[0][axis], window.stride[axis]
        output = -(-size // stride)
        reach = (window.kernel[axis] - 1) * window.dilation[axis] + 1
        missing = max(0, (output - 1) * stride + reach - size)
        if shape.output[axis] != output or window.padding[axis] != missing // 2:
            return False
    return True


def _pad(
    file: TfliteFile,
    source: int,
    target: int,
    name: str,
    padding: tuple[int, int, int, int],
    fill: int | None = None,
) -> None:
    """PAD with the zero point, or PADV2 with the stored value ``fill``."""
    top, left, bottom, right = padding
    amounts = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
    inputs = [source, file.constant(f"{name}/paddings", amounts)]
    if fill is None:
        file.operator("PAD", inputs, target, schema.PadOptionsT(), "PadOptions")
        return
    kind = np.int8 if file.tensors[target].type == schema.TensorType.INT8 else np.int16
    value = file.constant(f"{name}/fill", np.array([fill], kind), file.tensors[target].quantization)
    file.operator("PADV2", [*inputs, value], target, schema.PadV2OptionsT(), "PadV2Options")
