"""Learning rates and the phases of a compression run, as functions of the share of steps done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from mcuprune.graph.ir import Graph

WARMUP = 0.05  # share of a run over which the learning rate rises from zero
RETRAIN_WARMUP = 0.1  # the same of a retraining after a cut
HALF = 0.5  # a step's rate is that of its middle, so that a run's first and last ones learn too
INT8_RATE = 0.1  # of the usual rate: where int8 training starts
MASKED, ROUNDED = 3_000, 1_000  # steps at most until the freeze, and of int8 training


@dataclass(frozen=True)
class Phases:
    """Ends of the phases of one run, as shares of its steps.

    warm-up: all units, scores only; gated: budgets shrink to the target; settle: target budgets, masks still
    move; then the freeze, training of the small network, and int8 training.  An early freeze costs the scores
    little, gives a small network most of the steps, and makes a run cheaper than training the dense network.
    """

    warmup: float = 0.05
    gated: float = 0.30
    freeze: float = 0.36
    int8: float = 0.95

    @classmethod
    def of(cls, steps: int) -> Phases:
        """For a run of so many steps: in a long one masks need no share, what is left of the network does."""
        usual = cls()
        part = min(1.0, MASKED / (usual.freeze * steps))
        warmup, gated, freeze = (part * end for end in astuple(usual)[:-1])
        return cls(warmup, gated, freeze, max(usual.int8, 1.0 - ROUNDED / steps))

    def name(self, share: float) -> str:
        ends = (
            (self.warmup, "warm-up"),
            (self.gated, "gated"),
            (self.freeze, "settle"),
            (self.int8, "narrow"),
        )
        return next((name for end, name in ends if share < end), "int8")

    def progress(self, share: float) -> float:
        """0 at the end of the warm-up, 1 when the target budgets are reached."""
        return min(max((share - self.warmup) / (self.gated - self.warmup), 0.0), 1.0)


def linear_with_warmup(share: float, peak: float) -> float:
    """Rise over the first 5 % of the steps, then linear to zero: plain training, and the LLR's shape."""
    if share < WARMUP:
        return peak * share / WARMUP
    return peak * (1.0 - share) / (1.0 - WARMUP)


def llr(share: float, start: float) -> float:
    """Rate of a retraining: half a cosine up over the first 10 %, then linear to zero (Zimmer et al.)."""
    if share < RETRAIN_WARMUP:
        return start * (1.0 - math.cos(math.pi * share / RETRAIN_WARMUP)) / 2.0
    return start * (1.0 - share) / (1.0 - RETRAIN_WARMUP)


def run_rate(share: float, peak: float, restart: float, phases: Phases) -> float:
    """Learning rate of a compression run until its int8 phase.

    Up to ``peak`` with all units, constant until the freeze, then linear from ``restart`` to zero: a network
    is rounded once it has settled.
    """
    if share < phases.warmup:
        return peak * share / phases.warmup
    if share < phases.freeze:
        return peak
    return restart * max(0.0, phases.int8 - share) / (phases.int8 - phases.freeze)


def int8_rate(share: float, peak: float) -> float:
    """Learning rate of int8 training, by the share of its own steps: a part of ``peak``, down to zero."""
    return INT8_RATE * peak * (1.0 - share)


def allr_start(
    peak: float, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], share_left: float
) -> float:
    """Learning rate after a cut (ALLR, Zimmer et al. 2023, arXiv 2111.00843).

    ``peak * d / sqrt(s)``, clipped to ``[peak * min(share_left, 1), peak]``, where ``s`` is the fraction of
    weights removed and ``d`` the relative norm removed: their ratio says how violent the cut was.
    """
    norms = [sum(float(np.square(w).sum()) for w in weights.values()) for weights in (before, after)]
    counts = [sum(w.size for w in weights.values()) for weights in (before, after)]
    removed = 1.0 - counts[1] / counts[0]
    if removed <= 0.0 or norms[0] == 0.0:
        return peak * min(share_left, 1.0)
    distance = math.sqrt(abs(norms[0] - norms[1]) / norms[0])
    return min(max(peak * distance / math.sqrt(removed), peak * min(share_left, 1.0)), peak)


def weights_of(graph: Graph) -> dict[str, np.ndarray]:
    """The constants that :func:`allr_start` compares: all but biases and batch norms."""
    return {name: constant.values for name, constant in graph.constants.items() if constant.values.ndim > 1}
