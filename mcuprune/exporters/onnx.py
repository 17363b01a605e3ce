"""A quantized graph as an ONNX model in QDQ form: float operators between quantizing and dequantizing.

Input and output are float32 in the layout of the graph, ``(N, height, width, channels)`` or
``(N, channels)``: one Transpose leads into ONNX's channels-first world.  Weights are int8 with one scale per
output channel, biases int32.  ONNX runtimes requantize in floating point, so results agree in the class they
name, not in each byte.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir

_OPSET = 17
_IR_VERSION = 8
_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_TO_CHANNELS_LAST = [0, 2, 3, 1]


def write_onnx(qgraph: ir.QuantizedGraph) -> bytes:
    """The ONNX file of ``qgraph``; the batch size is free.

    Raises :class:`UnsupportedError` naming the layer that ONNX cannot express.
    """
    model = _Model(qgraph)
    for node in qgraph.nodes:
        lower(node, model)
    for name in qgraph.outputs:
        model.leave(name)
    graph = helper.make_graph(
        model.nodes,
        qgraph.name,
        [model.interface(name) for name in qgraph.inputs],
        [model.interface(name, "/output") for name in qgraph.outputs],
        model.constants,
    )
    proto = helper.make_model(
        graph,
        producer_name="mcuprune",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    onnx.checker.check_model(proto)
    return proto.SerializeToString(deterministic=True)


@dataclass
class _Model:
    """Nodes and initializers so far; ``real[name]`` is the dequantized tensor of a graph node."""

    qgraph: ir.QuantizedGraph
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    real: dict[str, str] = field(default_factory=dict)

    def interface(self, name: str, suffix: str = "") -> onnx.ValueInfoProto:
        shape: list[str | int | None] = ["N", *self.qgraph.shape(name)]
        return helper.make_tensor_value_info(name + suffix, TensorProto.FLOAT, shape)

    def constant(self, name: str, values: np.ndarray) -> str:
        if all(existing.name != name for existing in self.constants):
            self.constants.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def apply(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """One ONNX node; returns its output."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def quantized(self, node: ir.Node, value: str, activation: str | None = None) -> None:
        """Clamp ``value`` as the fused activation says, then round it to the node's integers."""
        if activation == "relu":
            value = self.apply("Relu", [value], f"{node.name}/clamped")
        elif activation == "relu6":
            value = self.clip6(value, f"{node.name}/clamped")
        found = self.qgraph.quantization[node.name]
        scale = self.constant(f"{node.name}/scale", np.array(found.scale, np.float32))
        zero_point = self.constant(f"{node.name}/zero_point", np.array(found.zero_point, np.int8))
        stored = self.apply("QuantizeLinear", [value, scale, zero_point], f"{node.name}/stored")
        self.real[node.name] = self.apply(
            "DequantizeLinear", [stored, scale, zero_point], f"{node.name}/real"
        )

    def clip6(self, value: str, output: str) -> str:
        zero = self.constant("zero", np.array(0, np.float32))
        return self.apply("Clip", [value, zero, self.constant("six", np.array(6, np.float32))], output)

    def leave(self, name: str) -> None:
        """The graph output: back to channels last."""
        if len(self.qgraph.shape(name)) == 3:
            self.apply("Transpose", [self.real[name]], f"{name}/output", perm=_TO_CHANNELS_LAST)
        else:
            self.apply("Identity", [self.real[name]], f"{name}/output")

    def stored_constant(self, name: str, values: np.ndarray, scale: np.ndarray) -> str:
        """Dequantized constant: one scale, or one per slice along the first axis."""
        zeros = np.zeros(scale.shape, values.dtype)
        inputs = [
            self.constant(name, values),
            self.constant(f"{name}/scale", scale),
            self.constant(f"{name}/zero_point", zeros),
        ]
        axis = {"axis": 0} if scale.ndim else {}
        return self.apply("DequantizeLinear", inputs, f"{name}/real", **axis)

    def weight_and_bias(
        self, node: ir.Conv2d | ir.DepthwiseConv2d | ir.Linear, values: np.ndarray
    ) -> list[str]:
        """Inputs after the first; ``values`` has the output channels first."""
        scale = np.asarray(self.qgraph.constants[node.weight].scale, np.float32).reshape(-1)
        scale = np.array(np.broadcast_to(scale, values.shape[0]))
        inputs = [self.stored_constant(node.weight, values, scale)]
        if node.bias is not None:
            source = np.float32(self.qgraph.quantization[node.inputs[0]].scale)
            bias = self.qgraph.constants[node.bias].values
            inputs.append(self.stored_constant(node.bias, bias, source * scale))
        return inputs


@singledispatch
def lower(node: ir.Node, model: _Model) -> None:
    """Append the ONNX nodes of one node."""
    raise ir.unsupported(node, "the ONNX exporter")


@lower.register(ir.Input)
def _(node: ir.Input, model: _Model) -> None:
    value = node.name
    if len(model.qgraph.shape(node.name)) == 3:
        value = model.apply("Transpose", [value], f"{node.name}/channels_first", perm=_TO_CHANNELS_FIRST)
    model.quantized(node, value)


@lower.register(ir.Conv2d)
def _(node: ir.Conv2d, model: _Model) -> None:
    values = model.qgraph.constants[node.weight].values.transpose(0, 3, 1, 2)
    _convolution(node, model, values, 1)


@lower.register(ir.DepthwiseConv2d)
def _(node: ir.DepthwiseConv2d, model: _Model) -> None:
    values = model.qgraph.constants[node.weight].values.transpose(2, 0, 1)[:, np.newaxis]
    _convolution(node, model, values, model.qgraph.shape(node.inputs[0])[2])


def _convolution(
    node: ir.Conv2d | ir.DepthwiseConv2d, model: _Model, values: np.ndarray, groups: int
) -> None:
    inputs = [model.real[node.inputs[0]], *model.weight_and_bias(node, values)]
    value = model.apply(
        "Conv",
        inputs,
        f"{node.name}/sum",
        kernel_shape=node.window.kernel,
        strides=node.window.stride,
        pads=node.window.padding,
        dilations=node.window.dilation,
        group=groups,
    )
    model.quantized(node, value, node.activation)


@lower.register(ir.Linear)
def _(node: ir.Linear, model: _Model) -> None:
    values = model.qgraph.constants[node.weight].values
    inputs = [model.real[node.inputs[0]], *model.weight_and_bias(node, values)]
    model.quantized(node, model.apply("Gemm", inputs, f"{node.name}/sum", transB=1), node.activation)


@lower.register(ir.MaxPool2d)
@lower.register(ir.AveragePool2d)
def _(node: ir.MaxPool2d | ir.AveragePool2d, model: _Model) -> None:
    value = model.apply(
        "MaxPool" if isinstance(node, ir.MaxPool2d) else "AveragePool",
        [model.real[node.inputs[0]]],
        f"{node.name}/pooled",
        kernel_shape=node.window.kernel,
        strides=node.window.stride,
        pads=node.window.padding,
    )
    model.quantized(node, value, node.activation)


@lower.register(ir.Add)
@lower.register(ir.Mul)
def _(node: ir.Add | ir.Mul, model: _Model) -> None:
    inputs = [model.real[name] for name in node.inputs]
    operator = "Add" if isinstance(node, ir.Add) else "Mul"
    model.quantized(node, model.apply(operator, inputs, f"{node.name}/result"), node.activation)


@lower.register(ir.Concat)
def _(node: ir.Concat, model: _Model) -> None:
    inputs = [model.real[name] for name in node.inputs]
    model.quantized(node, model.apply("Concat", inputs, f"{node.name}/joined", axis=1))


@lower.register(ir.Flatten)
def _(node: ir.Flatten, model: _Model) -> None:
    """In the graph's memory order: channels last."""
    name = node.name
    last = model.apply(
        "Transpose", [model.real[node.inputs[0]]], f"{name}/channels_last", perm=_TO_CHANNELS_LAST
    )
    model.real[name] = model.apply("Flatten", [last], f"{name}/real", axis=1)


@lower.register(ir.Pad)
def _(node: ir.Pad, model: _Model) -> None:
    top, left, bottom, right = node.padding
    amounts = model.constant(f"{node.name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
    model.quantized(node, model.apply("Pad", [model.real[node.inputs[0]], amounts], f"{node.name}/padded"))


@lower.register(ir.Softmax)
def _(node: ir.Softmax, model: _Model) -> None:
    model.quantized(node, model.apply("Softmax", [model.real[node.inputs[0]]], f"{node.name}/result", axis=1))


@lower.register(ir.Activation)
def _(node: ir.Activation, model: _Model) -> None:
    value, output = model.real[node.inputs[0]], f"{node.name}/result"
    if node.gain != 1.0:
        gain = model.constant(f"{node.name}/gain", np.array(node.gain, np.float32))
        value = model.apply("Mul", [value, gain], f"{node.name}/phase")
    if node.function == "relu6":
        model.quantized(node, model.clip6(value, output))
    elif node.function == "leaky_relu":
        model.quantized(node, model.apply("LeakyRelu", [value], output, alpha=node.slope))
    elif node.function == "hard_sigmoid":
        model.quantized(node, model.apply("HardSigmoid", [value], output, alpha=1.0 / 6.0, beta=0.5))
    elif node.function in _PLAIN_FUNCTIONS:
        model.quantized(node, model.apply(_PLAIN_FUNCTIONS[node.function], [value], output))
    else:
        raise UnsupportedError(f"layer '{node.name}': the ONNX exporter does not know '{node.function}'")


_PLAIN_FUNCTIONS = {
    "relu": "Relu",
    "hard_swish": "HardSwish",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "sine": "Sin",
}
