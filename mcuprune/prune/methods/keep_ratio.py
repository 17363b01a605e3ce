"""A learned keep ratio per channel group."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mcuprune.prune.importance import unit_norms
from mcuprune.prune.method import Context, Method, Site, State
from mcuprune.training.graph_module import GraphModule


def keep_probability(importance: Tensor, ratio: float, steepness: float) -> Tensor:
    """``p_i = 1 / (1 + (b / importance_i) ** steepness)`` with ``b`` solved so that ``mean(p) = ratio``.

    Ning et al. 2020 (differentiable sparsity allocation), eq. 4; bisection in ``log b``.
    """
    log_importance = importance.clamp_min(1e-12).double().log()
    low, high = log_importance.min() - 50 / steepness, log_importance.max() + 50 / steepness
    for _ in range(60):
        middle = (low + high) / 2
        if torch.sigmoid(steepness * (log_importance - middle)).mean() > ratio:
            low = middle
        else:
            high = middle
    return torch.sigmoid(steepness * (log_importance - (low + high) / 2)).float()


def attach_ratio(probability: Tensor, ratio: Tensor) -> Tensor:
    """``probability`` with the gradient ``dp_i/dratio = C * w_i``, ``w_i = p_i(1-p_i) / sum p(1-p)``.

    From ``mean_i p_i(b) = ratio``: every ``dp_i/db`` is proportional to ``p_i (1 - p_i)``.
    """
    spread = (probability * (1 - probability)).clamp_min(1e-6)
    weight = len(probability) * spread / spread.sum()
    return probability.detach() + (ratio - ratio.detach()) * weight.detach()


class KeepRatio(Method):
    """``alpha = sigmoid(a)`` per group steers how many of its most important units are kept.

    Masks are Bernoulli draws with straight-through gradients; importance is the norm of the producing
    filters.
    """

    name = "keep_ratio"
    title = "learned keep ratio per group (differentiable sparsity allocation)"
    paper = "Ning et al. 2020 (ECCV); Liberis & Lane 2023 (doi 10.1145/3569468)"
    start = 5.0
    gate_rate = 2.0
    steepness = (2.0, 12.0)  # from the start to the end of gating

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        state = State(
            {
                "ratio": {s.key: torch.tensor(self.start, requires_grad=True) for s in sites},
                "gate": {s.key: torch.ones(s.size) for s in sites},
                "probability": {s.key: torch.ones(s.size) for s in sites},
            }
        )
        self._measure(state, module)
        return state

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        return state["gate"][site.key]

    def step(self, context: Context) -> Tensor:
        state = context.state
        self._measure(state, context.module)
        first, last = self.steepness
        steepness = first + (last - first) * context.progress
        expected = {}
        for key, logit in state["ratio"].items():
            logit.grad = None
            ratio = torch.sigmoid(logit)
            probability = keep_probability(state["importance"][key], float(ratio), steepness)
            state["probability"][key] = probability
            soft = attach_ratio(probability, ratio)
            draw = (torch.rand(len(soft), generator=context.random) < probability + 0.01).float()
            state["gate"][key] = draw + soft - soft.detach()
            expected[key] = ratio * len(soft)
        loss = context.sgd(context.pressure(expected))
        with torch.no_grad():
            for key, logit in state["ratio"].items():
                if logit.grad is not None:
                    logit -= self.gate_rate * logit.grad
                    logit.clamp_(-6.0, 6.0)
                state["gate"][key] = (state["probability"][key] > 0.5).float()
        return loss

    def widths(self, state: State) -> dict[str, int]:
        return {k: int((v > 0.5).sum()) for k, v in state["probability"].items()}

    def scores(self, state: State) -> dict[str, np.ndarray]:
        return {key: value.double().numpy() for key, value in state["probability"].items()}

    @staticmethod
    def _measure(state: State, module: GraphModule) -> None:
        norms = unit_norms(module)
        state["importance"] = {key: norms[key] for key in state["ratio"]}
