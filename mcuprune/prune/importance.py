"""How large the filters behind each channel are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import constant_axes, unit_of_element
from mcuprune.graph.ir import BatchNorm, Conv2d, Graph, Linear
from mcuprune.training.graph_module import GraphModule


def unit_norms(module: GraphModule) -> dict[str, Tensor]:
    """Group -> (width,) mean over producing layers of a filter's L2 norm, batch-norm scale included.

    Norms are divided by the square root of the filter's size, so that layers of different fan-in compare, and
    are detached from the graph of gradients, on the CPU.
    """
    parameters, statistics = ({k: v.detach().cpu() for k, v in values.items()} for values in module.state())
    graph = module.graph
    scale = {
        node.inputs[0]: parameters[node.gamma].abs() / (statistics[node.variance] + node.epsilon).sqrt()
        for node in graph.nodes
        if isinstance(node, BatchNorm)
    }
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    for node in graph.nodes:
        if not isinstance(node, Conv2d | Linear):
            continue
        rows = parameters[node.weight].flatten(1)
        norm = rows.square().mean(1).sqrt() * scale.get(node.name, torch.ones(()))
        axis = constant_axes(node, graph)[node.weight][0]
        assert axis is not None
        for group, pairs in unit_of_element(axis, graph.widths).items():
            position, unit = torch.from_numpy(pairs).unbind(1)
            found = torch.zeros(graph.widths[group]).index_add_(0, unit, norm[position])
            sums[group] = sums[group] + found if group in sums else found
            counts[group] = counts.get(group, 0) + 1
    return {group: total / counts[group] for group, total in sums.items()}


def filter_scores(graph: Graph) -> dict[str, np.ndarray]:
    """Group -> (width,) predicted loss increase of each unit, by the norms of the graph's own weights."""
    return numpy_scores(unit_norms(GraphModule(graph)))


def numpy_scores(norms: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Squared norms as predicted loss increases: removing a filter changes its readers by its energy."""
    return {group: norm.double().square().numpy() for group, norm in norms.items()}
