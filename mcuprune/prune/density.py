"""Shares of weights as resources: what papers on sparsity constrain, for the model or for each layer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import constant_axes, prunable
from mcuprune.graph.ir import Axis, Conv2d, DepthwiseConv2d, Linear, axis_width
from mcuprune.resources.model import ResourceModel

MODEL = "density"
Sizes = tuple[tuple[Axis | None, int], ...]  # of a weight's dimensions: channel axis, or fixed size


@dataclass(frozen=True)
class Density(ResourceModel):
    """``density``: stored weights over those of the whole network, biases and batch norms left out.

    ``density:LAYER``: the share that a layer's own gates leave, those on the outputs of a convolution and on
    the inputs of a linear layer (on the other side where these cannot be gated).  That its neighbour's gates
    thin it too does not count, as in the layer-wise constraints of Gallego-Posada et al. 2022.
    """

    def figures(
        self, levels: Mapping[str, np.ndarray], wanted: Collection[str] = ()
    ) -> dict[str, np.ndarray]:
        count = max((len(v) for v in levels.values()), default=1)
        found = self._shares({**self.graph.widths, **levels})
        return {k: np.broadcast_to(np.asarray(v, float), (count,)) for k, v in found.items()}

    def relaxed(self, widths: Mapping[str, int | Tensor], wanted: Collection[str] = ()) -> dict[str, Tensor]:
        found = self._shares(widths)
        return {k: torch.as_tensor(v, dtype=torch.float32) for k, v in found.items()}

    def exact(self, levels: Mapping[str, int]) -> dict[str, float]:
        return {k: float(v) for k, v in self._shares({**self.graph.widths, **levels}).items()}

    def weights(self) -> float:
        """How many are stored."""
        return float(sum(_elements(sizes, self.graph.widths) for sizes in self._weights.values()))

    @cached_property
    def _weights(self) -> dict[str, Sizes]:
        found = {}
        for node in self.graph.nodes:
            if isinstance(node, Conv2d | DepthwiseConv2d | Linear):
                axes = constant_axes(node, self.graph)[node.weight]
                shape = self.graph.constants[node.weight].values.shape
                found[node.name] = tuple(zip(axes, shape, strict=True))
        return found

    @cached_property
    def _own(self) -> dict[str, Axis]:
        """The channel axis that a layer's own gates lie on."""
        free, found = set(prunable(self.graph)), {}
        for node in self.graph.nodes:
            if isinstance(node, Conv2d | DepthwiseConv2d | Linear):
                reads, makes = (self.graph.tensors[name].channels for name in (node.inputs[0], node.name))
                own, other = (reads, makes) if isinstance(node, Linear) else (makes, reads)
                found[node.name] = own if any(block.group in free for block in own) else other
        return found

    def _shares(self, widths: Mapping[str, Any]) -> dict[str, Any]:
        now = {name: _elements(sizes, widths) for name, sizes in self._weights.items()}
        layers = {
            f"{MODEL}:{name}": axis_width(axis, widths) / axis_width(axis, self.graph.widths)
            for name, axis in self._own.items()
        }
        return {MODEL: sum(now.values()) / self.weights(), **layers}


def _elements(sizes: Sizes, widths: Mapping[str, Any]) -> Any:
    product: Any = 1.0
    for axis, size in sizes:
        product = product * (size if axis is None else axis_width(axis, widths))
    return product
