"""From counted blocks to instructions and cycles."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mcuprune.core import Core
from mcuprune.verify.cycles import Cycles, cycle_rules
from mcuprune.verify.disassembly import Instruction, disassembler
from mcuprune.verify.image import Image
from mcuprune.verify.trace import Transitions, block_range


@dataclass(frozen=True)
class Profile:
    """Executed instructions, each conditional one counted whether or not its condition held; cycles."""

    instructions: int
    cycles: Cycles | None

    def __add__(self, other: Profile) -> Profile:
        both = self.cycles is not None and other.cycles is not None
        cycles = self.cycles + other.cycles if both else None  # type: ignore[operator]
        return Profile(self.instructions + other.instructions, cycles)


class Profiler:
    """Turns block transitions of one image into counts; remembers what it has disassembled."""

    def __init__(self, image: Image, core: Core) -> None:
        self._disassemble = disassembler(image, core.family)
        self._rules = cycle_rules(core.timing) if core.timing else None
        self._blocks: dict[int, tuple[Instruction, ...]] = {}

    def profile(self, transitions: Transitions) -> Profile:
        counts: Counter[int] = Counter()
        jumps = 0
        for (block, follower), times in transitions.items():
            counts[block] += times
            if block_range(follower)[0] != block_range(block)[1]:
                jumps += times
        instructions = sum(times * len(self._block(block)) for block, times in counts.items())
        return Profile(instructions, self._cycles(counts, jumps))

    def _block(self, block: int) -> tuple[Instruction, ...]:
        if block not in self._blocks:
            self._blocks[block] = self._disassemble(*block_range(block))
        return self._blocks[block]

    def _cycles(self, counts: Counter[int], jumps: int) -> Cycles | None:
        if self._rules is None:
            return None
        executed = {entry.address: entry for block in counts for entry in self._block(block)}
        before = {entry.address + entry.size: entry for entry in executed.values()}
        times: Counter[int] = Counter()
        for block, count in counts.items():
            for entry in self._block(block):
                times[entry.address] += count
        total = self._rules.refill * jumps
        for address, count in sorted(times.items()):
            total += self._rules.cost(executed[address], before.get(address)) * count
        return total
