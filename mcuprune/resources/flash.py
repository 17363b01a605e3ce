"""Bytes of flash: constants exactly, code from the size of every kernel used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mcuprune.graph.ir import State, Stored
from mcuprune.graph.op_shape import Number, OpShape, ceil_to
from mcuprune.kernels import catalogue
from mcuprune.kernels.constants import STRUCT_BYTES, WORD
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.live import Network

RUN_BYTES = 36  # of the run function: entry, return, literal pool
RESET_BYTES = 28  # of the reset function of a model with states
CALL_BYTES = 27  # of the run function per kernel call: four arguments and the call, with its literals


def constant_bytes(calls: Sequence[tuple[Kernel, OpShape]]) -> Number:
    """Weights, biases, multipliers, shifts, tables and parameter structs of all calls."""
    return sum(kernel.constants(shape) for kernel, shape in calls)


def stored_bytes(network: Network) -> int:
    """Constants that nodes read as tensors."""
    nodes = (node for node in network.nodes if isinstance(node, Stored))
    return sum(int(ceil_to(math.prod(network.shape(node.name)), WORD)) for node in nodes)


@dataclass(frozen=True)
class ResetCosts:
    """What the reset function of a model takes: bytes of constants, its calls, and the functions it adds."""

    constants: int
    calls: int
    functions: frozenset[str]

    def code(self, cpu: str, toolchain: str) -> int:
        if not self.calls:
            return 0
        added = sum(catalogue.function_bytes(name, cpu, toolchain) for name in self.functions)
        return added + RESET_BYTES + CALL_BYTES * self.calls


def reset_costs(network: Network, kernels: Iterable[str]) -> ResetCosts:
    """A state whose first bytes are all equal is filled, another copied; ``kernels`` are there anyway."""
    states = [node for node in network.nodes if isinstance(node, State)]
    constants, functions = 0, set()
    for node in states:
        values = network.constants[node.initial].values
        if is_uniform(values):
            functions.add("mcp_fill")
        else:
            functions.add("mcp_copy")
            constants += ceil_to(values.nbytes, WORD) + STRUCT_BYTES["mcp_copied"]
    return ResetCosts(constants, len(states), frozenset(functions - set(kernels)))


def is_uniform(values: np.ndarray) -> bool:
    """Whether all bytes of an array are equal."""
    stored = np.ascontiguousarray(values).reshape(-1).view(np.int8)
    return bool((stored == stored[0]).all())


def code_bytes(kernels: Iterable[str], calls: int, cpu: str, toolchain: str) -> int:
    """Kernels, each once with the support functions it calls, and the run function."""
    distinct = {catalogue.kernel(name) for name in kernels}
    names = {kernel.name for kernel in distinct}
    names |= {need for kernel in distinct for need in kernel.needs if not need.endswith(".h")}
    return (
        sum(catalogue.function_bytes(name, cpu, toolchain) for name in names) + RUN_BYTES + CALL_BYTES * calls
    )
