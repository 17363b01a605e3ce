"""Physical removal of channels: from graphs, from parameters in training, and from optimiser state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from mcuprune.graph.channels import Index, Keep, constant_indices
from mcuprune.graph.ir import Graph
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.lanes import take


def shrink(graph: Graph, keep: Keep) -> Graph:
    """``graph`` with only the kept units of each group.  Nodes stay; widths and constants are cut."""
    constants = dict(graph.constants)
    for name, index in constant_indices(graph, keep).items():
        constants[name] = replace(constants[name], values=_take(constants[name].values, index))
    widths = {group: len(keep[group]) if group in keep else width for group, width in graph.widths.items()}
    return replace(graph, constants=constants, widths=widths)


def _take(values: np.ndarray, index: Index) -> np.ndarray:
    for dimension, kept in enumerate(index):
        if kept is not None:
            values = np.take(values, kept, axis=dimension)
    return np.ascontiguousarray(values)


def carry_optimizer(
    old: GraphModule,
    old_optimizer: torch.optim.Optimizer,
    new: GraphModule,
    new_optimizer: torch.optim.Optimizer,
    indices: Mapping[str, Index],
) -> None:
    """Give the narrow module's optimizer the old one's state, cut like the parameters, nothing shared."""
    old_values, new_values = old.state()[0], new.state()[0]
    for name, parameter in old_values.items():
        state = old_optimizer.state.get(parameter)
        if not state:
            continue
        index, shape = indices.get(name, (None,) * parameter.dim()), parameter.shape
        new_optimizer.state[new_values[name]] = {
            key: new.lanes.widened(name, take(value, index)) if value.shape == shape else value.clone()
            for key, value in state.items()
            if torch.is_tensor(value)
        }
