"""Training with the rounding of int8 in the forward pass (QAT), exactly as conversion will round.

Straight-through gradients (Bengio et al. 2013); activation ranges follow an exponential average of what batches show
(Jacob et al. 2018, arXiv 1712.05877) and are handed to the converter, so that the trained network is the deployed one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mcuprune.graph.ir import Flatten, Graph, MaxPool2d, Pad
from mcuprune.quantize.convert import fixed_quantization, scale_owners
from mcuprune.quantize.observers import activation_quantization
from mcuprune.training.graph_module import GraphModule

DECAY = 0.98  # of the running ranges, per batch
EXACT = (Flatten, Pad, MaxPool2d)  # their outputs are on the grid already


class FakeQuantizer:
    """Hooks for :class:`GraphModule` and the activation ranges that they have seen."""

    def __init__(self, graph: Graph) -> None:
        self._owner = scale_owners(graph)
        self._fixed = fixed_quantization(graph)
        self._exact = {node.name for node in graph.nodes if isinstance(node, EXACT)}
        self._axis = {node.weight: axis for node, axis in _weights(graph)}
        self._ranges: dict[str, tuple[Tensor, Tensor]] = {}
        self.observing = True

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Symmetric int8 per output channel."""
        axis = self._axis[name] % value.dim()
        others = [i for i in range(value.dim()) if i != axis]
        largest = value.detach().abs().amax(others, keepdim=True)
        scale = torch.where(largest > 0, largest, torch.ones_like(largest)) / 127.0
        return _through(value, (value.detach() / scale).round().clamp(-127, 127) * scale)

    def activation(self, name: str, value: Tensor) -> Tensor:
        """Asymmetric int8 per tensor, on the range of all tensors that share its quantization."""
        if name in self._exact:
            return value
        fixed = self._fixed.get(name)
        if fixed is None:
            if self.observing and value.requires_grad:
                self._observe(self._owner[name], value.detach())
            low, high = self._ranges[self._owner[name]]
            fixed = activation_quantization(float(low), float(high))
        scale, zero = fixed.scale, fixed.zero_point
        low_end, high_end = (-128 - zero) * scale, (127 - zero) * scale
        clipped = value.clamp(low_end, high_end)
        return _through(clipped, (clipped.detach() / scale).round() * scale)

    def calibrate(self, module: GraphModule, x: Tensor) -> None:
        """Start the ranges from one batch."""

        def observe(name: str, value: Tensor) -> Tensor:
            self._observe(self._owner[name], value, first=True)
            return value

        with torch.no_grad():
            module(x, activation=observe)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Tensor -> range, for the converter."""
        return {
            name: (float(self._ranges[leader][0]), float(self._ranges[leader][1]))
            for name, leader in self._owner.items()
        }

    def state(self) -> dict[str, Tensor]:
        return {name: torch.stack(pair) for name, pair in self._ranges.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._ranges = {name: (pair[0], pair[1]) for name, pair in state.items()}

    def _observe(self, owner: str, value: Tensor, first: bool = False) -> None:
        low, high = value.amin().clamp(max=0.0), value.amax().clamp(min=0.0)
        if owner not in self._ranges:
            self._ranges[owner] = (low, high)
            return
        old_low, old_high = self._ranges[owner]
        if first:  # the union over the tensors that share it
            self._ranges[owner] = (torch.minimum(old_low, low), torch.maximum(old_high, high))
        else:
            self._ranges[owner] = (old_low.lerp(low, 1 - DECAY), old_high.lerp(high, 1 - DECAY))


def _through(value: Tensor, rounded: Tensor) -> Tensor:
    """``rounded`` forward, the gradient of ``value`` backward."""
    return value + (rounded - value).detach()


def _weights(graph: Graph):  # type: ignore[no-untyped-def]
    from mcuprune.quantize.convert import CHANNEL_AXIS

    for node in graph.nodes:
        if type(node) in CHANNEL_AXIS:
            yield node, CHANNEL_AXIS[type(node)]
