"""Spare channels of zeros: torch's kernels take longer for 21 channels than for 24.

Where the filters, scale and shift of a channel and the weights that read it are zero, it is zero, and so are
all their gradients: no optimizer moves them.  A network learns the same with spare channels as without, but
for the order of sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import Index, all_constant_axes, constant_indices
from mcuprune.graph.ir import Activation, Graph, axis_width

LANES = 8  # channels that the kernels take at once
MOVES_ZERO = ("sigmoid", "hard_sigmoid")


@dataclass(frozen=True)
class Lanes:
    """Where the constants of a graph lie among those with spare channels, for the constants that have some.

    ``shapes``: of the larger ones.  ``indices``: positions along each of their dimensions (None: all).
    """

    shapes: Mapping[str, tuple[int, ...]]
    indices: Mapping[str, Index]

    @classmethod
    def of(cls, graph: Graph) -> Lanes:
        """Groups that may change their width rounded up; none in a graph where zero does not stay zero."""
        if any(isinstance(node, Activation) and node.function in MOVES_ZERO for node in graph.nodes):
            return NO_LANES
        wide = {g: n if g in graph.frozen else -(-n // LANES) * LANES for g, n in graph.widths.items()}
        real = {group: np.arange(n) for group, n in graph.widths.items() if wide[group] > n}
        indices = constant_indices(replace(graph, widths=wide), real)
        axes = all_constant_axes(graph)
        shapes = {
            name: tuple(
                size if axis is None else int(axis_width(axis, wide))
                for axis, size in zip(axes[name], graph.constants[name].values.shape, strict=True)
            )
            for name in indices
        }
        return cls(shapes, indices)

    def widened(self, name: str, value: Tensor) -> Tensor:
        """``value``, of the shape of the graph's constant, among zeros."""
        if name not in self.indices:
            return value
        wide = value.new_zeros(self.shapes[name])
        places = [
            np.arange(size) if kept is None else kept
            for size, kept in zip(value.shape, self.indices[name], strict=True)
        ]
        wide[tuple(torch.from_numpy(grid).to(value.device) for grid in np.ix_(*places))] = value
        return wide

    def narrowed(self, name: str, value: Tensor) -> Tensor:
        """What :meth:`widened` was given."""
        return take(value, self.indices[name]) if name in self.indices else value


NO_LANES = Lanes({}, {})


def take(tensor: Tensor, index: Index) -> Tensor:
    """A copy of the elements at those positions along each dimension (None: all)."""
    for dimension, kept in enumerate(index):
        if kept is not None:
            tensor = tensor.index_select(dimension, torch.from_numpy(kept).to(tensor.device))
    return tensor.clone()
