"""Memory maps: regions of flash and RAM, and the banks that they form."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("flash", "ram")
HOLDS = ("any", "code", "constants")


@dataclass(frozen=True)
class Region:
    """A range of addresses; ``origin`` and ``length`` in bytes.

    ``holds`` restricts a flash region to code or constants where the core fetches and reads through different
    address windows.
    """

    kind: str
    name: str
    origin: int
    length: int
    holds: str = "any"
    source: str = ""

    @property
    def end(self) -> int:
        return self.origin + self.length


@dataclass(frozen=True)
class Memory:
    """The regions as the manual lists them, the one that programs use first coming first within its kind."""

    regions: tuple[Region, ...]

    def banks(self, kind: str) -> tuple[Region, ...]:
        """Regions of one kind, those that touch joined into one: what a single array can lie in."""
        banks: list[Region] = []
        for region in (region for region in self.regions if region.kind == kind):
            if banks and banks[-1].end == region.origin and banks[-1].holds == region.holds:
                first = banks.pop()
                names = f"{first.name}_{region.name}"
                length = first.length + region.length
                region = Region(kind, names, first.origin, length, first.holds, first.source)
            banks.append(region)
        return tuple(banks)

    def main(self, kind: str, holds: str = "any") -> Region:
        """The bank that code (``flash``), constants or the arena (``ram``) are linked into."""
        banks = self.banks(kind)
        return next((bank for bank in banks if bank.holds in ("any", holds)), banks[0])

    def total(self, kind: str) -> int:
        return sum(region.length for region in self.regions if region.kind == kind)
