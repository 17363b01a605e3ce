"""Binding budgets to gradients: relaxed resources, budget homotopy, and how violations become prices.

The primal step follows the differentiable violation, the multipliers follow the *exact* one (proxy
constraints, Cotter et al. 2019).  Violations are ``log(R_k / B_k)``, so one gain serves every board.  How
they become prices is a *binding*, an axis of its own: any method works under any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from mcuprune.prune.options import parse_choice, require

LEAST = 1e-4  # of a budget: what less than that costs has no slope, and its logarithm stays finite


@dataclass(frozen=True)
class Multipliers:
    """One non-negative multiplier per budgeted resource, with its integral term."""

    values: Mapping[str, float]
    sums: Mapping[str, float]

    @staticmethod
    def zero(resources: Mapping[str, float]) -> Multipliers:
        return Multipliers(dict.fromkeys(resources, 0.0), dict.fromkeys(resources, 0.0))


@dataclass(frozen=True)
class Observed:
    """What the multipliers may follow: exact ``log(R_k / B_k)``, the task loss, how far gating has come."""

    violation: Mapping[str, float]
    loss: float = 0.0
    progress: float = 0.0  # 0 at the start of gating, 1 when the target budgets are reached


class Binding:
    """From violations to a price.  ``moving``: budgets shrink to the target; otherwise they hold at once."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    moving: ClassVar[bool] = True

    def update(self, multipliers: Multipliers, seen: Observed) -> Multipliers:
        """New values, non-negative, and sums by resource, after a step that saw these violations."""
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def paid(self, multipliers: Multipliers) -> list[str]:
        """The resources that have a price now: of the others nothing needs to be computed."""
        return [resource for resource, multiplier in multipliers.values.items() if multiplier > 0]

    def price(self, multiplier: float, violation: Tensor) -> Tensor:
        """What enters the loss for one resource, differentiable in ``violation``."""
        return multiplier * violation


@dataclass(frozen=True)
class PI(Binding):
    """``lambda = [integral * sum(e) + proportional * e]_+``; satisfied ones restart at zero."""

    name = "pi"
    title = "multipliers by a PI controller, restarted when satisfied"
    paper = "Sohrabi et al. 2024 (arXiv 2406.04558)"
    integral: float = 0.02
    proportional: float = 0.1

    def update(self, multipliers: Multipliers, seen: Observed) -> Multipliers:
        sums = {k: multipliers.sums[k] + e if e > 0 else 0.0 for k, e in seen.violation.items()}
        values = {
            k: self.integral * sums[k] + self.proportional * e if e > 0 else 0.0
            for k, e in seen.violation.items()
        }
        return Multipliers(values, sums)


@dataclass(frozen=True)
class Lagrangian(Binding):
    """Plain ascent, projected at zero; with ``restart`` a satisfied constraint costs nothing at once."""

    name = "lagrangian"
    title = "gradient ascent on the multipliers, dual restarts"
    paper = "Gallego-Posada et al. 2022 (arXiv 2208.04425)"
    rate: float = 0.05
    restart: bool = True

    def update(self, multipliers: Multipliers, seen: Observed) -> Multipliers:
        values = {
            k: 0.0 if self.restart and e <= 0 else max(0.0, multipliers.values[k] + self.rate * e)
            for k, e in seen.violation.items()
        }
        return Multipliers(values, multipliers.sums)


@dataclass(frozen=True)
class Augmented(Binding):
    """``([lambda + c g]_+^2 - lambda^2) / (2 c)``: a quadratic wall whose foot the multiplier moves."""

    name = "augmented"
    title = "augmented Lagrangian (method of multipliers)"
    paper = "Hestenes 1969; Powell 1969"
    penalty: float = 0.5
    rate: float = 0.05

    def __post_init__(self) -> None:
        require(self.penalty > 0.0, self.name, "penalty lies above 0", what="binding")

    def update(self, multipliers: Multipliers, seen: Observed) -> Multipliers:
        values = {k: max(0.0, multipliers.values[k] + self.rate * e) for k, e in seen.violation.items()}
        return Multipliers(values, multipliers.sums)

    def paid(self, multipliers: Multipliers) -> list[str]:
        return list(multipliers.values)  # the wall is there before the multiplier is

    def price(self, multiplier: float, violation: Tensor) -> Tensor:
        wall = torch.relu(multiplier + self.penalty * violation)
        return (wall.square() - multiplier**2) / (2 * self.penalty)


@dataclass(frozen=True)
class Penalty(Binding):
    """``c * max(0, g)`` with ``c`` such that the first excess costs ``weight`` times the task loss.

    It rises linearly from 1 % to all of ``c`` over the first half of gating; nothing makes the budget hold.
    """

    name = "penalty"
    title = "fixed soft penalty, ramped (as DUCCIO)"
    paper = "Burrello et al. 2023 (arXiv 2310.07217)"
    moving = False
    weight: float = 1.0

    def update(self, multipliers: Multipliers, seen: Observed) -> Multipliers:
        first = {
            k: s if (s := multipliers.sums[k]) > 0 or e <= 0 else self.weight * seen.loss / e
            for k, e in seen.violation.items()
        }
        ramp = min(1.0, 0.01 + 1.98 * seen.progress)
        return Multipliers({k: ramp * c for k, c in first.items()}, first)

    def price(self, multiplier: float, violation: Tensor) -> Tensor:
        return multiplier * torch.relu(violation)


BINDINGS: tuple[type[Binding], ...] = (PI, Lagrangian, Augmented, Penalty)


def find_binding(text: str) -> Binding:
    """``name`` or ``name:option=value,...``.  Raises UsageError for what is not known."""
    return parse_choice(text, {b.name: b for b in BINDINGS}, "binding")


def homotopy(start: Mapping[str, float], budgets: Mapping[str, float], progress: float) -> dict[str, float]:
    """Budgets that shrink geometrically from the usage at the ``start`` while ``progress`` goes 0 to 1."""
    s = min(max(progress, 0.0), 1.0)
    return {
        k: b if start[k] <= b or s == 1.0 else math.exp((1 - s) * math.log(start[k]) + s * math.log(b))
        for k, b in budgets.items()
    }


def smooth_maximum(terms: Tensor, dim: int = 0) -> Tensor:
    """Log-sum-exp upper bound of the maximum, at most 1 % above it."""
    count = terms.shape[dim]
    if count == 1:
        return terms.squeeze(dim)
    temperature = 0.01 * terms.detach().amax(dim, keepdim=True).clamp_min(1e-9) / math.log(count)
    return torch.logsumexp(terms / temperature, dim) * temperature.squeeze(dim)


def pressure(
    usage: Mapping[str, Tensor], budgets: Mapping[str, float], multipliers: Multipliers, binding: Binding
) -> Tensor:
    """The price of all resources that have one; of several rows (schedule steps) a smooth maximum counts."""
    total = torch.zeros(())
    for resource in binding.paid(multipliers):
        figure = usage[resource]
        worst = smooth_maximum(figure) if figure.dim() else figure
        violation = torch.log((worst / budgets[resource]).clamp_min(LEAST))
        total = total + binding.price(multipliers.values[resource], violation)
    return total
