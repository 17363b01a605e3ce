"""Sparse training with element-wise masks that drop small weights and grow where the gradient is large."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mcuprune.prune.method import Context, Method, Site, State
from mcuprune.prune.options import require
from mcuprune.training.graph_module import GraphModule


@dataclass(frozen=True)
class RigL(Method):
    """Every weight tensor keeps a fixed share of its entries; which ones is revised while training.

    Masks save flash only together with a sparse weight format; with raw storage the channel widths come from
    uniform scaling, and the masks regularise.  Plain form: uniform density, cosine-decayed update fraction.
    """

    name = "rigl"
    title = "sparse training with dynamic element-wise masks"
    paper = "Evci et al. 2020 (arXiv 1911.11134)"
    kind = "weight"
    density: float = 0.5
    fraction: float = 0.3  # of the active weights that the first update replaces
    interval: int = 20  # steps between updates

    def __post_init__(self) -> None:
        require(0.0 < self.density <= 1.0, self.name, "density lies above 0 and is at most 1")
        require(0.0 <= self.fraction <= 1.0, self.name, "fraction lies between 0 and 1")
        require(self.interval >= 1, self.name, "interval is at least 1")

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        parameters, _ = module.state()
        masks = {}
        for site in sites:
            order = torch.randperm(site.size, generator=random)
            mask = torch.zeros(site.size)
            mask[order[: max(1, round(self.density * site.size))]] = 1.0
            masks[site.key] = mask.view_as(parameters[site.key]).to(parameters[site.key].device)
        return State({"mask": masks, "effective": {}})

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        effective = tensor * state["mask"][site.key]
        if effective.requires_grad:
            effective.retain_grad()  # the dense gradient decides what grows
            state["effective"][site.key] = effective
        return effective

    def step(self, context: Context) -> Tensor:
        update = context.step % self.interval == 0 and context.progress < 1.0
        loss = self._revise(context) if update else context.plain_step()
        parameters, _ = context.module.state()
        with torch.no_grad():
            for key, mask in context.state["mask"].items():
                parameters[key].mul_(mask)
        context.state["effective"] = {}
        return loss

    def _revise(self, context: Context) -> Tensor:
        """A mask update in place of an optimizer step."""
        context.optimizer.zero_grad(set_to_none=True)
        loss = context.loss()
        loss.backward()  # type: ignore[no-untyped-call]
        parameters, _ = context.module.state()
        fraction = self.fraction / 2 * (1 + math.cos(math.pi * context.progress))
        for key, mask in context.state["mask"].items():
            gradient = context.state["effective"][key].grad
            assert gradient is not None
            updated = revised_mask(parameters[key].detach(), mask, gradient, fraction)
            grown = (updated > mask).nonzero(as_tuple=True)
            for value in context.optimizer.state.get(parameters[key], {}).values():
                if torch.is_tensor(value) and value.shape == mask.shape:
                    value[grown] = 0.0
            mask.copy_(updated)
        return loss.detach()


def revised_mask(weight: Tensor, mask: Tensor, gradient: Tensor, fraction: float) -> Tensor:
    """Drop the smallest active weights, grow the largest gradients among the others; same count."""
    active = int(mask.sum())
    moved = int(fraction * active)
    magnitude = torch.where(mask > 0, weight.abs(), -torch.ones_like(weight)).flatten()
    kept = torch.zeros_like(magnitude)
    kept[magnitude.topk(active - moved).indices] = 1.0
    candidates = torch.where(kept > 0, torch.full_like(kept, -1.0), gradient.abs().flatten())
    kept[candidates.topk(moved).indices] = 1.0
    return kept.view_as(mask)
