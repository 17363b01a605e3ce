"""Hard-concrete gates under Lagrangian budget constraints."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mcuprune.prune.method import Context, Method, Site, State
from mcuprune.training.graph_module import GraphModule

GAMMA, ZETA, BETA = -0.1, 1.1, 2 / 3
SHIFT = -BETA * math.log(-GAMMA / ZETA)  # P(gate != 0) = sigmoid(a + SHIFT)
LOW, HIGH = math.log(1e-2), math.log(1e2)


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Louizos et al. 2018, eq. 10-12: a stretched, clipped concrete variable; ``uniform`` in (0, 1)."""
    noise = torch.log(uniform) - torch.log1p(-uniform)
    return (torch.sigmoid((noise + logits) / BETA) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def active_probability(logits: Tensor) -> Tensor:
    return torch.sigmoid(logits + SHIFT)


def median(logits: Tensor) -> Tensor:
    """The gate used at evaluation."""
    return (torch.sigmoid(logits / BETA) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


class HardConcrete(Method):
    """One gate per unit, sampled per batch; the price of the expected widths enters the loss.

    Gates follow plain SGD at a rate that is never decayed (Gallego-Posada et al. 2022, sections 3 and 4).
    The multipliers live outside the method.  Initial drop rate 0.3.
    """

    name = "hard_concrete"
    title = "L0 gates (hard concrete) with constrained optimisation"
    paper = "Gallego-Posada et al. 2022 (arXiv 2208.04425); Louizos et al. 2018 (arXiv 1712.01312)"
    drop = 0.3
    gate_rate = 6.0

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        centre = math.log((1 - self.drop) / self.drop)
        draw = {s.key: centre + 0.1 * torch.randn(s.size, generator=random) for s in sites}
        return State(
            {
                "logits": {k: v.requires_grad_() for k, v in draw.items()},
                "gate": {k: torch.ones(len(v)) for k, v in draw.items()},
            }
        )

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        return state["gate"][site.key]

    def step(self, context: Context) -> Tensor:
        state = context.state
        logits = state["logits"]
        for key, value in logits.items():
            value.grad = None
            uniform = torch.rand(len(value), generator=context.random).clamp(1e-6, 1 - 1e-6)
            state["gate"][key] = sample(value, uniform)
        expected = {key: active_probability(value).sum() for key, value in logits.items()}
        loss = context.sgd(context.pressure(expected))
        with torch.no_grad():
            for key, value in logits.items():
                if value.grad is not None:
                    value -= self.gate_rate * value.grad
                    value.clamp_(LOW, HIGH)
                state["gate"][key] = median(value)
        return loss

    def widths(self, state: State) -> dict[str, int]:
        return {k: int((v > 0).sum()) for k, v in state["gate"].items()}

    def scores(self, state: State) -> dict[str, np.ndarray]:
        return {k: active_probability(v.detach()).double().numpy() for k, v in state["logits"].items()}
