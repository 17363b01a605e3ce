"""Several gate layers that take turns: early leaders do not starve the alternatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from mcuprune.prune.gated import Learned, straight_through
from mcuprune.prune.method import Context, Site, State
from mcuprune.prune.methods.bernoulli import Bernoulli
from mcuprune.prune.methods.hard_concrete import HardConcrete
from mcuprune.prune.options import parse_choice, require
from mcuprune.training.graph_module import GraphModule

MEMBERS: dict[str, tuple[type[Learned], str]] = {  # method, and the purpose of what it learns
    "hard_concrete": (HardConcrete, "logits"),
    "bernoulli": (Bernoulli, "theta"),
}
PULL = 0.1  # per step of the last third of gating, of a member's distance to the mean
SPREAD = {"hard_concrete": 0.5, "bernoulli": 0.05}  # standard deviation of the members' different starts


@dataclass(frozen=True)
class Ensemble(Learned):
    """``size`` gate layers of the ``member`` method over shared weights.

    Each batch draws one member, in turn, which alone is applied and learns: the cost of a single layer.  The
    budgets bind the mean of the members; in the last third of gating they are pulled together, so that the
    weights adapt to one mask.
    """

    name = "ensemble"
    title = "an ensemble of gate layers that take turns"
    paper = "Guan et al. 2021 (arXiv 2112.03487)"
    member: str = "hard_concrete"
    size: int = 4

    def __post_init__(self) -> None:
        require(self.size >= 1, self.name, "size is at least 1")
        _ = self.inner  # a member that is unknown, before anything is trained

    @cached_property
    def inner(self) -> Learned:
        """The method of its members; UsageError for one that cannot be."""
        return parse_choice(self.member, {k: m for k, (m, _) in MEMBERS.items()}, "ensemble member")

    @property
    def learned(self) -> str:
        return MEMBERS[self.inner.name][1]

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        found: dict[str, dict[str, Tensor]] = {}
        for number in range(self.size):
            own = self.inner.parameters(module, sites, random)
            with torch.no_grad():
                for value in own[self.learned].values():
                    noise = torch.randn(value.shape, generator=random)
                    value.add_(SPREAD[self.inner.name] * noise)
            found |= {f"{number}/{purpose}": tensors for purpose, tensors in own.items()}
        return found

    def members(self, state: State) -> list[State]:
        """Each member's own state; the dictionaries are those of ``state``."""
        return [
            State({p.partition("/")[2]: d for p, d in state.tensors.items() if p.startswith(f"{number}/")})
            for number in range(self.size)
        ]

    def draw(self, context: Context) -> dict[str, Tensor]:
        return self.inner.draw(self._turn(context))

    def expected(self, state: State) -> dict[str, Tensor]:
        """Means; the member whose turn it is takes the whole gradient, as it takes that of the data."""
        mean = _mean([self.inner.expected(member) for member in self.members(state)])
        return {k: straight_through(value, self.size * value) for k, value in mean.items()}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        self.inner.learn(self._turn(context), slopes)
        members = [member[self.learned] for member in self.members(context.state)]
        for value in (value for member in members for value in member.values()):
            value.grad = None
        if context.progress > 2 / 3:
            mean = _mean(members)
            for member in members:
                for key, value in member.items():
                    value.lerp_(mean[key], PULL)

    def preference(self, state: State) -> dict[str, Tensor]:
        return _mean([self.inner.preference(member) for member in self.members(state)])

    def _turn(self, context: Context) -> Context:
        return replace(context, state=self.members(context.state)[context.step % self.size])


def _mean(members: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {k: torch.stack([member[k] for member in members]).mean(0) for k in members[0]}
