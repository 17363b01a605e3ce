"""Bytes of flash: constants exactly, code from the size of every kernel used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcuprune.graph.op_shape import Number, OpShape
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel

RUN_BYTES = 36  # of the run function: entry, return, literal pool
CALL_BYTES = 27  # of the run function per kernel call: four arguments and the call, with its literals


def constant_bytes(calls: Sequence[tuple[Kernel, OpShape]]) -> Number:
    """Weights, biases, multipliers, shifts, tables and parameter structs of all calls."""
    return sum(kernel.constants(shape) for kernel, shape in calls)


def code_bytes(kernels: Iterable[str], calls: int, cpu: str, toolchain: str) -> int:
    """Kernels, each once with the support functions it calls, and the run function."""
    distinct = {catalogue.kernel(name) for name in kernels}
    names = {kernel.name for kernel in distinct}
    names |= {need for kernel in distinct for need in kernel.needs if not need.endswith(".h")}
    return (
        sum(catalogue.function_bytes(name, cpu, toolchain) for name in names) + RUN_BYTES + CALL_BYTES * calls
    )
