"""Which tensors must have one quantization."""

from __future__ import annotations

from mcuprune.graph.ir import AveragePool2d, Concat, Flatten, Graph, MaxPool2d, Pad

KEEPS_QUANTIZATION = (MaxPool2d, AveragePool2d, Concat, Flatten, Pad)  # their output has that of their inputs


def scale_owners(graph: Graph) -> dict[str, str]:
    """Tensor -> a representative of the tensors that must have its quantization."""
    owner = {name: name for name in graph.tensors}
    for node in graph.nodes:
        if isinstance(node, KEEPS_QUANTIZATION):
            merged = {owner[name] for name in (node.name, *node.inputs)}
            leader = owner[node.inputs[0]]
            owner = {name: leader if held in merged else held for name, held in owner.items()}
    return owner
