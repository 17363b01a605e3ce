"""What a generated package's header says about calling it: sizes, places, and which interface it has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

WORD = 4
BANKS = 16  # more than any microcontroller has


@dataclass(frozen=True)
class Buffer:
    """One input or output: its name in C, its bytes, and where it lies in the arena."""

    field: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Interface:
    """``plain``: ``run(input, output, arena)``; otherwise ``run(memory, io)``.  Sizes are bytes."""

    arena: int
    align: int
    state: int
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    plain: bool = True
    banks: tuple[int, ...] = ()

    @property
    def input_bytes(self) -> int:
        """Of all inputs together: the length of one sample."""
        return sum(buffer.bytes for buffer in self.inputs)

    @property
    def memories(self) -> dict[str, int]:
        """Bytes of each memory that the caller provides, in the order of the structure."""
        banks = {f"bank{number}": size for number, size in enumerate(self.banks, 1)}
        return {"arena": self.arena, **banks, **({"state": self.state} if self.state else {})}

    @property
    def memory(self) -> int:
        """What the caller provides: arena, further banks and states."""
        return sum(self.memories.values())

    @property
    def output_bytes(self) -> int:
        return sum(buffer.bytes for buffer in self.outputs)


def read_interface(files: Mapping[str, str], name: str) -> Interface:
    """The interface of the generated package ``files`` of the model ``name``."""
    return interface_of(header_numbers(files[f"include/{name}.h"], name))


def interface_of(numbers: Mapping[str, int]) -> Interface:
    """The interface that a header's numbers describe; KeyError where one is missing."""
    return Interface(
        arena=numbers["ARENA_SIZE"],
        align=numbers.get("ARENA_ALIGN", WORD),
        state=numbers.get("STATE_SIZE", 0),
        inputs=_buffers("INPUT", numbers),
        outputs=_buffers("OUTPUT", numbers),
        plain="TAKES_STRUCTS" not in numbers,
        banks=tuple(numbers[f"BANK{n}_SIZE"] for n in range(1, BANKS) if f"BANK{n}_SIZE" in numbers),
    )


def _buffers(word: str, numbers: Mapping[str, int]) -> tuple[Buffer, ...]:
    """INPUT, or INPUT0, INPUT1 and so on, in order."""
    found = sorted(
        (int(match[1] or 0), f"{word}{match[1]}")
        for match in (re.fullmatch(rf"{word}(\d*)_SIZE", key) for key in numbers)
        if match
    )
    return tuple(
        Buffer(prefix.lower(), numbers[f"{prefix}_OFFSET"], numbers[f"{prefix}_SIZE"]) for _, prefix in found
    )


def header_numbers(header: str, name: str) -> dict[str, int]:
    """The whole numbers that the text of a model's header defines, without the model's prefix."""
    pattern = re.compile(rf"^#define {re.escape(name.upper())}_(\w+) \(?(-?\d+)\)?$", re.MULTILINE)
    return {key: int(value) for key, value in pattern.findall(header)}
