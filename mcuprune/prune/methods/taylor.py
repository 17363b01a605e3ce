"""Saliency with a hard mask: the network in training is always the deployable network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mcuprune.prune.method import Context, Method, Site, State, mask_of
from mcuprune.prune.shrink import Keep
from mcuprune.training.graph_module import GraphModule


class Taylor(Method):
    """Binary gates; a unit's score is the running mean of its squared gate gradient.

    The gradient reaches masked units too, because their producers still run, so units can come back.  Squares
    are averaged because the mean gradient itself tends to zero at stationarity (structured_pruning, method
    1B).
    """

    name = "taylor"
    title = "squared first-order Taylor saliency, hard masks"
    paper = "Liberis & Lane 2023 (doi 10.1145/3569468); Molchanov et al. 2019 (arXiv 1906.10771)"
    decay = 0.95

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        return State(
            {
                "gate": {s.key: torch.ones(s.size, requires_grad=True) for s in sites},
                "saliency": {s.key: torch.zeros(s.size) for s in sites},
                "steps": {"count": torch.zeros(())},
            }
        )

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        return state["gate"][site.key]

    def step(self, context: Context) -> Tensor:
        state = context.state
        for gate in state["gate"].values():
            gate.grad = None
        loss = context.sgd()
        state["steps"]["count"] += 1
        for key, gate in state["gate"].items():
            if gate.grad is not None:
                state["saliency"][key].lerp_(gate.grad.square(), 1 - self.decay)
        return loss

    def assign(self, state: State, keep: Keep) -> None:
        for key, kept in keep.items():
            state["gate"][key].data.copy_(mask_of(len(state["gate"][key]), kept))

    def scores(self, state: State) -> dict[str, np.ndarray]:
        correction = 1 - self.decay ** max(1.0, float(state["steps"]["count"]))
        return {key: (value / correction).double().numpy() for key, value in state["saliency"].items()}
