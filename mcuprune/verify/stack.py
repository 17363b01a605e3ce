"""Stack depth by painting: fill the unused stack with a pattern, run, and see how far down it is gone."""

from __future__ import annotations

from mcuprune.errors import ToolchainError
from mcuprune.verify.machine import Machine

# No byte of the pattern is a likely value of a counter, an address or a quantized zero.
PATTERN = bytes((0xA5, 0x5C, 0x93, 0x6E))


def paint(machine: Machine, limit: int, top: int) -> None:
    """Fills ``[limit, top)``; both are multiples of 4."""
    machine.write(limit, PATTERN * ((top - limit) // len(PATTERN)))


def depth(machine: Machine, limit: int, top: int) -> int:
    """Bytes below ``top`` down to the lowest one that was written since.

    Raises ToolchainError when the lowest byte of all was written: the stack ran into other data.
    """
    now = machine.read(limit, top - limit)
    painted = PATTERN * (len(now) // len(PATTERN))
    untouched = next((i for i, (a, b) in enumerate(zip(now, painted, strict=True)) if a != b), len(now))
    if untouched == 0 and now:
        raise ToolchainError(
            f"stack overflow: all {len(now)} bytes between {limit:#010x} and {top:#010x} are used"
        )
    return len(now) - untouched
