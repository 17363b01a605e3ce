"""Means over seeds or folds, and bootstrap intervals of paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95 % interval over ``n`` groups; without an interval for a single one."""

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        if self.n < 2:
            return f"{self.mean:+.2f} (one pair)"
        return f"{self.mean:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Weighted by the numbers of samples, accuracies of folds become that of all their samples."""
    return float(np.average(np.asarray(values, float), weights=np.asarray(weights, float)))


def difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    weights: Sequence[float],
    groups: Sequence[str] | None = None,
) -> Difference:
    """Percentile bootstrap: groups of pairs (by default each pair is one) are drawn with replacement, always
    in the same way.  A group counts by the mean of its pairs."""
    gap, weight = np.asarray(ours, float) - np.asarray(theirs, float), np.asarray(weights, float)
    if groups is not None:
        members = [np.flatnonzero(np.asarray(groups) == name) for name in dict.fromkeys(groups)]
        gap, weight = (np.array([v[m].mean() for m in members]) for v in (gap, weight))
    drawn = np.random.default_rng(0).integers(0, len(gap), (DRAWS, len(gap)))
    means = (gap[drawn] * weight[drawn]).sum(axis=1) / weight[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return Difference(float(np.average(gap, weights=weight)), float(low), float(high), len(gap))
