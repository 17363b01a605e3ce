"""What integer parameters are computed from, read off a quantized graph and checked."""

from __future__ import annotations

import math

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE, arithmetic
from mcuprune.quantize.arithmetic import MAX_SHIFT, MAX_WIDE_SHIFT, quantize_multiplier
from mcuprune.quantize.tables import quantize_float

Weighted = ir.Conv2d | ir.DepthwiseConv2d | ir.Linear


def quantization_of(tensor: str, qgraph: ir.QuantizedGraph) -> ir.Quantization:
    """The tensor's quantization with its scale rounded to float32; int8 only."""
    found = qgraph.quantization[tensor]
    scale = float(np.float32(found.scale))
    if found.dtype != "int8":
        raise UnsupportedError(f"tensor '{tensor}': type {found.dtype} where the s8 arithmetic needs int8")
    if not (0.0 < scale < math.inf) or not -128 <= found.zero_point <= 127:
        raise UnsupportedError(
            f"tensor '{tensor}': scale {found.scale}, zero point {found.zero_point} is not int8"
        )
    return ir.Quantization(scale, int(found.zero_point))


def wide_quantization_of(tensor: str, qgraph: ir.QuantizedGraph) -> ir.Quantization:
    """The same of an int16 tensor; its zero point is 0."""
    found = qgraph.quantization[tensor]
    scale = float(np.float32(found.scale))
    if found.dtype != "int16" or found.zero_point or not 0.0 < scale < math.inf:
        raise UnsupportedError(
            f"tensor '{tensor}': {found.dtype}, scale {found.scale}, zero point {found.zero_point} where the "
            "s16x8 arithmetic needs int16 and zero point 0"
        )
    return ir.Quantization(scale, 0, "int16")


def require_s8_or_s16x8(node: ir.Node) -> None:
    if arithmetic(node) not in ("s8", WIDE):
        raise UnsupportedError(
            f"layer '{node.name}': arithmetic '{arithmetic(node)}' is not implemented, only 's8' and '{WIDE}'"
        )


def ends(node: ir.Node, qgraph: ir.QuantizedGraph) -> tuple[ir.Quantization, ir.Quantization]:
    """Quantization of the first input and of the output in the node's arithmetic, ``s8`` or ``s16x8``."""
    first, target = (kept_quantization(node, name, qgraph) for name in (node.inputs[0], node.name))
    return first, target


def kept_quantization(node: ir.Node, tensor: str, qgraph: ir.QuantizedGraph) -> ir.Quantization:
    """Quantization of one of the node's tensors in its arithmetic, ``s8`` or ``s16x8``."""
    require_s8_or_s16x8(node)
    return (wide_quantization_of if arithmetic(node) == WIDE else quantization_of)(tensor, qgraph)


def require_s8(node: ir.Node) -> None:
    arithmetic = getattr(node, "arithmetic", "s8")
    if arithmetic != "s8":
        raise UnsupportedError(
            f"layer '{node.name}': arithmetic '{arithmetic}' is not implemented, only 's8'"
        )


def require_equal_quantization(node: ir.Node, qgraph: ir.QuantizedGraph) -> None:
    """Nodes that move integers unchanged; TFLM tolerates scales up to 1e-6 apart."""
    source, target = ends(node, qgraph)
    if source.zero_point != target.zero_point or abs(source.scale - target.scale) > 1e-6:
        raise UnsupportedError(
            f"layer '{node.name}': input and output must have the same scale and zero point"
        )


def clamp_range(activation: str | None, target: ir.Quantization) -> tuple[int, int]:
    """The range that a fused activation leaves of the output."""
    limits = np.iinfo(target.dtype)
    low, high = int(limits.min), int(limits.max)
    if activation in ("relu", "relu6"):
        low = target.zero_point
    if activation == "relu6":
        high = min(high, quantize_float(6.0, target.scale, target.zero_point))
    return low, high


def scales(node: Weighted, qgraph: ir.QuantizedGraph) -> tuple[ir.Quantization, ir.Quantization, np.ndarray]:
    """Input and output quantization, and the float32 weight scales (1-D)."""
    scale = qgraph.constants[node.weight].scale
    if scale is None:
        raise UnsupportedError(f"layer '{node.name}': its weight '{node.weight}' is not quantized")
    weight_scale = np.asarray(scale, np.float32).reshape(-1)
    if weight_scale.size not in (1, qgraph.shape(node.name)[-1]):
        raise UnsupportedError(
            f"layer '{node.name}': {weight_scale.size} weight scales, need 1 or one per output"
        )
    return *ends(node, qgraph), weight_scale


def multipliers(node: ir.Node, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pairs = np.array([quantize_multiplier(float(value)) for value in real], np.int64)
    if pairs[:, 1].max() > (MAX_WIDE_SHIFT if arithmetic(node) == WIDE else MAX_SHIFT):
        raise UnsupportedError(
            f"layer '{node.name}': its output scale is too small for its input and weight scales"
        )
    return pairs[:, 0].astype(np.int32), pairs[:, 1].astype(np.int8)


def stored_weight(node: Weighted, qgraph: ir.QuantizedGraph, shape: tuple[int, ...]) -> np.ndarray:
    values = qgraph.constants[node.weight].values
    if values.dtype != np.int8 or values.shape != shape:
        raise UnsupportedError(
            f"layer '{node.name}': weight is {values.dtype} {values.shape}, need int8 {shape}"
        )
    return values


def stored_bias(node: Weighted, qgraph: ir.QuantizedGraph, out_c: int) -> np.ndarray:
    if node.bias is None:
        return np.zeros(out_c, np.int32)
    values = qgraph.constants[node.bias].values
    if arithmetic(node) == WIDE and values.dtype == np.int64:
        if np.abs(values).max(initial=0) >= 2**31:
            raise UnsupportedError(f"layer '{node.name}': a bias does not fit into 32 bits")
        return values.astype(np.int32)
    if arithmetic(node) == WIDE:
        raise UnsupportedError(
            f"layer '{node.name}': a bias of {values.dtype} with int16 activations; convert with int64 biases"
        )
    if values.dtype != np.int32 or values.shape != (out_c,):
        raise UnsupportedError(
            f"layer '{node.name}': bias is {values.dtype} {values.shape}, need int32 ({out_c},)"
        )
    return values
