"""What a plan is: which kernel runs when, and where every tensor lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Call:
    """One kernel call; ``node`` is the node (and output tensor), ``scratch`` the offset of its scratch."""

    node: str
    kernel: str
    scratch: int = 0
    scratch_bytes: int = 0


@dataclass(frozen=True)
class RowStep:
    """The rows of one tensor in a :class:`RowLoop`, made one at a time.

    node       the tensor; ``kernel`` makes its rows, or is empty: they are copied from the loop's source
    delay      tick of row 0; ``period`` ticks from row to row, a power of two
    rows       in the tensor; after them ``below`` rows of padding are made
    kept       rows in its buffer, newest last; 0: the rows go to the loop's output
    row_bytes  of one row
    buffer     offset of the buffer from the start of the loop's scratch
    slots      for each input of the node, the row of that input's buffer where the window begins
    """

    node: str
    kernel: str
    delay: int
    period: int
    rows: int
    below: int
    kept: int
    row_bytes: int
    buffer: int
    slots: tuple[int, ...]


@dataclass(frozen=True)
class RowLoop:
    """Layers that run together row by row, from tensor ``source`` to tensor ``node``, ``ticks`` times around.

    ``scratch`` is the offset of ``scratch_bytes`` for the row buffers and, ``kernel_scratch`` bytes after its
    start, for the kernels.
    """

    node: str
    source: str
    steps: tuple[RowStep, ...]
    ticks: int
    scratch: int
    scratch_bytes: int
    kernel_scratch: int

    kernel: ClassVar[str] = "row loop"


@dataclass(frozen=True)
class Bank:
    """A further bank of memory: offsets from ``start`` on lie in it; ``bytes`` of it are used."""

    start: int
    bytes: int


@dataclass(frozen=True)
class Plan:
    """Order, kernels and memory of one model.  Offsets and sizes are bytes from the start of the arena.

    Constant tensors have no place.
    The graph's inputs and outputs have their place in the arena too.  A caller may pass pointers to these
    places (then no other memory is needed, and the input is overwritten) or buffers of its own.
    ``lower_bound`` is the largest number of bytes that are alive at one step whatever the placement;
    ``arena_bytes - lower_bound`` is the gap.

    Where one bank of memory is too small, ``arena_bytes`` are those of the first bank, and ``banks`` are the
    others: every bank has its range of offsets, and nothing crosses from one to the next.

    States lie apart, in ``state_bytes`` of memory that lives as long as the caller wants the model to
    remember: ``state_offsets`` has the tensors that lie there, and ``offsets`` all others.
    """

    steps: tuple[Call | RowLoop, ...]
    offsets: Mapping[str, int]
    sizes: Mapping[str, int]
    arena_bytes: int
    lower_bound: int
    state_offsets: Mapping[str, int] = field(default_factory=dict)
    state_bytes: int = 0
    banks: tuple[Bank, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """Of all banks."""
        return self.arena_bytes + sum(bank.bytes for bank in self.banks)

    def place(self, offset: int) -> tuple[int, int]:
        """Number of the bank that an offset lies in, 0 being the arena itself, and the offset there."""
        behind = [(number, bank.start) for number, bank in enumerate(self.banks, 1) if bank.start <= offset]
        number, start = behind[-1] if behind else (0, 0)
        return number, offset - start


def row_loops(plan: Plan) -> tuple[RowLoop, ...]:
    return tuple(step for step in plan.steps if isinstance(step, RowLoop))


def planned_layers(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Every node that runs a kernel, with the kernel's name, those inside of loops included."""
    found: list[tuple[str, str]] = []
    for step in plan.steps:
        rows = step.steps if isinstance(step, RowLoop) else (step,)
        found += [(row.node, row.kernel) for row in rows if row.kernel]
    return tuple(found)


def kernels_of(plan: Plan) -> tuple[str, ...]:
    """The names of the kernels that a plan calls, sorted."""
    return tuple(sorted({kernel for _, kernel in planned_layers(plan)}))
