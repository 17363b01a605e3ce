"""A learned keep ratio per channel group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mcuprune.prune.gated import Learned, descend, straight_through
from mcuprune.prune.importance import unit_norms
from mcuprune.prune.method import Context, Site, State
from mcuprune.prune.options import require
from mcuprune.training.graph_module import GraphModule

PARTS, ROUNDS = 32, 7  # 2^35 in all: further than the interval has digits in float32


def keep_probability(importance: Tensor, ratio: float, steepness: float) -> Tensor:
    """``p_i = 1 / (1 + (b / importance_i) ** steepness)`` with ``b`` solved so that ``mean(p) = ratio``.

    Ning et al. 2020 (differentiable sparsity allocation), eq. 4.  ``log b`` lies in an interval of which the
    right one of :data:`PARTS` parts is taken, :data:`ROUNDS` times: the mean falls as ``b`` grows.
    """
    log_importance = importance.clamp_min(1e-12).double().log()
    low, high = (float(end) for end in log_importance.aminmax())
    low, high = low - 50 / steepness, high + 50 / steepness
    for _ in range(ROUNDS):
        ends = torch.linspace(low, high, PARTS + 1, dtype=torch.float64)
        means = torch.sigmoid(steepness * (log_importance - ends[:, None])).mean(1)
        right = min(max(int((means > ratio).sum()), 1), PARTS)
        low, high = float(ends[right - 1]), float(ends[right])
    return torch.sigmoid(steepness * (log_importance - (low + high) / 2)).float()


def attach_ratio(probability: Tensor, ratio: Tensor) -> Tensor:
    """``probability`` with the gradient ``dp_i/dratio = C * w_i``, ``w_i = p_i(1-p_i) / sum p(1-p)``.

    From ``mean_i p_i(b) = ratio``: every ``dp_i/db`` is proportional to ``p_i (1 - p_i)``.
    """
    spread = (probability * (1 - probability)).clamp_min(1e-6)
    weight = len(probability) * spread / spread.sum()
    return probability.detach() + (ratio - ratio.detach()) * weight.detach()


@dataclass(frozen=True)
class KeepRatio(Learned):
    """``alpha = sigmoid(a)`` per group steers how many of its most important units are kept.

    Masks are Bernoulli draws with straight-through gradients; importance is the norm of the producing
    filters.  The steepness of the keep probability rises from ``soft`` to ``steep`` while gating.
    """

    name = "keep_ratio"
    title = "learned keep ratio per group (differentiable sparsity allocation)"
    paper = "Ning et al. 2020 (ECCV); Liberis & Lane 2023 (doi 10.1145/3569468)"
    start: float = 5.0
    gate_rate: float = 2.0
    soft: float = 2.0
    steep: float = 12.0

    def __post_init__(self) -> None:
        require(0.0 < self.soft <= self.steep, self.name, "soft lies above 0, steep is at least soft")

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        return {
            "ratio": {s.key: torch.tensor(self.start, requires_grad=True) for s in sites},
            "probability": {s.key: torch.ones(s.size) for s in sites},
        }

    def draw(self, context: Context) -> dict[str, Tensor]:
        state, norms = context.state, unit_norms(context.module)
        steepness = self.soft + (self.steep - self.soft) * context.progress
        drawn = {}
        for key, logit in state["ratio"].items():
            ratio = torch.sigmoid(logit)
            probability = keep_probability(norms[key], float(ratio.detach()), steepness)
            state["probability"][key] = probability
            on = (torch.rand(len(probability), generator=context.random) < probability + 0.01).float()
            drawn[key] = straight_through(on, attach_ratio(probability, ratio))
        return drawn

    def expected(self, state: State) -> dict[str, Tensor]:
        return {k: torch.sigmoid(v) * len(state["probability"][k]) for k, v in state["ratio"].items()}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        for value in context.state["ratio"].values():
            descend(value, self.gate_rate, -6.0, 6.0)

    def preference(self, state: State) -> dict[str, Tensor]:
        return state["probability"]
