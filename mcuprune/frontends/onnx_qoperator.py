"""Operators on integers (QLinearConv and its like), spelled as dequantize, compute, quantize."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Form:
    """``plain`` is the operator on real numbers; positions of inputs in that on integers.

    An operand at p has its scale at p + 1 and its zero point at p + 2; the output's scale stands at
    ``output``, its zero point behind it.  ``weight`` is an operand whose scales may lie along an axis.
    """

    plain: str
    operands: tuple[int, ...]
    output: int
    bias: int | None = None
    weight: int | None = None


FORMS: Mapping[str, Form] = {
    "QLinearConv": Form("Conv", (0, 3), 6, bias=8, weight=3),
    "QLinearMatMul": Form("MatMul", (0, 3), 6, weight=3),
    "QGemm": Form("Gemm", (0, 3), 7, bias=6, weight=3),
    "QLinearAdd": Form("Add", (0, 3), 6),
    "QLinearMul": Form("Mul", (0, 3), 6),
    "QLinearSigmoid": Form("Sigmoid", (0,), 3),
    "QLinearLeakyRelu": Form("LeakyRelu", (0,), 3),
    "QLinearAveragePool": Form("AveragePool", (0,), 3),
    "QLinearGlobalAveragePool": Form("GlobalAveragePool", (0,), 3),
    "QLinearSoftmax": Form("Softmax", (0,), 3),
    "QLinearConcat": Form("Concat", (), 0),
}
DROPPED = ("channels_last", "opset")  # attributes that the plain operators do not have
SAME = ("QuantizeLinear", "DequantizeLinear")  # mean in Microsoft's operator set what they mean in ONNX


def spelled_out(
    node: onnx.NodeProto, stored: Mapping[str, object]
) -> Iterator[onnx.NodeProto | onnx.TensorProto]:
    """The nodes that ``node`` stands for, and the initializers that they need besides the file's.

    ``stored`` holds the arrays known so far.  Any other node, and one whose attributes change its meaning,
    comes back as it is.
    """
    options = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    if node.domain == MICROSOFT and node.op_type in SAME:
        yield helper.make_node(node.op_type, node.input, node.output, node.name, **options)
    elif node.op_type not in FORMS or options.get("channels_last"):
        yield node
    else:
        form = FORMS[node.op_type]
        operands = form.operands or tuple(range(2, len(node.input), 3))
        yield from _spelled_out(node, form, operands, options, stored)


def _spelled_out(
    node: onnx.NodeProto,
    form: Form,
    operands: tuple[int, ...],
    options: dict[str, Any],
    stored: Mapping[str, object],
) -> Iterator[onnx.NodeProto | onnx.TensorProto]:
    label = node.output[0]
    inputs = []
    for position in operands:
        axis = _weight_axis(form, options) if position == form.weight else 1
        inputs.append(f"{label}/{position}")
        triple = node.input[position : position + 3]
        yield helper.make_node("DequantizeLinear", triple, inputs[-1:], f"{label}/{position}", axis=axis)
    if form.bias is not None and len(node.input) > form.bias and node.input[form.bias]:
        scales = [stored.get(node.input[position + 1]) for position in operands]
        if all(isinstance(scale, np.ndarray) for scale in scales):
            product = np.asarray(scales[0] * scales[1], np.float32)  # type: ignore[operator]
            yield numpy_helper.from_array(product.reshape(-1), f"{label}/bias scale")
            names = [node.input[form.bias], f"{label}/bias scale"]
            inputs.append(f"{label}/bias")
            yield helper.make_node("DequantizeLinear", names, inputs[-1:], f"{label}/bias", axis=0)
        else:
            inputs.append(node.input[form.bias])
    kept = {name: value for name, value in options.items() if name not in DROPPED}
    yield helper.make_node(form.plain, inputs, [f"{label}/real"], node.name, **kept)
    quantization = node.input[form.output : form.output + 2]
    yield helper.make_node("QuantizeLinear", [f"{label}/real", *quantization], [label], f"{label}/quantize")


def _weight_axis(form: Form, options: Mapping[str, object]) -> int:
    """Of the output channels in the second operand."""
    return 0 if form.plain == "Conv" or options.get("transB") else 1
