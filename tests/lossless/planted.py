"""Random integer networks with channels planted that are constant or unread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mcuprune.graph import ir
from mcuprune.graph.passes import run_passes
from mcuprune.quantize.convert import quantize
from mcuprune.quantize.run_int8 import run_int8
from tests.random_graphs import random_graph

KINDS = ("zero", "saturated", "unread")


@dataclass(frozen=True)
class Planted:
    graph: ir.QuantizedGraph
    channels: tuple[tuple[str, str, int], ...]  # (kind, layer, channel)


@cache
def random_quantized(seed: int) -> ir.QuantizedGraph:
    """tests/random_graphs.py, quantized on random inputs."""
    graph = run_passes(random_graph(seed))
    rng = np.random.default_rng(seed)
    return quantize(graph, rng.normal(size=(16, *graph.shape(graph.inputs[0]))).astype(np.float32))


def plant(graph: ir.QuantizedGraph, seed: int, share: float = 0.4) -> Planted:
    """``graph`` where about ``share`` of the channels of hidden layers are made constant or unread.

    ``zero``: no weights and a random bias; ``saturated``: a bias under which the activation always clips;
    ``unread``: the weights of all readers are zero for it (only where all readers are weighted sums).
    """
    rng = np.random.default_rng(seed)
    constants, planted = dict(graph.constants), []
    for node in graph.nodes:
        if not isinstance(node, ir.Conv2d | ir.DepthwiseConv2d | ir.Linear) or node.name in graph.outputs:
            continue
        for channel in range(graph.shape(node.name)[-1]):
            if rng.random() < share:
                kind = str(rng.choice(KINDS))
                if kind != "unread":
                    _fix(node, channel, kind, constants, rng)
                elif not _silence(graph, node.name, channel, constants):
                    continue
                planted.append((kind, node.name, channel))
    return Planted(replace(graph, constants=constants), tuple(planted))


def _fix(
    node: ir.Node, channel: int, kind: str, constants: dict[str, ir.Constant], rng: np.random.Generator
) -> None:
    assert isinstance(node, ir.Conv2d | ir.DepthwiseConv2d | ir.Linear)
    weight, bias = constants[node.weight].values.copy(), constants[str(node.bias)].values.copy()
    rows = np.moveaxis(weight, -1, 0) if isinstance(node, ir.DepthwiseConv2d) else weight
    if kind == "zero":
        rows[channel] = 0
        bias[channel] = rng.integers(-4000, 4000)
    else:
        bias[channel] = rng.choice([-1, 1]) * 2**27
    constants[node.weight] = replace(constants[node.weight], values=weight)
    constants[str(node.bias)] = replace(constants[str(node.bias)], values=bias)


def _silence(graph: ir.QuantizedGraph, tensor: str, channel: int, constants: dict[str, ir.Constant]) -> bool:
    readers = [node for node in graph.nodes if tensor in node.inputs]
    if not readers or not all(isinstance(node, ir.Conv2d | ir.Linear) for node in readers):
        return False
    for node in readers:
        assert isinstance(node, ir.Conv2d | ir.Linear)
        weight = constants[node.weight].values.copy()
        weight[..., channel] = 0
        constants[node.weight] = replace(constants[node.weight], values=weight)
    return True


def probes(graph: ir.QuantizedGraph, count: int = 12, seed: int = 0) -> dict[str, np.ndarray]:
    """Random bytes, all least, all greatest, and bytes that are only ever one or the other."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in graph.inputs:
        values = rng.integers(-128, 128, (count, *graph.shape(name)))
        values[0], values[1] = -128, 127
        values[2:5] = rng.choice([-128, 127], values[2:5].shape)
        found[name] = values.astype(np.int8)
    return found


def tensors(graph: ir.QuantizedGraph, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of the network."""
    found = run_int8(graph, inputs, keep_all=True)
    assert isinstance(found, dict)
    return found


def assert_same_bytes(
    original: ir.QuantizedGraph, folded: ir.QuantizedGraph, inputs: dict[str, np.ndarray]
) -> None:
    assert (original.inputs, original.outputs) == (folded.inputs, folded.outputs)
    before, after = tensors(original, inputs), tensors(folded, inputs)
    for name in original.outputs:
        np.testing.assert_array_equal(before[name], after[name])


def weight_bytes(graph: ir.QuantizedGraph) -> int:
    nodes = [n for n in graph.nodes if isinstance(n, ir.Conv2d | ir.DepthwiseConv2d | ir.Linear)]
    return sum(graph.constants[node.weight].values.size for node in nodes)
