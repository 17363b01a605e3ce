"""Batch normalization in inference is an affine map per channel: fold it into the weights beside it.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
section 3.2: w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph.ir import BatchNorm, Constant, Conv2d, DepthwiseConv2d, Graph, Linear, Node, Window
from mcuprune.graph.passes.rewrite import fresh_constant, only_reader, readers, rebuilt

OUTPUT_AXIS: dict[type[Node], int] = {Conv2d: 0, Linear: 0, DepthwiseConv2d: -1}  # of the weight
Mixing = Conv2d | DepthwiseConv2d | Linear


def fold_batchnorm(graph: Graph) -> Graph:
    """Remove every BatchNorm: into the layer before it, else a depthwise 1x1, else the linear layers after.

    Raises UnsupportedError for a normalized vector with no linear layer on either side.
    """
    while True:
        found = next((node for node in graph.nodes if isinstance(node, BatchNorm)), None)
        if found is None:
            return graph
        graph = _fold_one(graph, found)


def batchnorm_affine(graph: Graph, node: BatchNorm) -> tuple[np.ndarray, np.ndarray]:
    """``(scale, shift)`` per channel, float64, of a BatchNorm with its stored statistics."""
    names = (node.gamma, node.beta, node.mean, node.variance)
    gamma, beta, mean, variance = (graph.constants[name].values.astype(np.float64) for name in names)
    scale = gamma / np.sqrt(variance + node.epsilon)
    return scale, beta - mean * scale


def _fold_one(graph: Graph, norm: BatchNorm) -> Graph:
    reading = readers(graph)
    source = next(node for node in graph.nodes if node.name == norm.inputs[0])
    foldable = isinstance(source, Mixing) and source.activation is None
    if foldable and only_reader(graph, reading, source.name):
        return _fold_backward(graph, norm, source)  # type: ignore[arg-type]
    if graph.tensors[norm.name].spatial:
        return _as_depthwise(graph, norm)
    after = reading[norm.name]
    if after and norm.name not in graph.outputs and all(isinstance(node, Linear) for node in after):
        return _fold_forward(graph, norm, after)  # type: ignore[arg-type]
    raise UnsupportedError(
        f"layer '{norm.name}': batch normalization of a vector folds only into a linear layer right "
        "before or after it; move it there"
    )


def _fold_backward(graph: Graph, norm: BatchNorm, layer: Mixing) -> Graph:
    scale, shift = batchnorm_affine(graph, norm)
    weight = graph.constants[layer.weight]
    shape = [1] * weight.values.ndim
    shape[OUTPUT_AXIS[type(layer)]] = -1
    bias = np.zeros(len(scale)) if layer.bias is None else graph.constants[layer.bias].values
    folded, added = _with_constants(
        graph,
        layer,
        replace(weight, values=(weight.values * scale.reshape(shape)).astype(np.float32)),
        bias * scale + shift,
    )
    nodes = [folded if node.name == layer.name else node for node in graph.nodes if node.name != norm.name]
    return rebuilt(graph, nodes, {norm.name: layer.name}, added)


def _as_depthwise(graph: Graph, norm: BatchNorm) -> Graph:
    scale, shift = batchnorm_affine(graph, norm)
    layer = DepthwiseConv2d(
        norm.name, norm.inputs, f"{norm.name}.weight", f"{norm.name}.bias", Window((1, 1))
    )
    weight = Constant(scale.reshape(1, 1, -1).astype(np.float32))
    layer, added = _with_constants(graph, layer, weight, shift)  # type: ignore[assignment]
    return rebuilt(graph, [layer if node.name == norm.name else node for node in graph.nodes], {}, added)


def _fold_forward(graph: Graph, norm: BatchNorm, after: tuple[Linear, ...]) -> Graph:
    scale, shift = batchnorm_affine(graph, norm)
    changed: dict[str, Node] = {}
    added: dict[str, Constant] = {}
    for layer in after:
        weight = graph.constants[layer.weight]
        bias = np.zeros(len(weight.values)) if layer.bias is None else graph.constants[layer.bias].values
        kept = weight.values if weight.mask is None else weight.values * weight.mask
        scaled = replace(weight, values=(weight.values * scale).astype(np.float32))
        changed[layer.name], extra = _with_constants(graph, layer, scaled, bias + kept @ shift)
        added |= extra
    nodes = [changed.get(node.name, node) for node in graph.nodes if node.name != norm.name]
    return rebuilt(graph, nodes, {norm.name: norm.inputs[0]}, added)


def _with_constants(
    graph: Graph, layer: Mixing, weight: Constant, bias: np.ndarray
) -> tuple[Mixing, dict[str, Constant]]:
    """``layer`` reading a new weight and bias, and these constants under names that no other layer reads."""
    others = {getattr(n, f, None) for n in graph.nodes if n.name != layer.name for f in ("weight", "bias")}
    added: dict[str, Constant] = {}
    names = []
    for field, constant in (("weight", weight), ("bias", Constant(bias.astype(np.float32)))):
        name = getattr(layer, field) or f"{layer.name}.{field}"
        mine = name in graph.constants and name == getattr(layer, field) and name not in others
        name = name if mine else fresh_constant(graph, name, added)
        added[name] = constant
        names.append(name)
    return replace(layer, weight=names[0], bias=names[1]), added
