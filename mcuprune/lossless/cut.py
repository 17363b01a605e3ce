"""Dead channels and dead nodes cut out of a graph: widths, weights, biases and scales shrink together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcuprune.graph import ir
from mcuprune.lossless.absorb import fresh
from mcuprune.lossless.known import WEIGHTED, Weighted, constants_of, known, with_nodes
from mcuprune.lossless.liveness import Keep, kept_parts, needed


def cut(graph: ir.QuantizedGraph, keep: Keep) -> ir.QuantizedGraph:
    """``graph`` without what ``keep`` (of :func:`~mcuprune.lossless.liveness.live_channels`) leaves out."""
    alive = set(needed(graph, keep))
    users = [name for node in graph.nodes for name in constants_of(node, graph.constants)]
    constants, nodes = dict(graph.constants), []
    for node in graph.nodes:
        if node.name not in alive:
            continue
        if known(node, graph):
            if isinstance(node, WEIGHTED):
                node = _shared_apart(node, users, constants)
                _shrink(node, keep, constants)
            elif isinstance(node, ir.Concat):
                node = replace(node, inputs=kept_parts(node, graph, keep))
        nodes.append(node)
    shapes = {
        name: (*shape[:-1], int(keep[name].sum())) if name in keep else shape
        for name, shape in graph.shapes.items()
    }
    return with_nodes(graph, tuple(nodes), constants, shapes)


def _shared_apart(node: Weighted, users: list[str], constants: dict[str, ir.Constant]) -> Weighted:
    """``node`` with constants of its own: another reader of the same weights may keep other channels."""

    def own(name: str, slot: str) -> str:
        if users.count(name) <= 1:
            return name
        copied = fresh(f"{node.name}/{slot}", constants)
        constants[copied] = constants[name]
        return copied

    bias = None if node.bias is None else own(node.bias, "bias")
    return replace(node, weight=own(node.weight, "weight"), bias=bias)


def _shrink(node: Weighted, keep: Keep, constants: dict[str, ir.Constant]) -> None:
    reads, makes = keep[node.inputs[0]], keep[node.name]
    stored = constants[node.weight]
    values = stored.values[..., makes] if isinstance(node, ir.DepthwiseConv2d) else stored.values[makes]
    mask = stored.mask
    if mask is not None:
        mask = mask[..., makes] if isinstance(node, ir.DepthwiseConv2d) else mask[makes]
    if not isinstance(node, ir.DepthwiseConv2d):
        values = values[..., reads]
        mask = None if mask is None else mask[..., reads]
    constants[node.weight] = replace(
        stored, values=np.ascontiguousarray(values), scale=_per_channel(stored.scale, makes), mask=mask
    )
    if node.bias is not None:
        bias = constants[node.bias]
        constants[node.bias] = replace(bias, values=bias.values[makes], scale=_per_channel(bias.scale, makes))


def _per_channel(scale: np.ndarray | None, makes: np.ndarray) -> np.ndarray | None:
    """One scale per output is cut like the outputs; a single one stays."""
    if scale is None or np.size(scale) != makes.size or makes.size == 1:
        return scale
    return np.asarray(scale).reshape(-1)[makes]
