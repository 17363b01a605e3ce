"""Counting what a run executes: blocks of instructions, and the kernel call each belongs to.

The run function of a generated model is a straight line of kernel calls.  So every block between leaving its
code and coming back belongs to one call, and what it executes itself is glue.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from mcuprune.verify.image import Symbol

# A block as one number, its size above its address: the emulator may cut the same code into different blocks.
Transitions = dict[tuple[int, int], int]


def block_range(block: int) -> tuple[int, int]:
    """First address of a block and the address after it."""
    start = block & 0xFFFF_FFFF
    return start, start + (block >> 32)


@dataclass(frozen=True)
class CallTrace:
    """One kernel call.

    ``transitions[a, b]`` counts how often block ``a`` was followed by block ``b``, so a block's executions
    are the sum over its followers; ``entry`` is the address that was called.
    """

    entry: int
    transitions: Transitions


@dataclass
class Recorder:
    """Takes the executed blocks in order and files them under the call they belong to.

    ``outside`` tells the addresses of the code that calls the run function.  ``after_call`` is called with
    the number of each call when it has returned.
    """

    run: Symbol
    outside: Callable[[int], bool]
    stack_pointer: Callable[[], int]
    after_call: Callable[[int], None] | None = None
    glue: Transitions = field(default_factory=lambda: defaultdict(int))
    calls: list[CallTrace] = field(default_factory=list)
    lowest_stack: int = 1 << 32
    _current: Transitions | None = None
    _previous: int = 0
    _seen: set[int] = field(default_factory=set)

    def block(self, address: int, size: int) -> None:
        block = address | size << 32
        current = self._current
        if current is None:
            if address != self.run.address:
                return
            self._current = self.glue
        else:
            current[self._previous, block] += 1
            if block not in self._seen:
                self._file(address, current)
                if self._current is None:
                    return
        if block not in self._seen:
            self._seen.add(block)
            self.lowest_stack = min(self.lowest_stack, self.stack_pointer())
        self._previous = block

    def _file(self, address: int, current: Transitions) -> None:
        """Whose block this is: the run function's, its caller's, or the current call's."""
        if self.run.address <= address < self.run.address + self.run.size:
            if current is not self.glue:
                self._enter(self.glue)
                self._returned()
        elif self.outside(address):
            self._finish(current)
        elif current is self.glue:
            call = CallTrace(address, defaultdict(int))
            self.calls.append(call)
            self._enter(call.transitions)

    def _enter(self, transitions: Transitions) -> None:
        self._current = transitions
        self._seen.clear()

    def stop(self, address: int) -> None:
        """The run function has returned to ``address``, where nothing is executed any more."""
        if self._current is not None:
            self._current[self._previous, address] += 1
            self._finish(self._current)

    def _finish(self, current: Transitions) -> None:
        self._current = None
        if current is not self.glue:
            self._returned()

    def _returned(self) -> None:
        if self.after_call is not None:
            self.after_call(len(self.calls) - 1)
