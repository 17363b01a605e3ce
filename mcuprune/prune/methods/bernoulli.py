"""Bernoulli gates whose parameters end at 0 or 1 by themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mcuprune.prune.gated import Learned, straight_through
from mcuprune.prune.method import Context, Site, State
from mcuprune.prune.options import require
from mcuprune.training.graph_module import GraphModule


@dataclass(frozen=True)
class Bernoulli(Learned):
    """``theta`` per unit by projected gradient: ``E[L | on] - E[L | off]`` plus a constant price.

    The flattening hyper-prior makes the regulariser ``theta * log(gamma)``, linear, so the objective is
    affine in each ``theta`` and minima lie at 0 or 1.  ``log(gamma)`` is the unit's price under the budgets.
    A unit whose ``theta`` stays below ``lost`` for ``patience`` steps is gone for good (early removal): the
    data's gradient on its weights is scaled by ``theta`` while their decay is not.
    """

    name = "bernoulli"
    title = "Bernoulli gates with flattening hyper-prior, early removal"
    paper = "Guenter & Sideris 2022 (arXiv 2205.04650); layers: 2024 (arXiv 2406.04549)"
    start: float = 0.9
    gate_rate: float = 2.0
    lost: float = 0.1
    patience: int = 60

    def __post_init__(self) -> None:
        require(self.patience >= 1, self.name, "patience is at least 1")
        require(0.0 <= self.lost < self.start <= 1.0, self.name, "start lies above lost and is at most 1")

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        return {
            "theta": {s.key: torch.full((s.size,), self.start, requires_grad=True) for s in sites},
            "slope": {s.key: torch.zeros(s.size) for s in sites},
            "low": {s.key: torch.zeros(s.size) for s in sites},  # steps that theta has been below ``lost``
        }

    def draw(self, context: Context) -> dict[str, Tensor]:
        return {
            k: straight_through((torch.rand(len(v), generator=context.random) < v).float(), v)
            for k, v in context.state["theta"].items()
        }

    def expected(self, state: State) -> dict[str, Tensor]:
        return {k: v.sum() for k, v in state["theta"].items()}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        state = context.state
        for key, theta in state["theta"].items():
            slope = slopes.get(key)
            if theta.grad is None or slope is None:
                continue
            price = theta.grad - slope
            state["slope"][key].lerp_(slope, 1 - self.decay)
            theta.sub_(self.gate_rate * (state["slope"][key] + price)).clamp_(0.0, 1.0)
            gone = state["low"][key] >= self.patience
            state["low"][key] = torch.where(theta < self.lost, state["low"][key] + 1, gone * self.patience)
            theta[gone] = 0.0
            theta.grad = None

    def preference(self, state: State) -> dict[str, Tensor]:
        return {k: v.detach() for k, v in state["theta"].items()}
