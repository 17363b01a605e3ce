"""Physical removal of channels: from graphs, from parameters in training, and from optimiser state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import all_constant_axes, element_index
from mcuprune.graph.ir import Graph
from mcuprune.training.graph_module import GraphModule

Keep = Mapping[str, np.ndarray]  # group -> sorted unit numbers that stay; a group left out stays whole


def shrink(graph: Graph, keep: Keep) -> Graph:
    """``graph`` with only the kept units of each group.  Nodes stay; widths and constants are cut."""
    constants = dict(graph.constants)
    for name, index in constant_indices(graph, keep).items():
        constants[name] = replace(constants[name], values=_take(constants[name].values, index))
    widths = {group: len(keep[group]) if group in keep else width for group, width in graph.widths.items()}
    return replace(graph, constants=constants, widths=widths)


def constant_indices(graph: Graph, keep: Keep) -> dict[str, tuple[np.ndarray | None, ...]]:
    """For each constant that loses elements, the kept positions along each of its dimensions (None: all)."""
    found: dict[str, tuple[np.ndarray | None, ...]] = {}
    for name, axes in all_constant_axes(graph).items():
        touched = [axis is not None and any(block.group in keep for block in axis) for axis in axes]
        if any(touched):
            found[name] = tuple(
                element_index(axis, graph.widths, keep) if touch and axis is not None else None
                for axis, touch in zip(axes, touched, strict=True)
            )
    return found


def shrink_tensor(tensor: Tensor, index: tuple[np.ndarray | None, ...]) -> Tensor:
    """A parameter, or any state tensor of its shape, cut like the parameter's constant."""
    for dimension, kept in enumerate(index):
        if kept is not None:
            tensor = tensor.index_select(dimension, torch.from_numpy(kept).to(tensor.device))
    return tensor.clone()


def _take(values: np.ndarray, index: tuple[np.ndarray | None, ...]) -> np.ndarray:
    for dimension, kept in enumerate(index):
        if kept is not None:
            values = np.take(values, kept, axis=dimension)
    return np.ascontiguousarray(values)


def carry_optimizer(
    old: GraphModule,
    old_optimizer: torch.optim.Optimizer,
    new: GraphModule,
    new_optimizer: torch.optim.Optimizer,
    indices: Mapping[str, tuple[np.ndarray | None, ...]],
) -> None:
    """Give the narrow module's optimizer the old one's state, cut like the parameters, nothing shared."""
    old_values, new_values = old.state()[0], new.state()[0]
    for name, parameter in old_values.items():
        state = old_optimizer.state.get(parameter)
        if not state:
            continue
        index = indices.get(name, (None,) * parameter.dim())
        new_optimizer.state[new_values[name]] = {
            key: shrink_tensor(value, index) if value.shape == parameter.shape else value.clone()
            for key, value in state.items()
            if torch.is_tensor(value)
        }
