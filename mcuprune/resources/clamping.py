"""Layers that must clamp what they write to less than int8, because of what shares its scale."""

from __future__ import annotations

from mcuprune.graph.ir import Graph, Node, Quantization, QuantizedGraph
from mcuprune.graph.sharing import KEEPS_QUANTIZATION, scale_owners
from mcuprune.plan.live import Network

LEAST, MOST = -128, 127


def clamping(network: Network) -> frozenset[str]:
    """Layers whose fused activation leaves less than int8 of their outputs.

    Of a float graph, those of which it may: alone a ReLU is quantized from zero on, with other tensors in one
    quantization from the least value of all.
    """
    if isinstance(network, QuantizedGraph):
        return frozenset(n.name for n in network.nodes if _clamps(n, network.quantization[n.name]))
    assert isinstance(network, Graph)
    owner = scale_owners(network)
    ends: dict[str, set[str | None]] = {}
    for node in network.nodes:
        if not isinstance(node, KEEPS_QUANTIZATION):
            ends.setdefault(owner[node.name], set()).add(_activation(node))
    return frozenset(n.name for n in network.nodes if _activation(n) and len(ends[owner[n.name]]) > 1)


def _activation(node: Node) -> str | None:
    return getattr(node, "activation", None)


def _clamps(node: Node, output: Quantization) -> bool:
    if _activation(node) is None or output.dtype != "int8":
        return False
    above = _activation(node) == "relu6" and output.zero_point + 6.0 / output.scale < MOST
    return output.zero_point > LEAST or above
