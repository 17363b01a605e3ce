"""What all methods of channel gates share: one training step, and one currency for what they predict.

A method says how gates are drawn and how they learn.  Beside that, every gate's squared gradient is averaged.
That mean estimates the diagonal of the Fisher information, hence twice the loss increase of removing the unit
alone (LeCun et al. 1990; Theis et al. 2018, arXiv 1801.05787).  A method's own opinion, its *preference* in
0..1, scales it: curves of different methods are then in the same units, and comparable.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mcuprune.graph.channels import Keep
from mcuprune.prune.method import Context, Method, Site, State, mask_of
from mcuprune.training.graph_module import GraphModule

LEAST = 1e-3  # preference of a unit that the method has given up: the order among those stays


class Gated(Method):
    """Base class of methods with one gate per unit.

    Its own gates are binary and follow what the allocator assigns.
    """

    decay: ClassVar[float] = 0.95  # of the running mean of squared gate gradients

    def init(self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator) -> State:
        state = State(
            {
                "gate": {s.key: torch.ones(s.size) for s in sites},
                "saliency": {s.key: torch.zeros(s.size) for s in sites},
                "steps": {"count": torch.zeros(())},
            }
        )
        for purpose, tensors in self.parameters(module, sites, random).items():
            state[purpose] = tensors
        return state

    def transform(self, site: Site, tensor: Tensor, state: State) -> Tensor:
        return state["gate"][site.key]

    def step(self, context: Context) -> Tensor:
        state = context.state
        state["gate"] = gates = {k: _observed(gate) for k, gate in self.gates(context).items()}
        expected = self.expected(state)
        loss = context.plain_step(context.pressure(expected) if expected else None)
        slopes = {k: gate.grad for k, gate in gates.items() if gate.grad is not None}
        state["steps"]["count"] = state["steps"]["count"] + 1
        for key, slope in slopes.items():
            state["saliency"][key].lerp_(slope.square(), 1 - self.decay)
        with torch.no_grad():
            self.learn(context, slopes)
            state["gate"] = self.settled(state)
        return loss

    def parameters(
        self, module: GraphModule, sites: tuple[Site, ...], random: torch.Generator
    ) -> dict[str, dict[str, Tensor]]:
        """Further state by purpose and site."""
        return {}

    def gates(self, context: Context) -> dict[str, Tensor]:
        """The gates of this batch, differentiable in whatever learns."""
        return context.state["gate"]

    def expected(self, state: State) -> dict[str, Tensor]:
        """Expected widths, differentiable in whatever learns; empty where prices play no part."""
        return {}

    def learn(self, context: Context, slopes: dict[str, Tensor]) -> None:
        """After the optimizer's step: ``slopes`` are the data's gradients of the drawn gates."""

    def settled(self, state: State) -> dict[str, Tensor]:
        """The gates of evaluation, without gradients."""
        return {k: gate.detach() for k, gate in state["gate"].items()}

    def preference(self, state: State) -> dict[str, Tensor]:
        """Site -> (units,) how much the method wants each unit, 0..1; no opinion by default."""
        return {k: torch.ones_like(v) for k, v in state["saliency"].items()}

    def scores(self, state: State) -> dict[str, np.ndarray]:
        correction = 1 - self.decay ** max(1.0, float(state["steps"]["count"]))
        wanted = self.preference(state)
        return {
            k: (v / correction * wanted[k].detach().clamp_min(LEAST)).double().numpy()
            for k, v in state["saliency"].items()
        }


class Learned(Gated):
    """Base class of methods whose gates learn, with prices of budgets pressing on them.

    A subclass overrides ``parameters``, ``draw``, ``expected``, ``learn`` and ``preference``.
    """

    def gates(self, context: Context) -> dict[str, Tensor]:
        """What is drawn, with no group closed as a whole."""
        drawn = self.draw(context)
        closed = [k for k, gate in drawn.items() if not bool((gate > 0).any())]
        if not closed:
            return drawn
        wanted = self.preference(context.state)
        return {**drawn, **{k: _opened(drawn[k], wanted[k]) for k in closed}}

    def draw(self, context: Context) -> dict[str, Tensor]:
        """Gates for a batch, differentiable in whatever learns."""
        raise NotImplementedError(f"{type(self).__name__} draws no gates")

    def settled(self, state: State) -> dict[str, Tensor]:
        """Open where the method rather wants the unit than not."""
        return {k: (wanted.detach() > 0.5).float() for k, wanted in self.preference(state).items()}

    def widths(self, state: State) -> dict[str, int]:
        return {k: int((gate > 0).sum()) for k, gate in self.settled(state).items()}


def assign_masks(state: State, keep: Keep) -> None:
    """Binary gates of the kept units."""
    for key, kept in keep.items():
        state["gate"][key] = mask_of(len(state["gate"][key]), kept)


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """``hard`` forward, the gradient of ``soft`` backward."""
    return hard.detach() + soft - soft.detach()


def descend(value: Tensor, rate: float, low: float, high: float) -> None:
    """One plain gradient step of a gate parameter, in place, kept within its range."""
    if value.grad is not None:
        value.sub_(rate * value.grad).clamp_(low, high)
    value.grad = None


def _opened(gate: Tensor, wanted: Tensor) -> Tensor:
    """A ``gate`` that is closed for all units, open for the one that is ``wanted`` most.

    Behind a layer that lets nothing through, batch norms divide by the root of their epsilon, one after the
    other: gradients grow without bound.
    """
    best = torch.zeros_like(gate)
    best[int(wanted.detach().argmax())] = 1.0
    return gate + best


def _observed(gate: Tensor) -> Tensor:
    if not gate.requires_grad:
        return gate.detach().requires_grad_()
    gate.retain_grad()
    return gate
