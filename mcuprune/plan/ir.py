"""What a plan is: which kernel runs when, and where every tensor lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """One kernel call; ``node`` is the node (and output tensor), ``scratch`` the offset of its scratch."""

    node: str
    kernel: str
    scratch: int = 0
    scratch_bytes: int = 0


@dataclass(frozen=True)
class Plan:
    """Order, kernels and memory of one model.  Offsets and sizes are bytes from the start of the arena.

    The graph's inputs and outputs have their place in the arena too.  A caller may pass pointers to these
    places (then no other memory is needed, and the input is overwritten) or buffers of its own.
    ``lower_bound`` is the largest number of bytes that are alive at one step whatever the placement;
    ``arena_bytes - lower_bound`` is the gap.

    States lie apart, in ``state_bytes`` of memory that lives as long as the caller wants the model to
    remember: ``state_offsets`` has the tensors that lie there, and ``offsets`` all others.
    """

    steps: tuple[Call, ...]
    offsets: Mapping[str, int]
    sizes: Mapping[str, int]
    arena_bytes: int
    lower_bound: int
    state_offsets: Mapping[str, int] = field(default_factory=dict)
    state_bytes: int = 0
