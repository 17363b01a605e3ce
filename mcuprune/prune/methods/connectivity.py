"""Sparse connectivity learning: trainable masks behind a unit step, per channel and per weight."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mcuprune.prune.gated import Learned, straight_through
from mcuprune.prune.method import Context, Method, Site, State
from mcuprune.prune.options import require
from mcuprune.training.graph_module import GraphModule

TINY = 1e-12


def normalised(gradient: Tensor, dim: int | None = None) -> Tensor:
    """``gradient`` over its root mean square: of all of it, or of each row of dimension 0."""
    if dim is None:
        return gradient / (gradient.square().mean().sqrt() + TINY)
    rest = tuple(range(1, gradient.dim()))
    return gradient / (gradient.square().mean(rest, keepdim=True).sqrt() + TINY)


def switched(mask: Tensor, before: Tensor, band: float) -> Tensor:
    """The unit step with hysteresis: off below ``-band``, on above it, as before in between."""
    return torch.where(mask.abs() < band, before, (mask >= 0).float())


@dataclass(frozen=True)
class Connectivity(Learned):
    """One mask variable per unit; the step's surrogate derivative is 1, which never loses a unit.

    The data's gradient is normalised over the units of a group; the price of a unit is relative to its
    group's size, so that the two compare.
    """

    name = "connectivity"
    title = "sparse connectivity learning, per channel"
    paper = "Tang et al. 2022 (arXiv 2201.05020)"
    start: float = 0.5
    gate_rate: float = 0.02
    momentum: float = 0.9
    band: float = 0.05
    price: float = 30.0

    def __post_init__(self) -> None:
        require(self.momentum < 1.0, self.name, "momentum lies below 1")

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        return {
            "mask": {s.key: torch.full((s.size,), self.start, requires_grad=True) for s in sites},
            "on": {s.key: torch.ones(s.size) for s in sites},
            "momentum": {s.key: torch.zeros(s.size) for s in sites},
        }

    def draw(self, context: Context) -> dict[str, Tensor]:
        state = context.state
        return {k: straight_through(state["on"][k], v) for k, v in state["mask"].items()}

    def expected(self, state: State) -> dict[str, Tensor]:
        return {k: straight_through(state["on"][k], v).sum() for k, v in state["mask"].items()}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        state = context.state
        for key, mask in state["mask"].items():
            slope = slopes.get(key)
            if mask.grad is None or slope is None:
                continue
            pull = self.price * len(mask) * (mask.grad - slope)
            momentum = state["momentum"][key].mul_(self.momentum).add_(normalised(slope) + pull)
            mask.sub_((1 - self.momentum) * self.gate_rate * momentum).clamp_(-1.0, 1.0)
            state["on"][key] = switched(mask, state["on"][key], self.band)
            mask.grad = None

    def settled(self, state: State) -> dict[str, Tensor]:
        return dict(state["on"])

    def preference(self, state: State) -> dict[str, Tensor]:
        return {k: (1 + v.detach()) / 2 for k, v in state["mask"].items()}


@dataclass(frozen=True)
class ConnectivityElements(Method):
    """As published: one mask variable per weight, gradients normalised per output feature.

    The pull ``mu`` on the masks follows the share of active weights until it is ``density``; at the freeze
    exactly that share stays.  With raw storage the channel widths come from uniform scaling.
    """

    name = "connectivity_elements"
    title = "sparse connectivity learning, per weight"
    paper = "Tang et al. 2022 (arXiv 2201.05020)"
    kind = "weight"
    density: float = 0.5
    start: float = 0.5
    mask_rate: float = 0.02
    dual_rate: float = 0.1

    def __post_init__(self) -> None:
        require(0.0 < self.density <= 1.0, self.name, "density lies above 0 and is at most 1")

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        parameters, _ = module.state()
        variables = {s.key: torch.full_like(parameters[s.key], self.start) for s in sites}
        return State(
            {
                "variable": {k: v.detach() for k, v in variables.items()},
                "mask": {k: torch.ones_like(v) for k, v in variables.items()},
                "price": {"mu": torch.zeros(())},
                "effective": {},
            }
        )

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        effective = tensor * state["mask"][site.key]
        if effective.requires_grad:
            effective.retain_grad()
            state["effective"][site.key] = effective
        return effective

    def step(self, context: Context) -> Tensor:
        state, (parameters, _) = context.state, context.module.state()
        before = {k: parameters[k].detach().clone() for k in state["variable"]}
        loss = context.plain_step()
        for key, variable in state["variable"].items():
            slope = state["effective"][key].grad
            assert slope is not None
            pull = normalised(slope * before[key], dim=0) + float(state["price"]["mu"])
            variable.sub_(self.mask_rate * pull).clamp_(-1.0, 1.0)
        state["effective"] = {}
        self._choose(state)
        if context.progress >= 1.0:
            state["mask"] = self.final_masks(state)
        return loss

    def final_masks(self, state: State) -> dict[str, Tensor]:
        """The best ``density`` of each tensor, at least one weight."""
        found = {}
        for key, variable in state["variable"].items():
            count = max(1, round(self.density * variable.numel()))
            mask = torch.zeros(variable.numel(), device=variable.device)
            mask[variable.flatten().argsort(descending=True, stable=True)[:count]] = 1.0
            found[key] = mask.view_as(variable)
        return found

    def _choose(self, state: State) -> None:
        """Masks of the present variables, and the pull that their share asks for."""
        active = sum(float((v >= 0).sum()) for v in state["variable"].values())
        share = active / sum(v.numel() for v in state["variable"].values())
        state["price"]["mu"] = (state["price"]["mu"] + self.dual_rate * (share - self.density)).clamp_min(0.0)
        state["mask"] = {key: (variable >= 0).float() for key, variable in state["variable"].items()}
