"""Cycles of one inference, from formulas fitted to emulated runs of every kernel."""

from __future__ import annotations

from mcuprune.graph.op_shape import Number, OpShape
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel


def upper_cycles(kernel: Kernel, shape: OpShape, cpu: str) -> Number:
    """The estimate plus the largest error seen when it was fitted: what a latency budget is held against."""
    return catalogue.cycles(kernel, shape, cpu) * (1.0 + catalogue.cycle_error(kernel, cpu))
