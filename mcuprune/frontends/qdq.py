"""From a graph whose source says how each tensor is quantized to the integer network that this describes.

The arithmetic is ours (TensorFlow Lite Micro's): where the source computes in floats between dequantizing
and quantizing again, results can differ by a step.  Where our operators demand one quantization for what they
read and write and the source has two, a rescaling comes between; a mean over windows becomes a depthwise
layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph.ir import (
    Activation,
    AveragePool2d,
    BatchNorm,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Graph,
    Linear,
    Node,
    Quantization,
    QuantizedGraph,
    Reduce,
    Softmax,
    TensorType,
)
from mcuprune.graph.passes.fold_batchnorm import fold_batchnorm
from mcuprune.graph.passes.fuse import CLAMPING, fuse_pad, is_clamp
from mcuprune.graph.passes.remove_noops import is_noop, remove_noops
from mcuprune.graph.passes.rewrite import only_reader, readers, rebuilt, remove_dead
from mcuprune.graph.sharing import KEEPS_QUANTIZATION
from mcuprune.quantize.convert import channel_scales
from mcuprune.quantize.multipliers import CHANNEL_AXIS, marked
from mcuprune.quantize.scheme import FIXED_OUTPUT

LARGEST_BIAS = 2**29  # of |bias| in steps: as much again for the products, and a shift by one
GRID = 1e-2  # steps by which a weight may miss its grid before it is quantized anew; float32 misses by 1e-5
Weighted = Conv2d | DepthwiseConv2d | Linear
Marks = dict[str, Quantization]


@dataclass(frozen=True)
class Described:
    """A float graph, and what its source says by node: how its output is quantized, the scales of weights."""

    graph: Graph
    marks: Mapping[str, Quantization]
    weight_scales: Mapping[str, np.ndarray]


def integer_graph(source: Described) -> tuple[QuantizedGraph | None, tuple[str, ...]]:
    """The integer network; or None and the tensors that the source does not quantize."""
    graph, marks = _simplified(source.graph, dict(source.marks))
    missing = _complete(graph, marks)
    if missing:
        return None, missing
    graph, marks = _reconciled(graph, marks)
    constants: dict[str, Constant] = {}
    nodes = []
    for node in graph.nodes:
        found = _constants(node, graph, marks, source.weight_scales)
        nodes.append(_with_one_scale(node, found))
        constants |= found
    shapes = {name: graph.shape(name) for name in graph.tensors}
    quantization = {name: marks[name] for name in graph.tensors}
    integers = QuantizedGraph(graph.name, tuple(nodes), graph.outputs, shapes, quantization, constants)
    return marked(integers), ()


def _simplified(graph: Graph, marks: Marks) -> tuple[Graph, Marks]:
    """The graph after the passes that keep or hand on every mark."""
    graph = fuse_pad(remove_dead(graph))
    reading = readers(graph)
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else ""
        if isinstance(node, BatchNorm) and source in marks:
            raise UnsupportedError(
                f"layer '{node.name}': normalizes a quantized tensor; fold batch norms before quantizing"
            )
        if isinstance(node, BatchNorm) and node.name in marks and only_reader(graph, reading, source):
            marks.setdefault(source, marks[node.name])
    graph = _fused(fold_batchnorm(graph), marks)
    return remove_noops(_without_marked_noops(graph, marks)), marks


def _fused(graph: Graph, marks: Marks) -> Graph:
    """ReLUs inside the layer before them, where that layer's own output is not quantized otherwise."""
    reading = readers(graph)
    nodes: dict[str, Node] = {}
    alias: dict[str, str] = {}
    for node in graph.nodes:
        source = nodes.get(alias.get(node.inputs[0], node.inputs[0])) if node.inputs else None
        free = isinstance(source, CLAMPING) and source.activation is None
        if is_clamp(node) and free and only_reader(graph, reading, node.inputs[0]):
            name = source.name  # type: ignore[union-attr]
            if marks.get(name) in (None, marks.get(node.name)):
                nodes[name] = replace(source, activation=node.function)  # type: ignore
                alias[node.name] = name
                if node.name in marks:
                    marks[name] = marks[node.name]
                continue
        nodes[node.name] = node
    return rebuilt(graph, list(nodes.values()), alias)


def _without_marked_noops(graph: Graph, marks: Marks) -> Graph:
    """Nodes that change nothing hand their mark to what they read, or become the rescaling that they are."""
    nodes: list[Node] = []
    by_name = {node.name: node for node in graph.nodes}
    for node in graph.nodes:
        source = by_name[node.inputs[0]] if node.inputs else node
        noop = node.name in marks and is_noop(node, source, graph)
        if noop and marks.setdefault(source.name, marks[node.name]) != marks[node.name]:
            node = Activation(node.name, node.inputs, "identity")
        nodes.append(node)
    return rebuilt(graph, nodes)


def _complete(graph: Graph, marks: Marks) -> tuple[str, ...]:
    """Marks for tensors whose quantization follows from others; the tensors for which none does."""
    reading = readers(graph)
    for node in reversed(graph.nodes):
        if isinstance(node, KEEPS_QUANTIZATION) and node.name in marks and len(node.inputs) == 1:
            source = node.inputs[0]
            if source not in marks and only_reader(graph, reading, source):
                marks[source] = marks[node.name]
    for node in graph.nodes:
        if _function(node) in FIXED_OUTPUT:
            marks[node.name] = FIXED_OUTPUT[_function(node)]
        elif node.name not in marks and isinstance(node, KEEPS_QUANTIZATION):
            found = {marks.get(name) for name in node.inputs}
            if len(found) == 1 and None not in found:
                marks[node.name] = marks[node.inputs[0]]
    return tuple(node.name for node in graph.nodes if node.name not in marks)


def _function(node: Node) -> str:
    return "softmax" if isinstance(node, Softmax) else getattr(node, "function", "")


def _reconciled(graph: Graph, marks: Marks) -> tuple[Graph, Marks]:
    """Nodes that write what they read in one quantization do; rescalings stand where the source has two."""
    nodes: list[Node] = []
    tensors: dict[str, TensorType] = dict(graph.tensors)
    added: dict[str, Constant] = {}

    def rescaled(source: str, wish: str, q: Quantization) -> str:
        name = wish
        while name in tensors:
            name += "_"
        tensors[name], marks[name] = tensors[source], q
        nodes.append(Activation(name, (source,), "identity"))
        return name

    for node in graph.nodes:
        q = marks[node.name]
        differing = [name for name in node.inputs if marks[name] != q]
        if not isinstance(node, KEEPS_QUANTIZATION) or not differing:
            nodes.append(node)
        elif isinstance(node, AveragePool2d) and _is_global(node, graph):
            nodes.append(Reduce(node.name, node.inputs, "mean", (0, 1)))
        elif isinstance(node, AveragePool2d) and not any(node.window.padding):
            layer, weight = _mean_layer(node, graph)
            added[layer.weight] = weight
            nodes.append(layer)
        elif isinstance(node, AveragePool2d | Concat):
            copies = {name: rescaled(name, f"{name}.rescaled", q) for name in dict.fromkeys(differing)}
            nodes.append(replace(node, inputs=tuple(copies.get(name, name) for name in node.inputs)))
        else:
            moved = rescaled(node.inputs[0], f"{node.inputs[0]}.rescaled", q)
            nodes.append(replace(node, inputs=(moved,)))
    return rebuilt(replace(graph, tensors=tensors), nodes, {}, added), marks


def _is_global(node: AveragePool2d, graph: Graph) -> bool:
    """Whether one window covers all of its input, and nothing else happens."""
    spatial = graph.tensors[node.inputs[0]].spatial
    return node.window.kernel == spatial and not any(node.window.padding) and node.activation is None


def _mean_layer(node: AveragePool2d, graph: Graph) -> tuple[DepthwiseConv2d, Constant]:
    """The depthwise layer that computes a mean: it rescales once, where pooling would round before."""
    height, width = node.window.kernel
    channels = graph.shape(node.name)[-1]
    values = np.full((height, width, channels), 1.0 / (height * width), np.float32)
    name = f"{node.name}.weight"
    layer = DepthwiseConv2d(node.name, node.inputs, name, None, node.window, 1, node.activation)
    return layer, Constant(values)


def _constants(
    node: Node, graph: Graph, marks: Marks, known: Mapping[str, np.ndarray]
) -> dict[str, Constant]:
    if not isinstance(node, Weighted):
        return {}
    values = graph.constants[node.weight].values.astype(np.float64)
    shape = [1] * values.ndim
    shape[CHANNEL_AXIS[type(node)]] = -1
    channels = values.shape[CHANNEL_AXIS[type(node)]]
    source = marks[node.inputs[0]].scale
    scales = channel_scales(graph, node, source)
    if node.name in known and known[node.name].size in (1, channels):
        given = np.broadcast_to(known[node.name].astype(np.float64).reshape(-1), (channels,))
        if _on_grid(values / given.reshape(shape)) and _bias_fits(node, graph, source * given):
            scales = given.astype(np.float32)
    exact = values / scales.astype(np.float64).reshape(shape)
    found = {node.weight: Constant(np.clip(np.round(exact), -128, 127).astype(np.int8), scales)}
    if node.bias is not None:
        steps = source * scales.astype(np.float64)
        bias = np.round(graph.constants[node.bias].values.astype(np.float64) / steps)
        found[node.bias] = Constant(bias.astype(np.int32), steps.astype(np.float32))
    return found


def _with_one_scale(node: Node, constants: dict[str, Constant]) -> Node:
    """A linear layer whose outputs share a scale stores it once; ``constants`` are changed to match."""
    if not isinstance(node, Linear):
        return node
    scale = constants[node.weight].scale
    if scale is None or len(constants[node.weight].values) == 1 or np.any(scale != scale[0]):
        return node
    constants[node.weight] = replace(constants[node.weight], scale=scale[:1])
    return replace(node, one_scale=True)


def _on_grid(levels: np.ndarray) -> bool:
    return bool(np.abs(levels).max() < 128 + GRID and np.abs(levels - np.round(levels)).max() < GRID)


def _bias_fits(node: Weighted, graph: Graph, steps: np.ndarray) -> bool:
    if node.bias is None:
        return True
    bias = graph.constants[node.bias].values.astype(np.float64)
    return bool(np.all(np.abs(bias / steps) < LARGEST_BIAS))
