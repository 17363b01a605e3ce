"""Hard-concrete gates under Lagrangian budget constraints."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mcuprune.prune.gated import Learned, descend
from mcuprune.prune.method import Context, Site, State
from mcuprune.prune.options import require
from mcuprune.training.graph_module import GraphModule

GAMMA, ZETA, BETA = -0.1, 1.1, 2 / 3
SHIFT = -BETA * math.log(-GAMMA / ZETA)  # P(gate != 0) = sigmoid(a + SHIFT)
LOW, HIGH = math.log(1e-2), math.log(1e2)


def sample(logits: Tensor, uniform: Tensor) -> Tensor:
    """Louizos et al. 2018, eq. 10-12: a stretched, clipped concrete variable; ``uniform`` in (0, 1)."""
    noise = torch.log(uniform) - torch.log1p(-uniform)
    return (torch.sigmoid((noise + logits) / BETA) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


def active_probability(logits: Tensor) -> Tensor:
    """(units,) probability that a gate is not 0 (Louizos et al. 2018, eq. 12)."""
    return torch.sigmoid(logits + SHIFT)


def median(logits: Tensor) -> Tensor:
    """The gate used at evaluation."""
    return (torch.sigmoid(logits / BETA) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)


@dataclass(frozen=True)
class HardConcrete(Learned):
    """One gate per unit, sampled per batch; the price of the expected widths enters the loss.

    Gates follow plain SGD at a rate that is never decayed (Gallego-Posada et al. 2022, sections 3 and 4).
    The multipliers live outside the method: one for the model, or one per layer (``prune/density.py``).
    Weights decay plainly, as the optimizer has it, not by their expected norm under the gates, as theirs:
    where batch norms follow, the size of weights means nothing but their rate.  ``drop`` is the initial drop
    rate.
    """

    name = "hard_concrete"
    title = "L0 gates (hard concrete) with constrained optimisation"
    paper = "Gallego-Posada et al. 2022 (arXiv 2208.04425); Louizos et al. 2018 (arXiv 1712.01312)"
    drop: float = 0.3
    gate_rate: float = 6.0

    def __post_init__(self) -> None:
        require(0.0 < self.drop < 1.0, self.name, "drop lies between 0 and 1")

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        centre = math.log((1 - self.drop) / self.drop)
        draw = {s.key: centre + 0.1 * torch.randn(s.size, generator=random) for s in sites}
        return {"logits": {k: v.requires_grad_() for k, v in draw.items()}}

    def draw(self, context: Context) -> dict[str, Tensor]:
        return {
            k: sample(v, torch.rand(len(v), generator=context.random).clamp(1e-6, 1 - 1e-6))
            for k, v in context.state["logits"].items()
        }

    def expected(self, state: State) -> dict[str, Tensor]:
        return {k: active_probability(v).sum() for k, v in state["logits"].items()}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        for value in context.state["logits"].values():
            descend(value, self.gate_rate, LOW, HIGH)

    def settled(self, state: State) -> dict[str, Tensor]:
        return {k: median(v.detach()) for k, v in state["logits"].items()}

    def preference(self, state: State) -> dict[str, Tensor]:
        return {k: active_probability(v) for k, v in state["logits"].items()}
