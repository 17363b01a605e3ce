"""Channel masks under a soft penalty: the baseline of maintained search tools."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mcuprune.prune.gated import Learned, descend, straight_through
from mcuprune.prune.method import Context, Site, State
from mcuprune.training.graph_module import GraphModule


@dataclass(frozen=True)
class Duccio(Learned):
    """One ``alpha`` per unit, binarised at 0.5 with straight-through gradients, under a ramped penalty.

    The penalty alone promises nothing; here the allocator still makes every budget hold at the freeze.
    """

    name = "duccio"
    title = "channel masks under a soft resource penalty (as PIT with DUCCIO)"
    paper = "Risso et al. 2022 (arXiv 2206.08852); Burrello et al. 2023 (arXiv 2310.07217)"
    binding = "penalty"
    gate_rate: float = 1.0

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        return {"alpha": {s.key: torch.ones(s.size, requires_grad=True) for s in sites}}

    def draw(self, context: Context) -> dict[str, Tensor]:
        return {k: straight_through((v > 0.5).float(), v) for k, v in context.state["alpha"].items()}

    def expected(self, state: State) -> dict[str, Tensor]:
        return {k: straight_through((v > 0.5).float(), v).sum() for k, v in state["alpha"].items()}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        for value in context.state["alpha"].values():
            descend(value, self.gate_rate, 0.0, 1.0)

    def preference(self, state: State) -> dict[str, Tensor]:
        return {k: v.detach() for k, v in state["alpha"].items()}
