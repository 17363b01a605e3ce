"""A learned keep ratio per channel group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mcuprune.prune.gated import Learned, descend, straight_through
from mcuprune.prune.importance import unit_norms
from mcuprune.prune.method import Context, Site, State
from mcuprune.prune.options import require
from mcuprune.training.graph_module import GraphModule

PARTS, ROUNDS = 32, 7  # 2^35 in all: further than the interval has digits in float32
RENEWAL = 10  # steps between two looks at the filters: their norms change slowly


def keep_probabilities(importance: Sequence[Tensor], ratios: Tensor, steepness: float) -> list[Tensor]:
    """``p_i = 1 / (1 + (b / importance_i) ** steepness)`` with ``b`` solved so that ``mean(p) = ratio``.

    Ning et al. 2020 (differentiable sparsity allocation), eq. 4; ``importance`` (units,) and ratio of every
    group, which are solved together.  ``log b`` lies in an interval of which the right one of :data:`PARTS`
    parts is taken, :data:`ROUNDS` times: the mean falls as ``b`` grows.
    """
    known = [values.clamp_min(1e-12).double().log() for values in importance]
    logs = pad_sequence(known, batch_first=True, padding_value=-math.inf)  # kept with probability 0
    sums = ratios.detach().double() * torch.tensor([len(values) for values in known])
    low = torch.stack([values.min() for values in known]) - 50 / steepness
    high = torch.stack([values.max() for values in known]) + 50 / steepness
    grid = torch.linspace(0.0, 1.0, PARTS + 1, dtype=torch.float64)
    for _ in range(ROUNDS):
        ends = low[:, None] + (high - low)[:, None] * grid
        kept = torch.sigmoid(steepness * (logs[:, None, :] - ends[:, :, None])).sum(2)
        right = (kept > sums[:, None]).sum(1, keepdim=True).clamp(1, PARTS)
        low, high = ends.gather(1, right - 1)[:, 0], ends.gather(1, right)[:, 0]
    found = torch.sigmoid(steepness * (logs - (low + high)[:, None] / 2)).float()
    return [row[: len(values)] for row, values in zip(found, known, strict=True)]


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
        state = context.state
        keys = list(state["ratio"])
        if not keys:
            return {}
        if context.step % RENEWAL == 0 or "norm" not in state.tensors:
            state["norm"] = unit_norms(context.module)
        ratios = torch.sigmoid(torch.stack(list(state["ratio"].values())))
        steepness = self.soft + (self.steep - self.soft) * context.progress
        found = keep_probabilities([state["norm"][key] for key in keys], ratios, steepness)
        state["probability"] = dict(zip(keys, found, strict=True))
        drawn = {}
        for key, probability, ratio in zip(keys, found, ratios, strict=True):
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
