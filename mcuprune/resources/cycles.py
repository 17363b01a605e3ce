"""Cycles of one inference, from formulas fitted to emulated runs of every kernel.

The constants are upper bounds over generated functions, compiled for every core; a test holds them against
emulated runs.
"""

from __future__ import annotations

from mcuprune.graph.op_shape import Number, OpShape, elements
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel

RUN_CYCLES = 40  # of the function that runs a model: entry, checks, return
CALL_CYCLES = 12  # of its call of a kernel: arguments and branch
CLAMP_CYCLES = 15  # of every output that a kernel clamps in a pass of its own: 13 to 15 on all cores


def run_cycles(calls: int) -> int:
    """What the function that runs a model takes besides the ``calls`` of kernels in it."""
    return RUN_CYCLES + CALL_CYCLES * calls


def upper_cycles(kernel: Kernel, shape: OpShape, cpu: str, clamps: bool = False) -> Number:
    """The estimate plus the most that any run exceeded it by: what a latency budget is held against.

    ``clamps``: to less than int8 (:func:`mcuprune.resources.clamping.clamping`).
    """
    extra = CLAMP_CYCLES * elements(shape.output) if clamps and kernel.clamps_after else 0
    return catalogue.cycles(kernel, shape, cpu) * (1.0 + catalogue.cycle_excess(kernel, cpu)) + extra
