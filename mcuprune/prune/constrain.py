"""Binding budgets to gradients: relaxed resources, budget homotopy and PI-controlled multipliers.

The primal step follows the differentiable violation, the multipliers follow the *exact* one (proxy
constraints, Cotter et al. 2019; PI updates, Sohrabi et al. 2024, arXiv 2406.04558).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PI:
    """Gains of the multiplier update ``lambda = [k_i * sum(e) + k_p * e]_+``."""

    integral: float = 0.02
    proportional: float = 0.1


@dataclass(frozen=True)
class Multipliers:
    """One non-negative multiplier per budgeted resource, with its integral term."""

    values: Mapping[str, float]
    sums: Mapping[str, float]

    @staticmethod
    def zero(resources: Mapping[str, float]) -> Multipliers:
        return Multipliers(dict.fromkeys(resources, 0.0), dict.fromkeys(resources, 0.0))


def update(multipliers: Multipliers, violation: Mapping[str, float], gains: PI) -> Multipliers:
    """One dual step on ``log(R_k / B_k)``; satisfied ones restart at zero (Gallego-Posada et al. 2022)."""
    sums = {k: multipliers.sums[k] + e if e > 0 else 0.0 for k, e in violation.items()}
    values = {
        k: max(0.0, gains.integral * sums[k] + gains.proportional * e) if e > 0 else 0.0
        for k, e in violation.items()
    }
    return Multipliers(values, sums)


def homotopy(dense: Mapping[str, float], budgets: Mapping[str, float], progress: float) -> dict[str, float]:
    """Budgets that shrink geometrically from the dense usage to the target while ``progress`` goes 0 to 1."""
    s = min(max(progress, 0.0), 1.0)
    return {
        k: b if dense[k] <= b else math.exp((1 - s) * math.log(dense[k]) + s * math.log(b))
        for k, b in budgets.items()
    }


def smooth_maximum(terms: Tensor, dim: int = 0) -> Tensor:
    """Log-sum-exp upper bound of the maximum, at most 1 % above it (structured_pruning 0.4)."""
    count = terms.shape[dim]
    if count == 1:
        return terms.squeeze(dim)
    temperature = 0.01 * terms.detach().amax(dim, keepdim=True).clamp_min(1e-9) / math.log(count)
    return torch.logsumexp(terms / temperature, dim) * temperature.squeeze(dim)


def pressure(usage: Mapping[str, Tensor], budgets: Mapping[str, float], multipliers: Multipliers) -> Tensor:
    """``sum_k lambda_k * log(R_k / B_k)``; of several rows (schedule steps) the smooth maximum counts."""
    total = torch.zeros(())
    for resource, budget in budgets.items():
        weight = multipliers.values.get(resource, 0.0)
        if weight > 0:
            figure = usage[resource]
            worst = smooth_maximum(figure) if figure.dim() else figure
            total = total + weight * torch.log(worst / budget)
    return total
