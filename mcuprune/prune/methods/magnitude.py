"""Hard masks by the size of filters, and by chance: what every learned score must beat."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import Keep
from mcuprune.prune.gated import Gated, assign_masks
from mcuprune.prune.importance import numpy_scores, unit_norms
from mcuprune.prune.method import Context, Method, Site, State
from mcuprune.training.graph_module import GraphModule


class Magnitude(Gated):
    """Binary gates; a unit's score is the squared norm of its filters, batch-norm scale included."""

    name = "magnitude"
    title = "filter norms, hard masks"
    paper = "Li et al. 2017 (arXiv 1608.08710)"

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        return {"norm": self._norms(module, {s.key for s in sites})}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        context.state["norm"] = self._norms(context.module, set(context.state["norm"]))

    def assign(self, state: State, keep: Keep) -> None:
        assign_masks(state, keep)

    def scores(self, state: State) -> dict[str, np.ndarray]:
        return numpy_scores(state["norm"])

    @staticmethod
    def _norms(module: GraphModule, groups: set[str]) -> dict[str, Tensor]:
        return {k: v for k, v in unit_norms(module).items() if k in groups}


class Random(Method):
    """Scores drawn once: the allocator and the floors without any knowledge of the units."""

    name = "random"
    title = "random scores, hard masks"
    paper = "control; Mittal et al. 2018 (arXiv 1801.10447)"

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        scores = {s.key: torch.rand(s.size, generator=random) for s in sites}
        return State({"score": scores, "gate": {s.key: torch.ones(s.size) for s in sites}})

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        return state["gate"][site.key]

    def assign(self, state: State, keep: Keep) -> None:
        assign_masks(state, keep)

    def scores(self, state: State) -> dict[str, np.ndarray]:
        return {k: v.double().numpy() for k, v in state["score"].items()}
