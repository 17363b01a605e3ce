"""Which tensors must have one quantization."""

from __future__ import annotations

from collections.abc import Mapping

from mcuprune.graph.ir import AveragePool2d, Concat, Flatten, Graph, MaxPool2d, Pad

KEEPS_QUANTIZATION = (MaxPool2d, AveragePool2d, Concat, Flatten, Pad)  # their output has that of their inputs


def scale_owners(graph: Graph) -> dict[str, str]:
    """Tensor -> a representative of the tensors that must have its quantization."""
    owner = {name: name for name in graph.tensors}
    for node in graph.nodes:
        if isinstance(node, KEEPS_QUANTIZATION):
            owner = joined(owner, (*node.inputs, node.name))
    return owner


def joined(owner: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """``owner``, tensor -> representative of its set, once the sets of ``names`` are one."""
    sets, leader = {owner[name] for name in names}, owner[names[0]]
    return {name: leader if held in sets else held for name, held in owner.items()}
