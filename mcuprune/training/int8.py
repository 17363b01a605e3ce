"""Training with the rounding of int8 in the forward pass (QAT), exactly as conversion will round.

Straight-through gradients (Bengio et al. 2013); activation ranges follow an exponential average of what
batches show (Jacob et al. 2018, arXiv 1712.05877) and are handed to the converter, so that the trained
network is the deployed one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mcuprune.graph.ir import Conv2d, DepthwiseConv2d, Flatten, Graph, Linear, MaxPool2d, Pad
from mcuprune.graph.passes import run_passes
from mcuprune.graph.sharing import scale_owners
from mcuprune.progress import Progress
from mcuprune.quantize.convert import fixed_quantization
from mcuprune.quantize.equalize import equalized
from mcuprune.quantize.multipliers import CHANNEL_AXIS, EXPONENT, ROUND_UP
from mcuprune.quantize.observers import SMALLEST_SCALE, activation_quantization, drawn
from mcuprune.training.divergence import RETRIES, DivergedError
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, Loss, Trained, train
from mcuprune.training.recipe import Recipe
from mcuprune.training.schedules import int8_rate

CALIBRATION = 512  # training samples that the ranges start from
EQUALIZATION = 128  # of them that channels are compared on
DECAY = 0.98  # of the running ranges, per batch
EXACT = (Flatten, Pad, MaxPool2d)  # their outputs are on the grid already


class FakeQuantizer:
    """Hooks for :class:`GraphModule` and the activation ranges that they have seen.

    While ``observing``, ranges follow the batches of training, tensors with a gradient; the network's input,
    which has none, keeps the range that it started from, and so does everything under ``torch.no_grad``.
    """

    def __init__(self, graph: Graph) -> None:
        self._owner = scale_owners(graph)
        self._fixed = fixed_quantization(graph)
        self._exact = {node.name for node in graph.nodes if isinstance(node, EXACT)}
        observed = [name for name in graph.tensors if name not in self._exact]
        self._sharing = {  # leader -> the tensors whose values set its range
            leader: [name for name in observed if self._owner[name] == leader]
            for leader in self._owner.values()
        }
        self._axis = {
            node.weight: CHANNEL_AXIS[type(node)]
            for node in graph.nodes
            if isinstance(node, Conv2d | DepthwiseConv2d | Linear)
        }
        self._ranges: dict[str, tuple[float, float]] = {}
        self.observing = True

    def weight(self, name: str, value: Tensor) -> Tensor:
        """Symmetric int8 per output channel, scales as in :mod:`mcuprune.quantize.multipliers`."""
        axis = self._axis[name] % value.dim()
        others = [i for i in range(value.dim()) if i != axis]
        needed = value.detach().abs().amax(others, keepdim=True).div_(127.0)
        base = needed.max().clamp_min_(SMALLEST_SCALE)
        bits = (needed / base).view(torch.int32).add_(ROUND_UP).bitwise_and_(EXPONENT)
        scale = bits.view(torch.float32).mul_(base).clamp_min_(SMALLEST_SCALE)
        return _rounded(value, scale, -128, 128)  # none beyond 127: no end, every gradient passes

    def activation(self, name: str, value: Tensor) -> Tensor:
        """Asymmetric int8 per tensor, on the range of all tensors that share its quantization."""
        if name in self._exact:
            return value
        fixed = self._fixed.get(name)
        if fixed is None:
            if self.observing and value.requires_grad:
                self._observe(name, value.detach())
            fixed = activation_quantization(*self._shared_range(name))
        return _rounded(value, fixed.scale, -128 - fixed.zero_point, 127 - fixed.zero_point)

    def calibrate(self, module: GraphModule, x: np.ndarray, device: torch.device | str = "cpu") -> None:
        """Start the ranges from some of the training inputs ``x``."""

        def observe(name: str, value: Tensor) -> Tensor:
            if name not in self._exact:
                self._observe(name, value, decay=0.0)
            return value

        with torch.no_grad():
            module(torch.from_numpy(x[drawn(len(x), CALIBRATION)]).to(device), activation=observe)

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Tensor -> range, for the converter."""
        return {name: self._shared_range(name) for name in self._owner}

    def state(self) -> dict[str, Tensor]:
        return {name: torch.tensor(pair, dtype=torch.float64) for name, pair in self._ranges.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._ranges = {name: (float(pair[0]), float(pair[1])) for name, pair in state.items()}

    def _shared_range(self, name: str) -> tuple[float, float]:
        """The union over the tensors that share the scale, each of which keeps a running range of its own.

        One running range for all would drift to their mean and clip the widest: the map below a global mean.
        """
        pairs = [self._ranges[other] for other in self._sharing[self._owner[name]]]
        return min(low for low, _ in pairs), max(high for _, high in pairs)

    def _observe(self, name: str, value: Tensor, decay: float = DECAY) -> None:
        low, high = float(value.amin()), float(value.amax())  # aminmax would copy maps, channels last
        if not math.isfinite(high - low):
            raise DivergedError(
                f"training diverged: '{name}' runs from {low} to {high} where int8 training takes its range, "
                f"also after {RETRIES} restarts of the epoch at lower rates; "
                "lower --learning-rate, or look for extreme values in the data"
            )
        low, high = min(low, 0.0), max(high, 0.0)
        old_low, old_high = self._ranges.get(name, (low, high))
        self._ranges[name] = (low + decay * (old_low - low), high + decay * (old_high - high))


def ready_for_int8(graph: Graph, x: np.ndarray) -> Graph:
    """``graph`` as int8 training starts with: batch norms folded, channels equalized over some of ``x``."""
    return equalized(run_passes(graph), x[drawn(len(x), EQUALIZATION)])


def train_int8(
    graph: Graph,
    data: Arrays,
    loss: Loss,
    recipe: Recipe,
    score: Callable[[nn.Module], float],
    progress: Progress,
) -> tuple[Trained, dict[str, tuple[float, float]]]:
    """``graph``, :func:`ready_for_int8`, trained on with the rounding; and the ranges that it settled on."""
    folded = ready_for_int8(graph, data.x)
    quantizer = FakeQuantizer(folded)
    quantizer.calibrate(GraphModule(folded), data.x)
    result = train(
        folded,
        data,
        loss,
        recipe.without_norms(),
        score,
        progress,
        "int8",
        quantizer,
        int8_rate,
    )
    return result, quantizer.ranges()


class _Rounding(torch.autograd.Function):
    """Values on the grid of ``scale``, ``low`` to ``high`` steps; the gradient passes between the ends.

    One node of autograd instead of six: networks here are so small that a step takes as long as its operators
    are many.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor, scale: float | Tensor, low: int, high: int) -> Tensor:
        steps = value / scale
        ctx.save_for_backward(steps)
        ctx.ends = low, high
        return steps.clamp(low, high).round_().mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        low, high = ctx.ends
        (steps,) = ctx.saved_tensors
        return torch.ops.aten.hardtanh_backward(gradient, steps, low, high), None, None, None


def _rounded(value: Tensor, scale: float | Tensor, low: int, high: int) -> Tensor:
    return _Rounding.apply(value, scale, low, high)  # type: ignore[no-any-return,no-untyped-call]
