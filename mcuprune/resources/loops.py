"""What running layers row by row costs besides the kernels: code, stack and cycles of the loop itself.

The constants are upper bounds over generated loops, compiled for every core; a test holds them against linked
images.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcuprune.kernels import catalogue
from mcuprune.plan.ir import RowLoop

LOOP_BYTES = 64  # of the loop function: entry, return, counting
ROW_BYTES = 60  # of the loop function per tensor, the kernel call not included: the condition, its buffer
LOOP_FRAME = 64
TICK_CYCLES = 30  # per tick and tensor: is a row due?
ROW_CYCLES = 450  # per row made: addresses, calls, and what a kernel takes more for a row than for an image
# Cycles per byte that is moved: words where they may be unaligned, else single bytes.
MOVE_CYCLES = 2.0
MOVE_CYCLES_ALIGNED = 9.0
ALIGNED_CORES = frozenset({"cortex-m0plus", "rv32imc"})


def loop_functions(loops: Sequence[RowLoop]) -> tuple[str, ...]:
    """What loops call besides kernels."""
    return ("mcp_row_buffer", "mcp_fill") if loops else ()


def loop_code_bytes(loops: Sequence[RowLoop], cpu: str, toolchain: str) -> int:
    if not loops:
        return 0
    own = sum(LOOP_BYTES + ROW_BYTES * len(loop.steps) for loop in loops)
    return own + sum(catalogue.function_bytes(name, cpu, toolchain) for name in loop_functions(loops))


def loop_stack_bytes(loops: Sequence[RowLoop]) -> int:
    return LOOP_FRAME if loops else 0


def loop_cycles(loops: Sequence[RowLoop], cpu: str) -> float:
    per_byte = MOVE_CYCLES_ALIGNED if cpu in ALIGNED_CORES else MOVE_CYCLES
    total = 0.0
    for loop in loops:
        total += TICK_CYCLES * loop.ticks * len(loop.steps)
        for step in loop.steps:
            moved = step.kept * step.row_bytes
            total += (step.rows + step.below) * (ROW_CYCLES + per_byte * moved) + per_byte * moved
    return total
