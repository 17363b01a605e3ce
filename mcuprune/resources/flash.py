"""Bytes of flash: constants exactly, code from the size of every kernel used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mcuprune.graph.ir import Stored
from mcuprune.graph.op_shape import Number, OpShape, ceil_to
from mcuprune.kernels import catalogue
from mcuprune.kernels.constants import WORD
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.live import Network

RUN_BYTES = 36  # of the run function: entry, return, literal pool
CALL_BYTES = 27  # of the run function per kernel call: four arguments and the call, with its literals


def constant_bytes(calls: Sequence[tuple[Kernel, OpShape]]) -> Number:
    """Weights, biases, multipliers, shifts, tables and parameter structs of all calls."""
    return sum(kernel.constants(shape) for kernel, shape in calls)


def stored_bytes(network: Network) -> int:
    """Constants that nodes read as tensors."""
    nodes = (node for node in network.nodes if isinstance(node, Stored))
    return sum(int(ceil_to(math.prod(network.shape(node.name)), WORD)) for node in nodes)


def code_bytes(kernels: Iterable[str], calls: int, cpu: str, toolchain: str) -> int:
    """Kernels, each once with the support functions it calls, and the run function."""
    distinct = {catalogue.kernel(name) for name in kernels}
    names = {kernel.name for kernel in distinct}
    names |= {need for kernel in distinct for need in kernel.needs if not need.endswith(".h")}
    return (
        sum(catalogue.function_bytes(name, cpu, toolchain) for name in names) + RUN_BYTES + CALL_BYTES * calls
    )
