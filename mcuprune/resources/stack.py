"""Bytes of stack: the deepest kernel below the run function.  Never an underestimate."""

from __future__ import annotations

from collections.abc import Iterable

from mcuprune.kernels import catalogue

RUN_FRAME = 64  # of the run function: saved registers and spilled arguments


def stack_bytes(kernels: Iterable[str], cpu: str, toolchain: str) -> int:
    return RUN_FRAME + max((catalogue.stack_bytes(name, cpu, toolchain) for name in set(kernels)), default=0)
