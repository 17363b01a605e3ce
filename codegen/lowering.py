"""What a lowering is given and what it returns; the files of ``lowerings/`` register themselves here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np

from mcuprune.graph.ir import Node, unsupported
from mcuprune.graph.op_shape import element_bytes
from mcuprune.kernels.kernel import Kernel


@dataclass(frozen=True, eq=False)
class Array:
    """A constant array: ``values`` are flat, as stored; ``shape`` says in a comment what they are."""

    suffix: str
    values: np.ndarray  # int8 or int32
    shape: str


@dataclass(frozen=True)
class Struct:
    """A parameter structure.  A field's value is an int, an :class:`Array`, or a mapping for a nested one."""

    kind: str
    fields: Mapping[str, Any]
    suffix: str = ""


@dataclass(frozen=True)
class KernelCall:
    """One C call: the structure, then ``arguments`` (C expressions)."""

    struct: Struct
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """One step of the plan, ready to be lowered.

    ``parameters`` are the record of :mod:`mcuprune.quantize.parameters`; ``inputs``, ``output`` and
    ``scratch`` are C expressions.
    """

    node: Node
    kernel: Kernel
    parameters: Any
    inputs: tuple[str, ...]
    output: str
    scratch: str


def pointers(operation: Operation) -> tuple[tuple[str, ...], str]:
    """Inputs and output as the C expressions that the kernel takes: int16 ones are cast."""
    inside, outside = element_bytes(operation.node)
    sources = operation.inputs
    if inside == 2:
        sources = tuple(f"(const int16_t *)(const void *)({source})" for source in sources)
    output = f"(int16_t *)(void *)({operation.output})" if outside == 2 else operation.output
    return sources, output


@singledispatch
def lower(node: Node, operation: Operation) -> tuple[KernelCall, ...]:
    """The kernel calls that carry out a node; UnsupportedError for a node class without a lowering."""
    raise unsupported(node, "code generation")
